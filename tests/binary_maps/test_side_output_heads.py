import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.binary_maps.side_output_head import mean_of_probabilities

VGG = [64, 128, 256, 512, 512]
HED = dict(type='HEDHead', in_channels=VGG, in_index=[0, 1, 2, 3, 4])
DSS = dict(
    type='DSSHead',
    in_channels=[4, 6, 8, 8, 8, 8],
    in_index=[0, 1, 2, 3, 4, 5],
    side_channels=[3] * 6,
)


def features(channels, size=(37, 53), seed=0):
    """Strides 1, 2, 4, ... with odd sizes."""
    torch.manual_seed(seed)
    feats = []
    for i, c in enumerate(channels):
        feats.append(torch.randn(2, c, *(-(-side // 2**i) for side in size)))
    return feats


def samples(label):
    return [SegDataSample(gt_sem_seg=PixelData(data=x[None])) for x in label]


def build(cfg, **kwargs):
    head = MODELS.build({**cfg, **kwargs})
    head.init_weights()
    return head.eval()


def up(x, size):
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


def test_hed_equals_its_definition():
    head = build(HED)
    feats = features(VGG)
    sides = [up(conv(f), (37, 53)) for conv, f in zip(head.side_convs, feats)]
    torch.testing.assert_close(head(feats), torch.stack(sides).mean(0), atol=1e-6, rtol=1e-5)
    # A 1x1 convolution to one channel for each of 1472 channels, 5 biases, 5 weights and a bias.
    assert sum(p.numel() for p in head.parameters()) == 1472 + 5 + 6


def test_dss_equals_its_definition():
    head = build(DSS)
    feats = features(DSS['in_channels'])
    raw = [conv(f) for conv, f in zip(head.side_convs, feats)]
    s5, s4 = raw[5], raw[4]
    done = {5: s5, 4: s4}
    for i, sources in ((3, (4, 5)), (2, (4, 5)), (1, (2, 3, 4, 5)), (0, (2, 3, 4, 5))):
        maps = [raw[i]] + [up(done[j], raw[i].shape[2:]) for j in sources]
        done[i] = torch.stack(maps).mean(0)
    sides = [up(done[i], (37, 53)) for i in range(6)]
    fused = torch.stack(sides).mean(0)
    prob = torch.stack([x.sigmoid() for x in (fused, sides[1], sides[2], sides[3])]).mean(0)
    torch.testing.assert_close(head(feats).sigmoid(), prob, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('cfg', [HED, DSS], ids=['hed', 'dss'])
def test_every_side_and_the_fusion_are_supervised(cfg):
    before = copy.deepcopy(cfg)
    head = build(cfg)
    assert cfg == before
    feats = features(cfg['in_channels'])
    assert head(feats).shape == (2, 1, 37, 53)
    assert (head.num_classes, head.out_channels, head.threshold) == (2, 1, 0.5)
    label = torch.randint(0, 2, (2, 37, 53))
    label[:, :3] = 255
    losses = head.loss(feats, samples(label), None)
    sides, fused = head.forward_all(feats)
    want = sum(head.loss_decode(x, label, ignore_index=255) for x in (fused, *sides))
    (loss,) = losses.values()
    torch.testing.assert_close(loss, want)
    loss.backward()
    without = [name for name, p in head.named_parameters() if p.grad is None]
    assert not without


def test_several_losses_keep_their_names():
    losses = [
        dict(type='BalancedBCELoss'),
        dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True),
    ]
    head = build(HED, loss_decode=losses)
    out = head.loss(features(VGG), samples(torch.randint(0, 2, (2, 37, 53))), None)
    assert set(out) == {'loss_balanced_bce', 'loss_ce'}


def test_average_of_all_sides():
    head = build(HED, average_with=[0, 1, 2, 3, 4])
    feats = features(VGG)
    sides, fused = head.forward_all(feats)
    want = torch.stack([x.sigmoid() for x in (fused, *sides)]).mean(0)
    torch.testing.assert_close(head(feats).sigmoid(), want, atol=1e-5, rtol=1e-5)


def test_mean_of_probabilities_survives_saturation():
    x = torch.tensor([200.0, -200.0, 0.0])
    out = mean_of_probabilities([x, x])
    assert torch.isfinite(out).all() and out[2] == 0
    torch.testing.assert_close(out.sigmoid(), x.sigmoid(), atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    'bad, message',
    [
        (dict(in_index=[0]), 'one in_index per in_channels'),
        (dict(average_with=[6]), 'average_with names side outputs 0 to 5'),
        (dict(side_kernels=[3, 3]), 'expected 6 side_channels'),
        (dict(side_kernels=[3, 3, 4, 3, 3, 3]), 'odd'),
        (dict(short_connections=[(), (0,), (), (), (), ()]), 'side 1 can be fed by sides 2 to 5'),
    ],
)
def test_wrong_settings(bad, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build({**DSS, **bad})


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_sure_logits_of_half_precision_stay_finite(dtype):
    """Infinite ones become NaN where a map is resized."""
    logits = torch.full((1, 1, 4, 4), 20.0, dtype=dtype)
    mean = mean_of_probabilities([logits, logits])
    assert torch.isfinite(mean).all() and (up(mean, (8, 8)).sigmoid() > 0.999).all()
