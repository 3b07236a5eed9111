import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from mmseg_sparsemask.engine.amp import CPUAmpOptimWrapper


def wrapper(model, **kwargs):
    init_default_scope('mmseg')
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return OPTIM_WRAPPERS.build(dict(type='CPUAmpOptimWrapper', optimizer=optimizer, **kwargs))


def test_forward_in_bfloat16_parameters_in_float32():
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    optim = wrapper(model)
    assert isinstance(optim, CPUAmpOptimWrapper)
    x = torch.randn(5, 8)
    with optim.optim_context(model):
        out = model(x)
    assert out.dtype == torch.bfloat16
    assert model(x).dtype == torch.float32
    before = model.weight.detach().clone()
    optim.update_params(out.float().square().mean())
    assert model.weight.dtype == torch.float32
    # By hand: the gradient of the same bfloat16 product, times the learning rate.
    error = out.detach().float() * 2 / out.numel()
    expected = before - 0.1 * error.T @ x
    assert torch.allclose(model.weight, expected, atol=2e-3)


def test_gradients_accumulate_as_in_the_toolbox():
    model = nn.Linear(2, 1)
    optim = wrapper(model, accumulative_counts=2)
    optim.initialize_count_status(model, 0, 4)
    before = model.weight.detach().clone()
    changed = []
    for _ in range(4):
        with optim.optim_context(model):
            value = model(torch.ones(3, 2)).float().square().mean() + model.bias.sum()
        optim.update_params(value)
        changed.append(not torch.equal(before, model.weight))
        before = model.weight.detach().clone()
    assert changed == [False, True, False, True]


def test_state_goes_into_a_checkpoint_and_back():
    model = nn.Linear(2, 1)
    state = wrapper(model).state_dict()
    other = wrapper(model)
    other.load_state_dict(state)
    assert other.optimizer.param_groups[0]['lr'] == pytest.approx(0.1)
