from mmengine.config import Config

from mmseg_sparsemask.launch.config import draw_by_iteration, load_config


def test_load_config_follows_the_toolbox(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text("a = dict(b=1)\nc = 'x'\n")
    cfg = load_config(str(path))
    assert (cfg.work_dir, cfg.launcher) == ('./work_dirs/small', 'none')
    cfg = load_config(str(path), cfg_options={'a.b': 2, 'work_dir': 'w'}, launcher='slurm')
    assert (cfg.a.b, cfg.c, cfg.work_dir, cfg.launcher) == (2, 'x', 'w', 'slurm')
    assert load_config(str(path), 'v', {'work_dir': 'w'}).work_dir == 'v'


def test_random_numbers_belong_to_iterations():
    cfg = Config(dict(default_hooks=dict(sampler_seed=dict(type='DistSamplerSeedHook'))))
    draw_by_iteration(cfg)
    assert cfg.default_hooks.sampler_seed.type == 'SeedHook'
    own = Config(dict(default_hooks=dict(sampler_seed=dict(type='Mine'))))
    draw_by_iteration(own)
    assert own.default_hooks.sampler_seed.type == 'Mine'
    none = Config({})
    draw_by_iteration(none)
    assert none.default_hooks.sampler_seed.type == 'SeedHook'
