"""Activations that overwrite their input, against the library's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_sparsemask.models.decode_heads.activations import InPlaceReLU6, in_place

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
