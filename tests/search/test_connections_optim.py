"""Connection weights learn at a rate of their own."""

import pytest
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmseg_sparsemask.connectivity import resolve
from mmseg_sparsemask.models.connections import RelaxedConnections
from mmseg_sparsemask.search import ConnectionsOptimWrapperConstructor


class Net(nn.Module):
    """Parameters named as in a segmentor with a supernet."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.decode_head = nn.Module()
        self.decode_head.connections = RelaxedConnections(resolve('fdn', [2, 4]))
        self.decode_head.connection_norms = nn.Linear(2, 2)


class Cascade(Net):
    """The supernet is one of several heads."""

    def __init__(self):
        super().__init__()
        self.decode_head = nn.ModuleList([self.decode_head, nn.Linear(2, 2)])


def groups(lr, net=Net, **paramwise):
    net = net()
    config = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=lr, weight_decay=0.01))
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='ConnectionsOptimWrapperConstructor',
            optim_wrapper_cfg=config,
            paramwise_cfg=paramwise,
        )
    )
    wrapper = constructor(net)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        names[id(parameter)]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize('lr', [0.003, 0.02, 1.0])
@pytest.mark.parametrize(
    ('net', 'where'), [(Net, 'decode_head.connections.'), (Cascade, 'decode_head.0.connections.')]
)
def test_rate_of_connections_does_not_hang_on_the_networks(lr, net, where):
    found = groups(lr, net, connections_lr=0.024)
    assert any(name.startswith(where) for name in found)
    for name, (rate, decay) in found.items():
        own = name.startswith(where)
        assert rate == pytest.approx(0.024 if own else lr), name
        assert decay == (0.0 if own else 0.01), name


def test_other_settings_stay():
    given = dict(backbone=dict(lr_mult=0.1))
    found = groups(0.02, connections_lr=0.5, custom_keys=given)
    assert found['backbone.weight'][0] == pytest.approx(0.002)
    assert found['decode_head.connections.raw.D1'] == (pytest.approx(0.5), 0.0)
    assert given == dict(backbone=dict(lr_mult=0.1))


@pytest.mark.parametrize(
    ('optimizer', 'paramwise', 'words'),
    [
        (dict(lr=0.1), {}, 'expected connections_lr, a positive .* got None'),
        (dict(lr=0.1), dict(connections_lr=0), 'expected connections_lr, a positive .* got 0'),
        (dict(lr=0.1), dict(connections_lr='1'), "expected connections_lr, .* got '1'"),
        ({}, dict(connections_lr=0.1), 'expected a learning rate lr, got None'),
    ],
)
def test_bad_settings(optimizer, paramwise, words):
    with pytest.raises(ValueError, match=words):
        ConnectionsOptimWrapperConstructor(dict(optimizer=optimizer), paramwise)
