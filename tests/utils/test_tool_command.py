"""The commands that are printed run where they are printed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_sparsemask.utils import tool_command as module
from mmseg_sparsemask.utils.tool_command import tool_command

ROOT = Path(__file__).parents[2]
TRANSFER = ('flat', '--strides', '4', '8', '--out', 'a folder')


@pytest.fixture
def command_on_path(tmp_path, monkeypatch):
    """The installed command, as pip writes it, in a folder of the search path."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    path = folder / 'mmseg-sparsemask'
    path.write_text(
        f'#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n'
        'from mmseg_sparsemask_cli.main import main\nmain()\n'
    )
    path.chmod(0o755)
    (folder / 'python').write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / 'python').chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    return path


@pytest.mark.parametrize(
    ('place', 'expected'),
    [
        ('clone', "python tools/transfer.py flat --strides 4 8 --out 'a folder'"),
        ('elsewhere', "mmseg-sparsemask transfer flat --strides 4 8 --out 'a folder'"),
        (
            'not installed',
            f"python {ROOT}/tools/transfer.py flat --strides 4 8 --out 'a folder'",
        ),
    ],
)
def test_a_printed_command_runs(place, expected, command_on_path, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT if place == 'clone' else tmp_path)
    if place == 'not installed':
        command_on_path.unlink()
    arguments = (*TRANSFER[:-1], tmp_path / TRANSFER[-1]) if place == 'clone' else TRANSFER
    command = tool_command('transfer', *arguments)
    assert command.replace(str(tmp_path / 'a folder'), 'a folder') == expected
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'a folder/connectivity.json').is_file()


def test_of_a_wheel_there_is_the_command_alone(tmp_path, monkeypatch):
    """Also where another project has tools of the same names, and where PATH lacks the command."""
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/train.py').touch()
    package = tmp_path / 'site-packages/mmseg_sparsemask/utils/tool_command.py'
    monkeypatch.setattr(module, '__file__', str(package))
    monkeypatch.setenv('PATH', '')
    monkeypatch.chdir(tmp_path)
    assert tool_command('train', 'c.py') == 'mmseg-sparsemask train c.py'
    assert tool_command('deployment/export') == 'mmseg-sparsemask export'


#: Not for a person to type: the page of this repository, and the record of how a row was made.
WRITTEN_OUT = {'compare/leaderboard.py', 'compare/steps.py'}


def test_no_message_writes_a_tool_out():
    found = []
    for path in (ROOT / 'mmseg_sparsemask').rglob('*.py'):
        if '.mim' in path.parts or str(path.relative_to(ROOT / 'mmseg_sparsemask')) in WRITTEN_OUT:
            continue
        tree = ast.parse(path.read_text())
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        documented = [node for node in ast.walk(tree) if isinstance(node, kinds)]
        docs = {id(node.body[0].value) for node in documented if ast.get_docstring(node)}
        found += [
            f'{path}:{node.lineno}: {node.value}'
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in docs and re.search(r'\btools/[\w/]+\.py', node.value)
        ]
    assert not found
