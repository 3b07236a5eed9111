"""What is said of several runs, and the page made of them."""

import re
import runpy
from dataclasses import replace

import pytest
import yaml
from compare.test_results import ROOT, UNET, runs
from reference.figures import texts_outside

from mmseg_sparsemask.compare.comparisons import Design, choices, compare_groups, rank_settings
from mmseg_sparsemask.compare.leaderboard import draw_results, figure_name, page_text
from mmseg_sparsemask.compare.plan import read_table
from mmseg_sparsemask.compare.results import (
    CONTROL,
    append_results,
    group_results,
    read_results,
)
from mmseg_sparsemask.compare.statistics import holm, rank_test
from mmseg_sparsemask.utils.markup import plain_text

RANDOM = [30.0, 31.0, 29.5, 30.2, 28.8, 31.4, 30.9, 29.9]


def text_of(results):
    return page_text({'camvid': results}, places={'camvid': ('images/x y.svg', '../results/x.csv')})


def tables_of(text):
    """The tables of a page: lists of rows, which are lists of cells."""
    tables = [[]]
    for line in text.splitlines():
        if line.startswith('|'):
            cells = re.split(r'(?<!\\)\|', line)
            tables[-1].append([cell.strip() for cell in cells[1:-1]])
        elif tables[-1]:
            tables.append([])
    return [[table[0], *table[2:]] for table in tables if table]


def test_groups_have_the_best_first():
    groups = group_results([*runs('poor', [10.0]), *runs('found', [33.0, 32.0, 34.0])])
    assert [group.first.method for group in groups] == ['found', 'poor']
    row = groups[0].row()
    assert row.spread == pytest.approx(1.0) and row.fps == pytest.approx(1000 / 31.5)
    assert row.decoder_multiply_adds == UNET.decoder_multiply_adds


def test_only_controls_of_a_rows_size_are_compared_with_it():
    control = runs(CONTROL, RANDOM)
    # Two are of another size: one in parameters, one in multiply-adds.
    control[0] = replace(control[0], decoder_parameters=round(UNET.decoder_parameters * 1.06))
    control[1] = replace(control[1], decoder_multiply_adds=UNET.decoder_multiply_adds // 2)
    other = runs('large', [20.0], decoder_parameters=10**7)
    groups = group_results([*control, *runs('found', [33.0, 32.0, 34.0]), *other])
    (found,) = compare_groups(groups, Design())
    assert found.group.first.method == 'found' and not found.primary
    assert found.other.test == tuple(RANDOM[2:])
    assert found.p_value == rank_test([33.0, 32.0, 34.0], RANDOM[2:])


def test_a_p_value_is_never_written_as_nothing():
    text = text_of([*runs('found', [40.0 + s for s in range(8)]), *runs(CONTROL, RANDOM)])
    assert tables_of(text)[1][1][5:] == ['< 0.001', 'corrected']


def test_all_but_the_primary_comparison_are_corrected():
    methods = {'a': [33.0, 32.0, 34.0], 'b': [31.0, 30.5, 32.5], 'c': [30.0, 28.0, 29.0]}
    results = [row for method, scores in methods.items() for row in runs(method, scores)]
    groups = group_results([*results, *runs('few', [40.0, 41.0]), *runs(CONTROL, RANDOM)])
    keys = {group.first.method: group.first.group for group in groups}
    design = Design((keys['a'], keys[CONTROL]))
    found = {one.group.first.method: one for one in compare_groups(groups, design)}
    raw = {method: rank_test(scores, RANDOM) for method, scores in methods.items()}
    assert list(found) == ['a', 'few', 'b', 'c']
    assert found['a'].primary and found['a'].p_value == raw['a']
    assert [found['b'].p_value, found['c'].p_value] == holm([raw['b'], raw['c']])
    assert found['few'].p_value is None and found['few'].shift.low is None
    # Without any named, that one is corrected, too.
    assert compare_groups(groups, Design())[1].p_value == holm(list(raw.values()))[0]
    # Any entry can be what others are compared with; what has no rows yet is left out.
    named = Design((keys['b'], ('gone', 't', 0, 1)), frozenset([keys['c']]))
    assert {one.other.first.method for one in compare_groups(groups, named)} == {'c'}


def test_choosing_by_val():
    control = [
        replace(row, score_val=val)
        for row, val in zip(runs(CONTROL, [30.0, 31.0, 32.0, 35.0]), [1.0, 4.0, 3.0, 2.0])
    ]
    found = runs('found', [33.0, 34.0, 36.0], search_iterations=700)
    groups = group_results([*control, *found, *runs('other', [1.0, 2.0])])
    design = Design((found[0].group, control[0].group))
    said = [(c.group.first.method, c.count, c.iterations, c.test) for c in choices(groups, design)]
    # Of two, the one with 4 wins in 3 of 6 pairs, that with 3 in 2, that with 2 in 1.
    assert said == [
        ('found', 1, 2100, pytest.approx(103 / 3)),
        ('found', 2, 4200, pytest.approx(103 / 3)),
        (CONTROL, 1, 1400, pytest.approx(32.0)),
        (CONTROL, 2, 2800, pytest.approx((3 * 31 + 2 * 32 + 35) / 6)),
        (CONTROL, 4, 5600, pytest.approx(31.0)),
    ]
    assert choices(group_results(runs(CONTROL, [1.0], score_val='-')), design) == []


def test_one_setting_for_all_methods():
    val = dict(flat=[54.0, 59.0, 40.0], unet=[52.0, 47.0, 27.0], fcn=[30.0, 42.0, None])
    rows, settings = [], {}
    for method, scores in val.items():
        for name, score in zip(('10x', '30x', '2x'), scores):
            if score is not None:
                (row,) = runs(method, [1.0], training=name)
                rows.append(replace(row, score_val=score))
                settings[row.group] = name
    found = rank_settings(group_results(rows), Design(settings=settings))
    # flat and unet: 10x has ranks 2 and 1, 30x 1 and 2, 2x 3 and 3; fcn tried two, 30x is better.
    assert [(one.name, one.rank) for one in found] == [('30x', 1.5), ('10x', 1.5), ('2x', 3.0)]
    finals = [one.final for one in found]
    assert finals == [pytest.approx(4 / 3), pytest.approx(5 / 3), None]
    table = tables_of(page_text({'t': rows}, {'t': Design(settings=settings)}))[-1]
    assert sorted(table[0][1:4]) == ['fcn', 'flat', 'unet'] and table[1][0] == '30x'
    assert table[1][4:] == ['1.50', '1.33'] and table[3][4:] == ['3.00', '-']
    assert not rank_settings(group_results(rows), Design())


def test_the_page_says_what_the_rows_say():
    text = text_of([*runs('found', [33.0, 32.0]), *runs(CONTROL, [30.0, 31.0, 32.0])])
    methods, compared, chosen = tables_of(text)
    assert methods[1][:4] == ['1', 'found', 'from ImageNet weights', '2']
    assert methods[1][4:9] == ['0 + 1400', '3', '168,779', '202.5M', '31.5']
    assert methods[1][9:] == ['40.00 ± 0.00', '32.50 ± 0.71']
    named = [f'{row[0]} {row[1]}, {row[2]}' for row in methods[1:]]
    # Differences 3 2 1 and 2 1 0; two runs have no p-value.
    assert compared[1:] == [[*named, '2, 3', '+1.50', '-', '-', '-']]
    assert [row[1:] for row in chosen[1:]] == [['1', '1,400', '31.00'], ['2', '2,800', '31.00']]
    assert '## camvid' in text and '](images/x%20y.svg)' in text
    assert '- Machine: a processor, 2 cores\n' in text
    more = text_of([*runs('found', [33.0, 32.0, 34.0]), *runs(CONTROL, RANDOM)])
    assert tables_of(more)[1][1][3:] == ['+2.90', '+1.10 to +4.20', '0.012', 'corrected']
    few = text_of([*runs('found', [33.0, 32.0, 34.0]), *runs(CONTROL, RANDOM[:3])])
    assert tables_of(few)[1][1][4].endswith(' (90%)')


def test_a_page_without_validation_images_or_controls():
    text = text_of(runs('HED', [0.7126, 0.7145], metric='ODS', score_val='-'))
    (methods,) = tables_of(text)
    assert methods[1][9:] == ['-', '0.714 ± 0.001'] and methods[0][10] == 'ODS test'


def test_scores_of_nothing_but_zero_have_a_page():
    results = [*runs('found', [0.0, 0.0, 0.0]), *runs(CONTROL, [0.0, 0.0, 0.0])]
    assert tables_of(text_of(results))[1][1][3] == '+0.00'
    draw_results(results)


@pytest.mark.parametrize(
    'evil',
    [
        '<script>alert(1)</script>', 'a | b', '[x](javascript:alert(1))', '![x](http://e/p.png)',
        '`code`', '**bold** _it_ ~~gone~~', '$x^2$', '&lt;b&gt;', '<http://e.example>', 'a\\|b',
        'www.example.org and https://e.example/x',
    ],
)  # fmt: skip
def test_names_are_no_markup(evil):
    markdown = pytest.importorskip('markdown_it', reason='markdown-it is not installed')
    page = text_of(runs(evil, [30.0, 31.0], data=evil, machine=evil))
    (methods,) = tables_of(page)
    assert len(methods[1]) == len(methods[0]) == 11
    reader = markdown.MarkdownIt('commonmark', {'html': True}).enable(['table', 'strikethrough'])
    shown = reader.render(page)
    cells = re.findall(r'<td[^>]*>(.*?)</td>', shown)
    assert not re.search(r'<(script|img|em|strong|s|code|a)\b', ''.join(cells))
    plain = cells[1].replace('&lt;', '<').replace('&gt;', '>').replace('&amp;', '&')
    assert plain == evil
    assert not re.search(r'(https?://|www\.)\w', plain_text(evil))
    draw_results(runs(evil, [30.0, 31.0])).canvas.draw()


def test_no_text_of_the_plots_leaves_the_canvas():
    many = [
        row
        for number in range(25)
        for row in runs(
            f'a method with quite a long name, number {number}',
            [30.0 + number],
            ms=10.0 + number,
            decoder_parameters=10_000 * (number + 1) ** 2,
        )
    ]
    for results in (many, many[:1], *map(read_results, sorted((ROOT / 'results').glob('*.csv')))):
        assert texts_outside(draw_results(results)) == []


def page_of(root):
    """The page that a folder's files make, and the page that it has, or None."""
    files = {path.stem: path for path in (root / 'results').glob('*.csv')}
    tables = {stem: read_results(path) for stem, path in files.items()}
    designs = {
        stem: read_table(table, check_configs=False).design
        for stem, path in files.items()
        if (table := path.with_suffix('.yaml')).exists()
    }
    page = root / 'docs/leaderboard.md'
    return page_text(tables, designs), page.read_text() if page.exists() else None


def write_page(*arguments):
    runpy.run_path(str(ROOT / 'tools/results.py'))['main'](['page', *map(str, arguments)])


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
    write_page('--root', tmp_path)
    expected, found = page_of(tmp_path)
    assert found == expected and '168,779' in found
    assert (tmp_path / 'docs/images' / figure_name('camvid')).read_text().startswith('<?xml')
    path.write_text(re.sub(',33.0,', ',33.9,', path.read_text()))
    expected, found = page_of(tmp_path)
    assert found != expected
    write_page('--root', tmp_path)
    assert page_of(tmp_path)[0] == page_of(tmp_path)[1]


def test_a_page_of_ones_own_tables(tmp_path, capsys):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        append_results(tmp_path / name / 'mine.csv', runs(f'method {name}', [33.0]))
    entry = dict(name='n', method='method b', training='from ImageNet weights', iterations=1400)
    table = dict(data='d', encoder='e', image_size=[1, 1], threads=1, val_options=None, searches={})
    table['entries'] = [dict(entry, config='gone.py', seeds=[0])]
    (tmp_path / 'b/mine.yaml').write_text(yaml.safe_dump({**table, 'controls': ['n']}))
    page = tmp_path / 'out/page.md'
    write_page('--csv', tmp_path / 'b/mine.csv', '--out', page)
    assert 'best by val' in page.read_text() and '](../b/mine.csv)' in page.read_text()
    assert f'written: {page}' in capsys.readouterr().out
    assert (page.parent / figure_name('mine')).is_file()
    with pytest.raises(SystemExit):
        write_page('--csv', tmp_path / 'b/mine.csv')
    with pytest.raises(SystemExit, match='expected files of different names'):
        write_page('--csv', *tmp_path.glob('*/mine.csv'), '--out', page)


def test_a_page_of_nothing_is_refused(tmp_path):
    with pytest.raises(SystemExit, match='results: expected CSV files, found none'):
        write_page('--root', tmp_path)
