"""The pages of a front: a list without a script, a slider with one, changes with their signs."""

import math
import re

import pytest
from reference.browser import CHROMIUM, work_page
from reference.records import search_record

from mmseg_sparsemask.connectivity import preset
from mmseg_sparsemask.report import (
    ConnectionChange,
    FrontPoint,
    FrontRecord,
    Step,
    front_page,
    point_page,
    read_front,
    search_page,
    write_page,
)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason='no Chromium (apt-get install chromium)'
)

INPUTS = (
    {'D3': ['G']},
    {'D4': ['E4', 'G'], 'D2': ['E2', 'D4']},
    {'D4': ['E4'], 'D1': ['E1', 'E3', 'D4']},
)


def point(place, **changes):
    values = dict(
        name=f'point {place}',
        strides=[2, 4, 8, 16],
        inputs=INPUTS[place],
        cost=1000.0 * 3**place,
        score=40.0 + 2 * place,
        score_name='mIoU',
        numbers={'parameters': f'{1000 * 3**place:,}', 'ms of the decoder': '4.20'},
        commands=[Step(f'python tools/train.py {place}/finetune.py', 'train further')],
    )
    return FrontPoint(**{**values, **changes})


CHANGES = [
    ConnectionChange('E4', 'D4', True, -3.25, (-4.0, None)),
    ConnectionChange('G', 'D4', True, None, (None, None)),
    ConnectionChange('E2', 'D2', True, 0.5, (1.0, 0.0)),
    ConnectionChange('G', 'D2', False, 1.25, (2.5, -0.25)),
]


def front(**changes):
    points = [point(0), point(1, changes=CHANGES, classes=['sky', 'road']), point(2)]
    return FrontRecord(**{'name': 'a front', 'unit': 'parameters', 'points': points, **changes})


@pytest.mark.parametrize(
    'page', [front_page(front()), search_page(search_record(front=front()))], ids=['own', 'search']
)
def test_without_a_script_it_is_a_list_of_all_points(page):
    body = re.sub('<script.*?</script>', '', page, flags=re.DOTALL)
    points = body.split('<article class="point"')[1:]
    assert len(points) == 3 and 'hidden' not in ''.join(points)
    for place, shown in enumerate(points):
        assert f'{1000 * 3**place:,}' in shown and f'{place}/finetune.py' in shown
        graph = point(place).connectivity
        drawn = set(re.findall('data-connection="(.*?)"', shown)) - {graph.end}
        assert drawn == {f'{source} → {stage}' for source, stage in graph}
        alive = set(re.findall('class="node on" data-node="(.*?)"', shown))
        assert alive == {*graph.sources(), *graph.stages}
    # What works with the script alone is not shown without it.
    assert '<div id="front-choice" hidden>' in body and body.count('type="range"') >= 1


def test_changes_are_told_by_sign_and_border_and_not_by_colour_alone():
    shown = point_page(front(), front().points[1])
    cells = re.findall('<td class="(kept|added)" style=".*?">(.*?)</td>', shown)
    assert sorted(cells) == sorted(
        [('kept', '-3.2'), ('kept', 'all'), ('kept', '+0.5'), ('added', '+1.2')]
    )
    rows = re.findall(
        '<th scope="row">(.. → ..|. → ..)</th><td>(cut|added)</td><td>(.*?)</td>', shown
    )
    # Largest first: what nothing is left without, then by how much it matters.
    assert [row[0] for row in rows] == ['G → D4', 'E4 → D4', 'G → D2', 'E2 → D2']
    assert '<td>-4.0</td><td>–</td>' in shown and 'road' in shown
    assert 'Why each connection' not in point_page(front(), front().points[0])


def test_pages_need_nothing_from_outside_and_say_what_others_wrote_as_text():
    evil = '</script><script>document.title = "run"</script><img src=x onerror="run">'
    changed = [point(0, name=evil, numbers={evil: evil}, commands=[Step(evil, evil)])]
    bad = front(name=evil, unit=evil, notes=[evil], points=changed)
    for page in pages(bad):
        assert '<img' not in page and 'document.title = "run"</script>' not in page
    for page in pages(front()):
        for mark in ('src=', 'href=', '@import', 'url(', 'fetch('):
            assert mark not in page
        assert "default-src 'none'" in page


def pages(record):
    return [
        front_page(record),
        point_page(record, record.points[0]),
        search_page(search_record(front=record)),
    ]


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert read_front(tmp_path) is None
    front(of='abc', notes=['a note']).save(tmp_path)
    found = read_front(tmp_path)
    assert front_page(found) == front_page(front(of='abc', notes=['a note']))
    assert found.of == 'abc' and found.points[1].changes[0].classes == []
    for text in ('{}', '{"name": 1, "unit": "x", "points": [{}], "notes": []}', 'x'):
        (tmp_path / 'front.json').write_text(text)
        with pytest.raises(ValueError, match='front.json'):
            read_front(tmp_path)


def test_what_cannot_be_shown_is_an_error():
    with pytest.raises(ValueError, match='at least one point'):
        front_page(front(points=[]))
    with pytest.raises(ValueError, match='finite'):
        front_page(front(points=[point(0, score=math.nan)]))


def test_a_large_front_stays_under_two_megabytes(tmp_path):
    strides = (2, 2, 4, 8, 16, 16, 32, 32, 32)
    space = preset('fdn', strides)
    changes = [ConnectionChange(*c, True, -1.0, (0.5,) * 150) for c in space]
    inputs = {stage: list(sources) for stage, sources in space.stages.items()}
    names = [f'class {place}' for place in range(150)]
    large = [
        point(0, strides=list(strides), inputs=inputs, changes=changes, classes=names)
        for _ in range(12)
    ]
    write_page(front_page(front(points=large)), tmp_path / 'front.html')
    write_page(point_page(front(points=large), large[0]), tmp_path / 'point.html')
    front(points=large).save(tmp_path)
    assert len(read_front(tmp_path).points) == 12


@pytest.mark.parametrize(
    'cost, text', [(1869131.0, '1,869,131'), (4.6e9, '4,600,000,000'), (28.1234, '28.12')]
)
def test_costs_are_written_for_people(cost, text):
    (shown,) = front(points=[point(0, cost=cost)]).script_data()
    assert shown['label'].startswith(f'{text} parameters, ')


@needs_browser
@pytest.mark.parametrize(
    'page', [front_page(front()), search_page(search_record(front=front()))], ids=['own', 'search']
)
def test_the_slider_shows_one_point(tmp_path, page):
    script = """
        const seen = () => [...document.querySelectorAll('#front-points .point')]
            .map((p) => p.offsetParent !== null);
        const slider = document.getElementById('front-slider');
        slider.focus();
        const start = [document.activeElement === slider, slider.labels.length, seen()];
        return {start, moved: [0, 1, 2].map((at) => {
            move('front-slider', at);
            return [seen(), read('front-value'), slider.getAttribute('aria-valuetext'),
                    document.querySelectorAll('#front-chart circle').length];
        })};
    """
    noted = work_page(page, script, tmp_path)
    assert noted['start'] == [True, 1, [False, False, True]]
    for place, (seen, value, spoken, dots) in enumerate(noted['moved']):
        assert seen == [other == place for other in range(3)]
        assert value == spoken == f'{1000 * 3**place:,} parameters, mIoU {40 + 2 * place}'
        assert dots == 3
