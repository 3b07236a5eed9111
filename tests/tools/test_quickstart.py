"""The one-command run on drawn images, made tiny: it is `fit`, and goes on by itself."""

import csv
import re
import sys

import cv2
import pytest
from reference.tiny import ROOT, call

from mmseg_sparsemask.datasets.shapes import shapes_scene


def quickstart(*arguments, cwd):
    return call(sys.executable, ROOT / 'tools/quickstart.py', *arguments, cwd=cwd, check=False)


@pytest.mark.slow
def test_finds_a_network_for_drawn_images(tmp_path):
    done = quickstart('--iterations', '4', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / 'work_dirs/quickstart'
    # What is trained on are the scenes, of the splits that were drawn.
    for split, count in (('train', 600), ('val', 100)):
        assert len([*(out / 'drawn/masks' / split).iterdir()]) == count
        assert f'{count} {split}' in done.stdout
        scene = shapes_scene((64, 64), 0, split, 7)
        for part, expected, how in (('images', scene.image, 1), ('masks', scene.labels, -1)):
            assert (cv2.imread(str(out / f'drawn/{part}/{split}/0007.png'), how) == expected).all()
    rows = {row['method']: row for row in csv.DictReader((out / 'fit.csv').open())}
    assert rows.keys() >= {'FCN', 'plain sum', 'U-Net', 'LR-ASPP', 'searched'}
    assert {row['threads'] for row in rows.values()} == {'1'}
    assert {row['training_iterations'] for row in rows.values()} == {'4', '2'}
    # The last table has what was scored, the page a graph and pictures.
    for name, row in rows.items():
        assert re.search(rf'\| +{name} \| +{float(row["score_test"]):.1f} \|', done.stdout)
    page = (out / 'fit.html').read_text()
    assert 'The decoder of searched' in page
    assert page.count('data:image/png') == 4 * (1 + len(rows))
    assert 'fit.html' in done.stdout and re.search(r'total \d+:\d\d', done.stdout)
    assert re.match(r'D\d: E\d|D\d: G', rows['searched']['connectivity'])
    # The same command again trains nothing and says the same; another length is another run.
    again = quickstart('--iterations', '4', cwd=tmp_path)
    assert again.returncode == 0 and 'tools/train.py' not in again.stdout
    table = [line for line in done.stdout.splitlines() if line.startswith('| ')]
    assert table == [line for line in again.stdout.splitlines() if line.startswith('| ')]
    other = quickstart('--iterations', '5', cwd=tmp_path)
    assert other.returncode and 'ask for the same' in other.stderr


@pytest.mark.parametrize('value', ['0', '-3'])
def test_a_length_that_is_none(tmp_path, value):
    done = quickstart('--iterations', value, cwd=tmp_path)
    assert done.returncode and '--iterations: expected 1 or more' in done.stderr
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_holds_another_run(tmp_path):
    (tmp_path / 'taken').write_text('')
    done = quickstart('--out', 'taken', cwd=tmp_path)
    assert done.returncode and 'taken' in done.stderr and 'Traceback' not in done.stderr
