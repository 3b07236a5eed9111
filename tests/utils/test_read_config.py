"""Options of the command line count like a config's own lines."""

import sys

from mmengine.config import Config
from mmengine.hooks import DistSamplerSeedHook

from mmseg_sparsemask.utils.read_config import draw_by_iteration, read_config


def test_modules_that_options_name_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'own_parts_of_a_user.py').write_text('')
    (tmp_path / 'config.py').write_text('model = dict()\n')
    monkeypatch.syspath_prepend(tmp_path)
    read_config(tmp_path / 'config.py', {'custom_imports.imports': ['own_parts_of_a_user']})
    assert sys.modules.pop('own_parts_of_a_user')


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
