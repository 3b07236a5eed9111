"""`--help` of the tools: there at once, since torch and the package are imported behind it."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_sparsemask.connectivity import ARCHITECTURES, PRESETS
from mmseg_sparsemask.deployment.export import SUFFIXES, TOLERANCE
from mmseg_sparsemask.deployment.precision import MIOU_TOLERANCE

TOOLS = Path(__file__).parents[2] / 'tools'
ALL = sorted(path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob('*.py'))
#: Runs tools one after the other in a process that loads torch for none of them.
SCRIPT = """
import contextlib, io, json, runpy, sys
texts, folder, names = {}, sys.argv[1], json.loads(sys.argv[2])
for name in names:
    sys.argv[:] = [name, '--help']
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        runpy.run_path(f'{folder}/{name}', run_name='__main__')
    assert 'torch' not in sys.modules, f'{name} --help imports torch'
    texts[name] = out.getvalue()
print(json.dumps(texts))
"""


@pytest.fixture(scope='module')
def helps():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(TOOLS), json.dumps(ALL)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_tool_waits_for_torch_to_explain_itself(helps):
    assert list(helps) == ALL
    assert all(text.startswith('usage: ') for text in helps.values())


def test_export_names_every_format_and_the_tolerances_of_the_package():
    tool = runpy.run_path(str(TOOLS / 'deployment/export.py'))
    args = tool['parse_args'](['CONFIG', 'CHECKPOINT', '--format', *SUFFIXES])
    assert (args.tolerance, args.miou_tolerance) == (TOLERANCE, MIOU_TOLERANCE)


def test_transfer_names_every_preset(helps):
    text = ' '.join(helps['transfer.py'].split())
    assert f'a preset: {", ".join([*PRESETS, *ARCHITECTURES])}' in text


OF_MMSEGMENTATION = ('dataset_converters/voc_aug.py', 'dataset_converters/cityscapes.py')
#: A command of a page: up to the end of its line, which may be continued, of its code or comment.
COMMAND = re.compile(r'tools/([\w/]+\.py)((?:\\\n|[^\n`#|;])*)')


def test_commands_of_the_pages_are_those_of_the_tools(helps):
    root = TOOLS.parent
    pages = [*root.glob('*.md'), *root.glob('docs/*.md'), *root.glob('*/README.md')]
    found = [
        (page.name, tool, set(re.findall(r'(?<!\S)--[a-z][\w-]*', arguments)))
        for page in sorted(set(pages))
        for tool, arguments in COMMAND.findall(page.read_text())
        if tool not in OF_MMSEGMENTATION
    ]
    assert len(found) > 100
    # Of its commands a tool says the names alone.
    known = {
        tool: set(re.findall(r'--[a-z][\w-]*', text + (TOOLS / tool).read_text()))
        for tool, text in helps.items()
    }
    wrong = [
        f'{page}: {tool} {sorted(options)}'
        for page, tool, options in found
        if tool not in helps or not options <= known[tool]
    ]
    assert not wrong
