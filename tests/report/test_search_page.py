"""The page of a search: in a browser it shows what the package's own pruning gives."""

import random

import pytest
from reference.browser import CHROMIUM, work_page
from reference.records import SHAPE, SIZE, STRIDES
from reference.records import search_record as record

from mmseg_sparsemask.connectivity import DecoderShape, preset, prune
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above, separation
from mmseg_sparsemask.report import Step, search_page, write_page
from mmseg_sparsemask.report.page import MAX_NUMBERS, thinned
from mmseg_sparsemask.report.search_page import threshold_choices

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason='no Chromium (apt-get install chromium)'
)


def whole(number):
    return f'{round(number):,}'


@needs_browser
def test_sliders_change_graph_and_numbers_as_the_package_prunes(tmp_path):
    search = record()
    choices = threshold_choices(search.threshold)
    places = [(step, at) for step in (0, 2, 5) for at in (0, 15, 30, 44, 52, len(choices) - 1)]
    script = f"""
        const all = (selector) => [...document.querySelectorAll(selector)];
        return {[list(place) for place in places]}.map(([step, at]) => {{
            move('step', step); move('threshold', at);
            return {{
                kept: all('#graph .connection').map((c) => c.dataset.connection),
                nodes: all('#graph .node.on').map((c) => c.dataset.node),
                stages: all('#stages th').map((c) => c.textContent),
                connections: read('connections'), parameters: read('parameters'),
                multiply_adds: read('multiply-adds'),
                dropped: read('dropped'), kept_weight: read('kept'),
                step: read('step-value'), threshold: read('threshold-value'), score: read('score'),
            }};
        }});
    """
    noted = work_page(search_page(search), script, tmp_path)
    assert len({tuple(n['kept']) for n in noted}) > 6
    for (step, at), shown in zip(places, noted):
        weights = dict(zip(search.connections, search.weights[step]))
        kept = drop_unreachable(keep_above(weights, choices[at]))
        assert {tuple(c.split()) for c in shown['kept']} == set(kept)
        assert shown['step'] == whole(search.steps[step])
        assert float(shown['threshold']) == choices[at]
        dropped, smallest = separation(weights, choices[at])
        if any(w < choices[at] for w in weights.values()):
            assert float(shown['dropped']) == pytest.approx(dropped, rel=0.01)
        if not kept:
            assert shown['connections'].startswith('none')
            assert shown['parameters'] == '0'
            continue
        found = prune(weights, STRIDES, choices[at])
        cost = SHAPE.cost(found, SIZE)
        assert shown['connections'] == f'{len(found)} of {len(weights)}'
        assert shown['parameters'] == whole(cost.parameters)
        assert shown['multiply_adds'] == whole(cost.multiply_adds)
        assert shown['stages'] == list(found.stages)
        assert set(shown['nodes']) == {*found.sources(), *found.stages}
        assert float(shown['kept_weight']) == pytest.approx(smallest, rel=0.01)
        assert shown['score'].startswith({0: 'not yet', 2: '41.5', 5: '55.'}[step])


@needs_browser
def test_page_starts_at_the_end_with_the_threshold_used_and_is_usable_by_keyboard(tmp_path):
    search = record()
    script = """
        const start = [read('step-value'), read('threshold-value'), read('connections')];
        const focused = [...document.querySelectorAll('input')].map((slider) => {
            slider.focus();
            const active = document.activeElement === slider;
            return [active, slider.type, slider.labels.length, slider.tabIndex];
        });
        return {start, focused,
                limits: document.querySelectorAll('#chart-parameters .limit').length,
                scores: document.querySelectorAll('#chart-scores circle').length,
                rows: document.querySelectorAll('#history tr').length};
    """
    noted = work_page(search_page(search), script, tmp_path)
    size = len(search.connectivity)
    assert noted['start'] == ['50', '0.02', f'{size} of {len(search.connections)}']
    # A native range input takes arrow keys, Home, End and page keys by itself.
    assert noted['focused'] == [[True, 'range', 1, 0]] * 2
    assert (noted['limits'], noted['scores'], noted['rows']) == (1, 2, 6)


@needs_browser
def test_text_from_configs_is_shown_and_not_run(tmp_path):
    evil = (
        '</script><script>document.title = "run"</script>'
        '<img src=x onerror="document.title=\'run\'">'
    )
    page = search_page(
        record(
            name=evil,
            settings={evil: evil},
            commands=[Step(evil, evil)],
            score_name=evil,
        )
    )
    noted = work_page(
        page, "return [document.title, document.querySelectorAll('img').length]", tmp_path
    )
    assert noted == [evil, 0]


def test_page_needs_nothing_from_outside():
    page = search_page(record())
    for mark in ('src=', 'href=', '@import', 'url(', 'fetch('):
        assert mark not in page
    assert "default-src 'none'" in page


def test_a_long_search_stays_under_two_megabytes(tmp_path):
    strides = (2, 2, 4, 8, 16, 16, 32, 32, 32)
    space = preset('fdn', strides)
    rng = random.Random(0)
    rows = [[rng.random() for _ in space] for _ in range(5000)]
    channels = (32, 16, 24, 32, 64, 96, 160, 320, 1280)
    page = search_page(
        record(
            strides=strides,
            connectivity=preset('unet', strides),
            connections=list(space),
            steps=list(range(5000)),
            weights=rows,
            costs=DecoderShape(space.strides, channels).part_costs(space),
        )
    )
    path = write_page(page, tmp_path / 'report.html')
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ValueError, match='at most 2,000,000 bytes'):
        write_page('x' * 2_000_001, tmp_path / 'large.html')
    assert not (tmp_path / 'large.html').exists()


def test_thinning_keeps_first_and_last():
    assert thinned(5, 90) == [0, 1, 2, 3, 4]
    shown = thinned(10_000, 90)
    assert len(shown) == MAX_NUMBERS // 90
    assert (shown[0], shown[-1]) == (0, 9999)
    assert len(set(shown)) == len(shown)


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match='20 numbers for each of 6'):
        search_page(record(weights=[[0.5]] * 6))
    with pytest.raises(ValueError, match='one a step'):
        search_page(record(steps=[0]))
    with pytest.raises(ValueError, match='finite'):
        search_page(record(scores=[(1, float('nan'))]))
