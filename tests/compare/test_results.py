"""Rows of results and their file."""

import csv
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mmseg_sparsemask.compare.results import COLUMNS, append_results, read_results, to_result

ROOT = Path(__file__).parents[2]
FIELDS = dict(
    method='U-Net',
    training='from ImageNet weights',
    seed=0,
    data='CamVid',
    encoder='EfficientNet-Lite0',
    connectivity='D2: E2 · D1: E1 D2',
    connections=3,
    search_iterations=0,
    training_iterations=1400,
    encoder_parameters=3_371_024,
    decoder_parameters=168_779,
    encoder_multiply_adds=600_000_000,
    decoder_multiply_adds=202_465_280,
    image_size='240 x 320',
    ms=31.5,
    timed_on='another processor',
    threads=2,
    metric='mIoU',
    score_val=40.0,
    score_test=30.0,
    config='configs/sparsemask/unet.py',
    options='-',
    machine='a processor, 2 cores',
    versions='Python 3.11.7, torch 2.14.1',
    commit='abc1234',
    log='seed0/20260101_000000.log',
)
UNET = to_result(FIELDS)


def runs(method, scores, **fields):
    return [
        replace(UNET, method=method, seed=seed, score_test=score, **fields)
        for seed, score in enumerate(scores)
    ]


def test_rows_are_written_and_read(tmp_path):
    path = tmp_path / 'x.csv'
    first, other = [UNET], runs('FCN', [20.5], connectivity='-', connections='-')
    append_results(path, first)
    append_results(path, other)
    assert read_results(path) == first + other
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {name: str(value) for name, value in asdict(UNET).items()}
    assert (rows[1]['connections'], rows[1]['score_test']) == ('-', '20.5')


@pytest.mark.parametrize('name', COLUMNS)
def test_a_missing_field_is_an_error(name):
    for lacking in ({**FIELDS, name: ' '}, {k: v for k, v in FIELDS.items() if k != name}):
        with pytest.raises(ValueError, match=f'the field {name} is missing'):
            to_result(lacking)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(ms='fast'), "ms: expected a number of at least 0, got 'fast'"),
        (dict(ms='-'), "the field ms is '-'; it applies to every run"),
        (dict(ms=0), 'ms: expected 0.01 to 1e9, got 0'),
        (dict(ms=0.004), 'ms: expected 0.01 to 1e9, got 0.004'),
        (dict(ms='1e99'), 'ms: expected 0.01 to 1e9'),
        (dict(ms='1e400'), 'ms: expected a number'),
        (dict(threads=0), 'threads: expected more than 0'),
        (dict(seed=-1), 'seed: expected a whole number of at least 0'),
        (dict(seed='1_0'), 'seed: expected a whole number'),
        (dict(seed='\u0663'), 'seed: expected a whole number'),
        (dict(score_test='\uff14\uff12'), 'score_test: expected a number'),
        (dict(score_test=float('nan')), 'score_test: expected a number'),
        (dict(score_test=9999), 'score_test: expected mIoU of 0 to 100, got 9999'),
        (dict(score_val=100.1), 'score_val: expected mIoU of 0 to 100'),
        (dict(metric='ODS'), 'score_val: expected ODS of 0 to 1'),
        (dict(metric='F'), "metric: expected one of mIoU, ODS, max F, got 'F'"),
        (dict(connections=2.5), 'connections: expected a whole number'),
        (dict(connections=4), 'connections: expected 3, those of .*, got 4'),
        (dict(connections='-'), 'connections: expected 3'),
        (dict(connectivity='-'), 'connections: expected -'),
        (dict(image_size='64'), "image_size: expected height x width in pixels, got '64'"),
        (dict(image_size='0 x 64'), 'image_size: expected'),
        (dict(method='a\nb'), 'method: expected one line of printable text'),
        (dict(commit='a\0b'), 'commit: expected one line'),
        (dict(log='seed0/2026.lo'), r'log: expected a name that ends in \.log'),
        (dict(fps=3), r"unknown fields \['fps'\]"),
    ],
)
def test_a_wrong_field_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        to_result({**FIELDS, **change})


def test_a_file_has_one_metric(tmp_path):
    path = tmp_path / 'x.csv'
    append_results(path, [UNET])
    with pytest.raises(ValueError, match='the metric is ODS, that of the rows before mIoU'):
        append_results(path, runs('HED', [0.7], metric='ODS'))
    assert read_results(path) == [UNET]


def test_numbers_are_rounded_to_what_they_mean():
    row = to_result({**FIELDS, 'score_test': 38.86000061035156, 'ms': 31.23456})
    assert (row.score_test, row.ms) == (38.86, 31.23)
    edge = dict(metric='ODS', score_val='-', score_test=0.68542760796)
    assert to_result({**FIELDS, **edge}).score_test == 0.68543


def test_a_run_that_is_there_is_not_added_again(tmp_path):
    path = tmp_path / 'x.csv'
    append_results(path, [UNET])
    before = path.read_bytes()
    with pytest.raises(ValueError, match='U-Net.*seed 0 is there already'):
        append_results(path, [replace(UNET, seed=1), replace(UNET, ms=1.0)])
    assert path.read_bytes() == before
    append_results(path, [replace(UNET, training_iterations=700)])


def test_a_damaged_file_is_named_with_the_line(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_text('method,miou\nU-Net,3\n')
    with pytest.raises(ValueError, match=r'x\.csv: expected the columns method, training'):
        read_results(path)
    append_results(tmp_path / 'y.csv', [UNET])
    text = (tmp_path / 'y.csv').read_text()
    for damaged, message in [
        (text.replace(',31.5,', ',,'), 'line 2: the field ms is missing'),
        (text[:-5], 'line 2: the field log: expected'),
        (text[: text.index(',31.5')], 'line 2: the field ms is missing'),
        (text.replace('.log', '.log,more'), 'line 2: expected 26 fields, got 27'),
        (text.replace('U-Net', 'U-"Net'), 'x.csv'),
        (text.replace('U-Net', '"U-Net'), 'not a CSV file'),
    ]:
        path.write_text(damaged)
        if message != 'x.csv':
            with pytest.raises(ValueError, match=rf'x\.csv.*{message}'):
                read_results(path)
    path.write_bytes(text.replace('U-Net', 'U-N\u00e9t').encode('latin-1'))
    with pytest.raises(ValueError, match=r'x\.csv: not a CSV file in UTF-8'):
        read_results(path)


def test_what_editors_add_changes_nothing(tmp_path):
    path = tmp_path / 'x.csv'
    append_results(path, [UNET, *runs('FCN', [20.5])])
    rows, text = read_results(path), path.read_text()
    for other in (text[:-1], text.replace('\n', '\r\n'), '\ufeff' + text, text + '\n'):
        path.write_bytes(other.encode())
        assert read_results(path) == rows
