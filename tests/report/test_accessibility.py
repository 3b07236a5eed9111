"""Pages can be used without colour, mouse or eyes, as far as axe-core can tell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from reference.browser import CHROMIUM, axe_core, violations
from report.test_fit_page import record as fit_record
from report.test_front_page import front
from report.test_search_page import record
from report.test_study_page import CELLS

from mmseg_sparsemask.report import (
    Step,
    StudyRecord,
    fit_page,
    front_page,
    point_page,
    search_page,
    study_page,
)

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason='no Chromium (apt-get install chromium)'),
    pytest.mark.skipif(
        axe_core() is None, reason='no axe-core (npm install axe-core; AXE_CORE names its file)'
    ),
]

PAGES = {
    'a search': lambda: search_page(record()),
    'a search without more': lambda: search_page(
        record(budgets={}, scores=[], commands=(), settings={})
    ),
    'a search with a front': lambda: search_page(record(front=front())),
    'a front': lambda: front_page(front()),
    'a point of it': lambda: point_page(front(), front().points[1]),
    'a fit': lambda: fit_page(fit_record()),
    'a study': lambda: study_page(StudyRecord('cells', CELLS, commands=[Step('python x', 'go')])),
}


@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
@pytest.mark.parametrize('name', PAGES)
def test_pages_of_searches(name, dark, tmp_path):
    (tmp_path / 'page.html').write_text(PAGES[name](), encoding='utf-8')
    found, passed = violations(tmp_path / 'page.html', tmp_path, dark)
    assert found == [] and passed > 10


@pytest.mark.parametrize(
    ('fault', 'rule'),
    [
        ('<img src="x.png">', 'image-alt'),
        ('<input type="range">', 'label'),
        ('<p style="color: #999; background: #aaa">pale</p>', 'color-contrast'),
    ],
)
def test_faults_are_found(fault, rule, tmp_path):
    page = search_page(record()).replace('</body>', f'{fault}</body>')
    (tmp_path / 'page.html').write_text(page, encoding='utf-8')
    found, _ = violations(tmp_path / 'page.html', tmp_path)
    assert [text.partition(':')[0] for text in found if text.startswith(rule)] == [rule]


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    places = [str(Path(sys.executable).parent), os.environ['PATH']]
    mkdocs = shutil.which('mkdocs', path=os.pathsep.join(places))
    if mkdocs is None:
        pytest.skip('MkDocs is not installed (extra docs)')
    folder = tmp_path_factory.mktemp('site')
    subprocess.run([mkdocs, 'build', '--quiet', '-d', folder], cwd=ROOT, check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
@pytest.mark.parametrize('page', ['index', 'start', 'leaderboard', 'api/mmseg_sparsemask.search'])
def test_pages_of_the_site(page, dark, site, tmp_path):
    found, passed = violations(site / f'{page}.html', tmp_path, dark)
    assert found == [] and passed > 10
