"""Scores of parts of a supernet, and the decoders that inherit from it."""

import json

import pytest
import torch
from reference.heads import CASES, features_of, make_head, relative

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.front.images import Images
from mmseg_sparsemask.front.scorer import Scorer
from mmseg_sparsemask.models.inheritance import pruned_head

CASE = 'odd'
SAMPLED = dict(type='SampledConnections')


def make_scorer(folder, **more):
    head = make_head('FDNHead', CASE, torch.float64, **more).eval()
    features = [f.detach() for f in features_of(*CASES[CASE], 6, torch.float64)]
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 3, (6, 65, 97), generator=generator)
    labels[:, :4] = 255
    return head, Scorer(head, Images(features, labels), folder / 'scores.jsonl')


PARTS = {
    'all': None,
    'ends at D1': {'D4': ['E4', 'G'], 'D2': ['E3', 'D4'], 'D1': ['E1', 'D2', 'G']},
    'ends at D2': {'D4': ['E4'], 'D3': ['E3', 'D4'], 'D2': ['E2', 'D3', 'D4']},
}


def part_of(head, name):
    stages = PARTS[name]
    return Connectivity(head.connectivity.strides, stages) if stages else head.connectivity


@pytest.mark.parametrize('name', PARTS)
@pytest.mark.parametrize('connections', [SAMPLED, dict(noise_std=0.1)], ids=['sampled', 'relaxed'])
def test_a_point_is_the_supernet_with_the_rest_cut(tmp_path, connections, name):
    head, scorer = make_scorer(tmp_path, connections=connections)
    if 'noise_std' in connections:
        # A stage that is constant in the supernet adds nothing where it is cut.
        torch.nn.init.zeros_(head.connections.raw['D3'])
    scorer = Scorer(head, scorer.images, tmp_path / 'more.jsonl')
    before = {key: value.clone() for key, value in head.state_dict().items()}
    part = part_of(head, name)
    cut = scorer.with_statistics(part)
    features = scorer.images.features
    with torch.no_grad():
        with cut.cut_to(part):
            expected = cut(features)
        assert relative(pruned_head(cut, part)(features), expected) < 1e-10
        # With the statistics of the images, as it was scored.
        with scorer.head.cut_to(part):
            assert relative(scorer.head.decode(features), expected) < 1e-10
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


def test_importance_is_the_slope_of_the_loss(tmp_path):
    head, scorer = make_scorer(tmp_path, connections=dict(noise_std=0.0))
    part = part_of(head, 'ends at D2')
    rises = scorer.importance(part)
    assert set(rises) == set(part)
    fixed, step = scorer.head.connections.raw, 1e-5
    for connection, rise in rises.items():
        place = head.connectivity.stages[connection.stage].index(connection.source)
        weight = float(fixed[connection.stage][place])
        losses = []
        for change in (-step, step):
            fixed[connection.stage].data[place] = weight + change
            losses.append(float(scorer._loss(part, scorer.images.part(slice(2)))))
        fixed[connection.stage].data[place] = weight
        assert rise == pytest.approx(-weight * (losses[1] - losses[0]) / (2 * step), abs=1e-7)


def test_scores_are_noted_and_not_computed_again(tmp_path):
    head, scorer = make_scorer(tmp_path, connections=SAMPLED)
    full = head.connectivity
    part = Connectivity.from_connections(full.strides, drop_unreachable(list(full)[4:]))
    first = scorer.first_loss(part)
    assert not scorer.losses  # half of the images is no score
    losses = scorer.loss(full), scorer.loss(part)
    assert scorer.losses[part][0] == first and sum(scorer.losses[part]) / 2 == losses[1]
    rises = scorer.importance(part)
    notes = tmp_path / 'scores.jsonl'
    assert len(notes.read_text().splitlines()) == 5
    # As a run leaves it that was killed while it wrote.
    notes.write_text(notes.read_text() + json.dumps({'stages': 'D1'})[:9])
    again = Scorer(head, scorer.images, notes)
    again._logits = None  # nothing is computed
    assert (again.loss(full), again.loss(part)) == losses and again.importance(part) == rises
    assert len(notes.read_text().splitlines()) == 5


def test_mean_iou_by_hand(tmp_path, monkeypatch):
    head, scorer = make_scorer(tmp_path, connections=SAMPLED)
    labels = torch.tensor([[[0, 0, 1, 255]]] * 4)
    scorer.images = Images(scorer.images.features, labels)
    logits = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 1, 2]]] * 2), 3)
    monkeypatch.setattr(scorer, '_logits', lambda *_: logits.permute(0, 3, 1, 2).double())
    # Class 0: one of two; class 1: one of two; class 2 does not occur.
    assert scorer.miou(head.connectivity) == pytest.approx(50)


def test_one_output_is_a_class_from_the_threshold_of_the_head_on(tmp_path, monkeypatch):
    head, scorer = make_scorer(tmp_path, connections=SAMPLED, out_channels=1, threshold=0.3)
    scorer.images = Images(scorer.images.features, torch.tensor([[[0, 0, 1, 1]]] * 4))
    logits = torch.tensor([0.1, 0.2, 0.4, 0.6]).logit().expand(2, 1, 1, 4)
    monkeypatch.setattr(scorer, '_logits', lambda *_: logits)
    assert scorer.miou(head.connectivity) == pytest.approx(100)


def test_weights_that_are_not_numbers(tmp_path):
    head, scorer = make_scorer(tmp_path, connections=SAMPLED)
    head.convs['D1']['E1'].data[0] = float('nan')
    with pytest.raises(ValueError, match='weights that are not numbers'):
        Scorer(head, scorer.images, tmp_path / 'x.jsonl')


def test_chance_is_the_loss_of_the_shares_of_the_classes(tmp_path):
    head, scorer = make_scorer(tmp_path, connections=SAMPLED)
    labels = scorer.images.labels
    shares = torch.stack([(labels == c).sum() / (labels != 255).sum() for c in range(3)])
    logits = shares.log()[None, :, None, None].expand(6, -1, *labels.shape[1:])
    expected = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    assert scorer.chance() == pytest.approx(float(expected), abs=1e-6)
