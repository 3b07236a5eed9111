"""A search killed in the middle and resumed ends with the bits of one that was never killed."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from reference import kill_and_resume, tiny

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import load
from mmseg_sparsemask.search.record import HISTORY_KEY
from mmseg_sparsemask.utils.toolbox import allow_checkpoint_types

#: Kills its own process, as `kill -9` does, once the iteration named in the environment is done.
KILLER = """
import os
import signal
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class Killer(Hook):
    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == int(os.environ.get('KILL_AFTER', '-1')):
            os.kill(os.getpid(), signal.SIGKILL)
"""
#: Checks at 3, 6, 9, 12; checkpoints at 4, 8, 12; validation at 5 and 10. The threshold lies among
#: the weights, so the graph hangs on their third digit.
MORE = """
custom_imports = dict(imports=['mmseg_sparsemask', 'killer'])
custom_hooks[0].update(threshold=0.39)
custom_hooks.append(dict(type='Killer'))
model['decode_head']['loss_connectivity'].update(loss_weight=2.0)
"""


def write(folder):
    folder.mkdir(exist_ok=True)
    (folder / 'killer.py').write_text(KILLER)
    return tiny.write_configs(folder, 12, MORE)


def start(folder, work_dir, *arguments, **env):
    return subprocess.Popen(
        [sys.executable, tiny.ROOT / 'tools/train.py', folder / 'search.py', *arguments]
        + ['--work-dir', work_dir],
        cwd=folder,
        env=tiny.environment(PYTHONPATH=str(folder), **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def checkpoint(path):
    allow_checkpoint_types()
    return torch.load(path, map_location='cpu', weights_only=True)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs kill -9')
def test_killed_and_resumed_equals_straight(tmp_path):
    """Killed after 7: the hook acted at 6, which the checkpoint of 4 does not know."""
    write(tmp_path)
    straight = start(tmp_path, tmp_path / 'straight')
    killed = start(tmp_path, tmp_path / 'killed', KILL_AFTER='7')
    output, _ = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, output
    work_dir = tmp_path / 'killed'
    assert not (work_dir / 'connectivity.json').exists()
    assert (work_dir / 'last_checkpoint').read_text().endswith('iter_4.pth')
    # What a kill in the middle of the next checkpoint would leave.
    whole = (work_dir / 'iter_4.pth').read_bytes()
    (work_dir / 'iter_8.pth').write_bytes(whole[: len(whole) // 2])

    resumed = start(tmp_path, work_dir, '--resume')
    for process in (straight, resumed):
        output, _ = process.communicate()
        assert process.returncode == 0, output
    assert re.search(r'resumed epoch: \d+, iter: 4', output)

    ours = checkpoint(work_dir / 'iter_12.pth')
    theirs = checkpoint(tmp_path / 'straight/iter_12.pth')
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        mine, other = (dict(kill_and_resume.tensors(c[part])) for c in (ours, theirs))
        assert mine.keys() == other.keys() and mine
        for name, value in mine.items():
            same = (
                torch.equal(value, other[name]) if torch.is_tensor(value) else value == other[name]
            )
            assert same, (part, name)
    assert any('connections.raw' in name for name in ours['state_dict'])
    assert ours['state_dict']['decode_head.connections.step'] == 12

    history = ours['message_hub']['runtime_info'][HISTORY_KEY]
    assert history['steps'] == [0, 3, 6, 9, 12]
    assert history == theirs['message_hub']['runtime_info'][HISTORY_KEY]

    found, expected = (load(d / 'connectivity.json') for d in (work_dir, tmp_path / 'straight'))
    assert found == expected and 0 < len(found) < 30
    differ = {k for k, v in expected.meta.items() if found.meta[k] != v}
    assert differ <= {'experiment'}  # which has the time in it
    for name in ('retrain.py', 'connectivity.svg', 'connection_weights.svg'):
        text = (work_dir / name).read_text().replace(str(work_dir), 'W')
        other = (tmp_path / 'straight' / name).read_text().replace(str(tmp_path / 'straight'), 'W')
        assert without_dates(text) == without_dates(other), name


def without_dates(text):
    return re.sub(r'<dc:date>.*?</dc:date>', '', text)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs kill -9')
@pytest.mark.parametrize('job', ['search', 'search, workers', 'search, workers, passes'])
def test_as_shipped(tmp_path, job):
    """With random flips; killed before and after the second pass over the data begins."""
    reference = kill_and_resume.straight(job, tmp_path)
    for after in (4, 8):
        work_dir = tmp_path / f'killed_{after}'
        status = kill_and_resume.killed_and_resumed(job, tmp_path, work_dir, after, 0.05)
        assert status == 0, Path(f'{work_dir}.log').read_text()[-3000:]
        compared, differ = kill_and_resume.differences(work_dir, reference.work_dir)
        assert compared > 500 and not differ


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs kill -9')
def test_fine_tuning(tmp_path):
    """Killed before its first checkpoint it starts again from pruned.pth, later it goes on."""
    kill_and_resume.straight('search', tmp_path)
    job = 'fine-tuning, workers'
    reference = kill_and_resume.straight(job, tmp_path)
    for after, words in ((1, 'no last_checkpoint to resume from; starting'), (5, 'iter: 3')):
        work_dir = tmp_path / f'killed_{after}'
        status = kill_and_resume.killed_and_resumed(job, tmp_path, work_dir, after, 0.05)
        log = Path(f'{work_dir}.log').read_text()
        assert status == 0, log[-3000:]
        resumed = log[log.rindex('order of hooks') :] if after == 5 else log
        assert words in resumed
        compared, differ = kill_and_resume.differences(work_dir, reference.work_dir)
        assert compared > 500 and not differ
