"""What an installed package has to bring: declared imports, configs, metafiles, names."""

import ast
import configparser
import importlib.metadata
import importlib.util
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.hub import get_config, get_model
from mmseg.registry import MODELS

import mmseg_sparsemask
from mmseg_sparsemask.utils.extras import requirement
from mmseg_sparsemask.version import SOURCE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'mmseg_sparsemask'

#: Distribution of a module where the names differ.
DISTRIBUTIONS = {
    'cv2': 'opencv-python',
    'PIL': 'pillow',
    'skimage': 'scikit-image',
    'yaml': 'pyyaml',
}
OWN = {'mmseg_sparsemask', 'mmseg_sparsemask_cli'}
#: In either distribution of MMSegmentation, whose extras install it.
TOOLBOX = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain'}


def imported_by(nodes):
    """Top-level modules that the nodes of a Python file import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split('.')[0]


def declared():
    """Distributions in install_requires and in each extra."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')

    def names(text):
        lines = [line for line in text.splitlines() if line.strip() and line[0] != '#']
        return {re.match(r'[\w-]+', line.strip())[0].lower() for line in lines}

    extras = {key: names(value) for key, value in config['options.extras_require'].items()}
    return names(config['options']['install_requires']), extras


def test_whatever_is_imported_is_declared():
    required, extras = declared()
    own = ('tests', 'lint', 'docs')
    known = required.union(*(names for extra, names in extras.items() if extra not in own))
    known = {name.replace('_', '-') for name in known} | sys.stdlib_module_names | TOOLBOX
    missing = {
        f'{module}: {path}'
        for folder in ('mmseg_sparsemask', 'tools')
        for path in (ROOT / folder).rglob('*.py')
        for module in imported_by(ast.walk(ast.parse(path.read_text())))
        if module not in known | OWN
        and DISTRIBUTIONS.get(module, module).lower().replace('_', '-') not in known
    }
    assert not missing


def test_importing_prints_nothing_and_needs_no_extra(tmp_path):
    required, _ = declared()
    code = f"""
import pathlib, sys, mmseg_sparsemask
own = [m.__file__ for name, m in sys.modules.items() if name.split('.')[0] == 'mmseg_sparsemask']
pathlib.Path({str(tmp_path / 'files')!r}).write_text('\\n'.join(own))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    files = (tmp_path / 'files').read_text().splitlines()
    assert len(files) > 50
    for path in files:
        # What stands inside a function is imported where it is used.
        for module in imported_by(ast.parse(Path(path).read_text()).body):
            if module not in sys.stdlib_module_names | TOOLBOX | OWN:
                assert DISTRIBUTIONS.get(module, module) in required, (module, path)


def test_what_others_print_while_importing_is_passed_on(monkeypatch, capsys):
    from mmseg_sparsemask.utils import toolbox

    def talking(name):
        print(toolbox.NEEDLESS_LINE)
        print(f'{name} says this')

    monkeypatch.setattr(toolbox.importlib, 'import_module', talking)
    toolbox.import_toolbox()
    names = ('mmseg.datasets', 'mmpretrain.datasets', 'mmseg.models')
    assert capsys.readouterr().out == ''.join(f'{name} says this\n' for name in names)


def test_other_warnings_are_passed_on(monkeypatch):
    from mmseg_sparsemask.utils import toolbox

    def warning(name):
        warnings.warn(f'{toolbox.NEEDLESS_WARNING} and more', stacklevel=2)
        warnings.warn(f'{name} warns', stacklevel=2)

    monkeypatch.setattr(toolbox.importlib, 'import_module', warning)
    with pytest.warns(UserWarning) as found:
        toolbox.import_toolbox()
    assert {str(one.message).split()[-1] for one in found} == {'warns'}


def models():
    index = yaml.safe_load((PACKAGE / '.mim/model-index.yml').read_text())
    for name in index['Import']:
        content = yaml.safe_load((ROOT / name).read_text())
        assert all((ROOT / item['README']).is_file() for item in content['Collections'])
        yield from content['Models']


def test_metafiles_are_current():
    """Every config has its row, and every row of results its config; no weights are promised."""
    spec = importlib.util.spec_from_file_location('metafiles', ROOT / '.ci/metafiles.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for folder in script.COLLECTIONS:
        text = (ROOT / 'configs' / folder / 'metafile.yml').read_text()
        assert text == script.metafile(folder), 'run python .ci/metafiles.py'
    found = list(models())
    names = [model['Name'] for model in found]
    assert len(set(names)) == len(names) > 100
    assert all((ROOT / model['Config']).is_file() for model in found)
    assert {model['Weights'] for model in found} == {None}
    measured = {model['Config'] for model in found if 'Results' in model}
    assert measured == set(script.table_results(''))


@pytest.mark.parametrize('name', ['configs', 'tools', 'model-index.yml'])
def test_mim_folder_of_a_clone_links_to_the_real_files(name):
    assert (PACKAGE / '.mim' / name).is_symlink()
    assert (PACKAGE / '.mim' / name).resolve() == ROOT / name


def test_a_zip_of_the_repository_brings_configs_and_tools(tmp_path):
    """Where links are unpacked as text files; .ci/wheel_check builds all of it."""
    source = tmp_path / 'source'
    names = ['configs/a/b.py', 'tools/c.py', 'model-index.yml', 'mmseg_sparsemask/__init__.py']
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / 'mmseg_sparsemask/.mim').mkdir()
    for name in ('configs', 'tools', 'model-index.yml'):
        (source / 'mmseg_sparsemask/.mim' / name).write_text(f'../../{name}')
    (source / 'mmseg_sparsemask/version.py').write_text((PACKAGE / 'version.py').read_text())
    (source / 'setup.cfg').write_text('[options]\npackages = mmseg_sparsemask')
    (source / 'setup.py').write_text((ROOT / 'setup.py').read_text())

    def build(*options):
        command = [sys.executable, 'setup.py', '-q', 'build_py', *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=source)

    done = build('--build-lib', str(tmp_path / 'built'))
    assert done.returncode == 0, done.stderr
    found = [(tmp_path / 'built/mmseg_sparsemask/.mim' / name).read_text() for name in names[:3]]
    assert found == names[:3]
    # In place, as an editable installation does it.
    script = runpy.run_path(str(source / 'setup.py'))
    for name in ('configs', 'tools', 'model-index.yml'):
        script['link'](source / name, source / 'mmseg_sparsemask/.mim' / name)
    for name in names[:3]:
        assert (source / 'mmseg_sparsemask/.mim' / name).resolve() == source / name
    (source / 'tools').rename(source / 'elsewhere')
    assert 'no tools; build from a whole checkout' in build().stderr


def test_configs_by_name(tmp_path):
    name = 'mmseg_sparsemask::sparsemask/sparsemask_mbv2_shapes.py'
    expected = Config.fromfile(ROOT / 'configs/sparsemask/sparsemask_mbv2_shapes.py')
    assert get_config(name).model.decode_head == expected.model.decode_head
    (tmp_path / 'mine.py').write_text(
        f"_base_ = ['{name}']\nmodel = dict(decode_head=dict(num_classes=3))\n"
    )
    mine = Config.fromfile(tmp_path / 'mine.py')
    assert mine.model.decode_head.connectivity == 'sparsemask_mbv2_voc'
    assert mine.model.decode_head.num_classes == 3
    # What is inherited that way is built in the scope of this package.
    assert MODELS.build(mine.model).decode_head.num_classes == 3


def test_model_by_name():
    model = get_model('mmseg_sparsemask::sparsemask/sparsemask_mbv2_shapes.py')
    assert len(model.decode_head.connectivity) == 15


def test_inferencer_by_name(tmp_path):
    import numpy as np
    import torch
    from mmseg.apis import MMSegInferencer

    torch.manual_seed(0)
    model = get_model('mmseg_sparsemask::sparsemask/sparsemask_mbv2_shapes.py').eval()
    classes, palette = list('abcdef'), [[label, 0, 0] for label in range(6)]
    meta = {'dataset_meta': {'classes': classes, 'palette': palette}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, tmp_path / 'weights.pth')
    inferencer = MMSegInferencer(
        model='sparsemask_mbv2_shapes',
        scope='mmseg_sparsemask',
        weights=str(tmp_path / 'weights.pth'),
        device='cpu',
    )
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert inferencer(image)['predictions'].shape == (96, 96)
    assert inferencer.model.dataset_meta['classes'] == classes
    state = inferencer.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_name_of_mmseg_leads_to_an_installed_distribution(tmp_path):
    importlib.metadata.version(MODULE2PACKAGE['mmseg'])
    (tmp_path / 'mine.py').write_text("_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'\n")
    assert Config.fromfile(tmp_path / 'mine.py').model.type == 'EncoderDecoder'


BASES = {
    'runtime': 'default_runtime.py',
    'fdn_mobilenetv2': 'models/fdn_mbv2.py',
    'sparsemask_mobilenetv2': 'models/sparsemask_mbv2.py',
    'drawn_shapes': 'datasets/shapes.py',
    'adamw_400': 'schedules/adamw_400_scratch.py',
}


def test_base_configs_in_pure_python_are_those_of_the_folder(tmp_path):
    """In a process that has not imported the package, as a config's reader."""
    assert {path.stem for path in (PACKAGE / 'configs').glob('*.py')} == {'__init__', *BASES}
    lines = [f'    from mmseg_sparsemask.configs.{name} import *' for name in BASES]
    text = 'from mmengine.config import read_base\nwith read_base():\n' + '\n'.join(lines)
    (tmp_path / 'mine.py').write_text(f'{text}\ntrain_cfg.update(max_iters=7)\n')
    code = (
        'import sys; from mmengine.config import Config; cfg = Config.fromfile("mine.py");'
        'from mmseg.registry import MODELS; import mmseg.models; '
        'from mmengine.registry import init_default_scope; init_default_scope("mmseg"); '
        'print(MODELS.build(cfg.model).decode_head.connectivity.num_levels)'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={'PYTHONPATH': str(ROOT), 'PATH': ''},
    )
    assert done.stdout.splitlines()[-1:] == ['9'], done.stdout + done.stderr
    mine = Config.fromfile(tmp_path / 'mine.py')
    assert mine.train_cfg.max_iters == 7
    assert not {'Config', 'Path', 'find_spec'} & set(mine)
    for name, file in BASES.items():
        if name == 'fdn_mobilenetv2':
            continue
        expected = Config.fromfile(ROOT / 'configs/_base_' / file).to_dict()
        expected.pop('train_cfg', None)
        found = mine.to_dict()
        assert {key: found[key] for key in expected} == expected, name


def test_names_of_pure_python_bases_hide_no_config():
    """`mim train` looks a config up by its file name in the whole package."""
    own = {path.name for path in (PACKAGE / 'configs').glob('*.py')} - {'__init__.py'}
    assert not own & {path.name for path in (ROOT / 'configs').rglob('*.py')}


def test_version_in_the_package_is_that_of_the_distribution():
    assert re.fullmatch(r'\d+\.\d+\.\d+', mmseg_sparsemask.__version__)
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors', 'references'} <= set(citation)
    page = (ROOT / 'docs/installation.md').read_text()
    assert f"pip install '{requirement('onedl')}'" in page
    assert set(re.findall(r'sparsemask-(\d+\.\d+\.\d+)-', page)) == {mmseg_sparsemask.__version__}


def test_no_page_prints_an_address_of_the_repository_but_the_one_that_is_set():
    pages = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('tools/*.md')]
    text = '\n'.join(page.read_text() for page in pages)
    named = re.findall(r'git\+(\S+?)@|(https?://\S+/mmseg-sparsemask)\b', text)
    assert {''.join(address) for address in named} <= {SOURCE}
    urls = runpy.run_path(str(ROOT / 'setup.py'))['project_urls']()
    assert ('Source' in urls) == bool(SOURCE) and '' not in urls.values()
