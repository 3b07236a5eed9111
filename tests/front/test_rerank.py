"""Ranks of a front after short trainings on features that are kept."""

import pytest
import torch
from mmengine.runner import Runner
from reference import tiny
from reference.fronts import MORE, run

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.front.find import search_files
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.search.front_table import TABLE, pick, read_points
from mmseg_sparsemask.search.saved_search import read_search

ASKED = ['--held-back', 4, '--points', 2000, 4000, '--swaps', 2, '--rerank', 4]


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp('rerank')
    config = tiny.write_configs(folder, iterations=4, more=MORE)
    Runner.from_cfg(tiny.load(config, folder / 'w')).train()
    return folder / 'w'


def supernet(searched, folder, iterations):
    checkpoint, config = search_files(searched, None)
    source = Source(read_search(checkpoint, str(config)), config, folder)
    return Supernet(source, FrontSettings(images=4, rerank=iterations))


def graph(trained, **stages):
    return Connectivity(trained.space.strides, {s: text.split() for s, text in stages.items()})


def test_a_training_is_the_same_wherever_it_runs_and_changes_nothing(searched, tmp_path):
    one = supernet(searched, tmp_path, 5)
    decoder = graph(one, D3='E3', D1='E1 D3')
    weights = {name: value.clone() for name, value in one.head.state_dict().items()}
    state = torch.random.get_rng_state()
    loss = one.trainings.loss(decoder)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, weights[n]) for n, value in one.head.state_dict().items())
    other = supernet(searched, tmp_path, 5)
    torch.rand(3)
    other.trainings.notes.unlink()
    other.trainings._noted.clear()
    assert other.trainings.loss(graph(one, D1='E1')) != loss == other.trainings.loss(decoder)


def test_it_learns(searched, tmp_path):
    """On what it is trained on, more the longer; untrained it has the loss of its first weights."""
    losses = []
    for iterations in (1, 60):
        one = supernet(searched, tmp_path, iterations)
        crops, trained = one.trainings._crops, one.trainings._trained(graph(one, D1='E1 E3'))
        with torch.no_grad():
            losses.append(float(one.trainings._loss(trained, crops.features, crops.labels)))
    assert losses[1] < 0.8 * losses[0]


def test_the_front_is_ranked_by_it_and_goes_on_where_it_was(searched, tmp_path, capsys):
    first, again = tmp_path / 'first', tmp_path / 'again'
    run(searched, *ASKED, '--out', first)
    printed = capsys.readouterr().out
    points = read_points(first)
    assert points and all(point.trained_loss is not None for point in points)
    for limit in (2000, 4000):
        chosen = pick(points, 'parameters', limit)
        within = [point.trained_loss for point in points if point.parameters <= limit]
        assert chosen.rank_loss == chosen.trained_loss == min(within)
        assert f'{chosen.trained_loss:.4f} after' in printed
    notes = next(first.glob('trained_*.jsonl'))
    lines = notes.read_text().splitlines(keepends=True)
    again.mkdir()
    (again / notes.name).write_text(''.join(lines[:5]) + lines[5][:9])
    run(searched, *ASKED, '--out', again)
    assert (again / TABLE).read_text() == (first / TABLE).read_text()
    assert (again / notes.name).read_text() == notes.read_text()
    # Others than those that inherited weights would have chosen were looked at, too.
    assert any(
        'D8' not in line and '"D1": ["E1", "E2", "E3", "E4", "E5"]' in line for line in lines
    )


def test_a_table_of_before_is_read(searched, tmp_path):
    run(searched, '--held-back', 4, '--points', 4000, '--swaps', 0, '--out', tmp_path)
    rows = (tmp_path / TABLE).read_text().splitlines()
    assert rows[0].endswith(',trained_loss')
    (tmp_path / TABLE).write_text('\n'.join(row.rpartition(',')[0] for row in rows))
    assert [point.rank_loss for point in read_points(tmp_path)] == [
        point.loss for point in read_points(tmp_path)
    ]
