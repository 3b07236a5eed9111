"""Pictures of the pages: each has a command, and is what the code draws today."""

import re
import runpy
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest
from reference.figures import outside

from mmseg_sparsemask.utils.figures import save_figure

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / 'docs/images'
DRAWN = runpy.run_path(str(ROOT / '.ci/figures.py'))['DRAWN']
SVG = '{http://www.w3.org/2000/svg}'


def test_every_picture_has_a_command_and_a_page():
    section = (ROOT / 'docs/gallery.md').read_text().partition('## The command of each picture')[2]
    rows = dict(re.findall(r'^\| (`.+`) \| (.+) \|$', section, re.MULTILINE))
    named = [name for row in rows for name in re.findall(r'`(.+?)`', row)]
    pictures = [path.name for path in IMAGES.iterdir() if path.is_file()]
    assert [name for name in pictures if not any(fnmatch(name, known) for known in named)] == []
    assert [known for known in named if not any(fnmatch(name, known) for name in pictures)] == []
    assert all('`' in command or '](' in command for command in rows.values())
    pages = ''.join(p.read_text() for p in [ROOT / 'README.md', *ROOT.glob('docs/*.md')])
    assert [name for name in pictures if f'images/{name}' not in pages] == []


def content(path):
    """What a picture shows, but for the places, which differ between versions of matplotlib."""
    root = ElementTree.parse(path).getroot()
    title = root.find(f'{SVG}title').text
    texts = [''.join(node.itertext()) for node in root.iter(f'{SVG}text')]
    styles = {
        colour
        for node in root.iter()
        for colour in re.findall(r'(?:fill|stroke): (#\w+)', node.get('style', ''))
    }
    return title, texts, styles


@pytest.mark.parametrize('name', DRAWN)
def test_a_picture_is_what_the_code_draws_today(name, tmp_path):
    figure = DRAWN[name]()
    assert outside(figure) == []
    save_figure(figure, tmp_path / f'{name}.svg')
    drawn, shipped = (content(folder / f'{name}.svg') for folder in (tmp_path, IMAGES))
    assert drawn == shipped, 'run: python .ci/figures.py'


@pytest.mark.parametrize('path', sorted(IMAGES.glob('*.svg')), ids=lambda path: path.stem)
def test_svgs_have_a_title_and_no_black_and_no_ground(path):
    title, _, colours = content(path)
    assert title and '#000000' not in colours
    text = path.read_text()
    first = re.search(r'<g id="patch_1">.*?</g>', text, re.DOTALL)[0]
    assert 'opacity: 0' in first or 'fill: none' in first
