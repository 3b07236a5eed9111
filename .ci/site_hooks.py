"""What the site needs beside docs/: pages and files from elsewhere, and the API.

MkDocs calls the functions named `on_...`; mkdocs.yml names this file.
"""

import ast
import logging
import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
LOG = logging.getLogger('mkdocs.hooks')
#: Files that are pages of the site, too, and their names there.
ELSEWHERE = {
    'README.md': 'start.md',
    'tools/README.md': 'tools.md',
    'benchmarks/README.md': 'benchmarks.md',
    'configs/sparsemask/README.md': 'configs_sparsemask.md',
    'configs/dpc/README.md': 'configs_dpc.md',
    'SECURITY.md': 'security.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
}
ORIGIN = {page: source for source, page in ELSEWHERE.items()}
PARTS = re.compile(r'(^```.*?^```$)', re.DOTALL | re.MULTILINE)
LINK = re.compile(r'(\]\(|src=")([^)\s"]+)')


def slug(heading: str, separator: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', separator)


def rooms() -> list[str]:
    """Modules with public names: the packages that say what they export."""
    found = []
    for path in sorted((ROOT / 'mmseg_sparsemask').rglob('__init__.py')):
        names = next(
            (
                ast.literal_eval(node.value)
                for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '__all__'
            ),
            [],
        )
        # A package that only names other packages has nothing of its own.
        if any(not (path.parent / name).is_dir() for name in names):
            found.append('.'.join(path.parent.relative_to(ROOT).parts))
    return found


def on_config(config):
    """Anchors like GitHub's, a link to the repository, and a page for each room of the package."""
    known = {}
    exec((ROOT / 'mmseg_sparsemask/version.py').read_text(), known)
    config.repo_url = known['SOURCE'] or None
    config.mdx_configs['toc']['slugify'] = slug
    pages = [{room.removeprefix('mmseg_sparsemask.'): f'api/{room}.md'} for room in rooms()]
    config.nav.append({'API reference': pages})
    return config


def on_files(files, config):
    """Add the pages that do not lie in docs/."""
    for source, page in ELSEWHERE.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=text))
    for room in rooms():
        text = f'# {room}\n\n::: {room}\n'
        files.append(File.generated(config, f'api/{room}.md', content=text))
    return files


def shown(path, config, files):
    """Where the site shows a file of the repository: as text, whatever it is."""
    name = f'source/{path}.txt'
    if not files.get_file_from_path(name):
        files.append(File.generated(config, name, content=(ROOT / path).read_text()))
    return name


def on_page_markdown(markdown, page, config, files):
    """Turn links out of docs/ into links to pages of the site, or to files that the site shows."""
    source = ORIGIN.get(page.file.src_uri, f'docs/{page.file.src_uri}')

    def target(found):
        link, _, anchor = found[2].partition('#')
        if not link or re.match(r'https?:|mailto:', link):
            return found[0]
        path = os.path.normpath(os.path.join(os.path.dirname(source), link))
        if not (ROOT / path).exists():
            LOG.warning(f'{source}: the link {found[2]} leads nowhere')
        if path in ELSEWHERE:
            path = ELSEWHERE[path]
        elif path.startswith('docs/'):
            path = path.removeprefix('docs/')
        else:
            path = shown(path, config, files)
        return found[1] + path + (f'#{anchor}' if anchor else '')

    # All pages but those of the API lie in one folder; these hold no links of their own.
    parts = PARTS.split(markdown)
    return ''.join(part if part.startswith('```') else LINK.sub(target, part) for part in parts)
