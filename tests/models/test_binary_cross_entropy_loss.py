"""Against MMSegmentation's loss, and where that ends in an error."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401

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


@pytest.mark.parametrize('kind', ['BinaryCrossEntropyLoss', 'BalancedBCELoss'])
@pytest.mark.parametrize(
    'head',
    [
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
    ],
    ids=lambda head: head['type'],
)
def test_heads_with_one_channel_bear_a_batch_without_a_label(head, kind):
    built = MODELS.build({**head, 'loss_decode': dict(type=kind)})
    channels = [4] if head['type'] == 'FCNHead' else head['in_channels']
    features = [torch.randn(2, c, 64 >> place, 64 >> place) for place, c in enumerate(channels)]
    samples = [SegDataSample(gt_sem_seg=PixelData(data=void[None])) for void in VOID]
    losses = built.loss(features, samples, None)
    total = sum(value.sum() for name, value in losses.items() if 'loss' in name)
    total.backward()
    assert total == 0
    assert all(torch.isfinite(value).all() for value in losses.values())
