import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from reference.figures import texts_outside

from mmseg_sparsemask.compare.rows import (
    Row,
    both,
    metric_of,
    score_text,
    to_csv,
    to_json,
    to_markdown,
)
from mmseg_sparsemask.compare.scatter import PANELS, draw_comparison, front
from mmseg_sparsemask.utils.figures import save_figure

ROWS = [
    Row(
        'sparsemask',
        15,
        [71.0, 72.0, 73.0],
        'test',
        2_223_872,
        560_981,
        1_560_000_000,
        293_928_960,
        12.345,
        3 * 2**20,
    ),
    Row('fcn', None, [60.0], 'val at 600', 2_223_872, 26_901, 10**9, 10**7),
    Row('broken', notes=['cannot be built: ValueError: no such head']),
]


def test_markdown():
    text = to_markdown(ROWS, True, 'At 512x512.').splitlines()
    assert text[:2] == ['At 512x512.', ''] and len({len(line) for line in text[2:7]}) == 1
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in text[2:7]]
    assert cells[0] == [
        *('#', 'method', 'connections', 'mIoU', 'parameters', 'multiply-adds', 'FPS', 'peak memory')
    ]
    assert all(set(cell) <= {':', '-'} for cell in cells[1])
    size = ['2.22+0.56M', '1.56+0.29G']
    assert cells[2] == [
        '1',
        'sparsemask',
        '15',
        '72.00 ± 1.00 (3 runs) (test)',
        *size,
        '12.35',
        '3 MiB',
    ]
    size = ['2.22+0.03M', '1.00+0.01G']
    assert cells[3] == ['2', 'fcn', '-', '60.00 (val at 600)', *size, '-', '-']
    assert cells[4] == ['3', 'broken', *'------']
    assert text[7:] == ['', '- broken: cannot be built: ValueError: no such head']
    assert 'FPS' not in to_markdown(ROWS, False)


def test_csv_has_what_the_digits_mean():
    artefact = replace(ROWS[0], scores=[43.619998931884766], fps=41.8918918918919)
    text = to_csv([artefact]) + to_json([artefact])
    assert '43.62,' in text and '41.892' in text and '43.6199' not in text
    lines = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [line['method'] for line in lines] == ['sparsemask', 'fcn', 'broken']
    assert float(lines[0]['score']) == 72.0 and float(lines[0]['score_std']) == 1.0
    assert lines[0]['decoder_multiply_adds'] == '293928960' and lines[0]['fps'] == '12.345'
    assert lines[1]['connections'] == lines[1]['score_std'] == lines[2]['score'] == ''
    assert lines[2]['notes'].startswith('cannot be built')


def test_json_has_the_same_and_every_score():
    records = json.loads(to_json(ROWS))
    lines = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [list(record)[:-1] for record in records] == [list(line) for line in lines]
    assert records[0]['scores'] == [71.0, 72.0, 73.0] and records[2]['score'] is None
    assert records[2]['notes'] == ROWS[2].notes


def test_scores_of_other_tasks():
    edge = Row('hed', scores=[0.7131, 0.7142], score_source='test', metric='ODS')
    assert score_text(edge) == '0.714 ± 0.001 (2 runs)' and metric_of([edge]) == 'ODS'
    assert metric_of(ROWS) == metric_of([]) == 'mIoU'
    text = to_markdown([ROWS[1], edge], False)
    assert '| score ' in text and '| 60.00 (mIoU, val at 600) ' in text
    assert '| 0.714 ± 0.001 (2 runs) (ODS, test) ' in text
    axes = draw_comparison([Row('hed', 1, [0.7], 'test', 1, 1, 1, 1, metric='ODS')]).axes[0]
    assert axes.get_ylabel() == 'ODS'


def test_sums_and_scores():
    assert ROWS[0].parameters == 2_784_853 and ROWS[2].parameters is None
    assert (ROWS[1].score, ROWS[1].spread) == (60.0, None)
    assert [score_text(row) for row in ROWS] == ['72.00 ± 1.00 (3 runs)', '60.00', '-']


def test_plot(tmp_path):
    save_figure(draw_comparison(ROWS), tmp_path / 'x.svg')
    root = ElementTree.parse(tmp_path / 'x.svg').getroot()
    texts = [''.join(n.itertext()) for n in root.iter('{http://www.w3.org/2000/svg}text')]
    assert {'parameters (M)', 'multiply-adds (G)', 'images a second', 'mIoU (%)'} <= set(texts)
    caption = ' '.join(text for text in texts if len(text) > 20)
    assert '1 sparsemask' in caption and '2 fcn' in caption and 'broken' not in caption
    figure = draw_comparison(ROWS)
    points = [[list(c[0].get_xydata()[0]) for c in axes.containers] for axes in figure.axes]
    assert points == [
        [[2.784853, 72.0], [2.250773, 60.0]],
        [[1.85392896, 72.0], [1.01, 60.0]],
        [[12.345, 72.0]],
    ]
    numbers = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert numbers == [['1', '2'], ['1', '2'], ['1']] and texts_outside(figure) == []


def test_what_is_not_known_has_no_panel():
    untimed = [replace(row, fps=None) for row in ROWS]
    panels = [axes.get_xlabel() for axes in draw_comparison(untimed).axes]
    assert panels == ['parameters (M)', 'multiply-adds (G)']
    (axes,) = draw_comparison([ROWS[2]]).axes
    assert axes.texts[0].get_text() == 'no results'


def test_front():
    assert front([(1, 10), (2, 20), (3, 15), (2, 20), (2, 19), (4, 21)]) == {0, 1, 3, 5}
    figure = draw_comparison([Row(name, None, [y], 'test', 0, x, 1, 1) for name, x, y in [
        ('small', 1, 10.0), ('worse', 3, 15.0), ('good', 2, 20.0),
    ]], PANELS[:1])  # fmt: skip
    assert 'On a front: 1 small; 3 good' in figure.get_supxlabel()


def test_a_small_decoder_is_not_shown_as_nothing():
    assert both(60_000_000, 3_400_000, 1e9, 'G') == '0.06+0.0034G'
    assert both(60_000_000, 0, 1e9, 'G') == '0.06+0.00G'
    assert both(60_000_000, 5_100_000, 1e9, 'G') == '0.06+0.01G'
