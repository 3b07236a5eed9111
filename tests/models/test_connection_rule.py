"""The contract of a rule for connection weights, and one written by a user in two methods."""

import math

import pytest
import torch
from mmseg.registry import MODELS
from reference.heads import CASES, features_of

from mmseg_sparsemask.connectivity import preset
from mmseg_sparsemask.models.connections import (
    ConnectionRule,
    RelaxedConnections,
    TopKConnections,
)

CONNECTIVITY = preset('fdn', (2, 4, 8))
RULES = {
    'relaxed': lambda: RelaxedConnections(CONNECTIVITY),
    'top-k': lambda: TopKConnections(CONNECTIVITY, k=2),
}


class Halves(ConnectionRule):
    def __init__(self, connectivity):
        super().__init__(connectivity, start=0.5)

    def weights_in_pass(self, noise):
        return self.weights() if noise is None else dict(self.raw.items())

    def weights(self):
        return {stage: raw.round() for stage, raw in self.raw.items()}


@pytest.mark.parametrize('name', RULES)
def test_each_training_pass_counts_and_projects(name):
    rule = RULES[name]()
    with torch.no_grad():
        rule.raw['D1'][0] = 7.0
        rule.raw['D1'][1] = -7.0
    rule.eval()()
    assert rule.step == 0 and rule.raw['D1'][0] == 7.0
    rule.train()()
    assert rule.step == 1
    assert rule.raw['D1'][:2].tolist() == [rule.max_weight, 0.0]


@pytest.mark.parametrize('value', [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize('name', RULES)
@pytest.mark.parametrize('training', [True, False])
def test_what_is_not_finite_stays_visible(name, value, training):
    rule = RULES[name]().train(training)
    with torch.no_grad():
        rule.raw['D2'][1] = value
    rule()
    weights = rule.weights()
    assert weights['D2'][1].isnan()
    assert all(w.isfinite().all() for stage, w in weights.items() if stage != 'D2')


def test_a_rule_of_ones_own():
    if 'Halves' not in MODELS:
        MODELS.register_module(module=Halves)
    strides, channels, size = CASES['odd']
    head = MODELS.build(
        dict(
            type='FDNHead',
            in_channels=channels,
            in_index=list(range(4)),
            strides=strides,
            num_classes=3,
            channels=8,
            connections=dict(type='Halves'),
        )
    )
    head.train()(features_of(strides, channels, size, 2, torch.float32)).sum().backward()
    assert head.connections.step == 1
    assert set(head.connection_weights().values()) == {0.0}


def test_two_methods_are_needed():
    rule = ConnectionRule(CONNECTIVITY, start=0.5)
    with pytest.raises(NotImplementedError):
        rule()
    with pytest.raises(NotImplementedError):
        rule.weights()
