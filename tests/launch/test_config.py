import pytest
from mmengine.config import Config
from mmengine.hooks import DistSamplerSeedHook

from mmseg_sparsemask.launch.config import draw_by_iteration, load_config


def test_load_config_follows_the_toolbox(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text("a = dict(b=1)\nc = 'x'\n")
    cfg = load_config(str(path))
    assert (cfg.work_dir, cfg.launcher) == ('./work_dirs/small', 'none')
    cfg = load_config(str(path), cfg_options={'a.b': 2, 'work_dir': 'w'}, launcher='slurm')
    assert (cfg.a.b, cfg.c, cfg.work_dir, cfg.launcher) == (2, 'x', 'w', 'slurm')
    assert load_config(str(path), 'v', {'work_dir': 'w'}).work_dir == 'v'


def test_a_config_that_is_no_python(tmp_path):
    (tmp_path / 'x.py').write_text('a = [1, 2\n')
    with pytest.raises(ValueError, match=r'x\.py: .* never closed, line 1: a = \[1, 2$'):
        load_config(str(tmp_path / 'x.py'))


@pytest.mark.parametrize(
    'key, reason',
    [
        ('hooks.9.interval', 'Index 9 exceeds'),
        ('hooks.first.interval', 'must be integers'),
        ('c.x', "of type <class 'str'>"),
    ],
)
def test_options_that_lead_nowhere_are_named(tmp_path, key, reason):
    path = tmp_path / 'small.py'
    path.write_text("hooks = [dict(interval=1)]\nc = 'x'\n")
    with pytest.raises(ValueError, match=f'^--cfg-options {key}: expected .*{reason}'):
        load_config(str(path), cfg_options={key: 2})


def test_random_numbers_belong_to_iterations():
    cfg = Config(dict(default_hooks=dict(sampler_seed=dict(type='DistSamplerSeedHook'))))
    draw_by_iteration(cfg)
    assert cfg.default_hooks.sampler_seed.type == 'SeedHook'
    own = Config(dict(default_hooks=dict(sampler_seed=dict(type='Mine'))))
    draw_by_iteration(own)
    assert own.default_hooks.sampler_seed.type == 'Mine'
    pure_python = Config(dict(default_hooks=dict(sampler_seed=dict(type=DistSamplerSeedHook))))
    draw_by_iteration(pure_python)
    assert pure_python.default_hooks.sampler_seed.type == 'SeedHook'
    none = Config({})
    draw_by_iteration(none)
    assert none.default_hooks.sampler_seed.type == 'SeedHook'
