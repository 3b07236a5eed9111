"""The page of a search for cells, in a browser."""

import pytest
from reference.browser import CHROMIUM, work_page

from mmseg_sparsemask.report import CellRecord, Step, StudyRecord, study_page

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason='no Chromium (apt-get install chromium)'
)

CELLS = [
    CellRecord(0, 30.0, 5000, 90, [(-1, 'conv1x1'), (0, 'sep3x3_1x6')]),
    CellRecord(1, 44.5, 4000, 80, [(-1, 'pool_4x8'), (-1, 'conv1x1'), (1, 'conv1x1')]),
    CellRecord(4, 60.0, 9000, 99, [(-1, 'conv1x1')], feasible=False),
    CellRecord(5, 41.0, 4500, 70, [(-1, 'sep3x3_3x3'), (0, 'conv1x1')]),
]


@needs_browser
def test_slider_shows_each_cell_and_the_best_until_then(tmp_path):
    script = """
        const start = read('trial-value');
        return {start, shown: [0, 1, 2, 3].map((place) => {
            move('trial', place);
            return [read('trial-value'), read('score'), read('best'), read('parameters'),
                    document.querySelectorAll('#cell .node').length,
                    document.querySelectorAll('#cell .arrow').length];
        }), dots: document.querySelectorAll('#chart-front circle').length,
        line: document.querySelector('#chart-front .line').getAttribute('d')};
    """
    page = study_page(StudyRecord('cells', CELLS, commands=[Step('python x', 'train')]))
    noted = work_page(page, script, tmp_path)
    assert noted['start'] == '1'
    assert noted['shown'] == [
        ['0', '30.00', '30.00', '5,000', 4, 4],
        ['1', '44.50', '44.50', '4,000', 5, 6],
        ['4', '60.00', '44.50', '9,000', 3, 2],
        ['5', '41.00', '44.50', '4,500', 4, 4],
    ]
    assert noted['dots'] == 4
    # One cell is both the cheapest and the best of those that keep the bounds.
    assert noted['line'].count('L') == 0


def test_the_table_ranks_what_keeps_the_bounds_first():
    page = study_page(StudyRecord('a <study>', CELLS))
    places = [page.index(f'<th scope="row">{number}</th>') for number in (1, 5, 0, 4)]
    assert places == sorted(places)
    assert 'a &lt;study&gt;' in page


def test_ties_are_named():
    tie = CellRecord(7, 44.5, 4000, 80, [(-1, 'conv1x1')])
    page = study_page(StudyRecord('cells', [tie, *CELLS]))
    assert 'has 44.50 proxy mIoU (trial 1)' in page and 'As good: trial 7;' in page
    assert 'As good' not in study_page(StudyRecord('cells', CELLS))
    assert '<p>1 cell; ' in study_page(StudyRecord('cells', CELLS[:1]))


def test_a_study_without_cells_is_an_error():
    with pytest.raises(ValueError, match='at least one finished cell'):
        study_page(StudyRecord('cells', []))
