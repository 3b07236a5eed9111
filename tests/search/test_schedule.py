"""A schedule at a part of its length: what the toolbox's own schedulers make of it."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import PolyLR
from mmengine.registry import PARAM_SCHEDULERS

from mmseg_sparsemask.search.schedule import shortened


def config(*schedules, **train):
    return Config(
        dict(
            train_cfg=dict(dict(max_iters=1000), **train),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            param_scheduler=[dict(dict(by_epoch=False), **one) for one in schedules],
        )
    )


def rates(cfg):
    """Learning rates of a run."""
    optimizer = torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], cfg.optim_wrapper.optimizer.lr
    )
    made = [
        PARAM_SCHEDULERS.build(dict(one), default_args=dict(optimizer=optimizer))
        for one in cfg.param_scheduler
    ]
    seen = []
    for _ in range(cfg.train_cfg.max_iters):
        seen.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in made:
            scheduler.step()
    return seen


WARMUP = dict(type='LinearLR', start_factor=0.1, begin=0, end=100)


@pytest.mark.parametrize(
    'schedules',
    [
        [WARMUP, dict(type='PolyLR', power=0.9, eta_min=1e-3, begin=100, end=1000)],
        [dict(type='OneCycleLR', eta_max=0.01, total_steps=1000)],
        [
            dict(
                type='mmengine.CosineRestartLR',
                periods=[400, 600],
                restart_weights=[1, 0.5],
                eta_min=1e-3,
            )
        ],
        [dict(type='CosineAnnealingLR', T_max=1000, eta_min=0.005, end=1000)],
        [dict(type='CosineAnnealingParamScheduler', param_name='lr', T_max=1000, eta_min=0.005)],
        [dict(type='CosineAnnealingLR', T_max=1000, eta_min_ratio=0.5)],
        [dict(type='MultiStepLR', milestones=[300, 601], gamma=0.1)],
        [dict(type='StepLR', step_size=300, gamma=0.1)],
        [dict(type='ExponentialLR', gamma=0.997)],
        [dict(type='ConstantLR', factor=0.2, end=400)],
        [dict(type=PolyLR, power=1.0, end=1000)],
    ],
    ids=lambda schedules: str(getattr(schedules[-1]['type'], '__name__', schedules[-1]['type'])),
)
def test_half_as_long_and_a_third_as_high(schedules):
    """Every second learning rate, at 0.3 of it, but for what happens within two iterations."""
    cfg = config(*schedules)
    before = torch.tensor(rates(cfg))[::2]
    cfg.merge_from_dict(shortened(cfg, 0.5, 0.3))
    after = torch.tensor(rates(cfg))
    assert len(after) == 500
    apart = (after - 0.3 * before).abs() > 0.02 * 0.3 * before.max()
    assert apart.sum() <= 4 and after.max() <= 0.3 * before.max() * 1.001


@pytest.mark.parametrize('begin', [0, 1, 2])
@pytest.mark.parametrize('periods', [[5, 5, 5], [1, 1, 1], [7, 6], [9, 1, 3], [14, 15]], ids=str)
def test_no_schedule_ends_before_the_training(periods, begin):
    once = dict(type='OneCycleLR', eta_max=0.01, total_steps=sum(periods), begin=begin)
    again = dict(
        type='CosineRestartLR', periods=periods, restart_weights=[1] * len(periods), begin=begin
    )
    for schedule in (once, dict(again, eta_min=0.0)):
        cfg = config(schedule, max_iters=sum(periods) + begin)
        cfg.merge_from_dict(shortened(cfg, 0.5, 0.3))
        assert len(rates(cfg)) == cfg.train_cfg.max_iters


@pytest.mark.parametrize('kind', ['LinearLR', 'ConstantLR'])
@pytest.mark.parametrize('begin', [0, 1, 4])
@pytest.mark.parametrize('length', [2, 3, 4])
def test_a_short_warm_up_ends(length, begin, kind):
    factor = 'start_factor' if kind == 'LinearLR' else 'factor'
    warmup = {'type': kind, factor: 0.1, 'begin': begin, 'end': begin + length}
    cfg = config(warmup, max_iters=20)
    assert rates(cfg)[-1] == pytest.approx(0.01)
    cfg.merge_from_dict(shortened(cfg, 0.5, 0.3))
    assert min(rates(cfg)) == pytest.approx(0.0003)
    assert rates(cfg)[-1] == pytest.approx(0.003)


def test_momentum_keeps_its_bounds():
    found = shortened(config(dict(type='CosineAnnealingMomentum', T_max=9, eta_min=0.8)), 0.5, 0.3)
    assert found['param_scheduler'][0] == dict(
        type='CosineAnnealingMomentum', T_max=4, eta_min=0.8, by_epoch=False
    )


def test_when_it_is_validated_and_by_epochs():
    cfg = config(dict(type='ReduceOnPlateauLR', patience=4, cooldown=2, min_value=1e-3))
    cfg.train_cfg = dict(
        by_epoch=True, max_epochs=10, val_interval=8, val_begin=8, dynamic_intervals=[(6, 1)]
    )
    found = shortened(cfg, 0.5, 0.3)
    assert found['train_cfg'] == dict(
        max_epochs=5, val_interval=5, val_begin=4, dynamic_intervals=[(3, 1)]
    )
    (schedule,) = found['param_scheduler']
    assert (schedule['patience'], schedule['cooldown']) == (2, 1)
    assert schedule['min_value'] == pytest.approx(3e-4)


def test_nothing_is_shorter_than_an_iteration():
    cfg = config(dict(WARMUP, end=1), dict(type='PolyLR', begin=1, end=2), max_iters=2)
    cfg.merge_from_dict(shortened(cfg, 0.5, 0.3))
    assert len(rates(cfg)) == 1


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'train_cfg': None}, 'expected train_cfg with max_iters or max_epochs'),
        ({'optim_wrapper': None}, 'an optimizer with lr'),
        (
            {'optim_wrapper.optimizer': dict(_delete_=True, type='LBFGS')},
            "optimizer {'type': 'LBFGS'}",
        ),
        ({'param_scheduler': [dict(type='MyLR', half_life=3)]}, 'got MyLR, which cannot be short'),
    ],
)
def test_what_cannot_be_shortened(change, words):
    cfg = config()
    cfg.merge_from_dict(change)
    with pytest.raises(ValueError, match=f'{words}.*finetune_config'):
        shortened(cfg, 0.5, 0.5)
