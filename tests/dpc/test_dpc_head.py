import random

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from reference.dpc_naive import run_cell
from torch import nn

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.head import DPCHead, DPCNeck
from mmseg_sparsemask.dpc.modules import AtrousDepthwiseConv2d, DensePredictionCell, scaled_rate
from mmseg_sparsemask.dpc.presets import PRESETS
from mmseg_sparsemask.dpc.space import SearchSpace

MIXED = '-1:pool_2x4 0:conv1x1 -1:sep3x3_3x1 2:pool_1x1 1:sep3x3_1x6'


def randomise(module):
    """Give every normalisation statistics and an affine part of its own."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module


def conv_weights(module):
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


def numbers(module):
    """Weights and normalisations of each branch, in the order of computation."""
    result = []
    for branch in module.branches:
        convs = [m for m in branch.modules() if isinstance(m, nn.Conv2d)]
        norms = [m for m in branch.modules() if isinstance(m, nn.BatchNorm2d)]
        result.append(
            [
                (
                    c.weight.detach().numpy(),
                    (
                        n.running_mean.numpy(),
                        n.running_var.numpy(),
                        n.weight.detach().numpy(),
                        n.bias.detach().numpy(),
                        n.eps,
                    ),
                )
                for c, n in zip(convs, norms, strict=True)
            ]
        )
    return result


@pytest.mark.parametrize('pooling', ['grid', 'window'])
@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('stride', [8, 16])
@pytest.mark.parametrize('size', [(9, 13), (4, 5)])
def test_against_the_naive_cell(pooling, align_corners, stride, size):
    torch.manual_seed(0)
    for text in (MIXED, PRESETS['dpc_cityscapes']().to_string(), PRESETS['aspp']().to_string()):
        cell = Cell.from_string(text)
        module = randomise(
            DensePredictionCell(cell, 6, 4, stride, pooling, align_corners).double().eval()
        )
        x = torch.randn(2, 6, *size, dtype=torch.float64)
        with torch.no_grad():
            out = module(x)
        for image, got in zip(x, out):
            want = run_cell(
                image.numpy(), cell.to_published(), numbers(module), stride, pooling, align_corners
            )
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    'channels, weights, projected', [(320, 356_160, 683_840), (2048, 814_080, 1_141_760)]
)
def test_published_weights(channels, weights, projected):
    head = DPCHead(channels, num_classes=19)
    assert conv_weights(head.context.cell) == weights
    assert conv_weights(head.context) == projected
    cost = head.context.cell.cost((65, 129), 256)
    assert (cost.parameters, cost.parameters_projected) == (weights, projected)


@pytest.mark.parametrize('seed', range(10))
@pytest.mark.parametrize('pooling', ['grid', 'window'])
def test_cost_equals_what_the_module_does(seed, pooling):
    cell = SearchSpace().sample(random.Random(seed))
    module = DensePredictionCell(cell, 6, 4, pooling=pooling).eval()
    macs = []

    def count(conv, inputs, output):
        macs.append(conv.weight.numel() * output.shape[2] * output.shape[3])

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    module(torch.zeros(1, 6, 9, 17))
    cost = module.cost((9, 17), 4)
    assert cost.parameters == conv_weights(module)
    assert cost.multiply_adds == sum(macs)


@pytest.mark.parametrize('rate', [(1, 1), (1, 6), (6, 3), (18, 15), (3, 21), (9, 12), (8, 1)])
@pytest.mark.parametrize('size', [(4, 4), (9, 13), (1, 30), (23, 30), (18, 15)])
def test_training_rewrites_are_exact(rate, size):
    torch.manual_seed(0)
    conv = AtrousDepthwiseConv2d(3, rate).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    plain = nn.functional.conv2d(x, conv.weight, None, 1, rate, rate, 3)
    probe = torch.randn_like(plain)
    want = torch.autograd.grad((plain * probe).sum(), [x, conv.weight])
    got_out = conv.train()(x)
    got = torch.autograd.grad((got_out * probe).sum(), [x, conv.weight])
    torch.testing.assert_close(got_out, plain)
    for a, b in zip(got, want):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(conv.eval()(x), plain)


@pytest.mark.parametrize(
    'stride, expected', [(8, (2, 42)), (16, (1, 21)), (4, (4, 84)), (32, (1, 11))]
)
def test_rates_scale_with_the_output_stride(stride, expected):
    assert scaled_rate((1, 21), stride) == expected


def test_head_trains_and_predicts_any_size():
    head = MODELS.build(dict(type='DPCHead', in_channels=8, channels=6, num_classes=3, cell='aspp'))
    for size in [(5, 7), (16, 9)]:
        features = (torch.randn(2, 4, 20, 20), torch.randn(2, 8, *size))
        logits = head.train()(features)
        assert logits.shape == (2, 3, *size)
        logits.sum().backward()
    assert all(p.grad is not None for p in head.parameters())
    assert head.dropout is None and head.context.dropout.p == 0.1


def test_export_keeps_plain_convolutions():
    module = DensePredictionCell('dpc_cityscapes', 4, 4).eval()
    traced = torch.jit.trace(module, torch.randn(1, 4, 8, 8))
    x = torch.randn(1, 4, 30, 41)
    torch.testing.assert_close(traced(x), module(x))


def test_received_configs_stay_as_they_are():
    norm, act, cell = dict(type='BN', eps=1e-5), dict(type='ReLU'), PRESETS['aspp']().to_dict()
    before = repr((norm, act, cell))
    DPCHead(4, 4, num_classes=3, norm_cfg=norm, act_cfg=act, cell=cell)
    assert repr((norm, act, cell)) == before


def test_neck_replaces_one_feature():
    neck = MODELS.build(dict(type='DPCNeck', in_channels=[3, 5, 8], channels=6, cell='aspp'))
    features = [torch.randn(2, c, s, s) for c, s in [(3, 16), (5, 8), (8, 4)]]
    out = neck(features)
    assert out[0] is features[0] and out[1] is features[1]
    assert out[2].shape == (2, 6, 4, 4)
    assert neck.out_channels == [3, 5, 6]


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: DPCHead(4, 4, num_classes=3, pooling='max'), 'pooling must be one of'),
        (lambda: DPCHead(4, 4, num_classes=3, cell='nope'), 'presets are'),
        (lambda: DPCHead(4, 4, num_classes=3, filters=0), 'at least 1'),
        (
            lambda: DPCHead(
                [4, 4], 4, num_classes=3, in_index=[0, 1], input_transform='resize_concat'
            ),
            'takes one feature',
        ),
        (lambda: DPCHead(4, 4, num_classes=3)([torch.zeros(1, 5, 4, 4)]), 'for 4 input channels'),
        (lambda: DPCNeck([4, 4], in_index=2), 'in_index must lie'),
        (lambda: DPCNeck([4, 4], 4)([torch.zeros(1, 4, 4, 4)]), 'for 2 features'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
