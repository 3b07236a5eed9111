"""FeatureTaps on several backbones: what it says of the features against real tensors."""

import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage, convert_sync_batchnorm, revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_sparsemask.deployment.folding import fold_norms

HRNET = {
    f'stage{n}': dict(
        num_modules=1,
        num_branches=n,
        block='BASIC' if n > 1 else 'BOTTLENECK',
        num_blocks=(1,) * n,
        num_channels=(16,) if n == 1 else (6, 8, 10, 12)[:n],
    )
    for n in (1, 2, 3, 4)
}
SWIN = dict(
    type='SwinTransformer',
    embed_dims=12,
    depths=(1, 1, 1, 1),
    num_heads=(1, 1, 1, 1),
    window_size=2,
)
MIT = dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4)
MBV2 = ['conv1', *(f'layer{n}' for n in range(1, 8)), 'conv2']

#: Backbone, modules, channels, strides.
CASES = {
    'mobilenet_v2': (
        dict(type='mmpretrain.MobileNetV2'),
        MBV2,
        [32, 16, 24, 32, 64, 96, 160, 320, 1280],
        [2, 2, 4, 8, 16, 16, 32, 32, 32],
    ),
    'mobilenet_v2_before_activation': (
        dict(type='mmpretrain.MobileNetV2', widen_factor=0.25),
        ['conv1.bn', 'layer4', 'conv2.bn'],
        [8, 16, 1280],
        [2, 16, 32],
    ),
    'resnet_v1c_d8': (
        dict(type='ResNetV1c', depth=18, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
        ['stem', 'layer1', 'layer2', 'layer3', 'layer4.1'],
        [64, 64, 128, 256, 512],
        [2, 4, 8, 8, 8],
    ),
    'hrnet': (
        dict(type='HRNet', extra=HRNET),
        ['layer1', *(f'stage4.0.branches.{n}' for n in range(4))],
        [64, 6, 8, 10, 12],
        [4, 4, 8, 16, 32],
    ),
    'swin_patches': (SWIN, ['patch_embed.projection'], [12], [4]),
    'mit_patches': (MIT, [f'layers.{n}.0.projection' for n in range(4)], [8] * 4, [4, 8, 16, 32]),
}
TINY = dict(type='mmpretrain.MobileNetV2', widen_factor=0.25)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(backbone, features, **kwargs):
    return MODELS.build(dict(type='FeatureTaps', backbone=backbone, features=features, **kwargs))


@pytest.mark.parametrize('case', CASES)
def test_against_real_tensors(case):
    backbone, features, channels, strides = CASES[case]
    taps = build(backbone, features).eval()
    assert taps.channels == channels and taps.strides == strides
    assert [f.name for f in taps.feature_info] == [f'E{n + 1}' for n in range(len(features))]
    assert [f.module for f in taps.feature_info] == features
    with torch.no_grad():
        outputs = taps(torch.randn(2, 3, 64, 96))
    for output, c, s in zip(outputs, channels, strides, strict=True):
        assert output.shape == (2, c, 64 // s, 96 // s)


@pytest.mark.parametrize(
    ('case', 'out_indices'), [('mobilenet_v2', range(8)), ('resnet_v1c_d8', range(4))]
)
def test_equal_what_the_backbone_itself_returns(case, out_indices):
    """Behind the first feature, both can return the same ones."""
    backbone, features, _, _ = CASES[case]
    taps = build(backbone, features)
    plain = MODELS.build({**backbone, 'out_indices': tuple(out_indices)})
    plain.load_state_dict(taps.backbone.state_dict())
    taps.eval()
    plain.eval()
    image = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        for mine, other in zip(taps(image)[1:], plain(image), strict=True):
            assert torch.equal(mine, other)


def test_odd_sizes_round_up():
    taps = build(TINY, MBV2).eval()
    with torch.no_grad():
        outputs = taps(torch.randn(1, 3, 65, 33))
    for output, stride in zip(outputs, taps.strides):
        assert output.shape[2:] == (-(-65 // stride), -(-33 // stride))


@pytest.mark.parametrize('training', [True, False])
def test_features_before_the_activation_are_not_overwritten(training):
    """MobileNet's activations work in place; a tapped batch norm must keep its negative values."""
    taps = build(TINY, ['conv1.bn', 'conv1', 'conv2.bn', 'conv2']).train(training)
    before, after, deep_before, deep_after = taps(torch.randn(2, 3, 32, 32))
    assert before.min() < 0 and deep_before.min() < 0
    assert torch.equal(after, before.clamp(0, 6))
    assert torch.equal(deep_after, deep_before.clamp(0, 6))
    deep_before.sum().backward()  # and autograd still has what it needs


@pytest.mark.parametrize('features', [MBV2, ['conv1.bn', 'conv1', 'conv2.bn']])
def test_activations_stay_in_place(features):
    """They save memory; only the tap that one of them overwrites is copied."""

    def in_place(module):
        return sum(getattr(m, 'inplace', False) is True for m in module.modules())

    taps = build(TINY, features)
    assert in_place(taps) == in_place(MODELS.build(TINY)) > 0
    copied = [
        name
        for name, module in taps.backbone.named_modules()
        for hook in module._forward_hooks.values()
        if hook.overwritten
    ]
    assert copied == [name for name in features if name.endswith('.bn')]


def test_reused_activation_gives_its_last_output():
    """ResNet's stem calls `relu` once; the module runs before the pooling, at stride 2."""
    taps = build(dict(type='ResNet', depth=18), ['relu', 'layer1']).eval()
    assert taps.strides == [2, 4]
    assert taps(torch.randn(1, 3, 32, 32))[0].min() >= 0


def test_gradients_reach_the_image_and_the_backbone():
    taps = build(TINY, MBV2)
    image = torch.randn(2, 3, 32, 32, requires_grad=True)
    sum(feature.square().mean() for feature in taps(image)).backward()
    assert image.grad.abs().max() > 0
    assert all(p.grad is not None for p in taps.parameters())


def test_copies_are_independent():
    taps = build(TINY, ['conv1', 'layer2']).eval()
    copied = copy.deepcopy(taps)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
        image = torch.randn(1, 3, 32, 32)
        before = [f.clone() for f in taps(image)]
        zeros = copied(image)
        after = taps(image)
    assert all(not f.any() for f in zeros)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


def test_building_changes_neither_config_nor_modes():
    backbone = dict(TINY, frozen_stages=0, norm_eval=True)
    features = ['conv1', 'layer2']
    config = dict(type='FeatureTaps', backbone=backbone, features=features)
    known = copy.deepcopy(config)
    taps = MODELS.build(config)
    assert config == known
    plain = MODELS.build(backbone)
    assert [m.training for m in taps.backbone.modules()] == [m.training for m in plain.modules()]
    assert not any(p.is_meta for p in taps.parameters())
    # Probing leaves batch statistics untouched.
    assert taps.backbone.conv1.bn.num_batches_tracked == 0
    assert not taps.backbone.conv1.bn.running_mean.any()


def test_parameter_names_are_the_backbones():
    """Below one prefix, so that `paramwise_cfg` and checkpoints can name them."""
    taps = build(TINY, ['conv1', 'conv2'])
    plain = MODELS.build(TINY)
    assert [f'backbone.{name}' for name in plain.state_dict()] == list(taps.state_dict())


def test_order_is_the_callers():
    taps = build(TINY, ['layer2', 'conv1'])
    assert taps.strides == [4, 2]


@pytest.mark.parametrize(
    ('features', 'words'),
    [
        (['conv1', 'layer9'], r"MobileNetV2 has no module 'layer9'; there are .*layer1.*layer7"),
        (['stem'], r"no module 'stem'; there are .*conv1"),
        (['layer1.9'], r"no module 'layer1\.9'; there are .*layer1\.0"),
        (['backbone.layer3'], r"no module 'backbone\.layer3'; there are layer3$"),
        (['conv1', 'conv1'], r"distinct module names, at least one, got \['conv1', 'conv1'\]"),
        ([], r'at least one, got \[\]'),
        ([''], r"no module ''"),
        ('conv1', r"expected a list of module names, got 'conv1'"),
    ],
)
def test_bad_names(features, words):
    with pytest.raises(ValueError, match=words):
        build(TINY, features)


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('blocks.2', r'there are timm_model\.blocks\.2$'),
        (
            'blocks.9',
            r'there are timm_model\.blocks, timm_model\.blocks\.0, .*timm_model\.blocks\.4',
        ),
        ('bn9', r'there are timm_model\.bn1$'),
        ('stem', r'there are timm_model$'),
    ],
)
def test_a_name_inside_a_wrapper_is_found(name, words):
    pytest.importorskip('timm')
    wrapper = dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050')
    with pytest.raises(ValueError, match=f"TIMMBackbone has no module '{name}'; {words}"):
        build(wrapper, [name])


@pytest.mark.parametrize(
    ('backbone', 'name', 'words'),
    [
        (SWIN, 'stages.0', r"module 'stages\.0' gives tuple, expected a map.*tap another"),
        (SWIN, 'norm0', r"module 'norm0' gives \(1, 4096, 12\), expected a map.*tap another"),
        (dict(type='HRNet', extra=HRNET), 'stage4', r"module 'stage4' gives list, expected a map"),
    ],
)
def test_modules_without_a_map(backbone, name, words):
    with pytest.raises(ValueError, match=words):
        build(backbone, [name])


@pytest.mark.parametrize('size', [256, (256,), (256, 0), '256'])
def test_a_size_that_is_none(size):
    with pytest.raises(ValueError, match=r'image_size: expected \(height, width\) in pixels, got'):
        build(TINY, ['conv1'], image_size=size)


SYNC = dict(TINY, norm_cfg=dict(type='SyncBN'))


def folded(taps):
    assert fold_norms(taps.eval(), torch.zeros(1, 3, 32, 32)) > 20
    return taps


def averaged(taps):
    return ExponentialMovingAverage(taps).module


@pytest.mark.parametrize(
    'replaced',
    [
        revert_sync_batchnorm,
        lambda taps: convert_sync_batchnorm(revert_sync_batchnorm(taps)),
        lambda taps: averaged(revert_sync_batchnorm(taps)),
        lambda taps: copy.deepcopy(revert_sync_batchnorm(taps)),
        lambda taps: folded(revert_sync_batchnorm(taps)),
        lambda taps: revert_sync_batchnorm(folded(revert_sync_batchnorm(taps))),
    ],
    ids=['revert', 'convert', 'average', 'copy', 'fold', 'fold-revert'],
)
def test_what_takes_the_place_of_a_module_is_tapped(replaced):
    """The runner, averages and the deployed form swap normalisations after the taps are set."""
    names = ['conv1.bn', 'layer2.0.conv.0.bn', 'layer4', 'conv2.bn']
    taps = build(SYNC, names).eval()
    other = replaced(copy.deepcopy(taps)).eval()
    plain = revert_sync_batchnorm(build(SYNC, names)).eval()
    plain.load_state_dict(taps.state_dict())
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = plain(image)
        for found, one in zip(other(image), expected, strict=True):
            torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-5)
    assert expected[0].min() < 0


def test_a_replaced_module_is_tapped_in_a_compiled_model():
    torch._dynamo.reset()
    taps = revert_sync_batchnorm(build(SYNC, ['conv1.bn', 'conv2.bn']))
    image = torch.randn(2, 3, 32, 32)
    compiled = torch.compile(copy.deepcopy(taps), backend='eager', fullgraph=True)
    for found, expected in zip(compiled(image), taps(image), strict=True):
        assert torch.equal(found, expected)
