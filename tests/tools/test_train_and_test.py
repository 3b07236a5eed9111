"""The command-line tools as a user calls them, on a small model and the embedded data set."""

import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reference.tiny import ROOT, call

CONFIG = ROOT / 'configs/sparsemask/fcn_mbv2_shapes.py'

#: Makes the baseline small enough for a test: 4 iterations on 32x32 pixels.
SMALL = [
    'train_cfg.max_iters=4',
    'train_cfg.val_interval=4',
    'param_scheduler.0.end=4',
    'train_dataloader.batch_size=4',
    'train_dataloader.dataset.size=(32,32)',
    'train_dataloader.dataset.length=8',
    'val_dataloader.dataset.size=(32,32)',
    'val_dataloader.dataset.length=4',
    'test_dataloader.dataset.size=(32,32)',
    'test_dataloader.dataset.length=3',
    'model.data_preprocessor.size=(32,32)',
    'model.backbone.backbone.widen_factor=0.25',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=2',
    'randomness.seed=0',
]


def train(*arguments, cwd, check=True):
    return call(sys.executable, ROOT / 'tools/train.py', *arguments, cwd=cwd, check=check)


def test_tool(*arguments, cwd, check=True):
    return call(sys.executable, ROOT / 'tools/test.py', *arguments, cwd=cwd, check=check)


test_tool.__test__ = False


def weights(path):
    state = torch.load(path, map_location='cpu', weights_only=False)
    return state['state_dict']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory made by a run from another folder, with no --work-dir."""
    cwd = tmp_path_factory.mktemp('run')
    done = train(CONFIG, '--cfg-options', *SMALL, cwd=cwd)
    work_dir = cwd / 'work_dirs/fcn_mbv2_shapes'
    assert 'eta' in done.stdout + done.stderr
    return work_dir


def test_training_leaves_what_the_toolbox_leaves(trained):
    assert {'iter_4.pth', 'last_checkpoint', 'fcn_mbv2_shapes.py'} <= {
        path.name for path in trained.iterdir()
    }
    scalars = [json.loads(line) for line in next(trained.rglob('scalars.json')).open()]
    assert [row['step'] for row in scalars if 'loss' in row] == [1, 2, 3, 4]
    assert any('mIoU' in row for row in scalars)
    assert list(trained.rglob('events.out.tfevents*'))


def test_testing_evaluates_draws_and_saves(trained, tmp_path):
    done = test_tool(
        *(trained / 'fcn_mbv2_shapes.py', trained / 'iter_4.pth'),
        *('--work-dir', tmp_path / 'eval', '--out', tmp_path / 'pred'),
        *('--show-dir', tmp_path / 'shown'),
        cwd=tmp_path,
    )
    assert 'mIoU' in done.stdout + done.stderr
    (result,) = tmp_path.glob('eval/*/*.json')
    assert 0 <= json.loads(result.read_text())['mIoU'] <= 100
    predictions = sorted((tmp_path / 'pred').glob('*.png'))
    assert [path.name for path in predictions] == ['000000.png', '000001.png', '000002.png']
    labels = np.array(Image.open(predictions[0]))
    assert labels.shape == (32, 32) and labels.max() < 6
    assert len(list((tmp_path / 'shown').rglob('*.png'))) == 3


def test_testing_with_augmentation(trained, tmp_path):
    done = test_tool(
        *(trained / 'fcn_mbv2_shapes.py', trained / 'iter_4.pth'),
        *('--tta', '--work-dir', tmp_path / 'eval'),
        cwd=tmp_path,
    )
    assert '[3/3]' in done.stdout + done.stderr


def test_a_checkpoint_of_another_network(trained, tmp_path):
    """An error that names what is missing, or a score on request."""
    arguments = (ROOT / 'configs/sparsemask/deeplabv3_mbv2_shapes.py', trained / 'iter_4.pth')
    options = ('--cfg-options', *SMALL, f'work_dir={tmp_path}')
    done = test_tool(*arguments, *options, cwd=tmp_path, check=False)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert re.search(r'error: .*iter_4\.pth does not fit the model of the config', done.stderr)
    assert 'decode_head.aspp_modules' in done.stderr
    done = test_tool(*arguments, '--allow-mismatch', *options, cwd=tmp_path)
    assert 'mIoU' in done.stdout + done.stderr


def test_resume_and_amp_on_a_cpu(trained, tmp_path):
    work_dir = tmp_path / 'w'
    shutil.copytree(trained, work_dir)
    more = [*SMALL, 'train_cfg.max_iters=6', 'work_dir=w']
    done = train(CONFIG, '--resume', '--amp', '--cfg-options', *more, cwd=tmp_path)
    output = done.stdout + done.stderr
    assert re.search(r'resumed .*iter_4|iter: 4', output), output
    assert '[5/6]' in output and '[1/6]' not in output
    assert "type='CPUAmpOptimWrapper'" in (work_dir / CONFIG.name).read_text()
    state = weights(work_dir / 'iter_6.pth')
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


def failure(monkeypatch, name, *arguments):
    """Last words of a tool run in this process (which saves its start)."""
    tool = ROOT / f'tools/{name}.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(tool), run_name='__main__')
    return stop.value.code


def test_errors_come_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / 'file'
    file.write_text('')
    words = failure(monkeypatch, 'train', CONFIG, '--work-dir', file / 'w')
    assert words.startswith('error: cannot write to the folder')

    camvid = ROOT / 'configs/sparsemask/fcn_mbv2_camvid.py'
    words = failure(monkeypatch, 'train', camvid, '--work-dir', tmp_path / 'w')
    assert words.startswith("error: train_dataloader.dataset.data_root = 'data/camvid' does not")
    assert 'docs/data.md' in words

    words = failure(monkeypatch, 'train', tmp_path / 'none.py')
    assert words.startswith('error: ') and 'none.py' in words

    words = failure(monkeypatch, 'test', CONFIG, tmp_path / 'none.pth')
    assert 'none.pth does not exist' in words
    assert [path.name for path in tmp_path.iterdir()] == ['file']


#: Holds a work directory until its standard input ends.
HOLDER = """
import sys
from mmseg_sparsemask.utils.work_dir import lock_work_dir
with lock_work_dir(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize('more', [[], ['--resume']], ids=['anew', 'resumed'])
def test_a_work_directory_in_use_is_left_alone(trained, tmp_path, monkeypatch, more):
    work_dir = tmp_path / 'w'
    shutil.copytree(trained, work_dir)
    with subprocess.Popen(
        [sys.executable, '-c', HOLDER, work_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    ) as holder:
        while holder.stdout.readline().strip() != 'held':
            assert holder.poll() is None
        before = sorted(work_dir.rglob('*'))
        words = failure(monkeypatch, 'train', CONFIG, '--work-dir', work_dir, *more)
        assert sorted(work_dir.rglob('*')) == before
        holder.stdin.close()
    assert words.startswith(f'error: the work directory {work_dir} is in use by process ')
    assert f'process {holder.pid} on {socket.gethostname()} since' in words


@pytest.mark.slow
def test_two_processes_on_the_cpu(tmp_path):
    """Both ranks end with the same weights; files are written once; a test run sums up both
    ranks."""
    config = tmp_path / 'two.py'
    config.write_text(
        f"""_base_ = {str(CONFIG)!r}
custom_imports = dict(imports=['mmseg_sparsemask', 'keep_ranks'])
custom_hooks = [dict(type='KeepRanks')]
model = dict(backbone=dict(backbone=dict(norm_cfg=dict(type='SyncBN'))))
"""
    )
    (tmp_path / 'keep_ranks.py').write_text(
        """
import os
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class KeepRanks(Hook):
    def after_train(self, runner):
        torch.save(runner.model.module.state_dict(), f'rank{os.environ["RANK"]}.pt')
"""
    )
    options = ['--work-dir', tmp_path / 'w', '--cfg-options', *SMALL]
    script = f'PYTHONPATH={tmp_path} exec {ROOT}/tools/dist_train.sh "$@"'
    call('bash', '-c', script, 'bash', config, 2, *options, cwd=tmp_path)
    first, second = (torch.load(tmp_path / f'rank{n}.pt') for n in (0, 1))
    running = ('running_mean', 'running_var')
    for name, value in first.items():
        if not name.endswith(running):
            assert torch.equal(value, second[name]), name
    assert any(
        not torch.equal(first[name], second[name]) for name in first if name.endswith(running)
    ), 'both ranks saw the same images'
    saved = weights(tmp_path / 'w/iter_4.pth')
    assert all(torch.equal(saved[name], value) for name, value in first.items())
    assert len(list((tmp_path / 'w').rglob('scalars.json'))) == 1

    script = f'PYTHONPATH={tmp_path} exec {ROOT}/tools/dist_test.sh "$@"'
    options = ['--work-dir', tmp_path / 'eval', '--cfg-options', *SMALL]
    checkpoint = tmp_path / 'w/iter_4.pth'
    call('bash', '-c', script, 'bash', config, checkpoint, 2, *options, cwd=tmp_path)
    (two,) = tmp_path.glob('eval/*/*.json')
    options[1] = tmp_path / 'single'
    test_tool(CONFIG, checkpoint, *options, cwd=tmp_path)
    (one,) = tmp_path.glob('single/*/*.json')
    one, two = (json.loads(path.read_text()) for path in (one, two))
    assert (one['aAcc'], one['mIoU']) == (two['aAcc'], two['mIoU'])


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_without_arguments_say_how_to_call_them(name, tmp_path):
    done = call('bash', ROOT / f'tools/{name}.sh', cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert f'tools/{name}.sh' in done.stderr and 'CONFIG' in done.stderr


@pytest.mark.parametrize('name', ['train', 'test'])
def test_slurm_scripts_build_the_right_command(name, tmp_path):
    fake = tmp_path / 'srun'
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    checkpoint = ['a.pth'] if name == 'test' else []
    script = f'PATH={tmp_path}:$PATH GPUS=2 exec {ROOT}/tools/slurm_{name}.sh "$@"'
    arguments = ['gpu', 'job', 'c.py', *checkpoint, '--work-dir', 'a b']
    done = call('bash', '-c', script, 'bash', *arguments, cwd=tmp_path)
    words = done.stdout.splitlines()
    assert words[:2] == ['-p', 'gpu']
    assert {'--job-name=job', '--ntasks=2', '--gres=gpu:2'} <= set(words)
    tail = words[words.index('-u') + 1 :]
    assert Path(tail[0]).resolve() == ROOT / f'tools/{name}.py'
    assert tail[1:] == ['c.py', *checkpoint, '--launcher=slurm', '--work-dir', 'a b']
