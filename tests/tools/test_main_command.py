"""``mmseg-sparsemask TOOL``: the tools by name, from any folder."""

import json
import subprocess
import sys

from tools.test_help import ALL

SCRIPT = """
import json, sys
from mmseg_sparsemask_cli.main import main
try:
    main()
finally:
    large = {'torch', 'numpy', 'mmengine', 'mmseg_sparsemask'} & set(sys.modules)
    print(json.dumps(sorted(large)))
"""


def call(folder, *arguments):
    return subprocess.run(
        [sys.executable, '-c', SCRIPT, *arguments], cwd=folder, capture_output=True, text=True
    )


def test_help_names_every_tool_and_loads_no_library(tmp_path):
    done = call(tmp_path)
    *lines, large = done.stdout.splitlines()
    assert json.loads(large) == []
    named = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith('  ')}
    assert set(named) == {name.removesuffix('.py').removeprefix('deployment/') for name in ALL}
    assert all(named.values())


def test_a_tool_runs_in_any_folder(tmp_path):
    done = call(tmp_path, 'transfer', 'flat', '--strides', '4', '8', '--out', 'flat')
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'flat/connectivity.json').read_text())
    assert found['stages'] == {'D1': ['E1', 'E2']}
    assert '--strides' in call(tmp_path, 'transfer', '--help').stdout


def test_a_name_that_no_tool_has(tmp_path):
    done = call(tmp_path, 'tran')
    assert done.returncode == 1
    assert "error: mmseg-sparsemask: no tool 'tran'; did you mean train" in done.stderr
