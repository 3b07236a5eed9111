"""Which normalisations fold, and which stay."""

import pytest
import torch
from torch import nn

from mmseg_sparsemask.deployment.folding import fold_norms


def relative(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def with_statistics(module):
    torch.manual_seed(2)
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, nn.BatchNorm2d):
                child.running_mean.uniform_(-0.5, 0.5)
                child.running_var.uniform_(0.5, 1.5)
    return module


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.shared = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.first, self.second, self.third = (nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, x):
        x = self.first(self.conv(x))
        return self.second(self.shared(x)) + self.third(self.shared(x.relu()))


@torch.no_grad()
def test_what_runs_twice_is_not_folded():
    module = with_statistics(Twice()).double().eval()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    wanted = module(x)
    assert fold_norms(module, x) == 1
    assert relative(module(x), wanted) < 1e-12


class NormAndActivation(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x).relu()


@torch.no_grad()
def test_a_normalisation_that_does_more_is_not_folded():
    module = with_statistics(nn.Sequential(nn.Conv2d(3, 3, 1), NormAndActivation(3))).eval()
    x = torch.randn(2, 3, 5, 5)
    wanted = module(x)
    assert fold_norms(module, x) == 0
    assert torch.equal(module(x), wanted)


@pytest.mark.parametrize('apply_act', [True, False])
@torch.no_grad()
def test_timms_normalisations_leave_their_activation(apply_act):
    layers = pytest.importorskip('timm.layers', reason='timm is not installed (extra pretrained)')
    norm = layers.BatchNormAct2d(4, apply_act=apply_act, act_layer=nn.ReLU6)
    module = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), norm)).double().eval()
    module[0].weight *= 20  # so that ReLU6 cuts on both sides
    seen = []
    module[1].drop.register_forward_hook(lambda drop, inputs, output: seen.append(output.clone()))
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    wanted = module(x)
    assert fold_norms(module, x) == 1
    assert not any(isinstance(child, nn.BatchNorm2d) for child in module.modules())
    assert relative(module(x), wanted) < 1e-12
    assert wanted.max() == 6 if apply_act else wanted.max() > 6
    # What is tapped before the activation still is.
    assert relative(seen[-1], seen[0]) < 1e-12


@torch.no_grad()
def test_a_subclass_of_timms_normalisation_is_not_folded():
    layers = pytest.importorskip('timm.layers', reason='timm is not installed (extra pretrained)')

    class Doubled(layers.BatchNormAct2d):
        def forward(self, x):
            return 2 * super().forward(x)

    module = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), Doubled(4))).eval()
    assert fold_norms(module, torch.randn(1, 3, 8, 8)) == 0
