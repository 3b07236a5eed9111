"""What an installed package has to bring: declared imports, configs, metafiles, names."""

import ast
import configparser
import importlib.metadata
import re
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

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'mmseg_sparsemask'
FOLDERS = ('dpc', 'edge', 'saliency', 'sparsemask')

#: Distribution of a module where the names differ.
DISTRIBUTIONS = {
    'cv2': 'opencv-python',
    'PIL': 'pillow',
    'skimage': 'scikit-image',
    'yaml': 'pyyaml',
}
#: In either distribution of MMSegmentation, whose extras install it.
TOOLBOX = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain'}


def imported(folder):
    """Top-level modules that the Python files of a folder import, with one file of each."""
    found = {}
    for path in sorted(folder.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                found.setdefault(name.split('.')[0], path)
    return found


def declared():
    """Distributions in install_requires and in each extra."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')

    def names(text):
        lines = [line for line in text.splitlines() if line.strip() and line[0] != '#']
        return {re.match(r'[\w-]+', line.strip())[0].lower() for line in lines}

    extras = {key: names(value) for key, value in config['options.extras_require'].items()}
    return names(config['options']['install_requires']), extras


@pytest.mark.parametrize('folder', ['mmseg_sparsemask', 'tools'])
def test_whatever_is_imported_is_declared(folder):
    required, extras = declared()
    known = required.union(*(extras[name] for name in extras if name not in ('tests', 'lint')))
    for module, path in imported(ROOT / folder).items():
        if module in sys.stdlib_module_names | TOOLBOX | {'mmseg_sparsemask'}:
            continue
        name = DISTRIBUTIONS.get(module, module).lower().replace('_', '-')
        assert name in {known_name.replace('_', '-') for known_name in known}, f'{module}: {path}'


def test_what_importing_the_package_needs_is_required_and_not_extra():
    required, _ = declared()
    code = """
import sys, mmseg_sparsemask
own = [m.__file__ for name, m in sys.modules.items() if name.split('.')[0] == 'mmseg_sparsemask']
print(*own, sep='\\n')
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    files = done.stdout.splitlines()
    assert len(files) > 50, done.stderr
    for path in files:
        # What stands inside a function is imported where it is used.
        for node in ast.parse(Path(path).read_text()).body:
            names = [alias.name for alias in getattr(node, 'names', [])]
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            elif not isinstance(node, ast.Import):
                continue
            for module in {name.split('.')[0] for name in names}:
                if module not in sys.stdlib_module_names | TOOLBOX | {'mmseg_sparsemask'}:
                    assert DISTRIBUTIONS.get(module, module) in required, (module, path)


def test_importing_prints_nothing():
    done = subprocess.run(
        [sys.executable, '-c', 'import mmseg_sparsemask'],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


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
        collections = {item['Name'] for item in content['Collections']}
        for item in content['Collections']:
            assert (ROOT / item['README']).is_file(), item
        for model in content['Models']:
            assert model['In Collection'] in collections
            yield name, model


def test_every_config_has_its_row_and_every_row_its_config():
    listed = [model['Config'] for _, model in models()]
    assert len(set(listed)) == len(listed)
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / 'configs' / folder).glob('*.py')
    }
    assert set(listed) == wanted
    names = [model['Name'] for _, model in models()]
    assert names == [Path(config).stem for config in listed]
    assert len(set(names)) == len(names)
    assert {folder for folder in FOLDERS} == {path.parent.name for path in map(Path, listed)}


def test_results_are_measured_and_no_weights_are_promised():
    pages = ''.join((ROOT / 'docs' / name).read_text() for name in ('reproduce.md', 'dpc.md'))
    count = 0
    for name, model in models():
        assert model['Weights'] is None, (name, model)
        for result in model.get('Results', []):
            count += 1
            assert set(result) == {'Task', 'Dataset', 'Metrics'}
            for value in result['Metrics'].values():
                written = [f'{value:.2f}', f'{value:.3f}']
                assert any(text in pages for text in written), (model['Name'], value)
    assert count > 20


@pytest.mark.parametrize('name', ['configs', 'tools', 'model-index.yml'])
def test_mim_folder_of_a_clone_links_to_the_real_files(name):
    assert (PACKAGE / '.mim' / name).is_symlink()
    assert (PACKAGE / '.mim' / name).resolve() == ROOT / name


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
