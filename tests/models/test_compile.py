"""The heads under torch.compile: one graph, the same numbers; the switch of the toolbox."""

import copy

import pytest
import torch
from mmengine.runner import Runner
from mmseg.registry import MODELS
from reference.tiny import load, write_configs
from torch import nn

import mmseg_sparsemask  # noqa: F401

STRIDES = [2, 4, 4]
CHANNELS = [5, 4, 300]  # the last one has more channels than positions
BACKENDS = ['eager', 'aot_eager']

CONNECTIONS = {
    'RelaxedConnections': dict(type='RelaxedConnections'),
    'TopKConnections': dict(type='TopKConnections', k=2),
}


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def make_head(kind, **more):
    config = dict(
        type=kind,
        in_channels=CHANNELS,
        in_index=[0, 1, 2],
        channels=8,
        num_classes=3,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    if kind == 'FDNHead':
        config.update(strides=STRIDES, loss_connectivity=dict(type='SparseConnectivityLoss'))
    else:
        stages = {'D3': ['E3', 'G'], 'D2': ['E2', 'D3'], 'D1': ['E1', 'E3', 'D2', 'D3', 'G']}
        # A balanced start is a graph of its own: see test_balanced_start.py.
        config.update(connectivity=dict(strides=STRIDES, stages=stages), balanced=False)
    torch.manual_seed(0)
    return MODELS.build({**config, **more}).double()


def features(seed=0, size=(17, 21), batch=2):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, c, -(-size[0] // s), -(-size[1] // s), generator=generator)
        .double()
        .requires_grad_()
        for s, c in zip(STRIDES, CHANNELS)
    ]


def assert_equal(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            # Gradients that vanish by symmetry leave rounding only.
            scale = other.abs().max().clamp_min(1e-3) if other.numel() else 1.0
            assert ((mine - other).abs().max() / scale).item() < 1e-10


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize(
    'kind, more',
    [
        ('SparseMaskHead', {}),
        ('FDNHead', dict(connections=CONNECTIONS['RelaxedConnections'])),
        ('FDNHead', dict(connections=CONNECTIONS['TopKConnections'])),
    ],
    ids=['SparseMaskHead', 'FDNHead', 'FDNHead-TopK'],
)
def test_training_is_one_graph(kind, more, backend):
    """Two steps: values, gradients, statistics, the step of the noise; compiled just once."""
    head = make_head(kind, **more).train()
    twin = copy.deepcopy(head)
    compiled = torch.compile(twin, backend=backend, fullgraph=True)
    for step in range(2):
        inputs, copies = features(step), features(step)
        with torch._dynamo.config.patch(error_on_recompile=step > 0):
            theirs = compiled(copies)
        ours = head(inputs)
        assert_equal([theirs], [ours])
        for logits in (ours, theirs):
            logits.square().sum().backward()
        assert_equal([f.grad for f in copies], [f.grad for f in inputs])
        assert_equal([p.grad for p in twin.parameters()], [p.grad for p in head.parameters()])
        assert_equal([b.double() for b in twin.buffers()], [b.double() for b in head.buffers()])


class Inside(nn.Module):
    """A head behind something that changes a dictionary, as the taps of a backbone do."""

    def __init__(self, head):
        super().__init__()
        self.head = head
        self.taps = {}

    def forward(self, features):
        self.taps['last'] = features[-1]
        return self.head(list(features[:-1]) + [self.taps['last']])


@pytest.mark.parametrize('kind', ['SparseMaskHead', 'FDNHead'])
def test_stays_one_graph_inside_a_model(kind):
    head = make_head(kind).train()
    compiled = torch.compile(Inside(copy.deepcopy(head)), backend='eager', fullgraph=True)
    assert_equal([compiled(features())], [head(features())])


@pytest.mark.parametrize('grad', [True, False], ids=['grad', 'no_grad'])
@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('kind', ['SparseMaskHead', 'FDNHead'])
def test_evaluation_is_one_graph(kind, backend, grad):
    head = make_head(kind).eval()
    compiled = torch.compile(copy.deepcopy(head), backend=backend, fullgraph=True)
    with torch.set_grad_enabled(grad):
        assert_equal([compiled(features(batch=1))], [head(features(batch=1))])


@pytest.mark.slow
def test_the_switch_of_the_toolbox(tmp_path):
    """``cfg.compile`` compiles the training step of a search; it learns as without."""
    search = write_configs(tmp_path, iterations=2)
    states = {}
    for name, switch in (('plain', {}), ('compiled', dict(compile=dict(backend='aot_eager')))):
        options = {'custom_hooks': [], 'val_cfg': None, 'val_dataloader': None}
        cfg = load(search, tmp_path / name, **options, val_evaluator=None, **switch)
        runner = Runner.from_cfg(cfg)
        runner.train()
        states[name] = runner.model.state_dict()
    for key, value in states['plain'].items():
        torch.testing.assert_close(states['compiled'][key], value, rtol=1e-3, atol=1e-4, msg=key)
