import pytest
import torch
from mmseg.registry import MODELS

from mmseg_sparsemask.models.losses import L1ConnectivityLoss


def test_by_hand():
    loss = MODELS.build(dict(type='L1ConnectivityLoss', loss_weight=0.5))
    weights = {'D2': torch.tensor([0.0, 1.0]), 'D1': torch.tensor([0.25, 0.5, 0.0, 0.25])}
    assert loss(weights).item() == 0.5 * (0.5 + 0.25)


def test_gradient_also_at_zero():
    w = torch.tensor([0.0, 0.5, 1.0, 0.0], requires_grad=True)
    L1ConnectivityLoss(loss_weight=1.0)({'D1': w}).backward()
    assert w.grad.tolist() == [0.25] * 4


@pytest.mark.parametrize(
    'dtype, result',
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_precision(dtype, result):
    assert L1ConnectivityLoss()({'D1': torch.ones(3, dtype=dtype)}).dtype == result


@pytest.mark.parametrize('weight', [-1.0, float('nan')])
def test_bad_weight(weight):
    with pytest.raises(ValueError, match='loss_weight: expected a number of at least 0'):
        L1ConnectivityLoss(weight)
