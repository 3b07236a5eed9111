"""Commands that install what is missing."""

import importlib.metadata
from pathlib import Path

import pytest

from mmseg_sparsemask.utils import extras
from mmseg_sparsemask.version import __version__

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        ('', './mmseg_sparsemask-{}-py3-none-any.whl[onedl,hub]'),
        ('https://h/o/r', 'mmseg-sparsemask[onedl,hub] @ git+https://h/o/r@v{}'),
    ],
)
def test_what_pip_installs_follows_the_one_setting(source, expected, monkeypatch):
    monkeypatch.setattr(extras, 'SOURCE', source)
    found = extras.requirement('onedl', 'hub')
    assert found == expected.format(__version__)


def test_extras_are_added_to_what_is_running(monkeypatch):
    """A clone that is not installed has a path, and no name that pip could find."""
    monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.1.0')
    assert extras.add_extras('dpc') == "pip install 'mmseg-sparsemask[dpc]'"
    monkeypatch.undo()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, 'version', missing)
    assert extras.add_extras('dpc', 'edge') == f"pip install -e '{ROOT}[dpc,edge]'"
