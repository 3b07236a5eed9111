"""A front from a search, by the tool: what it writes, that it goes on where it was, and errors."""

import copy
import json
import re
import runpy
import shutil
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from reference import fronts, tiny
from reference.fronts import run, write_table
from reference.heads import relative

from mmseg_sparsemask.connectivity import load
from mmseg_sparsemask.front.find import search_files
from mmseg_sparsemask.front.images import held_back_images, network_of
from mmseg_sparsemask.front.points import validated
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.front_table import pick, picked, read_points
from mmseg_sparsemask.search.saved_search import read_search

ASKED = ['--held-back', 4, '--count', 4, '--swaps', 3, '--controls', 2]
FILES = set(
    'connectivity.json connectivity.svg pruned.pth finetune.py retrain.py report.html'.split()
)


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    return fronts.searched(tmp_path_factory.mktemp('front'), 20)


@pytest.fixture(scope='module')
def front(searched):
    run(searched, *ASKED)
    return searched / 'front'


def test_what_is_written(front):
    points = read_points(front)
    assert len(points) == 4
    costs, losses = [p.parameters for p in points], [p.loss for p in points]
    assert costs == sorted(costs) and losses == sorted(losses, reverse=True)
    assert (front / 'front.svg').read_text().count('images held back') >= 1
    for point in points:
        folder = front / point.folder
        assert {path.name for path in folder.iterdir()} == {*FILES, 'report.html'}
        graph = load(folder / 'connectivity.json')
        assert str(graph) == point.connectivity and graph.end == point.end
        model = MODELS.build(Config.fromfile(folder / 'finetune.py').model)
        load_checkpoint(model, str(folder / 'pruned.pth'), strict=True)
        head = model.decode_head
        assert head.shape.cost(graph).parameters == point.parameters
        with torch.no_grad():
            assert model.eval().encode_decode(torch.randn(1, 3, 32, 32), [IMAGE]).isfinite().all()


def decode(head, features):
    """What is cut stays cut, also in training."""
    return super(type(head), head).decode(features)


def test_pruned_pth_has_the_logits_of_the_supernet_with_the_rest_cut(front, searched):
    """In float32: with batch statistics, from the files; and with the supernet's running ones."""
    checkpoint, config = search_files(searched, None)
    search = read_search(checkpoint, str(config))
    images = held_back_images(network_of(search, config), 4, front)
    for point in read_points(front):
        head = copy.deepcopy(search.head)
        graph = load(front / point.folder / 'connectivity.json')
        for stage, sources in head.connectivity.stages.items():
            kept = [source in graph.stages.get(stage, ()) for source in sources]
            head.connections.raw[stage].data.mul_(torch.tensor(kept))
        head.connections.forward = head.connections.weights  # no part is drawn
        model = MODELS.build(Config.fromfile(front / point.folder / 'finetune.py').model)
        load_checkpoint(model, str(front / point.folder / 'pruned.pth'), strict=True)
        with torch.no_grad(), head.cut_to(graph):
            wanted = decode(head.train(), images.features)
            given = model.eval().decode_head(images.features)
        assert relative(given, wanted) < 1e-5
        with torch.no_grad():
            with head.eval().cut_to(graph):
                own = decode(head, images.features)
            assert relative(pruned_head(head, graph)(images.features), own) < 1e-5


def test_points_are_validated_and_compared_with_chance(front):
    points = read_points(front)
    assert any(point.random_loss is not None for point in points)
    assert all(point.val is None for point in points)
    score = validated(front / points[-1].folder)
    assert 0 <= score <= 100 and score == validated(front / points[-1].folder)


IMAGE = dict(ori_shape=(32, 32), img_shape=(32, 32), pad_shape=(32, 32))


def notes_of(folder):
    return next(folder.glob('scores_*.jsonl'))


def test_a_run_that_was_killed_goes_on(front, searched, tmp_path):
    expected = (front / 'front.csv').read_text()
    name = notes_of(front).name
    notes = (front / name).read_text()
    for place, part in enumerate((0.1, 0.5, 1)):
        again = tmp_path / str(place)
        again.mkdir()
        (again / name).write_text(notes[: int(part * len(notes))])
        run(searched, *ASKED, '--out', again)
        assert (again / 'front.csv').read_text() == expected
        assert sorted((again / name).read_text().split()) == sorted(notes.split())


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


def test_no_command_for_a_config_that_was_not_written(front, searched, tmp_path):
    """A search without retrain and finetune config leaves points without them."""
    assert 'train it further' in picked(str(searched), 'parameters=1e9')
    shutil.copy(front / 'front.csv', tmp_path)
    assert 'train it further' not in picked(str(searched), 'parameters=1e9', tmp_path)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--held-back', 3], 'expected at least 4 to score decoders on, got 3'),
        (
            ['--held-back', 4, '--points', '1'],
            r'1 parameters: expected a point from \d+ param.* to',
        ),
        (['--held-back', 4, '--cost', 'latency'], 'expected a table of .*latency.table'),
        (['--config', 'none.py'], 'none.py'),
        (['--config', 'elsewhere.py'], 'the training images are not here'),
        (['--table', 'narrow.json'], 'measured for channels=4, expected 8'),
    ],
)
def test_errors_of_one_line(searched, front, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    config = (searched / 'search.py').read_text()
    camvid = (
        "train_dataloader['dataset'] = dict(type='BaseSegDataset', data_root='none', pipeline=[])"
    )
    (tmp_path / 'elsewhere.py').write_text(f'{config}\n{camvid}\n')
    write_table(tmp_path / 'narrow.json', channels=4)
    with pytest.raises(SystemExit, match=words) as caught:
        run(searched, *arguments)
    assert '\n' not in str(caught.value)


def test_a_supernet_whose_weights_are_not_numbers(searched, tmp_path):
    state = torch.load(searched / 'iter_20.pth', weights_only=False)
    state['state_dict']['decode_head.convs.D1.E1'].fill_(float('nan'))
    torch.save(state, tmp_path / 'iter_20.pth')
    (tmp_path / 'search.py').write_text((searched / 'search.py').read_text())
    with pytest.raises(SystemExit, match='weights that are not numbers') as caught:
        run(tmp_path / 'iter_20.pth', *ASKED)
    assert '\n' not in str(caught.value) and not (tmp_path / 'front/front.csv').exists()


def test_no_front_and_no_point(front, tmp_path):
    with pytest.raises(ValueError, match='there is no front; python tools/front.py makes one'):
        read_points(tmp_path)
    with pytest.raises(ValueError, match='parameters=10: expected at least .*, the cheapest'):
        pick(read_points(front), 'parameters', 10)
    (tmp_path / 'front.csv').write_text('folder\nx\n')
    with pytest.raises(ValueError, match='expected the table of a front'):
        read_points(tmp_path)


def test_notes_are_lines_of_json(front):
    lines = [json.loads(line) for line in notes_of(front).read_text().splitlines()]
    assert {tuple(line) for line in lines} == {
        ('stages', 'half', 'loss'),
        ('stages', 'importance'),
    }


def test_the_page_of_a_search_gets_the_front_of_that_very_search(searched, tmp_path):
    """The page says what the files beside it are: not what an earlier checkpoint would give."""
    folder = tmp_path / 'w'
    shutil.copytree(searched, folder, ignore=shutil.ignore_patterns('front'))
    before = (folder / 'report.html').read_text()
    asked = ['--held-back', 4, '--count', 2, '--swaps', 0]
    run(folder / 'iter_4.pth', *asked)
    assert (folder / 'report.html').read_text() == before
    run(folder, *asked)
    assert 'id="front-slider"' in (folder / 'report.html').read_text()


def test_a_search_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match='gone: does not exist; expected the work directory'):
        search_files(tmp_path / 'gone', None)


def test_connections_of_ones_own_get_statistics_of_their_own(
    front, searched, tmp_path, monkeypatch
):
    """As of a point: what tools/prune.py cuts to a point's connections is that point."""
    checkpoint = str(search_files(searched, None)[0])
    for point in read_points(front)[::3]:
        out, folder = tmp_path / point.folder, front / point.folder
        wanted = ['--connectivity', str(folder / 'connectivity.json'), '--out', str(out)]
        monkeypatch.setattr(sys, 'argv', ['prune.py', checkpoint, '--trust-checkpoint', *wanted])
        runpy.run_path(str(tiny.ROOT / 'tools/prune.py'), run_name='__main__')
        assert load(out / 'connectivity.json') == load(folder / 'connectivity.json')
        states = [torch.load(f / 'pruned.pth')['state_dict'] for f in (out, folder)]
        assert states[0].keys() == states[1].keys()
        for name, value in states[0].items():
            assert torch.allclose(value, states[1][name], rtol=1e-4, atol=1e-6), name
        for name in ('finetune.py', 'retrain.py', 'connectivity.svg', 'report.html'):
            assert (out / name).is_file()
