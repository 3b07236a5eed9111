"""One dialect, where ruff has no rule for it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ('mmseg_sparsemask', 'tools', 'benchmarks')
    for path in (ROOT / folder).rglob('*.py')
)
SECTION = re.compile(r'(Args|Attributes|Raises):$')
LOWER = re.compile(r'[\w*`, ]+?: +([a-z]+)\b')
ROLE = re.compile(r':(func|class|mod|meth|data|attr):`')
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def entries(docstring):
    """First word of every description in the sections Args, Attributes and Raises."""
    inside = False
    for line in docstring.splitlines():
        indent = len(line) - len(line.lstrip())
        if SECTION.match(line.strip()) and indent == 0:
            inside = True
        elif inside and line.strip() and indent == 0:
            inside = False
        elif inside and indent == 4 and (found := LOWER.match(line.strip())):
            yield line.strip(), found[1]


def test_entries_are_found():
    doc = 'X.\n\nArgs:\n    a: lower case.\n    b: Upper case.\n        c: not an entry.\n'
    assert [word for _, word in entries(doc)] == ['lower']


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings(path):
    for node in ast.walk(ast.parse(path.read_text())):
        doc = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        if doc is None:
            continue
        assert not ROLE.search(doc), f'{doc!r}: single backticks'
        for line, word in entries(doc):
            # A name of code or a symbol keeps its own case.
            assert word in ('mIoU', 'm') or len(word) == 1, f'{line!r}: a capital after the colon'


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_exports_are_said_in_packages_only(path):
    if path.name != '__init__.py':
        names = {
            target.id
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert '__all__' not in names, 'a leaf module says with an underscore what is private'
