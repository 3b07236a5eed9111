"""Ranks of a front after short trainings on features that are kept."""

import math
from types import SimpleNamespace

import pytest
import torch
from reference import fronts
from reference.fronts import run

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.front import find, rerank
from mmseg_sparsemask.front.find import search_files, with_statistics
from mmseg_sparsemask.front.points import draw_front
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.search.front_table import TABLE, pick, read_points
from mmseg_sparsemask.search.saved_search import (
    describe_search,
    described_search,
    read_search,
)

ASKED = ['--held-back', 4, '--points', 2000, 4000, '--swaps', 2, '--rerank', 4]


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    return fronts.searched(tmp_path_factory.mktemp('rerank'), 4)


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


def other_config(searched, folder, more):
    """Config of the search with other settings of the head, as ``--config`` takes it."""
    checkpoint, config = search_files(searched, None)
    other = folder / 'other.py'
    other.write_text(f"{config.read_text()}\nmodel['decode_head'].update({more})\n")
    return checkpoint, other


@pytest.mark.parametrize(
    'more', ['ignore_index=0', 'align_corners=False', "act_cfg=dict(type='GELU')"]
)
def test_scores_belong_to_the_settings_of_the_head(searched, tmp_path, more):
    """What was noted of the same weights and images under others is not taken for theirs."""
    one = supernet(searched, tmp_path, 2)
    decoder = graph(one, D3='E3', D1='E1 D3')
    before = one.scorer.loss(decoder), one.trainings.loss(decoder)
    checkpoint, config = other_config(searched, tmp_path, more)
    source = Source(read_search(checkpoint, str(config)), config, tmp_path)
    other = Supernet(source, FrontSettings(images=4, rerank=2))
    assert other.scorer.loss(decoder) != before[0] and other.trainings.loss(decoder) != before[1]
    again = supernet(searched, tmp_path, 2)
    assert (again.scorer.notes, again.trainings.notes) == (one.scorer.notes, one.trainings.notes)


def test_the_label_that_does_not_count_is_that_of_the_config(searched, tmp_path, capsys):
    """A checkpoint's description of its search does not say it; tools/prune.py reads that."""
    checkpoint, config = other_config(searched, tmp_path, 'ignore_index=0')
    told = []
    for search in (read_search(checkpoint, str(config)), read_search(checkpoint, trust=True)):
        source = Source(search, config, tmp_path)
        with_statistics(source, Connectivity(search.head.connectivity.strides, {'D1': ['E1']}))
        told += capsys.readouterr().out.splitlines()[-1:]
        next(tmp_path.glob('scores_*.jsonl')).unlink()
    assert told[0].startswith('loss') and told[0] == told[1]


def test_the_search_may_be_one_of_several_heads(searched, tmp_path):
    checkpoint, config = search_files(searched, None)
    content = torch.load(checkpoint, weights_only=False)
    state = content['state_dict'].items()
    content['state_dict'] = {key.replace('head.', 'head.0.'): value for key, value in state}
    torch.save(content, tmp_path / 'cascade.pth')
    text = (
        "model.update(type='CascadeEncoderDecoder', num_stages=1)\n"
        "model['decode_head'] = [model['decode_head']]\n"
    )
    cascade = tmp_path / 'cascade.py'
    cascade.write_text(f'{config.read_text()}\n{text}')
    (tmp_path / 'alone').mkdir()
    alone = supernet(searched, tmp_path / 'alone', 2)
    decoder = graph(alone, D3='E3', D1='E1 D3')
    for search in (
        read_search(tmp_path / 'cascade.pth', str(cascade)),
        read_search(tmp_path / 'cascade.pth', trust=True),
    ):
        one = Supernet(Source(search, cascade, tmp_path), FrontSettings(images=4))
        assert one.scorer.loss(decoder) == alone.scorer.loss(decoder)
        one.scorer.notes.unlink()


def test_a_training_that_diverged_is_never_the_best(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(rerank, 'RATE', 1e38)
    one = supernet(searched, tmp_path, 2)
    decoder = graph(one, D3='E3', D1='E1 D3')
    assert one.trainings.loss(decoder) == math.inf
    assert supernet(searched, tmp_path, 2).trainings.loss(decoder) == math.inf
    # Of two, the one that diverged has no place in the front, nor in its picture.
    one.trainings.losses[decoder], better = math.inf, graph(one, D1='E1 E3')
    one.trainings.losses[better] = 2.0
    ((place, chosen),), scored = find._chosen([one], one.settings)
    assert (place, chosen) == (0, better) and scored == [(one.cost(better), 2.0)]
    figure = draw_front(scored, [SimpleNamespace(cost=1.0, rank_loss=2.0)], 'parameters')
    assert math.isfinite(figure.axes[0].get_ylim()[1])


def test_a_front_of_nothing_but_trainings_that_diverged_says_so(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(rerank, 'RATE', 1e38)
    with pytest.raises(SystemExit, match='every short training diverged.*leave out --rerank'):
        run(searched, *ASKED, '--out', tmp_path)
    assert not (tmp_path / TABLE).exists()


def test_short_trainings_have_the_dropout_of_the_supernet(searched, tmp_path):
    one = supernet(searched, tmp_path, 2)
    decoder = graph(one, D3='E3', D1='E1 D3')
    checkpoint, config = other_config(searched, tmp_path, 'dropout_ratio=0.5')
    source = Source(read_search(checkpoint, str(config)), config, tmp_path)
    other = Supernet(source, FrontSettings(images=4, rerank=2))
    assert other.trainings._trained(decoder).dropout_ratio == 0.5
    assert other.trainings.loss(decoder) != one.trainings.loss(decoder)
    # What a checkpoint says of its search has it, too.
    described = describe_search(other.head, source.search.settings)
    assert described_search(described)[0].dropout_ratio == 0.5


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
