"""Several supernets in one front, of other widths and rules, joined by what the network costs."""

from types import SimpleNamespace

import pytest
from mmengine.runner import Runner
from reference import tiny
from reference.fronts import MORE, run, write_table

from mmseg_sparsemask.connectivity import load
from mmseg_sparsemask.front.find import _check_alike
from mmseg_sparsemask.front.supernet import rank_agreement
from mmseg_sparsemask.search.front_table import read_points

ASKED = ['--held-back', 4, '--count', 4, '--swaps', 3]
NARROW = MORE + "\nmodel['decode_head']['channels'] = 4\n"
RELAXED = '\nval_cfg = val_dataloader = val_evaluator = None\n'


@pytest.fixture(scope='module')
def searches(tmp_path_factory):
    found = []
    for name, more in (('wide', MORE), ('narrow', NARROW), ('relaxed', RELAXED)):
        folder = tmp_path_factory.mktemp(name)
        config = tiny.write_configs(folder, iterations=4, more=more)
        sparse = folder / 'sparse.py'
        if name == 'narrow':
            sparse.write_text(sparse.read_text().replace('channels=8,', 'channels=4,'))
        Runner.from_cfg(tiny.load(config, folder / 'w')).train()
        found.append(folder / 'w')
    return found


def test_two_widths_and_two_rules_join(searches, tmp_path, capsys):
    out = tmp_path / 'both'
    run(*searches, *ASKED, '--count', 8, '--out', out)
    printed = capsys.readouterr().out
    points = read_points(out)
    costs, losses = [p.cost for p in points], [p.loss for p in points]
    assert costs == sorted(costs) and losses == sorted(losses, reverse=True)
    assert len({point.encoder_multiply_adds for point in points}) == 1
    for point in points:
        assert point.cost == point.multiply_adds + point.encoder_multiply_adds > 0
        folder = point.path(out)
        assert str(load(folder / 'connectivity.json')) == point.connectivity
        assert folder.parent in [search / 'front' for search in searches]
    # Each of them was scored, and each says how far its scores can be trusted.
    assert printed.count('rank agreement') == 3
    assert all(list((search / 'front').glob('scores_*.jsonl')) for search in searches)
    assert (out / 'report.html').is_file() and not (searches[0] / 'front/front.csv').exists()
    # No supernet has a better decoder of a like cost on its ways down than the front has.
    alone = []
    for search in searches:
        run(search, *ASKED, '--swaps', 0, '--cost', 'multiply_adds', '--count', 100)
        alone += read_points(search / 'front')
    for point in alone:
        cost = point.multiply_adds + point.encoder_multiply_adds
        if cost >= costs[-1]:
            assert point.loss >= losses[-1]


def test_times_of_the_whole_network(searches, tmp_path):
    tables = [tmp_path / 'wide.json', tmp_path / 'narrow.json']
    costs = write_table(tables[0], encoder_milliseconds=5.0)
    write_table(tables[1], channels=4, encoder_milliseconds=7.0)
    out = tmp_path / 'both'
    run(*searches[:2], *ASKED, '--table', *tables, '--out', out)
    points = read_points(out)
    for point in points:
        extra = 7 if point.path(out).parent == searches[1] / 'front' else 5
        assert point.cost == pytest.approx(point.milliseconds + extra, abs=1e-3)
        graph = load(point.path(out) / 'connectivity.json')
        assert point.milliseconds == pytest.approx(costs.total(graph), abs=1e-3)
    limit = points[0].cost + 0.001
    run(*searches[:2], *ASKED, '--table', *tables, '--out', out, '--points', f'{limit}ms')
    assert [point.cost <= limit for point in read_points(out)] == [True]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--points', '1'], r'1 multiply-adds: expected a point from [\d,]+ multiply-adds to'),
        (['--table', 'bare.json', 'bare.json'], 'milliseconds|latency.* of the encoder'),
        (['--table', 'here.json', 'there.json'], 'expected latency tables of one machine'),
    ],
)
def test_errors_of_one_line(searches, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / 'bare.json')
    write_table(tmp_path / 'here.json', encoder_milliseconds=1.0, processor='a')
    write_table(tmp_path / 'there.json', encoder_milliseconds=1.0, processor='b')
    with pytest.raises(SystemExit, match=words) as caught:
        run(searches[0], searches[0], *ASKED, '--out', tmp_path / 'x', *arguments)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'arguments',
    [[], ['--out', 'x', '--cost', 'parameters'], ['--out', 'x', '--table', 'one.json']],
)
def test_what_several_searches_need(arguments, capsys):
    with pytest.raises(SystemExit, match='2'):
        run('a', 'b', *arguments)
    assert 'search' in capsys.readouterr().err


def test_images_of_several_sizes_are_not_compared():
    def supernet(*size):
        return SimpleNamespace(
            head=SimpleNamespace(num_classes=2),
            search=SimpleNamespace(dataset_meta=None),
            scorer=SimpleNamespace(images=SimpleNamespace(size=size)),
            settings=SimpleNamespace(cost='multiply_adds'),
            table=None,
        )

    _check_alike([supernet(32, 32), supernet(32, 32)])
    with pytest.raises(ValueError, match=r'one size, got \[\(32, 32\), \(64, 32\)\]'):
        _check_alike([supernet(64, 32), supernet(32, 32)])


def test_rank_agreement_counts_decoders_of_like_cost():
    # Large ones beat small ones on both halves; among those of one size the halves disagree.
    halves, costs = {}, {}
    for group in range(3):
        for place in range(10):
            name = group, place
            halves[name] = 10.0 - 3 * group + place / 10, 10.0 - 3 * group - place / 10
            costs[name] = 10**group * (1 + place / 20)
    assert rank_agreement(halves, costs) == pytest.approx(-1)
    alike = {name: (first, first + 1) for name, (first, _) in halves.items()}
    assert rank_agreement(alike, costs) == pytest.approx(1)
    # Too few of a size: all of them in one group.
    few = {name: halves[name] for name in halves if name[1] < 3}
    assert rank_agreement(few, costs) > 0.7
    assert rank_agreement({}, costs) == 0
    assert rank_agreement({name: (1.0, 1.0) for name in halves}, costs) == 0
