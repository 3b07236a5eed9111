"""A work directory has one run at a time."""

import signal
import subprocess
import sys
import time

import pytest
from reference import tiny

from mmseg_sparsemask.utils.work_dir import keep_earlier, lock_work_dir

HOLD = """
import sys, time
from mmseg_sparsemask.utils.work_dir import lock_work_dir
with lock_work_dir(sys.argv[1]):
    print('held', flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=tiny.environment(),
    )
    while process.stdout.readline().strip() != 'held':
        assert process.poll() is None
    yield process
    process.kill()
    process.wait()


def test_the_holder_is_named(tmp_path, holder):
    begin = time.monotonic()
    with pytest.raises(ValueError, match=rf'in use by process {holder.pid} on .* since .*work-dir'):
        with lock_work_dir(tmp_path):
            pass
    assert time.monotonic() - begin < 5


def test_a_killed_holder_is_none(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock_work_dir(tmp_path):
        pass


def test_again_after_the_end(tmp_path):
    for _ in range(2):
        with lock_work_dir(tmp_path / 'new'):
            pass
    with pytest.raises(KeyError), lock_work_dir(tmp_path / 'new'):
        raise KeyError
    with lock_work_dir(tmp_path / 'new'):
        pass


def test_earlier_files_are_kept(tmp_path):
    assert keep_earlier(tmp_path, ['a.json', 'b.py']) is None
    for number in ('1', '2'):
        (tmp_path / 'a.json').write_text(number)
        assert keep_earlier(tmp_path, ['a.json', 'b.py']) == tmp_path / 'earlier' / number
    assert [(tmp_path / f'earlier/{n}/a.json').read_text() for n in '12'] == ['1', '2']
    assert not (tmp_path / 'a.json').exists()
