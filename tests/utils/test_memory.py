"""Freed memory is kept: the system clears no pages again."""

import platform
import subprocess
import sys

import pytest

from mmseg_sparsemask.utils.memory import keep_freed_memory

SCRIPT = """
import resource, sys
import numpy as np
from mmseg_sparsemask.utils.memory import keep_freed_memory
if sys.argv[1] == 'keep':
    assert keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

before = faults()
for _ in range(10):
    np.ones(2**23)  # 64 MiB
print(faults() - before)
"""


def page_faults(word):
    done = subprocess.run([sys.executable, '-c', SCRIPT, word], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='others are left as they are')
def test_large_blocks_are_not_cleared_again():
    assert page_faults('keep') < 0.5 * page_faults('as it is')


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr('ctypes.CDLL', lambda name: object())
    assert keep_freed_memory() is False
