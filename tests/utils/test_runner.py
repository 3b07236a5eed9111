"""What stands on the console before the first iteration, and what in the log file alone."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from reference import tiny

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.utils.runner import build_runner

HEADS = ('System environment:', 'crop_size', 'before_train_iter:', 'paramwise_options --')


@pytest.fixture
def config(tmp_path) -> Config:
    return tiny.load(tiny.write_configs(tmp_path, 2), tmp_path / 'work')


def test_the_console_is_short_and_the_log_file_whole(config, capsys):
    config.optim_wrapper.paramwise_cfg = dict(custom_keys={'connections': dict(lr_mult=2.0)})
    config.crop_size = (32, 32)
    build_runner(config).train()
    console = capsys.readouterr().out
    before, _, _ = console.partition('Iter(train)')
    assert len(before.splitlines()) < 25
    assert not any(head in console for head in HEADS)
    (line,) = [line for line in console.splitlines() if 'order of hooks: ' in line]
    log = Path(line.rpartition(': ')[2]).read_text()
    assert all(head in log for head in HEADS)
    # The rest is on both: iterations, the hook's table.
    assert 'Iter(val)' in console and 'Iter(val)' in log
    assert 'connections' in console


def test_a_runner_of_the_users_own(config):
    @RUNNERS.register_module()
    class OwnRunner(Runner):
        pass

    config.runner_type = 'OwnRunner'
    try:
        assert type(build_runner(config)) is OwnRunner
    finally:
        RUNNERS.module_dict.pop('OwnRunner')
