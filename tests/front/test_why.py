"""What each connection is worth: against the pruned network's own validation, and by hand."""

import csv
import math

import pytest
from reference import fronts
from reference.fronts import MORE, run

from mmseg_sparsemask.connectivity import Connection, Connectivity, load, preset
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.front.points import validated
from mmseg_sparsemask.front.why import mean_iou, variants
from mmseg_sparsemask.search.front_table import read_points

ASKED = ['--held-back', 4, '--count', 3, '--swaps', 3, '--why', 4]
# Validated at another size than the network sees.
MORE = MORE.replace('val_cfg = val_dataloader = val_evaluator = None', '')


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    work_dir = fronts.searched(tmp_path_factory.mktemp('why'), 8, MORE)
    run(work_dir, *ASKED)
    return work_dir


def rows_of(folder):
    with (folder / 'why.csv').open() as file:
        return list(csv.DictReader(file))


def test_every_connection_has_its_worth(searched):
    front = searched / 'front'
    for point in read_points(front):
        graph = load(front / point.folder / 'connectivity.json')
        rows = rows_of(front / point.folder)
        cut = {Connection(r['source'], r['stage']) for r in rows if r['change'] == 'cut'}
        added = {Connection(r['source'], r['stage']) for r in rows if r['change'] == 'added'}
        assert cut == set(graph) and not cut & added
        for row in rows:
            alone = not drop_unreachable(
                set(graph) - {Connection(row['source'], row['stage'])}, graph.end
            )
            assert (row['mIoU'] == '') == (alone and row['change'] == 'cut')


def test_a_change_is_the_difference_of_two_validations(searched, tmp_path):
    """What a point loses without a connection, from a decoder that is written without it."""
    front = searched / 'front'
    point = read_points(front)[-1]
    graph = load(front / point.folder / 'connectivity.json')
    rows = {(r['source'], r['stage']): r for r in rows_of(front / point.folder)}
    before = validated(front / point.folder)
    tried = 0
    for connection in list(graph)[:: max(1, len(graph) // 3)]:
        left = drop_unreachable(set(graph) - {connection}, graph.end)
        if not left:
            continue
        smaller = Connectivity.from_connections(graph.strides, left)
        after = validated(written(searched, smaller, tmp_path))
        change = float(rows[tuple(connection)]['mIoU'])
        assert change == pytest.approx(after - before, abs=0.02)
        tried += 1
    assert tried >= 2


def written(searched, graph, folder):
    """Files of a decoder that is no point of the front, by the same means as those of a point."""
    from mmseg_sparsemask.front.find import search_files
    from mmseg_sparsemask.front.points import write_point
    from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
    from mmseg_sparsemask.search.saved_search import read_search

    checkpoint, config = search_files(searched, None)
    search = read_search(checkpoint, str(config))
    supernet = Supernet(Source(search, config, folder), FrontSettings(images=4))
    return folder / write_point(supernet, graph, folder).folder


def test_it_goes_on_where_it_was(searched, monkeypatch):
    front = searched / 'front'
    notes = next(front.glob('why_*.jsonl'))
    lines = notes.read_text().splitlines(keepends=True)
    expected = {p.folder: (front / p.folder / 'why.csv').read_text() for p in read_points(front)}
    notes.write_text(''.join(lines[: len(lines) // 2]) + lines[-1][:20])
    run(searched, *ASKED)
    assert sorted(notes.read_text().splitlines()) == sorted(line.strip() for line in lines)
    for folder, content in expected.items():
        assert (front / folder / 'why.csv').read_text() == content


def test_pages_show_it(searched):
    front = searched / 'front'
    for point in read_points(front):
        page = (front / point.folder / 'report.html').read_text()
        rows = rows_of(front / point.folder)
        for row in rows:
            change = float(row['mIoU'] or 'nan')
            text = (
                'all' if math.isnan(change) else f'{change:+.1f}' if abs(change) >= 0.05 else '0.0'
            )
            kind = 'kept' if row['change'] == 'cut' else 'added'
            assert f'class="{kind}"' in page and f'>{text}</td>' in page
            assert f'{row["source"]} → {row["stage"]}' in page
        assert (front / 'report.html').read_text().count(point.folder) >= 1
    # The page of the search has the front, too, and keeps it when it is written again.
    assert 'id="front-slider"' in (searched / 'report.html').read_text()


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        ("model['test_cfg'] = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))", 'whole'),
        ('val_cfg = val_dataloader = val_evaluator = None', 'expected a val_dataloader'),
        ("val_dataloader['dataset'] = dict(type='BaseSegDataset', data_root='no', pipeline=[])",
         'the validation images are not here'),
    ],
)  # fmt: skip
def test_errors_of_one_line(searched, tmp_path, more, words):
    config = tmp_path / 'other.py'
    config.write_text((searched / 'search.py').read_text() + f'\n{more}\n')
    with pytest.raises(SystemExit, match=words) as caught:
        run(searched, *ASKED, '--config', config, '--out', tmp_path / 'out')
    assert '\n' not in str(caught.value)


def test_variants_by_hand():
    part = Connectivity((2, 4, 8), {'D2': ['E2', 'G'], 'D1': ['D2']})
    space = preset('fdn', (2, 4, 8))
    found = {c: (kept, graph) for c, kept, graph in variants(part, space)}
    assert {c for c, (kept, _) in found.items() if kept} == set(part)
    assert found[Connection('D2', 'D1')][1] is None
    assert dict(found[Connection('G', 'D2')][1].stages) == {'D2': ('E2',), 'D1': ('D2',)}
    # D3 is not there, so nothing can come from it or lead to it.
    added = {c for c, (kept, _) in found.items() if not kept}
    assert added == {
        Connection(source, stage)
        for source, stage in space
        if stage in ('D1', 'D2') and source != 'D3' and (source, stage) not in set(part)
    }


def test_mean_over_the_classes_that_occur():
    assert mean_iou([50.0, math.nan, 100.0]) == 75
    assert mean_iou([math.nan]) == 0
