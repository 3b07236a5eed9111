"""Against the plain formula and MMSegmentation's loss, and where that ends in an error."""

import math

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.binary_maps.losses import balanced_bce

VOID = torch.full((2, 8, 8), 255)


#: Of heads that are not made for one channel alone.
ONE_CHANNEL = dict(channels=4, num_classes=2, out_channels=1)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(**settings):
    return MODELS.build(dict(type='BinaryCrossEntropyLoss', **settings))


def test_equals_mmsegmentations():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 8, 8, generator=generator)
    label = torch.randint(0, 2, (2, 8, 8), generator=generator)
    label[:, :3] = 255
    reference = CrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True, loss_weight=0.7)
    loss = build(loss_weight=0.7)
    assert loss.loss_name == reference.loss_name == 'loss_ce'
    got = loss(logits, label, ignore_index=255)
    torch.testing.assert_close(got, reference(logits, label, ignore_index=255))
    probability = logits[:, 0].sigmoid()
    truth = torch.where(label == 1, probability, 1 - probability)[label != 255]
    torch.testing.assert_close(got, -0.7 * truth.log().mean())


def test_a_batch_without_a_label():
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    loss = build()(logits, VOID, ignore_index=255)
    loss.backward()
    assert loss == 0 and not logits.grad.any()


HEADS = [
    dict(type='FCNHead', in_channels=4, num_convs=1, **ONE_CHANNEL),
    dict(
        type='SparseMaskHead',
        **ONE_CHANNEL,
        in_channels=[4, 6, 8],
        in_index=[0, 1, 2],
        strides=[4, 8, 16],
        connectivity='unet',
    ),
    dict(
        type='DSSHead',
        in_channels=[4, 6, 8, 8, 8, 8],
        in_index=[0, 1, 2, 3, 4, 5],
        side_channels=[3] * 6,
    ),
    dict(type='HEDHead', in_channels=[4, 6, 8], in_index=[0, 1, 2]),
]
#: MMSegmentation's own loss refuses such a batch; this package's heads do not ask it then.
TOOLBOX = dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)


@pytest.mark.parametrize(
    'head, loss',
    [(h, dict(type=k)) for h in HEADS for k in ('BinaryCrossEntropyLoss', 'BalancedBCELoss')]
    + [(h, loss) for h in HEADS[1:] for loss in (TOOLBOX, [TOOLBOX, dict(type='DiceLoss')])]
    + [(h, loss) for h in HEADS[2:] for loss in (dict(type='DiceLoss'), None)],
)
def test_a_batch_without_a_label_of_any_head(head, loss):
    built = MODELS.build({**head, 'loss_decode': loss})
    channels = [4] if head['type'] == 'FCNHead' else head['in_channels']
    features = [torch.randn(2, c, 64 >> place, 64 >> place) for place, c in enumerate(channels)]
    samples = [SegDataSample(gt_sem_seg=PixelData(data=void[None])) for void in VOID]
    losses = built.loss(features, samples, None)
    total = sum(value.sum() for name, value in losses.items() if 'loss' in name)
    total.backward()
    assert total == 0
    assert all(torch.isfinite(value).all() for value in losses.values())


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


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_an_image_has_more_pixels_than_half_precision_counts(dtype, reduction):
    """Mixed precision gives such logits; 65,504 is the largest number of float16."""
    label = (torch.arange(300 * 300) % 50 == 0).long().reshape(1, 300, 300)
    logits = torch.linspace(-4, 4, 300 * 300).reshape(1, 1, 300, 300).to(dtype)
    got = balanced_bce(logits, label, reduction=reduction)
    want = balanced_bce(logits.float(), label, reduction=reduction)
    torch.testing.assert_close(got, want, check_dtype=False)
