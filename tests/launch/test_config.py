import pytest

from mmseg_sparsemask.launch.config import load_config


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
