import math

import pytest
import torch
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.models.losses.balanced_bce_loss import balanced_bce


def by_hand(logits, label, ignore_index=255):
    """Pixel by pixel with the plain formula; divided by the weights, averaged over images."""
    total = 0.0
    for x, y in zip(logits.tolist(), label.tolist()):
        pixels = [(v, t) for r, s in zip(x, y) for v, t in zip(r, s) if t != ignore_index]
        if not pixels:
            continue
        negative = sum(t == 0 for _, t in pixels) / len(pixels)
        loss = 0.0
        for v, t in pixels:
            p = 1 / (1 + math.exp(-v))
            loss -= negative * math.log(p) if t == 1 else (1 - negative) * math.log(1 - p)
        positive = sum(t == 1 for _, t in pixels)
        weights = positive * negative + (len(pixels) - positive) * (1 - negative)
        total += loss / weights
    return total / len(logits)


@pytest.mark.parametrize('seed', range(5))
def test_equals_the_formula(seed):
    torch.manual_seed(seed)
    logits = torch.randn(3, 4, 5)
    label = torch.randint(0, 3, (3, 4, 5))
    label[label == 2] = 255
    assert balanced_bce(logits, label).item() == pytest.approx(by_hand(logits, label), rel=1e-5)
    positives, negatives = ((label == v).sum(dim=(1, 2)) for v in (1, 0))
    weights = 2 * positives * negatives / (positives + negatives)
    summed = sum(balanced_bce(x[None], y[None]) * w for x, y, w in zip(logits, label, weights)) / 3
    assert balanced_bce(logits, label, reduction='sum').item() == pytest.approx(
        summed.item(), rel=1e-5
    )


def test_one_positive_weighs_as_much_as_all_negatives():
    logits = torch.zeros(1, 1, 10, requires_grad=True)
    label = torch.zeros(1, 1, 10, dtype=torch.long)
    label[0, 0, 3] = 1
    balanced_bce(logits, label, reduction='sum').backward()
    grad = logits.grad[0, 0]
    assert grad[3].item() == pytest.approx(-0.9 / 2)
    assert grad.sum().item() == pytest.approx(0, abs=1e-6)


def test_images_are_balanced_one_by_one():
    logits = torch.zeros(2, 1, 4)
    label = torch.tensor([[[1, 0, 0, 0]], [[1, 1, 1, 0]]])
    # Each image: one pixel of weight 0.75, three of weight 0.25, each with a loss of log 2.
    assert balanced_bce(logits, label, reduction='sum').item() == pytest.approx(1.5 * math.log(2))
    assert balanced_bce(logits, label).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize('value', [0, 1, 255])
def test_one_class_alone_contributes_nothing(value):
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = balanced_bce(logits, torch.full((2, 3, 4), value))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_registered_with_the_heads_signature():
    loss = MODELS.build(dict(type='BalancedBCELoss', loss_weight=2.0))
    logits, label = torch.randn(2, 1, 3, 4), torch.randint(0, 2, (2, 3, 4))
    got = loss(logits, label, weight=None, ignore_index=255)
    assert got.item() == pytest.approx(2 * balanced_bce(logits[:, 0], label).item())
    assert loss.loss_name == 'loss_balanced_bce'


def test_wrong_inputs():
    with pytest.raises(ValueError, match='out_channels=1'):
        balanced_bce(torch.zeros(1, 2, 3, 4), torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match=r'labels must be 0, 1 or 255, got \[7\]'):
        balanced_bce(torch.zeros(1, 3, 4), torch.full((1, 3, 4), 7))
    with pytest.raises(ValueError, match='reduction'):
        MODELS.build(dict(type='BalancedBCELoss', reduction='none'))
    with pytest.raises(ValueError, match='sampler'):
        MODELS.build(dict(type='BalancedBCELoss'))(
            torch.zeros(1, 1, 3, 4), torch.zeros(1, 3, 4), weight=torch.ones(1)
        )
