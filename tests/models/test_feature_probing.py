"""FeatureTaps on encoders of one's own: what is found out by running them."""

import copy
from contextlib import nullcontext
from importlib.util import find_spec

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmseg_sparsemask.models.backbones import FeatureTaps
from mmseg_sparsemask.models.describe import describe_backbone


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(backbone, features, **kwargs):
    return MODELS.build(dict(type='FeatureTaps', backbone=backbone, features=features, **kwargs))


class Encoder(nn.Module):
    """Three convolutions; a subclass says what happens around them."""

    needs = 3

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(self.needs, 4, 3, 2, 1)
        self.two = nn.Conv2d(4, 5, 3, 2, 1)
        self.unused = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.two(self.one(self.before(x)))

    def before(self, x):
        return x


class Unshuffled(Encoder):
    needs = 16

    def before(self, x):
        return nn.functional.pixel_unshuffle(x, 2)


class WithCoordinates(Encoder):
    needs = 7

    def before(self, x):
        return torch.cat([x, x[:, :2]], 1)


class NormFirst(Encoder):
    needs = 6

    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(6, affine=True)

    def before(self, x):
        return self.norm(x)


class Strict(Encoder):
    needs = 2

    def before(self, x):
        assert x.shape[1] == 2
        return x


class Functional(Encoder):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 8, 1, 1))

    def before(self, x):
        return nn.functional.conv2d(x, self.weight)


class WithoutGradient(Encoder):
    def forward(self, x):
        with torch.no_grad():
            x = self.one(x)
        return self.two(x)


class Detached(Encoder):
    def forward(self, x):
        return self.two(self.one(x.detach()).detach())


class Recomputed(Encoder):
    reentrant = True

    def forward(self, x):
        return checkpoint(super().forward, x.requires_grad_(), use_reentrant=self.reentrant)


class RecomputedWithGradient(Recomputed):
    reentrant = False


@pytest.fixture
def own():
    """Registers the encoders of this file."""
    kinds = [Encoder, *Encoder.__subclasses__(), RecomputedWithGradient]
    for kind in kinds:
        MODELS.register_module(name=f'_{kind.__name__}', module=kind, force=True)
    yield lambda kind, features, **more: build(dict(type=f'_{kind.__name__}'), features, **more)
    for kind in kinds:
        MODELS.module_dict.pop(f'_{kind.__name__}')


def test_module_that_does_not_run(own):
    """A backbone that stops early never reaches its last layer."""
    with pytest.raises(ValueError, match=r"'unused' of Encoder did not run; tap another"):
        own(Encoder, ['one', 'unused'])
    assert isinstance(own(Encoder, ['one']), FeatureTaps)


MIT = dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4)


@pytest.mark.parametrize('channels', [1, 2, 4, 10])
@pytest.mark.parametrize(
    ('backbone', 'features'),
    [
        (dict(type='ResNetV1c', depth=18), ['layer1']),
        (MIT, ['layers.0.0.projection']),
        pytest.param(
            dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050'),
            ['timm_model.blocks.0'],
            marks=pytest.mark.skipif(find_spec('timm') is None, reason='needs timm'),
        ),
    ],
)
def test_images_of_any_number_of_channels(backbone, features, channels):
    backbone = dict(backbone, in_channels=channels)
    taps = build(backbone, features)
    assert taps.image_channels == channels and taps.strides == [4]
    described = describe_backbone(
        dict(backbone=dict(type='FeatureTaps', backbone=backbone, features=features))
    )
    assert described.features == taps.feature_info
    assert taps(torch.randn(2, channels, 32, 32))[0].shape[2:] == (8, 8)


@pytest.mark.parametrize(
    ('kind', 'channels'), [(Unshuffled, 4), (WithCoordinates, 5), (NormFirst, 6), (Strict, 2)]
)
def test_channels_that_the_first_layer_alone_does_not_say(own, kind, channels):
    taps = own(kind, ['two'])
    assert taps.image_channels == channels
    assert taps(torch.randn(1, channels, 32, 32))[0].shape[1] == 5


def test_channels_that_no_layer_says(own):
    with pytest.raises(ValueError, match='256x256 pixels and 3 channels .*give in_channels'):
        own(Functional, ['two'])
    assert own(Functional, ['two'], in_channels=8).strides == [4]


@pytest.mark.parametrize(
    ('kind', 'frozen', 'cut'),
    [
        (Encoder, [], []),
        (Encoder, ['one'], []),
        (Encoder, ['one', 'two'], []),
        (WithoutGradient, [], ['one']),
        (WithoutGradient, ['one'], []),
        (Detached, [], []),
        (Recomputed, [], ['one']),  # The block's own output has a gradient.
        (Recomputed, ['one'], []),
        (Recomputed, ['one', 'two', 'unused'], []),
        (RecomputedWithGradient, [], []),
    ],
)
def test_features_cut_from_what_learns_are_refused(own, kind, frozen, cut):
    taps = own(kind, ['one', 'two'])
    for name in frozen:
        taps.backbone.get_submodule(name).requires_grad_(False)
    image = torch.randn(2, 3, 32, 32)
    state = copy.deepcopy(taps.state_dict())
    words = f'features: {", ".join(cut)} of {kind.__name__} got no gradient, .*with_cp=False or tap'
    for _ in range(2):
        with pytest.raises(ValueError, match=words) if cut else nullcontext():
            taps(image.clone())
    assert all(torch.equal(value, state[key]) for key, value in taps.state_dict().items())
    with torch.no_grad():
        taps(image.clone())
    taps.eval()(image.clone())


def test_what_is_frozen_may_learn_later(own):
    """And is looked at again then."""
    taps = own(WithoutGradient, ['one', 'two'])
    taps.backbone.one.requires_grad_(False)
    taps(torch.randn(2, 3, 32, 32))
    taps.backbone.one.requires_grad_(True)
    with pytest.raises(ValueError, match='features: one of WithoutGradient got no gradient'):
        taps(torch.randn(2, 3, 32, 32))


def test_recomputed_blocks_keep_no_feature(own):
    """With gradients inside, features and gradients are those without recomputing."""
    taps, plain = own(RecomputedWithGradient, ['one', 'two']), own(Encoder, ['one', 'two'])
    plain.load_state_dict(taps.state_dict())
    image = torch.randn(2, 3, 32, 32)
    for model in (taps, plain):
        sum(f.square().sum() for f in model(image.clone())).backward()
    assert all(tap.output is None for tap in taps._taps)
    for one, other in zip(taps.backbone.parameters(), plain.backbone.parameters()):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)
