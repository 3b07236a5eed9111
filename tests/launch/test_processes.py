import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from reference.tiny import free_port

from mmseg_sparsemask.launch import processes

ROOT = Path(__file__).parents[2]


def config(**kwargs):
    return Config(dict(launcher='none', model=dict(type='EncoderDecoder'), **kwargs))


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(processes, 'get_device', lambda: 'cpu')


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(processes, 'get_device', lambda: 'cuda')


def test_no_launcher_changes_nothing(on_cpu):
    cfg = config()
    before = cfg.to_dict()
    with processes.process_group(cfg):
        assert cfg.to_dict() == before


def test_gpus_are_left_to_the_runner(on_gpu):
    cfg = config(norm_cfg=dict(type='SyncBN'))
    cfg.launcher = 'pytorch'
    before = cfg.to_dict()
    with processes.process_group(cfg):
        assert cfg.to_dict() == before


def test_other_launchers_need_gpus(on_cpu):
    cfg = config()
    cfg.launcher = 'slurm'
    with pytest.raises(ValueError, match="'slurm' needs GPUs.*dist_train.sh"):
        with processes.process_group(cfg):
            pass


def test_a_group_of_one_on_the_cpu(tmp_path):
    """In a process of its own, since the group is the process's."""
    code = """
import json
from mmengine.config import Config
from torch import distributed
from mmseg_sparsemask.launch import processes
processes.get_device = lambda: 'cpu'
bn = dict(type='SyncBN', requires_grad=True)
cfg = Config(dict(
    launcher='pytorch', find_unused_parameters=True,
    model=dict(backbone=dict(norm_cfg=bn), heads=[dict(norm_cfg=bn)], other=dict(type='A')),
    model_wrapper_cfg=dict(static_graph=True)))
with processes.process_group(cfg):
    inside = distributed.get_backend()
print(json.dumps(dict(inside=inside, after=distributed.is_initialized(), **cfg.to_dict())))
"""
    env = dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        RANK='0',
        WORLD_SIZE='1',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(free_port()),
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    assert (seen['inside'], seen['after']) == ('gloo', False)
    bn = dict(type='BN', requires_grad=True)
    assert seen['model']['backbone']['norm_cfg'] == seen['model']['heads'][0]['norm_cfg'] == bn
    assert seen['model_wrapper_cfg'] == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=True,
        static_graph=True,
        device_ids=None,
    )


#: Says what happens at its end.
RANK = """
import atexit
import sys
from mmseg_sparsemask.launch.processes import end_rank

class SaysWhenFreed:
    def __del__(self):
        print('taken down', flush=True)

kept = SaysWhenFreed()
atexit.register(print, 'exit function')
end_rank(sys.argv[1])
"""


@pytest.mark.parametrize(
    'launcher, ends', [('none', ['exit function', 'taken down']), ('pytorch', ['exit function'])]
)
def test_a_rank_ends_without_taking_python_down(launcher, ends):
    run = subprocess.run(
        [sys.executable, '-c', RANK, launcher],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split('\n')[:-1] == ends
