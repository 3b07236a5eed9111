"""The deployed form against the heads, and against the equations as written."""

import copy
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference.naive import naive_copy
from reference.strategies import connectivities
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.graph import resolution_groups
from mmseg_sparsemask.deployment.deployed import (
    Pointwise,
    deployed_decoder,
    deployed_segmentor,
)


def with_statistics(module):
    torch.manual_seed(2)
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, _BatchNorm):
                child.running_mean.uniform_(-0.5, 0.5)
                child.running_var.uniform_(0.5, 1.5)
                if child.affine:
                    child.weight.uniform_(0.5, 1.5)
                    child.bias.uniform_(-0.5, 0.5)
    return module


def make_head(kind, connectivity, **more):
    config = dict(
        type=kind,
        connectivity=connectivity,
        in_channels=[3 + i for i in range(connectivity.num_levels)],
        in_index=list(range(connectivity.num_levels)),
        channels=4,
        num_classes=3,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    if kind == 'FDNHead':
        config['strides'] = list(connectivity.strides)
    torch.manual_seed(1)
    head = with_statistics(MODELS.build({**config, **more}))
    if kind == 'FDNHead':
        with torch.no_grad():
            for raw in head.connections.raw.values():
                raw.uniform_(0, 2)
    return head.eval()


def features_of(head, size, batch, dtype):
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(batch, c, -(-size[0] // s), -(-size[1] // s), generator=generator) * 3).to(
            dtype
        )
        for s, c in zip(head.connectivity.strides, head.in_channels)
    ]


def relative(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def naive_logits(head, features):
    weights = dict(head.connections.raw.items()) if hasattr(head, 'connections') else None
    return naive_copy(head)(features, weights)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(connectivities(max_levels=5))
@torch.no_grad()
def test_random_connectivities(connectivity):
    size = (max(connectivity.strides) * 2 + 1, max(connectivity.strides) + 3)
    for kind in ('SparseMaskHead', 'FDNHead'):
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            head = make_head(kind, connectivity).to(dtype)
            decoder = deployed_decoder(head)
            features = features_of(head, size, 2, dtype)
            assert relative(decoder(features), head(features)) < tolerance
            assert relative(decoder(features), naive_logits(head, features)) < tolerance
            convs = [m for m in decoder.modules() if isinstance(m, Pointwise)]
            groups = [resolution_groups(connectivity, stage) for stage in connectivity.stages]
            assert len(convs) == sum(map(len, groups)) + 1


WIDE = Connectivity(
    [2, 2, 4, 8, 8],
    {
        'D5': ['G'],
        'D4': ['E4', 'E5', 'D5'],
        'D2': ['E2', 'E3', 'D4', 'D5'],
        'D1': ['E1', 'E2', 'E3', 'D2', 'D4', 'D5', 'G'],
    },
)


@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('size', [(32, 32), (33, 47), (9, 70)])
@pytest.mark.parametrize('kind', ['SparseMaskHead', 'FDNHead'])
@torch.no_grad()
def test_sizes_and_batches(kind, size, batch, align_corners):
    head = make_head(kind, WIDE, align_corners=align_corners).double()
    features = features_of(head, size, batch, torch.float64)
    ours = deployed_decoder(head)(features)
    assert relative(ours, head(features)) < 1e-10
    assert relative(ours, naive_logits(head, features)) < 1e-10


ONLY_COARSE = Connectivity([2, 4, 16], {'D1': ['E2', 'E3', 'G']})


@pytest.mark.parametrize('connectivity', [WIDE, ONLY_COARSE])
def test_strips_equal_the_plain_form(connectivity, monkeypatch):
    """Without gradients stages are made in strips; with them, or compiled, as a whole."""
    decoder = deployed_decoder(make_head('SparseMaskHead', connectivity)).double()
    features = features_of(make_head('SparseMaskHead', connectivity), (45, 34), 2, torch.float64)
    calls = []
    module = sys.modules['mmseg_sparsemask.deployment.deployed']
    strips = module.stage_in_strips
    monkeypatch.setattr(module, 'stage_in_strips', lambda *a: calls.append(1) or strips(*a))
    whole = decoder(features)
    assert not calls
    with torch.no_grad():
        assert relative(decoder(features), whole) < 1e-12
    assert calls


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(connectivities(max_levels=5), st.integers(1, 40))
@torch.no_grad()
def test_strips_of_exported_graphs(connectivity, height):
    """Also of maps with fewer rows than strips."""
    head = make_head('SparseMaskHead', connectivity).double()
    decoder = deployed_decoder(head)
    features = features_of(head, (height, 34), 2, torch.float64)
    module = sys.modules['mmseg_sparsemask.deployment.deployed']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'strips_pay', lambda feature: False)
        whole = decoder(features)
        patch.setattr(module, 'is_exporting', lambda: True)
        in_strips = decoder(features)
    assert in_strips.shape == whole.shape and relative(in_strips, whole) < 1e-12
    assert relative(in_strips, naive_logits(head, features)) < 1e-10


def test_one_conv_for_each_stage_and_resolution():
    decoder = deployed_decoder(make_head('SparseMaskHead', WIDE))
    found = {
        (stage, name): conv.in_features
        for stage, convs in decoder.convs.items()
        for name, conv in convs.items()
    }
    # Features have 3, 4, 5, 6, 7 channels, stages have 4.
    assert found == {
        ('D5', 'G'): 7,
        ('D4', 's8'): 6 + 7 + 4,
        ('D2', 's2'): 4,
        ('D2', 's4'): 5,
        ('D2', 's8'): 4 + 4,
        ('D1', 's2'): 3 + 4 + 4,
        ('D1', 's4'): 5,
        ('D1', 's8'): 4 + 4,
        ('D1', 'G'): 7,
    }
    groups = {stage: resolution_groups(WIDE, stage) for stage in WIDE.stages}
    assert list(found) == [(stage, g.name) for stage in groups for g in groups[stage]]
    for stage, convs in decoder.convs.items():
        assert sum(conv.bias is not None for conv in convs.values()) == 1, stage
    inside = {type(module).__module__.split('.')[0] for module in list(decoder.modules())[1:]}
    assert inside == {'torch', 'mmseg_sparsemask'}


@pytest.mark.parametrize('kind', ['SparseMaskHead', 'FDNHead'])
def test_leaves_the_head_as_it_is(kind):
    head = make_head(kind, WIDE).train()
    before = copy.deepcopy(head.state_dict())
    deployed_decoder(head)
    assert head.training and head.norms['D1'].training
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


@torch.no_grad()
def test_other_channels_activation_and_norm():
    more = dict(
        out_channels=1,
        num_classes=2,
        threshold=0.4,
        act_cfg=dict(type='LeakyReLU', negative_slope=0.1),
        norm_cfg=dict(type='SyncBN', eps=1e-2, requires_grad=False),
    )
    head = make_head('SparseMaskHead', WIDE, **more).double()
    features = features_of(head, (33, 47), 2, torch.float64)
    ours = deployed_decoder(head)(features)
    assert ours.shape[1] == 1
    assert relative(ours, head(features)) < 1e-10


def test_refuses_what_it_cannot_fold():
    head = make_head('SparseMaskHead', WIDE, norm_cfg=dict(type='GN', num_groups=2))
    with pytest.raises(ValueError, match='D5 is normalised by GroupNorm'):
        deployed_decoder(head)
    with pytest.raises(ValueError, match='got Conv2d'):
        deployed_decoder(nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match='EncoderDecoder'):
        deployed_segmentor(nn.Conv2d(1, 1, 1))


def test_heads_that_give_no_map_are_named(model):
    """EncNet's gives a vector beside it, which the toolbox drops when it predicts."""
    changed = copy.deepcopy(model)
    sizes = dict(in_channels=[8, 4, 8], in_index=[0, 1, 2], channels=8, num_codes=4, num_classes=6)
    changed.decode_head = MODELS.build(dict(type='EncHead', norm_cfg=dict(type='BN'), **sizes))
    with pytest.raises(ValueError, match='map of logits, got tuple from EncHead'):
        deployed_segmentor(changed)


def segmentor(head=None, features=('relu', 'layer1', 'layer2'), neck=None):
    init_default_scope('mmseg')
    resnet = dict(
        type='ResNet',
        depth=18,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(0, 1),
        stem_channels=8,
        base_channels=4,
    )
    head = head or dict(
        type='SparseMaskHead', connectivity='unet', strides=[2, 4, 8], in_channels=[8, 4, 8]
    )
    cfg = dict(
        type='EncoderDecoder',
        backbone=dict(type='FeatureTaps', backbone=resnet, features=list(features)),
        decode_head=dict(
            in_index=[0, 1, 2],
            channels=8,
            num_classes=4,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
    )
    cfg['decode_head'].update(head)
    if neck:
        cfg['neck'] = neck
    torch.manual_seed(3)
    return with_statistics(MODELS.build(Config(cfg))).double()


FCN = dict(
    type='FCNHead',
    in_channels=8,
    in_index=2,
    num_convs=2,
    norm_cfg=dict(type='BN'),
    dropout_ratio=0,
)
FPN = dict(type='FPN', in_channels=[8, 4, 8], out_channels=8, num_outs=3, norm_cfg=dict(type='BN'))
MIXED = dict(type='SparseMaskHead', connectivity='unet', strides=[2, 4, 8], in_channels=[8, 8, 8])


@pytest.mark.parametrize(
    'arguments, left',
    [
        ({}, 0),
        (dict(head=FCN), 0),
        (dict(head=MIXED, neck=FPN), 0),
        # Before the activation: what is tapped is the normalisation that goes.
        (dict(features=('bn1', 'layer1.0.bn2', 'layer2.1.bn1')), 0),
        # A tapped convolution has to keep its output.
        (dict(features=('conv1', 'layer1', 'layer2.0.conv2')), 2),
    ],
    ids=['plain', 'fcn', 'neck', 'tapped-norms', 'tapped-convs'],
)
@torch.no_grad()
def test_whole_segmentors(arguments, left):
    model = segmentor(**arguments).train()
    plain = deployed_segmentor(model)
    assert model.training
    model.eval()
    assert sum(isinstance(m, _BatchNorm) for m in plain.modules()) == left
    for shape in ((2, 3, 64, 64), (1, 3, 51, 70), (3, 3, 33, 40)):
        image = torch.randn(shape, dtype=torch.float64)
        wanted = model.encode_decode(image, [dict(img_shape=image.shape[2:])] * shape[0])
        assert plain(image).shape == wanted.shape
        assert relative(plain(image), wanted) < 1e-10
