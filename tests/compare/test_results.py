"""Rows of results: the file, what is said of several runs, and the page made of them."""

import csv
import re
import runpy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from mmseg_sparsemask.compare.leaderboard import figure_name, page_text
from mmseg_sparsemask.compare.results import (
    COLUMNS,
    CONTROL,
    append_results,
    group_results,
    read_results,
    to_result,
)
from mmseg_sparsemask.compare.rows import MISSING

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
        (dict(ms='fast'), "ms: expected a number, got 'fast'"),
        (dict(score_test=float('nan')), 'score_test: expected a finite number'),
        (dict(seed=-1), 'seed: expected a finite number of at least 0'),
        (dict(connections=2.5), 'connections: expected a whole number'),
        (dict(ms='-'), "the field ms is '-'; it applies to every run"),
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


def test_without_validation_images(tmp_path):
    path = tmp_path / 'x.csv'
    append_results(path, runs('HED', [0.7126, 0.7145], metric='ODS', score_val='-'))
    (group,) = group_results(read_results(path))
    assert group.val == () and group.test == (0.7126, 0.7145)
    (line,) = [x for x in page_text({'x': read_results(path)}).splitlines() if '| HED' in x]
    assert [cell.strip() for cell in line.split('|')][9:12] == [MISSING, '0.714 ± 0.001', MISSING]
    assert 'ODS test' in page_text({'x': read_results(path)})


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
    path.write_text(text.replace(',31.5,', ',,'))
    with pytest.raises(ValueError, match=r'x\.csv, line 2: the field ms is missing'):
        read_results(path)


def test_groups_have_means_and_a_rank_test_against_random_decoders():
    control, found = [30.0, 31.0, 29.5, 30.2, 28.8, 31.4, 30.9, 29.9], [33.0, 32.0, 34.0]
    groups = group_results([*runs('found', found), *runs(CONTROL, control), *runs('poor', [10.0])])
    assert [group.first.method for group in groups] == ['found', CONTROL, 'poor']
    best = groups[0]
    assert best.improvement == pytest.approx(100 * (33.0 / np.mean(control) - 1))
    assert best.p_value == mannwhitneyu(found, control, alternative='two-sided').pvalue
    # All of three are above all of eight: 2 of the 165 orders are as extreme.
    assert best.p_value == pytest.approx(2 / 165)
    assert groups[1].improvement is None and groups[1].p_value is None
    assert best.row().spread == pytest.approx(1.0) and best.row().fps == pytest.approx(1000 / 31.5)


def test_without_random_decoders_nothing_is_compared():
    (group,) = group_results([UNET])
    assert group.improvement is None and group.p_value is None


def test_the_page_says_what_the_rows_say():
    text = page_text({'camvid': [*runs('found', [33.0, 32.0]), *runs(CONTROL, [30.0, 31.0, 32.0])]})
    lines = [line for line in text.splitlines() if line.startswith('|')]
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert cells[2][:3] == ['found', 'from ImageNet weights', '2']
    assert cells[2][3:8] == ['0 + 1400', '3', '168,779', '202.5M', '31.5']
    assert cells[2][8:10] == ['40.00 ± 0.00', '32.50 ± 0.71']
    assert cells[2][10].startswith('+4.8 %, p = 0.')
    assert cells[3][10] == '-'
    assert '## camvid' in text and f'](images/{figure_name("camvid")})' in text
    assert '- Machine: a processor, 2 cores\n' in text


def page_of(root):
    """The page that a folder's files make, and the page that it has, or None."""
    files = sorted((root / 'results').glob('*.csv'))
    expected = page_text({path.stem: read_results(path) for path in files}) if files else None
    page = root / 'docs/leaderboard.md'
    return expected, page.read_text() if page.exists() else None


def write_page(root):
    tool = runpy.run_path(str(ROOT / 'tools/results.py'))
    tool['main'](['page', '--root', str(root)])


def test_this_repositorys_page_and_files_agree():
    expected, found = page_of(ROOT)
    assert found == expected, 'run: python tools/results.py page'
    for path in (ROOT / 'results').glob('*.csv'):
        assert (ROOT / 'docs/images' / figure_name(path.stem)).is_file()


def test_a_page_that_disagrees_is_found(tmp_path):
    (tmp_path / 'results').mkdir()
    path = tmp_path / 'results/camvid.csv'
    append_results(path, [UNET, *runs('found', [33.0, 32.0])])
    assert page_of(tmp_path)[0] != page_of(tmp_path)[1], 'there is no page yet'
    write_page(tmp_path)
    expected, found = page_of(tmp_path)
    assert found == expected and '168,779' in found
    assert (tmp_path / 'docs/images' / figure_name('camvid')).read_text().startswith('<?xml')
    path.write_text(re.sub(',33.0,', ',33.9,', path.read_text()))
    expected, found = page_of(tmp_path)
    assert found != expected
    write_page(tmp_path)
    assert page_of(tmp_path)[0] == page_of(tmp_path)[1]


def test_a_page_of_nothing_is_refused(tmp_path):
    with pytest.raises(SystemExit, match='results: expected CSV files, found none'):
        write_page(tmp_path)
