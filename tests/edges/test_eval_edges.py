import csv
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from mmseg_sparsemask.edges import workers
from mmseg_sparsemask.edges.files import find_pairs, read_annotations, read_prediction

ROOT = Path(__file__).parents[2]


def save_bsds(path, maps):
    cells = np.empty((1, len(maps)), dtype=object)
    for i, boundary in enumerate(maps):
        cells[0, i] = {'Segmentation': np.ones_like(boundary), 'Boundaries': boundary}
    savemat(path, {'groundTruth': cells})


@pytest.fixture
def folders(tmp_path):
    """Two images: one predicted perfectly as PNG, one missed by far as .mat."""
    pred, gt = tmp_path / 'pred', tmp_path / 'gt'
    pred.mkdir(), gt.mkdir()
    line = np.zeros((60, 80), np.uint8)
    line[10:50, 40] = 1
    for name in 'ab':
        save_bsds(gt / f'{name}.mat', [line, line])
    cv2.imwrite(str(pred / 'a.png'), line * 200)
    savemat(pred / 'b.mat', {'map': np.roll(line, 30, axis=1) * 0.5})
    return pred, gt


@pytest.fixture
def evaluate(monkeypatch):
    """The tool's main in this process: starting one takes seconds."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['eval_edges.py', *map(str, arguments)])
        runpy.run_path(str(ROOT / 'tools/eval_edges.py'), run_name='__main__')

    return run


def check_report(folders, printed):
    assert 'ODS 0.667' in printed and 'OIS 0.500' in printed
    out = folders[0].with_name('pred-eval')
    rows = list(csv.DictReader((out / 'images.csv').open()))
    assert [(row['image'], float(row['f'])) for row in rows] == [('a', 1.0), ('b', 0.0)]
    rows = list(csv.DictReader((out / 'thresholds.csv').open()))
    assert [float(row['threshold']) for row in rows] == [i / 10 for i in range(1, 10)]
    # Up to 0.5 both lines are predicted, up to 200 / 255 only the right one.
    assert [float(row['precision']) for row in rows] == [0.5] * 5 + [1.0] * 2 + [0.0] * 2
    assert [float(row['recall']) for row in rows] == [0.5] * 7 + [0.0] * 2
    assert (out / 'precision_recall.svg').read_text().startswith('<?xml')


def test_scores_tables_and_plot(folders, evaluate, capsys):
    evaluate(*folders, '--no-nms', '--thresholds', 9, '--workers', 0)
    check_report(folders, capsys.readouterr().out)


@pytest.mark.slow
def test_as_a_program_with_processes(folders):
    done = subprocess.run(
        [
            *(sys.executable, ROOT / 'tools/eval_edges.py', *folders),
            *('--no-nms', '--thresholds', '9', '--workers', '2'),
        ],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    check_report(folders, done.stdout)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda pred, gt: (pred / 'a.png').unlink(), '1 of 2 annotated images have no prediction'),
        (lambda pred, gt: (gt / 'b.mat').unlink(), 'have no annotation'),
        (lambda pred, gt: savemat(pred / 'a.mat', {'x': np.zeros((3, 3))}), 'a is there twice'),
        (lambda pred, gt: (pred / 'a.png').write_text('x'), 'not an image that can be read'),
        (
            lambda pred, gt: cv2.imwrite(str(pred / 'a.png'), np.zeros((9, 9), np.uint8)),
            'a: prediction is (9, 9), an annotation (60, 80)',
        ),
    ],
)
def test_bad_input_is_an_error_in_one_line(folders, evaluate, change, message):
    change(*folders)
    with pytest.raises(SystemExit, match=f'^error: .*{re.escape(message)}'):
        evaluate(*folders, '--thresholds', 2, '--workers', 0)


def test_reads_predictions_of_every_kind(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    want = grey / 255
    cv2.imwrite(str(tmp_path / '8.png'), grey)
    cv2.imwrite(str(tmp_path / '16.png'), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / 'rgb.png'), np.dstack([grey] * 3))
    savemat(tmp_path / 'f.mat', {'anything': want})
    savemat(tmp_path / 'u.mat', {'x': grey})
    for name in ('8.png', '16.png', 'rgb.png', 'f.mat', 'u.mat'):
        got = read_prediction(tmp_path / name)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, atol=1e-6, err_msg=name)


def test_a_logical_map_is_one_of_zeros_and_ones(tmp_path):
    """MATLAB stores it in bytes, as it does a map of 8 bits."""
    line = np.eye(4, dtype=bool)
    savemat(tmp_path / 'l.mat', {'x': line})
    got = read_prediction(tmp_path / 'l.mat')
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, line)


def test_refuses_other_predictions(tmp_path):
    savemat(tmp_path / 'two.mat', {'a': np.zeros((3, 4)), 'b': np.zeros((3, 4))})
    with pytest.raises(ValueError, match='exactly one'):
        read_prediction(tmp_path / 'two.mat')
    savemat(tmp_path / 'logits.mat', {'a': np.full((3, 4), -2.0)})
    with pytest.raises(ValueError, match='sigmoid'):
        read_prediction(tmp_path / 'logits.mat')
    colour = np.zeros((3, 4, 3), np.uint8)
    colour[..., 2] = 9
    cv2.imwrite(str(tmp_path / 'c.png'), colour)
    with pytest.raises(ValueError, match='colour'):
        read_prediction(tmp_path / 'c.png')
    savemat(tmp_path / 'i.mat', {'a': np.zeros((3, 4), np.int32)})
    with pytest.raises(ValueError, match='int32'):
        read_prediction(tmp_path / 'i.mat')


def test_png_annotations_and_missing_ones(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.eye(4, dtype=np.uint8) * 255)
    np.testing.assert_array_equal(read_annotations(tmp_path / 'a.png'), np.eye(4)[None])
    with pytest.raises(FileNotFoundError, match=r'b\.mat is missing'):
        read_annotations(tmp_path / 'b.mat')
    with pytest.raises(FileNotFoundError, match='not a folder'):
        find_pairs(tmp_path / 'nowhere', tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no annotations'):
        find_pairs(tmp_path, tmp_path / 'empty')


def test_what_a_killed_program_left_is_no_data(folders):
    for folder in folders:
        (folder / '.a.nkktznav.png').write_text('half')
        (folder / '.DS_Store').write_text('')
    assert [name for name, *_ in find_pairs(*folders)] == ['a', 'b']


def test_a_target_that_cannot_be_written_is_an_error_before_scoring(
    folders, evaluate, tmp_path, monkeypatch
):
    monkeypatch.setattr(workers, 'gather', lambda *_, **__: pytest.fail('scored'))
    (tmp_path / 'file').write_text('')
    for out in (tmp_path / 'file', tmp_path / 'file' / 'x'):
        with pytest.raises(SystemExit, match=r'^error: cannot write to .*file.*with --out'):
            evaluate(*folders, '--workers', 0, '--out', out)


def test_a_title_is_text(folders, evaluate):
    evaluate(*folders, '--no-nms', '--thresholds', 2, '--workers', 0, '--title', r'$5 & \x$ <b>')
    plot = folders[0].with_name('pred-eval') / 'precision_recall.svg'
    assert r'$5 &amp; \x$ &lt;b&gt; (ODS' in plot.read_text()
