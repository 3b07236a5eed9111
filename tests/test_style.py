"""One dialect, where ruff has no rule for it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def offences(source, is_package=False):
    """What breaks the dialect in the text of a module."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        doc = (isinstance(node, DOCUMENTED) and ast.get_docstring(node)) or ''
        if ROLE.search(doc):
            yield f'{doc.splitlines()[0]!r}: single backticks, no role'
        for line, word in entries(doc):
            # A name of code or a symbol keeps its own case.
            if word not in ('mIoU', 'm') and len(word) > 1:
                yield f'{line!r}: a capital after the colon'
    if not is_package:
        for node in tree.body:
            if isinstance(node, ast.Assign) and 'id' in vars(node.targets[0]):
                if node.targets[0].id == '__all__':
                    yield 'a leaf module says with an underscore what is private, not in __all__'


def test_offences_are_found():
    doc = 'X.\n\nArgs:\n    a: lower case.\n    b: Upper case.\n        c: not an entry.\n'
    assert [word for _, word in entries(doc)] == ['lower']
    source = f'"""{doc}"""\n__all__ = []\ndef f():\n    """See :func:`g`."""\n'
    assert len(list(offences(source))) == 3 and len(list(offences(source, True))) == 2


def test_one_dialect():
    found = [
        f'{path.relative_to(ROOT)}: {offence}'
        for folder in ('mmseg_sparsemask', 'tools', 'benchmarks')
        for path in sorted((ROOT / folder).rglob('*.py'))
        for offence in offences(path.read_text(), path.name == '__init__.py')
    ]
    assert not found, '\n'.join(found)
