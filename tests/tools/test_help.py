"""`--help` of the tools: there at once, since all that is large is imported behind it."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_sparsemask.connectivity import ARCHITECTURES, PRESETS
from mmseg_sparsemask.deployment.export import SUFFIXES, TOLERANCE
from mmseg_sparsemask.deployment.precision import MIOU_POINTS, MIOU_SHARE
from mmseg_sparsemask_cli.arguments import cfg_options, device, out_file, parser_of, shape

TOOLS = Path(__file__).parents[2] / 'tools'
ALL = sorted(path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob('*.py'))
COMMANDS = ['results.py add', 'results.py time', 'results.py page']
#: Runs tools one after the other in a process that loads no library for any of them.
SCRIPT = """
import contextlib, io, json, runpy, sys
texts, folder, names = {}, sys.argv[1], json.loads(sys.argv[2])
for name in names:
    name, *command = name.split()
    sys.argv[:] = [name, *command, '--help']
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        runpy.run_path(f'{folder}/{name}', run_name='__main__')
    large = {'torch', 'numpy', 'mmengine', 'mmseg_sparsemask'} & set(sys.modules)
    assert not large, f'{name} --help imports {large}'
    texts[name] = texts.get(name, '') + out.getvalue()
print(json.dumps(texts))
"""


@pytest.fixture(scope='module')
def helps():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(TOOLS), json.dumps(ALL + COMMANDS)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_tool_waits_for_a_library_to_explain_itself(helps):
    assert list(helps) == ALL
    assert all(text.startswith('usage: ') for text in helps.values())


SHARED = ['--cfg-options', '--shape', '--work-dir', '--trust-checkpoint', '--device', '--out']

#: What may differ: what is overridden, the default, and whether it is one file or a folder.
OF_ITS_OWN = r'\(default: .*\)|settings of [\w ().]+;|\b(FILE|DIR|file|folder)\b'


@pytest.mark.parametrize('option', SHARED)
def test_an_option_means_one_thing_in_all_tools(helps, option):
    said = set()
    for text in helps.values():
        found = re.search(rf'^  {option} (.*?)(?=^  -|^$|\Z)', text, re.MULTILINE | re.DOTALL)
        if found:
            words = re.sub(OF_ITS_OWN, '', ' '.join(found[1].split()))
            said.add(' '.join(words.split()))
    assert len(said) == 1


def test_shared_options_are_written_once():
    own = re.compile(rf"add_argument\(\s*'({'|'.join(SHARED)})'")
    assert [tool for tool in ALL if own.search((TOOLS / tool).read_text())] == []


def test_what_shared_options_hold():
    parser = parser_of('Tool.\n\nMore.', cfg_options(), shape(), device(), out_file('x.json'))
    assert parser.description == 'Tool.'
    args = parser.parse_args([])
    assert (args.cfg_options, args.shape, args.device) == (None, (512, 512), None)
    assert args.out == Path('x.json')
    given = ['--cfg-options', 'a.b=[1,2]', 'c=x', '--shape', '64', '--out', 'y']
    args = parser.parse_args(given)
    assert (args.cfg_options, args.shape) == ({'a.b': [1, 2], 'c': 'x'}, (64, 64))
    assert parser.parse_args(['--shape', '3', '4']).shape == (3, 4)


@pytest.mark.parametrize('sizes', [['0'], ['1', '2', '3'], ['-1', '5'], ['x']])
def test_a_shape_is_one_or_two_positive_numbers(sizes, capsys):
    with pytest.raises(SystemExit):
        parser_of('', shape()).parse_args(['--shape', *sizes])
    assert '--shape: ' in capsys.readouterr().err


@pytest.mark.parametrize('given', [['a'], ['a=1', 'b'], ['a=[1,2'], ['a', '=', '3']])
def test_options_are_keys_and_values(given, capsys):
    with pytest.raises(SystemExit):
        parser_of('', cfg_options()).parse_args(['--cfg-options', *given])
    assert (
        f'expected KEY=VALUE, without white space and with brackets in pairs, got {given[0]}'
        in (capsys.readouterr().err)
    )


def test_export_names_every_format_and_the_tolerances_of_the_package():
    tool = runpy.run_path(str(TOOLS / 'deployment/export.py'))
    args = tool['parse_args'](['CONFIG', 'CHECKPOINT', '--format', *SUFFIXES])
    assert (args.tolerance, args.miou_tolerance, args.miou_share) == (
        TOLERANCE,
        MIOU_POINTS,
        MIOU_SHARE,
    )


def test_transfer_names_every_preset(helps):
    text = ' '.join(helps['transfer.py'].split())
    assert f'a preset: {", ".join([*PRESETS, *ARCHITECTURES])}' in text


OF_MMSEGMENTATION = ('dataset_converters/voc_aug.py', 'dataset_converters/cityscapes.py')
#: A command of a page: up to the end of its line, which may be continued, of its code or comment.
COMMAND = re.compile(r'tools/([\w/]+\.py)((?:\\\n|[^\n`#|;])*)')


ROOT = TOOLS.parent
PAGES = [ROOT / '.ci/wheel_check', *ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]
PAGES += ROOT.glob('*/README.md')


def test_commands_of_the_pages_are_those_of_the_tools(helps):
    found = [
        (page.name, tool, set(re.findall(r'(?<!\S)--[a-z][\w-]*', arguments)))
        for page in sorted(set(PAGES))
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


@pytest.mark.parametrize('name', ALL)
def test_tools_take_the_commands_of_the_pages(name, monkeypatch, capsys):
    """With what stands for a file or a number left as it is."""
    parse = runpy.run_path(str(TOOLS / name))['parse_args']
    command = re.compile(rf'python tools/{re.escape(name)} +((?:\\\n|[^\n`#|;])+)')
    found = [text for page in sorted(set(PAGES)) for text in command.findall(page.read_text())]
    for text in found:
        monkeypatch.setattr(sys, 'argv', [name, *shlex.split(text.replace('\\\n', ' '))])
        try:
            parse()
        except SystemExit:
            pytest.fail(f'{name} {text}: {capsys.readouterr().err}')
    assert found or name == 'quickstart.py'
