"""The heads against the equations as written: values, every gradient, running statistics."""

import copy

import pytest
import torch
from mmseg.registry import MODELS
from reference.heads import CASES, STAGES, features_of, make_head, relative
from reference.naive import connection_statistics, naive_copy

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import Connectivity


def compare(head, features, tolerance):
    naive = naive_copy(head)
    search = hasattr(head, 'connections')
    copies = [f.detach().clone().requires_grad_() for f in features]
    weights = None
    if search:
        weights = {s: r.detach().clone().requires_grad_() for s, r in head.connections.raw.items()}
    ours = head(features)
    theirs = naive(copies, weights)
    assert relative(ours, theirs) < tolerance
    target = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(5)).to(theirs.dtype)
    (ours * target).sum().backward()
    (theirs * target).sum().backward()
    for mine, other in zip(features, copies):
        if other.grad is None:
            assert mine.grad is None or not mine.grad.any()
        else:
            assert relative(mine.grad, other.grad) < tolerance
    for stage, sources in head.connectivity.stages.items():
        for source in sources:
            other = naive.convs[f'{source}_{stage}'].weight.grad
            assert relative(head.convs[stage][source].grad, other) < tolerance, (source, stage)
            if search:
                norm = naive.bns[f'{source}_{stage}']
                mean, variance = connection_statistics(head, source, stage)
                assert relative(mean, norm.running_mean) < tolerance
                assert relative(variance, norm.running_var) < tolerance
        stage_norm = naive.stage_bns[stage]
        for key in ('weight', 'bias'):
            other = getattr(stage_norm, key).grad
            assert relative(getattr(head.norms[stage], key).grad, other) < tolerance
        for key in ('running_mean', 'running_var'):
            assert relative(getattr(head.norms[stage], key), getattr(stage_norm, key)) < tolerance
        if search:
            raw = head.connections.raw[stage]
            assert relative(raw.grad, weights[stage].grad) < tolerance
    assert relative(head.conv_seg.weight.grad, naive.classifier.weight.grad) < tolerance


def modes(kind, case):
    """Batches and modes that exist: batch statistics of ``G`` need two images."""
    needs_two = kind == 'FDNHead' or case == 'one-level'
    return [
        (batch, training)
        for batch in (1, 3)
        for training in (True, False)
        if not (training and batch == 1 and needs_two)
    ]


@pytest.mark.parametrize('act_encoder', [False, True])
@pytest.mark.parametrize(
    ('kind', 'case', 'batch', 'training'),
    [
        (kind, case, *mode)
        for kind in ('FDNHead', 'SparseMaskHead')
        for case in CASES
        for mode in modes(kind, case)
    ],
)
def test_float64(kind, case, batch, training, act_encoder):
    strides, channels, size = CASES[case]
    head = make_head(kind, case, torch.float64, act_encoder=act_encoder).train(training)
    features = features_of(strides, channels, size, batch, torch.float64)
    compare(head, features, 1e-10)


def test_supernet_needs_two_images_in_training():
    head = make_head('FDNHead', 'odd', torch.float32).train()
    with pytest.raises(ValueError, match='at least 2 images'):
        head(features_of(*CASES['odd'], 1, torch.float32))


@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_float32(kind, layout):
    strides, channels, size = CASES['mbv2-like']
    head = make_head(kind, 'mbv2-like', torch.float32).eval()
    features = features_of(strides, channels, size, 3, torch.float32)
    features = [f.detach().to(memory_format=layout) for f in features]
    weights = dict(head.connections.raw.items()) if kind == 'FDNHead' else None
    with torch.no_grad():
        assert relative(head(features), naive_copy(head)(features, weights)) < 1e-5


@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_inference(kind, case, batch, align_corners):
    strides, channels, size = CASES[case]
    head = make_head(kind, case, torch.float64, align_corners=align_corners).eval()
    features = features_of(strides, channels, size, batch, torch.float64)
    weights = dict(head.connections.raw.items()) if kind == 'FDNHead' else None
    with torch.no_grad():
        assert relative(head(features), naive_copy(head)(features, weights)) < 1e-10


@pytest.mark.parametrize('option', ['affine', 'track_running_stats'])
def test_inference_with_a_norm_that_cannot_fold(option):
    strides, channels, size = CASES['odd']
    config = dict(
        type='SparseMaskHead',
        connectivity=dict(strides=list(strides), stages=STAGES['odd']),
        in_channels=channels,
        in_index=list(range(len(channels))),
        channels=8,
        num_classes=3,
        norm_cfg=dict(type='BN', **{option: False}),
    )
    head = MODELS.build(config).eval()
    features = features_of(strides, channels, size, 2, torch.float32)
    with_gradients = head(features)
    with torch.no_grad():
        assert relative(head(features), with_gradients) < 1e-5


def test_both_kinds_of_statistics_are_used():
    """The cases above cover sources by moments and sources by product."""
    strides, channels, size = CASES['mbv2-like']
    head = make_head('FDNHead', 'mbv2-like', torch.float64).train()
    features = features_of(strides, channels, size, 3, torch.float64)
    assert head.sources_alone(features) == {'G', 'E6'}
    assert head.eval().sources_alone(features) == {'G'}


def test_zero_and_full_weights():
    """A connection of weight 0 has no part in the output; its weight still gets a gradient."""
    strides, channels, size = CASES['odd']
    head = make_head('FDNHead', 'odd', torch.float64).train()
    with torch.no_grad():
        head.connections.raw['D1'].zero_()
        head.connections.raw['D1'][0] = 2.0
    features = features_of(strides, channels, size, 2, torch.float64)
    compare(head, features, 1e-10)
    assert head.connections.raw['D1'].grad[1:].abs().min() > 0


@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_align_corners_false(kind):
    strides, channels, size = CASES['odd']
    head = make_head(kind, 'odd', torch.float64, align_corners=False).train()
    compare(head, features_of(strides, channels, size, 2, torch.float64), 1e-10)


def test_nearly_constant_channels_keep_their_variance():
    """Saturated channels (mean 6, tiny variance): second moments must not cancel in float32."""
    strides, channels, size = CASES['odd']
    head = make_head('FDNHead', 'odd', torch.float32).train()
    features = features_of(strides, channels, size, 3, torch.float32)
    features = [(f.detach() * 1e-2 + 5.9).requires_grad_() for f in features]
    double = copy.deepcopy(head).double()
    with torch.no_grad():
        single = head(features)
        exact = double([f.double() for f in features])
    assert relative(single.double(), exact) < 1e-3


def test_does_not_change_its_inputs():
    strides, channels, size = CASES['odd']
    for kind in ('FDNHead', 'SparseMaskHead'):
        head = make_head(kind, 'odd', torch.float32).train()
        features = features_of(strides, channels, size, 2, torch.float32)
        before = [f.detach().clone() for f in features]
        head(features).sum().backward()
        assert all(torch.equal(f, b) for f, b in zip(features, before))


def test_random_connectivities():
    from hypothesis import HealthCheck, given, settings
    from reference.strategies import connectivities

    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    @given(connectivities(max_levels=5))
    def check(connectivity: Connectivity):
        channels = [3 + i for i in range(connectivity.num_levels)]
        config = dict(
            type='SparseMaskHead',
            connectivity=connectivity,
            in_channels=channels,
            in_index=list(range(len(channels))),
            channels=4,
            num_classes=2,
            out_channels=2,
        )
        size = (max(connectivity.strides) * 2 + 1, max(connectivity.strides) + 3)
        head = MODELS.build(config).double().eval()
        features = features_of(connectivity.strides, channels, size, 2, torch.float64)
        compare(head, features, 1e-10)
        with torch.no_grad():
            assert relative(head(features), naive_copy(head)(features)) < 1e-10

    check()
