"""Latency tables: the fit against known times, and their files."""

import json
import random

import pytest

from mmseg_sparsemask.connectivity import Connectivity, DecoderShape, preset
from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.latency import (
    LatencyTable,
    fit_costs,
    relative_errors,
    shared_resizes,
)
from mmseg_sparsemask.connectivity.prune import drop_unreachable

SPACE = preset('fdn', (2, 4, 8))


def some_decoders(count, seed=0):
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        kept = drop_unreachable(c for c in SPACE if rng.random() < 0.6)
        if kept:
            found.append(Connectivity.from_connections(SPACE.strides, kept))
    return found


def true_costs(seed=1):
    rng = random.Random(seed)
    return PartCosts(
        {c: rng.uniform(0, 3) for c in SPACE},
        {s: rng.uniform(0, 2) for s in SPACE.stages},
        1.5,
        {users: rng.uniform(0, 2) for users in shared_resizes(SPACE)},
    )


def test_times_that_are_sums_are_found_again():
    costs = true_costs()
    seen, unseen = some_decoders(150), some_decoders(40, seed=7)
    found = fit_costs(SPACE, seen, [costs.total(d) for d in seen])
    errors = relative_errors(found, unseen, [costs.total(d) for d in unseen])
    assert max(map(abs, errors)) < 1e-6
    assert found.connections.keys() == set(SPACE) and found.stages.keys() == set(SPACE.stages)
    assert len(found.shared) == 3


def test_what_shares_a_resize():
    """Two maps of one resolution; neither those of the stage's own size, nor ``G``."""
    found = {' '.join(sorted(f'{s}-{t}' for s, t in users)) for users in shared_resizes(SPACE)}
    assert found == {'D2-D1 E2-D1', 'D3-D1 E3-D1', 'D3-D2 E3-D2'}
    repeated = {' '.join(sorted(s for s, _ in u)) for u in shared_resizes(preset('fdn', (2, 2, 4)))}
    assert repeated == {'D3 E3'}


def test_no_part_has_a_negative_time():
    seen = some_decoders(30)
    rng = random.Random(3)
    found = fit_costs(SPACE, seen, [rng.uniform(1, 2) for _ in seen])
    parts = [*found.connections.values(), *found.stages.values(), *found.shared.values()]
    assert min(*parts, found.fixed) >= 0


def test_relative_errors_by_hand():
    decoder = Connectivity([2], {'D1': ['E1']})
    costs = PartCosts({('E1', 'D1'): 2.0}, {'D1': 1.0}, 1.0)
    assert relative_errors(costs, [decoder, decoder], [5.0, 2.0]) == pytest.approx([-0.2, 1.0])


#: The file's keys for what was measured, as version 2 has always had them.
SETTINGS = 'strides in_channels channels num_classes image_size device threads'.split()


def some_table():
    shape = DecoderShape(SPACE.strides, (3, 5, 7), 4, 2)
    return LatencyTable(true_costs(), shape, (32, 48), 'cpu', 1, {'processor': 'P'})


def test_what_has_no_times_or_another_number_of_them():
    for count, times in ((0, []), (2, [1.0])):
        with pytest.raises(ValueError, match='expected as many times as decoders, and some; got'):
            fit_costs(SPACE, some_decoders(count), times)
    data = some_table().to_dict()
    times = data['milliseconds']
    del times['stages']['D1']
    with pytest.raises(ValueError, match='D1: expected the time of every stage'):
        LatencyTable.from_dict(data)
    times |= {'connections': dict.fromkeys(times['connections'], 0), 'shared': []}
    with pytest.raises(ValueError, match='expected at least one connection that takes time'):
        LatencyTable.from_dict(data)


def test_file_and_back(tmp_path):
    path = tmp_path / 't.json'
    some_table().save(path)
    assert LatencyTable.load(path) == some_table()
    content = json.loads(path.read_text())
    assert list(content)[:10] == ['format', 'version', *SETTINGS, 'milliseconds']
    assert content['in_channels'] == [3, 5, 7] and content['image_size'] == [32, 48]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(format='other'), 'no latency table of version 2; expected a file that python tools'),
        (dict(version=1), 'no latency table of version 2'),
        (dict(milliseconds={}), r"incomplete \(KeyError\('connections'\)\)"),
        (dict(milliseconds=dict(connections={'E1': 1}, stages={}, fixed=0)), 'incomplete'),
    ],
)
def test_bad_files(tmp_path, change, words):
    path = tmp_path / 't.json'
    some_table().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=words):
        LatencyTable.load(path)
    path.write_text('ms: 3')
    with pytest.raises(ValueError, match=r't\.json: cannot be read .*; expected a file that'):
        LatencyTable.load(path)


@pytest.mark.parametrize(
    'value', [float('nan'), float('inf'), -1.0, 1e10, 1e308, True, '0.1', None, [1]], ids=str
)
@pytest.mark.parametrize('place', ['fixed', 'stages', 'connections', 'shared', 'meta'])
def test_times_that_are_none(place, value, tmp_path):
    data = some_table().to_dict()
    times = data['milliseconds']
    if place == 'meta':
        data['meta'] = {'mean_error': value}
    elif place == 'fixed':
        times['fixed'] = value
    elif place == 'shared':
        times['shared'][0]['milliseconds'] = value
    else:
        times[place][min(times[place])] = value
    (tmp_path / 't.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r't\.json: .*: expected a number from 0 to 1e\+09, got'):
        LatencyTable.load(tmp_path / 't.json')


def test_a_resize_that_is_there_twice(tmp_path):
    data = some_table().to_dict()
    data['milliseconds']['shared'] *= 2
    (tmp_path / 't.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r't\.json: shared: expected each set of connections once'):
        LatencyTable.load(tmp_path / 't.json')
    name = next(iter(data['milliseconds']['connections']))
    text = json.dumps(some_table().to_dict())
    (tmp_path / 't.json').write_text(text.replace(f'"{name}":', f'"{name}": 1, "{name}":', 1))
    with pytest.raises(ValueError, match=rf"the keys \['{name}'\] appear twice"):
        LatencyTable.load(tmp_path / 't.json')


@pytest.mark.parametrize('wrong', [0.0, -1.0, float('nan'), float('inf')])
def test_times_that_cannot_be_measured(wrong):
    with pytest.raises(ValueError, match='expected times above 0, got'):
        fit_costs(SPACE, some_decoders(2), [1.0, wrong])
