"""TensorFlow's padding: equal to the libraries', and traced to sizes that stay short."""

import copy
import itertools

import pytest
import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.config import Config
from reference.tiny import ROOT
from torch import nn

from mmseg_sparsemask.compare.sizes import build_segmentor
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.export import difference_from, smallest_image, trace
from mmseg_sparsemask.deployment.folding import fold_norms
from mmseg_sparsemask.deployment.padding import SameConv2d, use_same_convs


def libraries():
    """MMCV's class, and TIMM's where it is installed."""
    try:
        from timm.layers import Conv2dSame
    except ImportError:
        return [Conv2dAdaptivePadding]
    return [Conv2dAdaptivePadding, Conv2dSame]


@pytest.mark.parametrize('kind', libraries())
@torch.no_grad()
def test_equals_the_libraries_at_every_size(kind):
    sizes = range(1, 14)
    compared = 0
    for kernel, stride, dilation in itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2)):
        conv = kind(2, 4, kernel, stride, dilation=dilation, groups=2).double()
        ours = copy.deepcopy(conv)
        use_same_convs(ours)
        assert isinstance(ours, SameConv2d) is ((kernel - 1) * dilation + 1 >= stride)
        for height in sizes:
            maps = torch.randn(2, 2, height, 14 - height, dtype=torch.float64)
            wanted = conv(maps)
            assert wanted.shape[2:] == (-(-height // stride), -(-(14 - height) // stride))
            assert torch.equal(ours(maps), wanted)
            compared += isinstance(ours, SameConv2d)
    assert compared > 200


def test_kernels_that_are_no_squares():
    conv = Conv2dAdaptivePadding(1, 1, (3, 5), (2, 1), dilation=(1, 2))
    maps = torch.randn(1, 1, 8, 9)
    wanted = conv(maps)
    use_same_convs(conv)
    assert isinstance(conv, SameConv2d) and torch.equal(conv(maps), wanted)


@torch.no_grad()
def test_hooks_stay_and_normalisations_fold():
    module = nn.Sequential(Conv2dAdaptivePadding(3, 4, 3, 2, bias=False), nn.BatchNorm2d(4)).eval()
    module[1].running_var.uniform_(0.5, 1.5)
    module[1].running_mean.uniform_(-0.5, 0.5)
    maps = torch.randn(2, 3, 8, 7)
    wanted = module(maps)
    seen = []
    hooked = copy.deepcopy(module)
    hooked[0].register_forward_hook(lambda conv, inputs, output: seen.append(output))
    use_same_convs(hooked)
    assert torch.equal(hooked(maps), wanted) and len(seen) == 1
    use_same_convs(module)
    assert fold_norms(module, maps) == 1
    assert isinstance(module[1], nn.Identity)
    torch.testing.assert_close(module(maps), wanted)


def test_sizes_stay_short_when_traced():
    same = nn.Sequential(*(Conv2dAdaptivePadding(3, 3, 3, 2) for _ in range(5)))
    padded = nn.Sequential(*(nn.Conv2d(3, 3, 3, 2, 1) for _ in range(5)))
    use_same_convs(same)
    assert sizes_of(same) == sizes_of(padded)


def sizes_of(module):
    """Heights and widths of a module's outputs in a traced program, as text."""
    program = trace(module, (64, 80), 33)
    convs = [n for n in program.graph.nodes if n.target is torch.ops.aten.conv2d.default]
    return [str(tuple(node.meta['val'].shape[2:])) for node in convs]


@pytest.mark.slow
def test_efficientnet_lite0_of_timm_is_traced():
    pytest.importorskip('timm', reason='timm is not installed (extra pretrained)')
    name = 'configs/sparsemask/sparsemask_efficientnet-lite0_camvid-160x208.py'
    model = build_segmentor(Config.fromfile(ROOT / name)).eval()
    segmentor = deployed_segmentor(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in segmentor.modules())
    network = trace(segmentor, (96, 128), smallest_image(segmentor)).module()
    for shape in ((1, 3, 96, 128), (2, 3, 75, 113)):
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        logits = network(images).numpy()
        assert difference_from(model, lambda x, y=logits: y, images).within(1e-5)
