"""The one-command run on drawn images: it is `fit`, and goes on by itself."""

import re
import runpy
import sys
from pathlib import Path

import cv2
import pytest
from reference.tiny import ROOT, call

from mmseg_sparsemask.datasets.scene import CLASSES
from mmseg_sparsemask.datasets.shapes import shapes_scene
from mmseg_sparsemask.fit.data import look


def quickstart(*arguments, cwd):
    return call(sys.executable, ROOT / 'tools/quickstart.py', *arguments, cwd=cwd, check=False)


def test_draws_images_and_asks_fit(tmp_path, monkeypatch, capsys):
    """What `fit` makes of them: tests/fit/test_fit.py, and README's first command in .ci/run."""
    calls = []
    monkeypatch.setattr('mmseg_sparsemask.fit.job.fit', lambda *a, **k: calls.append((a, k)))
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / 'tools/quickstart.py'))['main']
    for _ in range(2):  # the second time they are there
        main(['--iterations', '4'])
    assert re.search(r'total \d+:\d\d', capsys.readouterr().out)
    ((asked, out, tools, device), options), again = calls
    assert again == calls[0] and options == {'resume': True}
    assert (out, tools, device) == (Path('work_dirs/quickstart'), ROOT / 'tools', 'cpu')
    assert (asked.plan.iterations, asked.plan.processes, asked.plan.threads) == (4, 2, 1)
    # What is trained on are the scenes, of the splits that were drawn.
    data = look(asked.images, asked.masks, tmp_path / 'looked', asked.classes)
    assert data.counts == {'train': 600, 'val': 100} and data.classes == CLASSES
    for split in data.counts:
        scene = shapes_scene((64, 64), 0, split, 7)
        for folder, expected, how in (
            (asked.images, scene.image, 1),
            (asked.masks, scene.labels, -1),
        ):
            assert (cv2.imread(str(folder / split / '0007.png'), how) == expected).all()


@pytest.mark.parametrize('value', ['0', '-3'])
def test_a_length_that_is_none(tmp_path, value):
    done = quickstart('--iterations', value, cwd=tmp_path)
    assert done.returncode and '--iterations: expected 1 or more' in done.stderr
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_holds_another_run(tmp_path):
    (tmp_path / 'taken').write_text('')
    done = quickstart('--out', 'taken', cwd=tmp_path)
    assert done.returncode and 'taken' in done.stderr and 'Traceback' not in done.stderr
