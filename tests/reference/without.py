"""Python processes that lack some modules."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: MMSegmentation and what it runs on.
TOOLBOX = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'torch', 'torchvision')

#: Makes modules unfindable, as in an environment that lacks them.
BLOCKER = """
import sys


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *rest):
        return None if name.split('.')[0] in {names!r} else self.finder.find_spec(name, *rest)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = map(Without, sys.meta_path)
"""


def run_without(names, code):
    """Run code in a fresh process that cannot find the modules."""
    script = BLOCKER.format(names=tuple(names)) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script], capture_output=True, text=True, cwd=ROOT
    )
