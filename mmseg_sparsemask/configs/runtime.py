"""The runtime of every config here: loads the plugin, sets scope, visualiser and log level."""

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

_folder = Path(find_spec('mmseg_sparsemask').origin).parent / '.mim' / 'configs' / '_base_'
globals().update(Config.fromfile(_folder / 'default_runtime.py').to_dict())
del Config, Path, find_spec, _folder
