"""What a user hangs on a head, a hook or an own `cls_seg`, works in training and in evaluation."""

import pytest
import torch
from mmseg.registry import MODELS
from reference.heads import CASES, features_of, make_head

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.models.decode_heads.sparsemask_head import SparseMaskHead

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)]
MODES = pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])


def call(head, training, device, gradients=True):
    strides, channels, size = CASES['odd']
    head.to(device).train(training)
    features = [
        f.detach().to(device) for f in features_of(strides, channels, size, 2, torch.float32)
    ]
    with torch.set_grad_enabled(gradients):
        return head(features)


@pytest.fixture(autouse=True)
def _gpu(request):
    if request.node.get_closest_marker('gpu') and not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')


@MODES
@pytest.mark.parametrize('gradients', [True, False])
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_hooks_see_each_step(kind, device, gradients, training):
    head = make_head(kind, 'odd', torch.float32)
    seen = {}
    watched = ['conv_seg', *(f'{part}.D{level}' for part in ('convs', 'norms') for level in (1, 2))]
    for name in watched:
        head.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: output})
        )
    logits = call(head, training, device, gradients)
    assert sorted(seen) == sorted(watched)
    assert torch.equal(seen['conv_seg'], logits)
    for stage in ('D1', 'D2'):
        # What the hook kept is the stage itself, not what its activation made of it.
        assert seen[f'norms.{stage}'].min() < 0
        head.norms[stage].eval()
    if not training:
        expected = head.norms['D1'](seen['convs.D1'])
        torch.testing.assert_close(seen['norms.D1'], expected)
        torch.testing.assert_close(head.conv_seg(head.act(expected)), logits)


@MODES
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', ['conv_seg', 'norms.D1', 'convs.D1', 'convs.D3', 'norms.D3'])
def test_a_hook_changes_the_result(name, device, training):
    plain = call(make_head('SparseMaskHead', 'odd', torch.float32), training, device)
    head = make_head('SparseMaskHead', 'odd', torch.float32)
    head.get_submodule(name).register_forward_hook(lambda module, inputs, output: output * 0)
    assert (call(head, training, device) - plain).abs().max() > 1e-3


@MODES
@pytest.mark.parametrize('gradients', [True, False])
@pytest.mark.parametrize('device', DEVICES)
def test_an_own_classifier(device, gradients, training):
    class Doubled(SparseMaskHead):
        def cls_seg(self, feat):
            return 2 * super().cls_seg(feat)

    head = make_head('SparseMaskHead', 'odd', torch.float32)
    plain = call(head, training, device, gradients)
    head = make_head('SparseMaskHead', 'odd', torch.float32)
    head.__class__ = Doubled
    assert torch.equal(call(head, training, device, gradients), 2 * plain)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    head = make_head('SparseMaskHead', 'odd', torch.float32, dropout_ratio=0.5)
    assert not torch.equal(call(head, True, 'cpu'), call(head, True, 'cpu'))
    assert torch.equal(call(head, False, 'cpu'), call(head, False, 'cpu'))
    assert MODELS.get('SparseMaskHead') is SparseMaskHead
