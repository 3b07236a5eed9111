"""Mixed precision: the wrapper, the option, and searches whose sparse loss stays in float32."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS, OPTIM_WRAPPERS
from reference import tiny
from torch import nn

from mmseg_sparsemask.launch import amp
from mmseg_sparsemask.search.supernet import find_supernet
from mmseg_sparsemask.utils.registered import type_name


def search(tmp_path, monkeypatch, device, iterations):
    """A search under ``--amp``; what the losses and the logits were made of."""
    monkeypatch.setattr(amp, 'get_device', lambda: device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cfg = tiny.load(tiny.write_configs(tmp_path, iterations), tmp_path / 'w')
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    # Weak: what is left after twenty iterations has to reach D1.
    cfg.model.decode_head.loss_connectivity.loss_weight = 0.1
    amp.enable_amp(cfg)
    runner = Runner.from_cfg(cfg)
    head = find_supernet(runner.model)
    before = {name: p.detach().clone() for name, p in head.named_parameters()}
    losses, logits, inside = [], [], []
    head.loss_connectivity.register_forward_hook(lambda m, i, out: losses.append(out))
    head.loss_connectivity.register_forward_pre_hook(
        lambda m, i: inside.append(torch.is_autocast_enabled(device))
    )
    # At the end the supernet is compared with the pruned decoder, in full precision.
    head.register_forward_hook(lambda m, i, out: logits.append(out) if m.training else None)
    runner.train()
    torch.set_num_threads(threads)
    return runner, head, before, losses, logits, inside


def check(head, before, losses, inside, iterations):
    assert len(losses) == iterations and inside == [False] * iterations
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses)
    assert all(0 <= weight <= 1 for weight in head.connection_weights().values())
    for name, parameter in head.named_parameters():
        assert parameter.dtype == torch.float32 and torch.isfinite(parameter).all(), name
        assert not torch.equal(parameter, before[name]), name
    for buffer in head.buffers():
        assert torch.isfinite(buffer).all()


def test_cpu(tmp_path, monkeypatch):
    runner, head, before, losses, logits, inside = search(tmp_path, monkeypatch, 'cpu', 3)
    assert type(runner.optim_wrapper).__name__ == 'CPUAmpOptimWrapper'
    assert all(x.dtype == torch.bfloat16 and torch.isfinite(x).all() for x in logits)
    check(head, before, losses, inside, 3)
    assert (tmp_path / 'w/connectivity.json').exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_gpu(tmp_path, monkeypatch):
    # The first steps are skipped while the loss scale comes down to what float16 holds.
    runner, head, before, losses, logits, inside = search(tmp_path, monkeypatch, 'cuda', 20)
    assert type(runner.optim_wrapper).__name__ == 'AmpOptimWrapper'
    assert all(x.dtype == torch.float16 and x.is_cuda for x in logits)
    check(head, before, losses, inside, 20)
    assert (tmp_path / 'w/connectivity.json').exists()


@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
def test_a_step_in_bfloat16_is_near_one_in_float32(kind):
    """Losses agree to bfloat16's few digits, gradients point the same way."""
    torch.manual_seed(0)
    strides, channels = [2, 4, 8, 16], (6, 8, 10, 40)
    config = dict(
        type=kind,
        in_channels=channels,
        in_index=[0, 1, 2, 3],
        strides=strides,
        channels=8,
        num_classes=4,
    )
    if kind == 'SparseMaskHead':
        config['connectivity'] = 'unet'
    head = MODELS.build(config)
    features = [torch.randn(4, c, 64 // s, 48 // s) for c, s in zip(channels, strides)]
    target = torch.randint(4, (4, 32, 24))
    seen = []
    for enabled in (False, True):
        head.zero_grad()
        if kind == 'FDNHead':
            head.connections.step.zero_()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=enabled):
            logits = head(features)
        assert logits.dtype == (torch.bfloat16 if enabled else torch.float32)
        loss = torch.nn.functional.cross_entropy(logits.float(), target)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in head.parameters()])
        seen.append((loss.item(), gradient))
    (exact, one), (rough, two) = seen
    assert rough == pytest.approx(exact, rel=2e-2)
    assert torch.nn.functional.cosine_similarity(one, two, dim=0) > 0.98


def wrapper(model, **kwargs):
    init_default_scope('mmseg')
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return OPTIM_WRAPPERS.build(dict(type='CPUAmpOptimWrapper', optimizer=optimizer, **kwargs))


def test_forward_in_bfloat16_parameters_in_float32():
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    optim = wrapper(model)
    assert isinstance(optim, amp.CPUAmpOptimWrapper)
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


def config(**kwargs):
    return Config(dict(launcher='none', model=dict(type='EncoderDecoder'), **kwargs))


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(amp, 'get_device', lambda: 'cpu')


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(amp, 'get_device', lambda: 'cuda')


def test_amp_takes_the_device_into_account(on_cpu):
    cfg = config(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1)))
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'CPUAmpOptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'CPUAmpOptimWrapper'


def test_amp_on_a_gpu_is_the_toolboxs(on_gpu):
    cfg = config(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)))
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_amp_takes_the_classes_of_pure_python_configs(on_cpu):
    for kind in (OptimWrapper, AmpOptimWrapper, amp.CPUAmpOptimWrapper):
        cfg = config(optim_wrapper=dict(type=kind, optimizer=dict(type='SGD', lr=1)))
        amp.enable_amp(cfg)
        assert type_name(cfg.optim_wrapper) == 'CPUAmpOptimWrapper'


def test_amp_config_made_on_a_gpu_runs_on_a_cpu(on_cpu):
    cfg = config(optim_wrapper=dict(type='AmpOptimWrapper', loss_scale=512.0, dtype='float16'))
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper == dict(type='CPUAmpOptimWrapper')


def test_amp_refuses_other_wrappers(on_cpu):
    cfg = config(optim_wrapper=dict(type='OptimWrapperDict'))
    with pytest.raises(ValueError, match='the config has OptimWrapperDict; leave out --amp'):
        amp.enable_amp(cfg)
