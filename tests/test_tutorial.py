"""The notebook runs, from drawn images to an exported network, and keeps its pictures."""

import os
import sys
from base64 import b64decode
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
LENGTH = 'MINUTES = 5'


def kept(notebook):
    """Kinds of what each cell of code shows, and all that it says."""
    cells = [cell for cell in notebook.cells if cell.cell_type == 'code']
    shown = [
        [kind for out in c.outputs for kind in out.get('data', {}) if kind.startswith('image/')]
        for c in cells
    ]
    said = ''.join(out.get('text', '') for cell in cells for out in cell.outputs)
    return shown, said


def prediction(notebook):
    """The last picture."""
    data = notebook.cells[-2].outputs[-1]['data']['image/jpeg']
    return cv2.imdecode(np.frombuffer(b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_it_is_kept_with_what_it_shows():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    shown, said = kept(notebook)
    assert shown == [['image/jpeg'], [], ['image/svg+xml'] * 3, ['image/jpeg']]
    assert 'searched' in said and 'mIoU' in said and 'Traceback' not in said
    assert NOTEBOOK.stat().st_size < 300_000 and LENGTH in str(notebook.cells)
    # Rows of six images, their masks, and predictions that are mostly those.
    rows = prediction(notebook)
    assert rows.shape == (2 * 3 * 64, 2 * 6 * 64, 3)
    apart = abs(rows[128:256].astype(int) - rows[256:]).max(-1)
    assert (apart < 40).mean() > 0.85


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    notebook = nbformat.read(NOTEBOOK, 4)
    before = kept(notebook)[0]
    for cell in notebook.cells:
        cell.source = cell.source.replace(LENGTH, 'MINUTES = 0.1')
        if cell.cell_type == 'code':
            cell.outputs = []
    # The command of this clone, whatever is installed.
    command = tmp_path / 'bin/mmseg-sparsemask'
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m mmseg_sparsemask_cli.main "$@"\n')
    command.chmod(0o755)
    for name, value in {
        'PATH': f'{command.parent}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'IPYTHONDIR': str(tmp_path / 'ipython'),
        'JUPYTER_RUNTIME_DIR': str(tmp_path / 'runtime'),
    }.items():
        monkeypatch.setenv(name, value)
    place = {'metadata': {'path': str(tmp_path)}}
    NotebookClient(notebook, timeout=1200, kernel_name='python3', resources=place).execute()
    shown, said = kept(notebook)
    # What is chosen may have no graph.
    assert shown[2] in (before[2], before[2][1:]), (tmp_path / 'fit.log').read_text()
    assert shown[:2] + shown[3:] == before[:2] + before[3:]
    assert 'searched' in said and 'chosen' in said
    assert prediction(notebook).shape == (2 * 3 * 64, 2 * 6 * 64, 3)
