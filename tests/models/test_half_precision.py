"""The heads in half precision, and at the ends of float32, against the equations as written."""

import copy

import pytest
import torch
from reference.heads import CASES, features_of, make_head, relative
from reference.naive import naive_copy

from mmseg_sparsemask.models.decode_heads.upsampling import upsample_sum

DTYPES = [torch.bfloat16, torch.float16]


def outputs(model, features, weights, dtype=None):
    """Logits, and gradients of features and connection weights."""
    inputs = [f.detach().requires_grad_() for f in features]
    arguments = [inputs] if weights is None else [inputs, weights]
    with torch.autocast('cpu', dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        logits = model(*arguments)
    target = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5))
    (logits * target.to(logits.dtype)).sum().backward()
    return [logits.detach().double(), *(f.grad.double() for f in inputs if f.grad is not None)]


def three_ways(kind, case, features, dtype, training=True, **settings):
    """What the head, the equations, and the equations in float64 give."""
    head = make_head(kind, case, torch.float32, **settings).train(training)
    exact, naive = naive_copy(copy.deepcopy(head).double()), naive_copy(head)
    weights = dict(head.connections.raw.items()) if kind == 'FDNHead' else None
    double = weights and {stage: raw.detach().double() for stage, raw in weights.items()}
    return (
        outputs(head, features, None, dtype),
        outputs(naive, features, weights, dtype),
        outputs(exact, [f.double() for f in features], double),
    )


def constant(feature, over):
    first = feature[:1, :, :1, :1] if over == 'batch' else feature[:, :, :1, :1]
    return first.expand_as(feature).contiguous()


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('over', ['image', 'batch'])
@pytest.mark.parametrize('levels', [[0], [1], [-1], [-2, -1], None], ids=str)
@pytest.mark.parametrize('case', ['odd', 'mbv2-like'])
def test_sources_that_hardly_vary(case, levels, over, dtype):
    """What their normalisation leaves of them is not rounding, no more than in the equations."""
    features = [f.detach() for f in features_of(*CASES[case], 3, torch.float32)]
    for level in range(len(features)) if levels is None else levels:
        features[level] = constant(features[level], over)
    features = [f.to(dtype) for f in features]
    found, naive, exact = three_ways('FDNHead', case, features, dtype)
    assert relative(found[0], exact[0]) < 2 * relative(naive[0], exact[0]) + 4 * epsilon(dtype)
    for mine, other in zip(found[1:], naive[1:], strict=True):
        assert mine.isfinite().all() or not other.isfinite().all()


@pytest.mark.parametrize('act_encoder', [False, True])
@pytest.mark.parametrize('levels', [[0], [1], [-1], [-2, -1], None], ids=str)
@pytest.mark.parametrize('batch', [2, 3])
@pytest.mark.parametrize('case', ['odd', 'mbv2-like', 'ends-coarse'])
def test_constant_sources_in_float32(case, batch, levels, act_encoder):
    """What is the same everywhere vanishes, as in the equations, and not up to rounding.

    A stage divides what rounding leaves by the root of its epsilon, and so does the next.
    """
    features = [f.detach() for f in features_of(*CASES[case], batch, torch.float32)]
    for level in range(len(features)) if levels is None else levels:
        features[level] = constant(features[level], 'batch')
    settings = dict(act_encoder=act_encoder)
    found, naive, exact = three_ways('FDNHead', case, features, None, **settings)
    for mine, other, true in zip(found, naive, exact, strict=True):
        assert relative(mine, true) < 3 * relative(other, true) + 1e-4


@pytest.mark.parametrize('dtype', [None, *DTYPES])
def test_one_position_an_image(dtype):
    """Of two numbers a normalisation leaves the sign: gradients vanish, and not up to rounding."""
    strides, channels, _ = CASES['odd']
    features = [f.detach() for f in features_of(strides, channels, (2, 2), 2, torch.float32)]
    features = [f.to(dtype or torch.float32) for f in features]
    found, naive, exact = three_ways('FDNHead', 'odd', features, dtype)
    for mine, other, true in zip(found, naive, exact, strict=True):
        rounding = 10 * epsilon(dtype or torch.float32)
        assert relative(mine, true) < 3 * relative(other, true) + rounding


def epsilon(dtype):
    return torch.finfo(dtype).eps


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_anything_else(kind, training, dtype):
    features = [f.detach().to(dtype) for f in features_of(*CASES['odd'], 3, torch.float32)]
    found, naive, exact = three_ways(kind, 'odd', features, dtype, training)
    assert relative(found[0], exact[0]) < 2 * relative(naive[0], exact[0]) < 10 * epsilon(dtype)


@pytest.mark.parametrize('dtype', DTYPES)
def test_evaluation_after_training_on_what_hardly_varies(dtype):
    """The running statistics are those of the positions themselves."""
    features = [f.detach() for f in features_of(*CASES['odd'], 3, torch.float32)]
    features = [constant(f, 'batch').to(dtype) if i < 2 else f for i, f in enumerate(features)]
    head = make_head('FDNHead', 'odd', torch.float32, norm_cfg=dict(type='BN', momentum=1.0))
    double = copy.deepcopy(head).double()
    with torch.autocast('cpu', dtype=dtype), torch.no_grad():
        head.train()(features)
        found = head.eval()(features)
    with torch.no_grad():
        double.train()([f.double() for f in features])
        expected = double.eval()([f.double() for f in features])
    assert relative(found.double(), expected) < 10 * epsilon(dtype)


@pytest.mark.parametrize('what', ['features', 'weights'])
@pytest.mark.parametrize('scale', [1e30, 1e25, 1e18, 1e14])
@pytest.mark.parametrize('alone', ['none', 'some', 'all'])
def test_numbers_whose_squares_float32_cannot_hold(alone, what, scale):
    """Equation 1 does not see scales; its statistics in float32 must not overflow."""
    strides, channels, size = CASES['odd']
    stages = {'D3': ['E3', 'E4'], 'D2': ['E2', 'E3', 'D3'], 'D1': ['E1', 'E2', 'D2']}
    space = dict(strides=list(strides), stages=stages)
    features = [f.detach() for f in features_of(strides, channels, size, 3, torch.float32)]
    head = make_head('FDNHead', 'odd', torch.float32, connectivity=space).train()
    if alone != 'some':
        sources = head.connectivity.sources() if alone == 'all' else ()
        head.sources_alone = lambda features: frozenset(sources)
    with torch.no_grad():
        if what == 'features':
            features = [f * scale for f in features]
        else:
            for weight in head.convs.parameters():
                weight.mul_(scale)
    exact = naive_copy(copy.deepcopy(head).double())
    weights = {stage: raw.detach().double() for stage, raw in head.connections.raw.items()}
    found = outputs(head, features, None)
    expected = outputs(exact, [f.double() for f in features], weights)
    assert relative(found[0], expected[0]) < 1e-4
    assert all(value.isfinite().all() for value in found)
    assert all(p.grad.isfinite().all() for p in head.parameters() if p.grad is not None)
    assert all(buffer.isfinite().all() for buffer in head.buffers())
    assert all(raw.grad.abs().max() > 0 for raw in head.connections.raw.values())


@pytest.mark.parametrize('dtype', DTYPES)
def test_constants_stay_constant_when_resized(dtype):
    torch.manual_seed(0)
    maps = [torch.rand(20, 8, 1, 1).to(dtype).expand(-1, -1, *size) for size in [(5, 7), (9, 13)]]
    maps = [feature.contiguous(memory_format=torch.channels_last) for feature in maps]
    total = upsample_sum(None, maps, torch.empty(20, 1, 37, 53), True)
    assert torch.equal(total, total[:, :, :1, :1].expand_as(total))
