"""The balanced start, and weights that say how they were trained."""

import copy

import pytest
import torch
import torch.nn.functional as F
from reference.heads import CASES, STAGES, features_of, make_head, relative

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.deployment.deployed import deployed_decoder
from mmseg_sparsemask.models.inheritance import inherited_state, pruned_head

CASE = 'mbv2-like'


def features_for(dtype=torch.float64, batch=3):
    scales = (9.0, 0.2, 3.0, 0.01, 1.0, 30.0)
    features = features_of(*CASES[CASE], batch, dtype)
    return [f.detach() * s for f, s in zip(features, scales)]


def start(head, features):
    """One pass in training, without a step."""
    return head.train()(features)


def deviations(head, features):
    """Deviation of what each connection gives, from the equations: mean variance of its outputs."""
    maps = {f'E{i}': f for i, f in enumerate(features, 1)}
    maps['G'] = features[-1].mean((2, 3), keepdim=True)
    given = {}
    for stage, sources in head.stages.items():
        total, size = 0, features[int(stage[1:]) - 1].shape[2:]
        for source in sources:
            active = F.relu6(maps[source]) if source[0] == 'D' or head.act_encoder else maps[source]
            out = F.conv2d(active, head.convs[stage][source])
            given[source, stage] = out.var((0, 2, 3), correction=0).mean().sqrt().item()
            total = total + F.interpolate(out, size=size, mode='bilinear', align_corners=True)
        norm = head.norms[stage]
        maps[stage] = F.batch_norm(total, None, None, norm.weight, norm.bias, True, eps=norm.eps)
    return given


@pytest.mark.parametrize('act_encoder', [False, True])
def test_all_connections_start_alike(act_encoder):
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True, act_encoder=act_encoder)
    features = features_for()
    before = deviations(head, features)
    assert max(before.values()) > 50 * min(before.values())
    assert not head.is_balanced
    logits = start(head, features)
    assert head.is_balanced
    assert deviations(head, features) == pytest.approx(dict.fromkeys(before, 1.0), abs=1e-9)
    # The pass itself was in balance, and the next one divides nothing.
    weights = copy.deepcopy(head.state_dict())
    assert relative(start(head, features), logits) < 1e-12
    assert all(torch.equal(head.state_dict()[k], v) for k, v in weights.items() if 'convs' in k)


def test_evaluation_and_balanced_false_leave_weights_alone():
    for balanced, training in ((True, False), (False, True)):
        head = make_head('SparseMaskHead', CASE, torch.float64, balanced=balanced).train(training)
        before = copy.deepcopy(head.convs.state_dict())
        head(features_for())
        assert all(torch.equal(v, before[k]) for k, v in head.convs.state_dict().items())
        assert bool(head.is_balanced) is not balanced


def test_frozen_connections_stay():
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    head.convs['D1'].requires_grad_(False)
    before = copy.deepcopy(head.convs.state_dict())
    start(head, features_for())
    same = {k for k, v in head.convs.state_dict().items() if torch.equal(v, before[k])}
    assert same == {f'D1.{source}' for source in head.stages['D1']}


def test_dead_and_constant_sources_do_not_blow_up():
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    features = features_for()
    features[0] = torch.zeros_like(features[0])
    features[1] = torch.full_like(features[1], 40.0)
    before = copy.deepcopy(head.convs['D1'])
    assert start(head, features).isfinite().all()
    assert torch.equal(head.convs['D1']['E1'], before['E1'])
    given = F.conv2d(features[1], head.convs['D1']['E2']).square().mean((0, 2, 3)).mean().sqrt()
    assert given.item() == pytest.approx(10)  # a tenth of it would be a deviation of 1


def test_first_batch_of_one_image():
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    features = features_for(batch=1)
    assert start(head, features).isfinite().all()
    vector = F.conv2d(features[-1].mean((2, 3), keepdim=True), head.convs['D6']['G'])
    assert vector.square().mean().sqrt().item() == pytest.approx(10)


def test_mixed_precision_divides_by_the_same():
    head = make_head('SparseMaskHead', CASE, torch.float32, balanced=True)
    half = copy.deepcopy(head)
    features = features_for(torch.float32)
    start(head, features)
    with torch.autocast('cpu', torch.bfloat16):
        start(half, features)
    for name, weight in head.convs.state_dict().items():
        assert relative(half.convs.state_dict()[name], weight) < 0.02, name


def test_compiles_whole():
    head = make_head('SparseMaskHead', CASE, torch.float32, balanced=True)
    compiled = copy.deepcopy(head).train()
    features = features_for(torch.float32)
    expected = [start(head, features), start(head, features)]
    run = torch.compile(compiled, backend='aot_eager', fullgraph=True)
    for logits in expected:
        assert relative(run(features), logits) < 1e-4
    assert compiled.is_balanced


@pytest.mark.parametrize('trained', [False, True])
def test_a_state_tells_whether_it_has_started(trained):
    """Resumed before its first pass it starts as it would have; afterwards it never does."""
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    if trained:
        start(head, features_for())
    resumed = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    resumed.load_state_dict(head.state_dict())
    logits = start(resumed, features_for(batch=2))
    assert torch.equal(logits, start(head, features_for(batch=2)))
    for name, value in head.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def without_marks(head):
    marks = ('is_balanced', 'encoder_activated')
    return {k: v for k, v in head.state_dict().items() if not k.endswith(marks)}


@pytest.mark.parametrize('kind', ['SparseMaskHead', 'FDNHead'])
def test_weights_of_before_mean_what_they_meant(kind):
    """No mark: trained on activated features, and never to be divided."""
    old = make_head(kind, CASE, torch.float64, act_encoder=True).eval()
    options = dict(balanced=True) if kind == 'SparseMaskHead' else {}
    head = make_head(kind, CASE, torch.float64, **options)
    assert not head.act_encoder
    head.load_state_dict(without_marks(old))
    features = features_for()
    with torch.no_grad():
        expected = old(features)
        assert torch.equal(head.eval()(features), expected)
        assert relative(deployed_decoder(head)(features), expected) < 1e-10
    # What is written from then on says so itself.
    assert head.state_dict()['encoder_activated']
    again = make_head(kind, CASE, torch.float64)
    again.load_state_dict(head.state_dict())
    assert again.act_encoder
    weights = copy.deepcopy(head.convs.state_dict())
    start(head, features)
    assert all(torch.equal(v, weights[k]) for k, v in head.convs.state_dict().items())
    asked = make_head(kind, CASE, torch.float64, act_encoder=False)
    with pytest.raises(ValueError, match='set model.decode_head.act_encoder=True'):
        asked.load_state_dict(without_marks(old))


@pytest.mark.parametrize('name', ['conv_seg.bias', 'convs.0.conv.weight'])
def test_weights_of_other_networks_say_nothing(name):
    """Also those of the toolbox's heads, such as FCNHead, which have a part ``convs``, too."""
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    head.load_state_dict({name: head.conv_seg.bias + 1}, strict=False)
    assert not head.act_encoder and not head.is_balanced
    start(head, features_for())
    assert deviations(head, features_for())['E1', 'D1'] == pytest.approx(1)


@pytest.mark.parametrize('act_encoder', [False, True])
def test_inherited_weights_are_not_divided(act_encoder):
    supernet = make_head('FDNHead', CASE, torch.float64, act_encoder=act_encoder).eval()
    connectivity = Connectivity(CASES[CASE][0], STAGES[CASE])
    head = make_head('SparseMaskHead', CASE, torch.float64, balanced=True)
    head.load_state_dict(inherited_state(supernet, connectivity))
    assert head.act_encoder is act_encoder is pruned_head(supernet, connectivity).act_encoder
    assert head.is_balanced
    weights = copy.deepcopy(head.convs.state_dict())
    start(head, features_for())
    assert all(torch.equal(v, weights[k]) for k, v in head.convs.state_dict().items())
