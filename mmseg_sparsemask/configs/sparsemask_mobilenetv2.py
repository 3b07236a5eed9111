"""``model``: a pruned decoder on MobileNet-V2's nine features, from scratch."""

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

_folder = Path(find_spec('mmseg_sparsemask').origin).parent / '.mim' / 'configs' / '_base_'
globals().update(Config.fromfile(_folder / 'models/sparsemask_mbv2.py').to_dict())
del Config, Path, find_spec, _folder
