"""What setup.cfg cannot say: the links, and that the package brings configs and tools with it.

MMEngine and mim look for them in the package's folder `.mim`. A clone has links there; a zip of the
repository, as a web site gives it, has a small text file in place of each. So a wheel takes the
folders themselves, and an editable installation makes the links where there are none.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
LINKED = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """`build_py`, and the folder `.mim`."""

    def run(self):
        """Copy the package, then what `.mim` links to."""
        missing = [name for name in LINKED if not (ROOT / name).exists()]
        if missing:
            raise FileNotFoundError(f'{ROOT}: no {", ".join(missing)}; build from a whole checkout')
        super().run()
        editable = getattr(self, 'editable_mode', False)
        mim = (ROOT if editable else Path(self.build_lib)) / 'mmseg_sparsemask/.mim'
        mim.mkdir(parents=True, exist_ok=True)
        for name in LINKED:
            (link if editable else copy)(ROOT / name, mim / name)


def link(source, target):
    """Make a link to a file or folder, unless there is one."""
    if target.is_symlink() and target.exists():
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    try:
        target.symlink_to(Path('../..') / source.name, target_is_directory=source.is_dir())
    except OSError:  # A file system without links.
        copy(source, target)


def copy(source, target):
    """Copy a file or folder in place of what is there."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'))
    else:
        shutil.copyfile(source, target)


def project_urls():
    """The package's links; those into the repository once it has an address."""
    known = {}
    exec((ROOT / 'mmseg_sparsemask/version.py').read_text(), known)
    source, tag = known['SOURCE'], f'v{known["__version__"]}'
    repository = {
        'Source': source,
        'Documentation': f'{source}/blob/{tag}/docs/README.md',
        'Changelog': f'{source}/blob/{tag}/CHANGELOG.md',
    }
    return {
        **(repository if source else {}),
        'Paper (SparseMask)': 'https://arxiv.org/abs/1904.07642',
        'Paper (dense prediction cells)': 'https://arxiv.org/abs/1809.04184',
        'MMSegmentation': 'https://github.com/open-mmlab/mmsegmentation',
    }


if __name__ == '__main__':
    setup(cmdclass={'build_py': BuildWithMim}, project_urls=project_urls())
