"""A front from a search, by the tool: what it writes, that it goes on where it was, and errors."""

import json
import re
import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint
from mmseg.registry import MODELS
from reference import tiny

from mmseg_sparsemask.connectivity import load
from mmseg_sparsemask.front.points import pick, read_points, validated

MORE = """
model['decode_head'].update(connections=dict(type='SampledConnections'), loss_connectivity=None)
train_dataloader['dataset']['indices'] = 20
val_cfg = val_dataloader = val_evaluator = None
"""
ASKED = ['--images', 4, '--count', 4, '--swaps', 3, '--controls', 2]
FILES = {'connectivity.json', 'connectivity.svg', 'pruned.pth', 'finetune.py', 'retrain.py'}


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp('front')
    config = tiny.write_configs(folder, iterations=4, more=MORE)
    Runner.from_cfg(tiny.load(config, folder / 'w')).train()
    return folder / 'w'


def run(*arguments):
    return runpy.run_path(str(tiny.ROOT / 'tools/front.py'))['main']([str(a) for a in arguments])


@pytest.fixture(scope='module')
def front(searched):
    run(searched, *ASKED)
    return searched / 'front'


def test_what_is_written(front):
    points = read_points(front)
    assert 2 <= len(points) <= 4
    costs, losses = [p.parameters for p in points], [p.loss for p in points]
    assert costs == sorted(costs) and losses == sorted(losses, reverse=True)
    assert (front / 'front.svg').read_text().count('images held back') >= 1
    for point in points:
        folder = front / point.folder
        assert {path.name for path in folder.iterdir()} == FILES
        graph = load(folder / 'connectivity.json')
        assert str(graph) == point.connectivity and graph.end == point.end
        model = MODELS.build(Config.fromfile(folder / 'finetune.py').model)
        load_checkpoint(model, str(folder / 'pruned.pth'), strict=True)
        head = model.decode_head
        assert head.shape.cost(graph).parameters == point.parameters
        with torch.no_grad():
            assert model.eval().encode_decode(torch.randn(1, 3, 32, 32), [IMAGE]).isfinite().all()


def test_points_are_validated_and_compared_with_chance(front):
    points = read_points(front)
    assert any(point.random_loss is not None for point in points)
    assert all(point.val is None for point in points)
    score = validated(front / points[-1].folder)
    assert 0 <= score <= 100 and score == validated(front / points[-1].folder)


IMAGE = dict(ori_shape=(32, 32), img_shape=(32, 32), pad_shape=(32, 32))


def test_a_run_that_was_killed_goes_on(front, searched, tmp_path):
    expected = (front / 'front.csv').read_text()
    notes = (front / 'scores.jsonl').read_text()
    for place, part in enumerate((0.1, 0.5, 1)):
        again = tmp_path / str(place)
        again.mkdir()
        (again / 'scores.jsonl').write_text(notes[: int(part * len(notes))])
        run(searched, *ASKED, '--out', again)
        assert (again / 'front.csv').read_text() == expected
        assert sorted((again / 'scores.jsonl').read_text().split()) == sorted(notes.split())


def test_a_budget_picks_a_point(front, searched, capsys, monkeypatch):
    points = read_points(front)
    assert pick(points, 'parameters', points[0].parameters) == points[0]
    assert pick(points, 'multiply_adds', 1e12) == points[-1]
    budget = f'parameters={points[0].parameters}'
    monkeypatch.setattr(sys, 'argv', ['prune.py', str(searched), '--budget', budget])
    runpy.run_path(str(tiny.ROOT / 'tools/prune.py'), run_name='__main__')
    printed = capsys.readouterr().out
    assert points[0].connectivity in printed
    assert re.search(rf'train.py \S+/front/{points[0].folder}/finetune.py', printed)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--images', 3], 'expected at least 4 to score decoders on, got 3'),
        (['--images', 4, '--points', '1'], r'1 parameters: expected a point from \d+ param.* to'),
        (['--images', 4, '--cost', 'latency'], 'expected a table of python tools/latency_table.py'),
        (['--config', 'none.py'], 'none.py'),
    ],
)
def test_errors_of_one_line(searched, front, arguments, words):
    with pytest.raises(SystemExit, match=words):
        run(searched, *arguments)


def test_no_front_and_no_point(front, tmp_path):
    with pytest.raises(ValueError, match='there is no front; python tools/front.py makes one'):
        read_points(tmp_path)
    with pytest.raises(ValueError, match='parameters=10: expected at least .*, the cheapest'):
        pick(read_points(front), 'parameters', 10)
    (tmp_path / 'front.csv').write_text('folder\nx\n')
    with pytest.raises(ValueError, match='expected the table of a front'):
        read_points(tmp_path)


def test_notes_are_lines_of_json(front):
    lines = [json.loads(line) for line in (front / 'scores.jsonl').read_text().splitlines()]
    assert {tuple(line) for line in lines} == {('stages', 'losses'), ('stages', 'importance')}
