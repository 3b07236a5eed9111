"""The documentation: its links lead somewhere, its commands and examples run."""

import importlib.util
import pkgutil
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmseg.registry import MODELS
from reference.configs import load_as_it_is
from reference.tiny import call

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.results import Result
from mmseg_sparsemask.connectivity import PRESETS

ROOT = Path(__file__).parents[1]
PAGES = [path for path in ROOT.glob('*.md')] + [
    path for folder in ('docs', 'tools', 'configs') for path in (ROOT / folder).rglob('*.md')
]
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)|src="([^"]+)"')
FENCE = re.compile(r'^```.*?^```$', re.DOTALL | re.MULTILINE)


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub('', page.read_text())
    headings = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for groups in LINK.findall(FENCE.sub('', page.read_text())):
        target = ''.join(groups)
        if re.match(r'https?://|mailto:', target):
            continue
        name, _, anchor = target.partition('#')
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor and path.suffix == '.md':
            assert anchor in anchors(path), target


def test_every_page_is_in_the_index_and_on_the_site():
    index = (ROOT / 'docs/README.md').read_text()
    site = str(yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav'])
    for page in (ROOT / 'docs').glob('*.md'):
        assert f"'{page.name}'" in site, f'{page.name}: add it to the nav of mkdocs.yml'
        assert page.name == 'README.md' or f'({page.name})' in index, f'{page.name}: docs/README.md'


def test_lambdas_of_the_questions_are_those_of_the_configs():
    text = (ROOT / 'docs/faq.md').read_text()
    row = r'\| ([\d.]+)(?:, with `connections_lr=([\d.]+)`)? \| `(.+)\.py` \|'
    rows = re.findall(row, text)
    assert len(rows) == 4
    for weight, rate, name in rows:
        cfg = load_as_it_is(f'sparsemask/{name}')
        assert cfg.model.decode_head.loss_connectivity.loss_weight == float(weight), name
        found = cfg.optim_wrapper.get('paramwise_cfg', {}).get('connections_lr')
        assert found == (float(rate) if rate else None), name


def test_the_units_of_results_are_said_for_every_number():
    text = (ROOT / 'docs/baselines.md').read_text().partition('| column of the CSV | unit |')[2]
    said = set(re.findall(r'`(\w+)`', text.partition('\n\n')[0])) - {'mIoU', 'metric'}
    numbers = {f.name for f in fields(Result) if f.type != 'str'}
    assert said == numbers | {'image_size'}


#: In the pages, but of other people's programs.
FOREIGN = {'acc_seg', 'get_installed_path', 'openmim', 'smp', 'Unet'}
FOREIGN_PAGES = ('CHANGELOG.md', 'from_authors_code.md')
CODE = ['mmseg_sparsemask', 'mmseg_sparsemask_cli', 'configs', 'tools', 'benchmarks', 'results']


def test_names_in_the_pages_are_those_of_the_code():
    """What stands alone in code style, such as an option, class or module, is in the code."""
    files = [path for folder in CODE for path in (ROOT / folder).rglob('*.[pyjs]*')]
    files += [*(ROOT / 'tests').rglob('*.py'), ROOT / 'setup.cfg', ROOT / '.ci/site_hooks.py']
    words = FOREIGN.union(path.stem for path in files)
    for path in files:
        if path.is_file() and path.suffix in ('.cfg', '.py', '.yaml', '.yml', '.json', '.jinja'):
            words.update(re.findall(r'\w+', path.read_text()))
    unknown = [
        f'{page.name}: {code}'
        for page in PAGES
        if page.name not in FOREIGN_PAGES
        for code in re.findall(r'`([A-Za-z_][\w.]*)(?:\(.*?\))?`', FENCE.sub('', page.read_text()))
        if not re.search(r'\.(csv|jpe?g|png|svg|tar|tgz|txt)$', code)
        and not words.issuperset(re.findall(r'[A-Za-z_]\w+', code))
    ]
    assert unknown == []


def test_modules_in_the_pages_can_be_imported():
    text = '\n'.join(page.read_text() for page in PAGES if page.name not in FOREIGN_PAGES)
    names = set(re.findall(r'\bmmseg_sparsemask(?:\.[a-z]\w*)+(?:\.[A-Z]\w*)?\b(?!/)', text))
    assert len(names) > 10
    for name in sorted(names):
        pkgutil.resolve_name(name)


def test_paths_in_the_pages_are_there():
    """Those that begin with a folder of the repository or of the package."""
    homes = [ROOT, ROOT / 'mmseg_sparsemask']
    folders = {path.name for home in homes for path in home.iterdir() if path.is_dir()}
    tops = '|'.join(map(re.escape, folders - {'data', 'work_dirs', 'front'}))
    named = re.compile(rf'(?<![\w./$}}:-])((?:{tops})/[\w./*{{}},<>-]*\w)')
    # Files that a page tells its reader to write, or that MMSegmentation has.
    others = r'/(my_|mine_)|configs/unet\.py|tools/dataset_converters/(voc_aug|cityscapes)\.py'
    missing = []
    for page in PAGES:
        for path in named.findall(page.read_text()):
            # Of a table that has not been run there is the plan alone.
            name = re.sub(r'METHOD|SEED|<\w+>|\{.*?\}|(?<=\.)csv$', '*', path)
            if not any(any(home.glob(name)) for home in [*homes, page.parent]):
                missing += [] if re.search(others, path) else [f'{page.name}: {path}']
    assert missing == []


def block_after(page, mark):
    """The fenced block that follows a line."""
    text = (ROOT / page).read_text()
    return re.search(re.escape(mark) + r'\n```\w+\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)[1]


@pytest.mark.parametrize('name', ['run', 'test'])
def test_the_commands_of_the_readme_are_where_ci_looks_for_them(name):
    command = block_after('README.md', f'<!-- command: {name} -->')
    assert '"${VENV:-.venv}/bin/activate"' in command and 'pip install -e' in command
    assert subprocess.run(['bash', '-n', '-c', command]).returncode == 0
    assert f'command_of {name}' in (ROOT / '.ci/run').read_text()


@pytest.mark.parametrize('name', ['run', 'wheel_check', 'floor', 'release'])
def test_scripts_are_right_in_form(name):
    assert subprocess.run(['bash', '-n', ROOT / '.ci' / name]).returncode == 0


def load(page, example, tmp_path):
    """Run an example of a page as the module that a user would make of it."""
    path = tmp_path / f'{example}.py'
    path.write_text(block_after(page, f'<!-- example: {example} -->'))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_own_connections_and_own_loss(tmp_path):
    for example in ('connections', 'loss'):
        load('docs/extending.md', example, tmp_path)
    head = MODELS.build(
        dict(
            type='FDNHead',
            in_channels=[4, 6, 8],
            in_index=[0, 1, 2],
            strides=[4, 8, 16],
            channels=8,
            num_classes=3,
            connections=dict(type='LogisticConnections', start=1.0),
            loss_connectivity=dict(type='CountLoss', wanted=4),
        )
    )
    head([torch.randn(2, c, s, s) for c, s in zip((4, 6, 8), (16, 8, 4))]).sum().backward()
    gradients = [raw.grad for raw in head.connections.raw.values()]
    assert sum(map(len, gradients)) == 12 and all(g.abs().sum() > 0 for g in gradients)
    share = 1 / (1 + 2.718281828459045**-1)
    assert list(head.connection_weights().values()) == pytest.approx([share] * 12, abs=1e-6)
    loss = head.loss_connectivity(head.connections.weights())
    assert float(loss) == pytest.approx(1e-4 * (12 * share - 4) ** 2, rel=1e-5)


@pytest.mark.slow
def test_own_data_and_own_encoder(tmp_path):
    """The page's pair of configs, as it stands but for sizes: search, then fine-tuning."""
    from PIL import Image

    values = np.random.default_rng(0)
    for kind in ('images', 'annotations'):
        for split in ('train', 'val'):
            folder = tmp_path / 'data/mine' / kind / split
            folder.mkdir(parents=True)
            for name in range(4):
                if kind == 'images':
                    array = values.integers(256, size=(48, 64, 3), dtype=np.uint8)
                    Image.fromarray(array).save(folder / f'{name}.jpg')
                else:
                    array = values.integers(2, size=(48, 64), dtype=np.uint8)
                    Image.fromarray(array).save(folder / f'{name}.png')
    for example in ('my_retrain', 'my_search'):
        text = block_after('docs/extending.md', f'<!-- example: {example} -->')
        text = text.replace('../_base_', str(ROOT / 'configs/_base_'))
        text = text.replace('(256, 256)', '(64, 64)').replace('(512, 512)', '(64, 64)')
        text = re.sub(r'init_cfg=dict\(.*\)', 'init_cfg=None', text)
        (tmp_path / f'{example}.py').write_text(text)
    short = ['--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    short += ['train_dataloader.batch_size=2', 'model.backbone.backbone.init_cfg=None']
    for config in ('my_search.py', 'work_dirs/my_search/finetune.py'):
        call(sys.executable, ROOT / 'tools/train.py', config, *short, cwd=tmp_path)
    assert (tmp_path / 'work_dirs/my_search/finetune/iter_2.pth').is_file()


def test_a_budget_in_milliseconds(tmp_path):
    text = block_after('docs/budget.md', '<!-- example: my_budget -->')
    (tmp_path / 'my_budget.py').write_text(text.replace("'configs/", f"'{ROOT}/configs/"))
    loss = Config.fromfile(tmp_path / 'my_budget.py').model.decode_head.loss_connectivity
    assert (loss.type, loss.budget) == (
        'BudgetLoss',
        {'latency': 20.0, 'table': f'{tmp_path}/latency.json'},
    )


def test_without_configs(tmp_path):
    pytest.importorskip('timm', reason='timm is not installed (extra timm)')
    example = load('docs/python.md', 'loop', tmp_path)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = example.decoder.eval()(example.encoder.eval()(images))
        assert torch.allclose(example.network(images), expected, atol=1e-4)
    assert len(example.found) == 30  # too short a search to prune
    assert example.decoder.is_balanced


def test_own_preset(tmp_path, monkeypatch, capsys):
    """In a config's head, and in a tool that has no config."""
    (tmp_path / 'own_presets.py').write_text(
        block_after('docs/extending.md', '<!-- example: preset -->')
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location('transfer_tool', ROOT / 'tools/transfer.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with pytest.raises(SystemExit, match="unknown preset 'ladder'"):
        tool.main(['ladder', '--strides', '4', '8', '16'])
    with pytest.raises(SystemExit, match='no_such_module'):
        tool.main(['ladder', '--strides', '4', '8', '--imports', 'no_such_module'])
    tool.main(['ladder', '--strides', '4', '8', '16', '--imports', 'own_presets'])
    assert 'result: 2 connections, strides [4, 8, 16]\n  D1: E1 E3\n' in capsys.readouterr().out
    head = dict(type='SparseMaskHead', connectivity='ladder', strides=[4, 8, 16], channels=8)
    head = MODELS.build({**head, 'in_channels': [4, 6, 8], 'in_index': [0, 1, 2], 'num_classes': 3})
    assert head.connectivity.stages == {'D1': ('E1', 'E3')}
    assert PRESETS.pop('ladder') and sys.modules.pop('own_presets')
