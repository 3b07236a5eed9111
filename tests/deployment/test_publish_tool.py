"""tools/publish.py as a user calls it."""

import json
import os
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from reference.records import search_record
from reference.small_networks import network

from mmseg_sparsemask.connectivity import preset, save
from mmseg_sparsemask.datasets import ShapesDataset
from mmseg_sparsemask.deployment import load_published
from mmseg_sparsemask.deployment.publish import publish
from mmseg_sparsemask.deployment.published import decode
from mmseg_sparsemask.report import FrontPoint, FrontRecord, Step, search_page

pytest.importorskip('safetensors')
ROOT = Path(__file__).parents[2]


def test_the_tool_measures_and_writes(trained, tmp_path):
    command = [sys.executable, ROOT / 'tools/publish.py', *trained, '--test', '--out', 'net']
    command += ['--device', 'cpu']
    done = subprocess.run(
        [*map(str, command), '--license', 'mit'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Environment and config are hundreds of lines.
    assert len((done.stdout + done.stderr).splitlines()) < 60
    scores = json.loads((tmp_path / 'net/scores.json').read_text())
    assert scores['dataset'] == 'Shapes (test)'
    assert 0 < scores['values']['mIoU'] < 100
    assert scores['command'] == 'mmseg-sparsemask test sparse.py last.pth'
    config = decode(json.loads((tmp_path / 'net/config.json').read_text()))
    cfg = Config.fromfile(trained[0])
    assert config['model']['decode_head']['num_classes'] == cfg.model.decode_head.num_classes
    state = load_published(tmp_path / 'net').model.state_dict()
    saved = torch.load(trained[1], weights_only=True)['state_dict']
    assert all(torch.equal(state[key], saved[key]) for key in saved)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['net']


def test_scores_of_a_file(trained, tmp_path, monkeypatch):
    tool = runpy.run_path(str(ROOT / 'tools/publish.py'))
    scores = tmp_path / 'scores.json'
    arguments = [*map(str, trained), '--out', str(tmp_path / 'net'), '--scores', str(scores)]
    for wrong in (
        '{',
        '[1]',
        '{"mIoU": "high"}',
        '{"mIoU": [1]}',
        '{"mIoU": NaN}',
        '{"mIoU": 1e999}',
    ):
        scores.write_text(wrong)
        with pytest.raises(SystemExit, match=r'^error: .*(scores\.json|finite)'):
            tool['main'](arguments)
    assert not (tmp_path / 'net').exists()
    scores.write_text('{"mIoU": 50.5, "aAcc": 70, "data_time": 0.1}')
    tool['main'](arguments)
    found = json.loads((tmp_path / 'net/scores.json').read_text())
    assert found['values'] == {'mIoU': 50.5, 'aAcc': 70.0}
    # A data set by its class, in a place on this machine.
    dataset = dict(type=ShapesDataset, ann_file=str(tmp_path / 'v.txt'))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert tool['data_set'](cfg) == 'Shapes (v.txt)'


def test_errors_of_the_tool_are_one_line(tmp_path, trained):
    command = [sys.executable, ROOT / 'tools/publish.py', trained[0], 'none.pth', '--out']
    done = subprocess.run([*map(str, command), 'net'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith('error: the checkpoint none.pth')
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_keeps_its_mode_and_its_link(model, tmp_path):
    (tmp_path / 'mine').mkdir(mode=0o750)
    (tmp_path / 'link').symlink_to('mine')
    publish(model, tmp_path / 'link', 'a net')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'mine/README.md').is_file()
    assert stat.S_IMODE((tmp_path / 'mine').stat().st_mode) == 0o750
    before = os.umask(0o027)
    try:
        publish(model, tmp_path / 'new', 'a net')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'new').stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / 'new/README.md').stat().st_mode) == 0o640


def test_figures_of_the_search_are_those_of_the_network(model, tmp_path):
    own = model.decode_head.connectivity
    search = tmp_path / 'search'
    search.mkdir()
    (search / 'budget.svg').write_text('<svg/>')
    for name, graph in (('own', own), ('other', preset('fdn', own.strides))):
        save(graph, search / 'connectivity.json')
        publish(model, tmp_path / name, 'a net', search_dir=search)
        assert (tmp_path / name / 'budget.svg').is_file() == (name == 'own')


def test_commands_for_points_of_a_front_stay_here(model, tmp_path):
    search, folders = tmp_path / 'search', f'{tmp_path}/work dir/front'
    search.mkdir()
    save(model.decode_head.connectivity, search / 'connectivity.json')
    steps = [Step(f"python '{folders}/finetune.py'", 'train further')]
    numbers = {'parameters': '1,000'}
    inputs = {'D1': ['E1', 'G']}
    one = FrontPoint('one', [2, 4, 8, 16], inputs, 1000.0, 40.0, 'mIoU', numbers, steps)
    page = search_page(search_record(front=FrontRecord('x', 'parameters', [one, one]), commands=[]))
    assert page.count(folders) == 2
    (search / 'report.html').write_text(page)
    publish(model, tmp_path / 'net', 'net', search_dir=search)
    shown = (tmp_path / 'net/report.html').read_text()
    assert str(tmp_path) not in shown and shown.count('1,000') == page.count('1,000')
    assert shown.count('<p>') == page.count('<p>') - 2 and '</main>' in shown


def test_the_card_counts_what_is_published(tmp_path):
    model = network()
    parts = [model.backbone, model.decode_head]
    publish(model, tmp_path / 'net', 'net')
    wanted = sum(value.numel() for part in parts for value in part.parameters())
    assert wanted < sum(value.numel() for value in model.parameters())
    assert f'| parameters | {wanted:,} |' in (tmp_path / 'net/README.md').read_text()
