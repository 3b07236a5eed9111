"""Activations that overwrite their input, against the library's; all registered ones in heads."""

import inspect
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from reference.heads import CASES, features_of, make_head, relative
from reference.naive import naive_copy
from torch import nn

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.deployment.deployed import deployed_decoder
from mmseg_sparsemask.models.decode_heads.activations import InPlaceReLU6, in_place
from mmseg_sparsemask.models.inheritance import pruned_head

# Below, on and above both bounds.
VALUES = torch.tensor([-2.0, -0.0, 0.0, 1e-7, 3.0, 6.0, 6.0 + 1e-6, 9.0, float('inf')])


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_relu6(dtype):
    leaf = VALUES.to(dtype).requires_grad_()
    seed = torch.arange(1.0, 10).to(dtype)
    want = F.relu6(leaf)
    (grad,) = torch.autograd.grad(want, leaf, seed)
    mine = leaf * 1
    got = InPlaceReLU6()(mine)
    assert got is mine and torch.equal(got, want)
    assert torch.equal(torch.autograd.grad(got, leaf, seed)[0], grad)


def test_keeps_its_output_and_nothing_else():
    kept = []
    x = torch.randn(4, 3, requires_grad=True) * 1
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = InPlaceReLU6()(x)
    assert [t.data_ptr() for t in kept] == [y.data_ptr()]


@pytest.mark.parametrize(
    'act_cfg', [dict(type='Mish'), dict(type=None), 'ReLU', dict(type='ELU', slope=2)]
)
@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_what_is_no_activation_is_one_line(kind, act_cfg):
    with pytest.raises(ValueError, match='act_cfg: expected a registered activation.*ReLU6.*got'):
        make_head(kind, 'odd', torch.float32, act_cfg=act_cfg)


@pytest.mark.parametrize('norm', ['LN', 'BN1d', 'BN3d', 'LN2d', 'None', dict(num_groups=3)])
def test_a_norm_of_something_else_is_one_line(norm):
    norm_cfg = dict(type=norm) if isinstance(norm, str) else dict(type='GN', **norm)
    with pytest.raises(ValueError, match='norm_cfg: expected a normalisation of maps.*BN.*got'):
        make_head('SparseMaskHead', 'odd', torch.float32, norm_cfg=norm_cfg)


def test_without_gradients():
    x = VALUES.clone()
    with torch.no_grad():
        assert InPlaceReLU6()(x) is x
    assert torch.equal(x, F.relu6(VALUES))


def test_in_place_of_each_kind():
    assert isinstance(in_place(nn.ReLU6()), InPlaceReLU6)
    relu = nn.ReLU()
    assert in_place(relu).inplace and not relu.inplace
    assert isinstance(in_place(nn.GELU()), nn.GELU)


class _Slope(nn.Module):
    """One with a parameter and no argument `inplace`."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        return torch.where(x > 0, x, x * self.slope)


def kinds():
    """Every registered activation, the toolbox's own and this file's."""
    MODELS.register_module(name='_Slope', module=_Slope, force=True)
    found = [
        name
        for name, kind in MODELS.parent.module_dict.items()
        if inspect.isclass(kind)
        and (kind.__module__ == 'torch.nn.modules.activation' or kind.__name__ in OWN)
    ]
    assert {'ReLU6', 'GELU', 'PReLU', 'SiLU', 'Tanh', *OWN} <= set(found)
    return [*found, 'mmpretrain.QuickGELU', '_Slope']


OWN = ('Clamp', 'HSigmoid', 'Swish')


@pytest.mark.parametrize('act', kinds())
@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_any_activation_in_a_head(monkeypatch, kind, act):
    """The equations with that activation; what is deployed and what is inherited."""
    head = make_head(kind, 'odd', torch.float64, act_cfg=dict(type=act, inplace=True))
    for parameter in head.act.parameters():
        nn.init.constant_(parameter, 0.7)
    head.train(act != 'RReLU')  # which draws in training
    features = features_of(*CASES['odd'], 2, torch.float64)
    naive = naive_copy(head)
    equations = SimpleNamespace(relu6=head.act, interpolate=F.interpolate)
    monkeypatch.setattr('reference.naive.F', equations)
    weights = dict(head.connections.raw.items()) if kind == 'FDNHead' else None
    outputs = []
    for logits in (head(features), naive(features, weights)):
        inputs = [*features, *head.act.parameters()]
        grads = torch.autograd.grad(logits.square().sum(), inputs, materialize_grads=True)
        outputs.append([logits, *grads])
    assert all(relative(mine, other) < 1e-10 for mine, other in zip(*outputs, strict=True))
    # Each parameter stands once in a checkpoint.
    pointers = [value.data_ptr() for value in head.state_dict().values()]
    assert len(set(pointers)) == len(pointers)
    forms = [deployed_decoder(head)]
    if kind == 'FDNHead':
        forms.append(pruned_head(head, head.connectivity))
    with torch.no_grad():
        expected = head.eval()(features)
        assert all(relative(form(features), expected) < 1e-10 for form in forms)


@pytest.mark.parametrize('act', kinds())
def test_a_dropped_stage_is_the_constant_of_its_activation(act):
    head = make_head('FDNHead', 'odd', torch.float32, act_cfg=dict(type=act)).eval()
    with torch.no_grad():
        head.connections.raw['D4'].zero_()
    stages = {stage: list(sources) for stage, sources in head.connectivity.stages.items()}
    del stages['D4']
    less = {stage: [s for s in sources if s != 'D4'] for stage, sources in stages.items()}
    features = features_of(*CASES['odd'], 2, torch.float32)
    with torch.no_grad():
        pruned = pruned_head(head, Connectivity(head.connectivity.strides, less))
        assert relative(pruned(features), head(features)) < 1e-5


@pytest.mark.parametrize('act', kinds())
def test_any_activation_in_a_cell(act):
    config = dict(type='DPCHead', in_channels=6, channels=8, num_classes=3, in_index=0)
    head = MODELS.build({**config, 'act_cfg': dict(type=act)})
    cls = MODELS.get(act)
    acts = [module for module in head.modules() if type(module) is cls]
    assert len(acts) > 5
    head.init_weights()
    head.eval()
    feature = torch.randn(2, 6, 9, 9)
    logits = head([feature])
    logits.square().sum().backward()
    for module in acts:
        if hasattr(module, 'inplace'):
            module.inplace = False
    assert torch.equal(head([feature]), logits)
