"""What the plugin says, and needs, when a part of its surroundings is missing."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Makes modules unfindable, as in an environment that lacks them.
BLOCKER = """
import sys


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *rest):
        return None if name.split('.')[0] in {names!r} else self.finder.find_spec(name, *rest)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = map(Without, sys.meta_path)
"""


def run_without(names, code):
    """Run code in a fresh process that cannot find the modules."""
    script = BLOCKER.format(names=tuple(names)) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize(
    'names', [('mmengine', 'mmcv', 'mmseg', 'mmpretrain'), ('mmpretrain',), ('torch',)]
)
def test_a_missing_toolbox_is_an_error_that_names_the_line_to_run(names):
    done = run_without(names, 'import mmseg_sparsemask')
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: ')
    assert f'but {", ".join(names)} cannot be imported' in last
    assert "Run: pip install 'mmseg-sparsemask[onedl]'" in last
    assert "'mmseg-sparsemask[openmmlab]'" in last


@pytest.fixture(scope='module')
def said(tmp_path_factory):
    """How each of these ends, one after the other in a process that finds no extra."""
    work_dir = tmp_path_factory.mktemp('extras') / 'work'
    extras = ('optuna', 'skimage', 'onnx', 'onnxruntime', 'onnxscript', 'timm', 'tensorboard')
    code = f"""
        import json, runpy
        import mmseg_sparsemask
        from mmseg.registry import METRICS

        def tool(name, *arguments):
            sys.argv = [name, *arguments]
            try:
                runpy.run_path('tools/' + name, run_name='__main__')
            except SystemExit as stop:
                return stop.code

        try:
            METRICS.build(dict(type='EdgeMetric'))
        except ImportError as error:
            said = {{'edge': str(error)}}
        said['dpc'] = tool('dpc_search.py', 'configs/dpc/search_mbv2_shapes.py', '--trials', '1')
        for name, extra in (('efficientnet-b0_voc', 'timm'), ('mbv2_shapes', 'tensorboard')):
            config = 'configs/sparsemask/fdn_' + name + '.py'
            said[extra] = tool('train.py', config, '--work-dir', {str(work_dir)!r})
        print(json.dumps(said))
    """
    done = run_without(extras, code)
    assert done.returncode == 0, done.stderr
    assert not work_dir.exists()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('extra', ['edge', 'dpc', 'timm', 'tensorboard'])
def test_extras_are_not_needed_to_import_and_are_named_where_they_are(said, extra):
    assert f"pip install 'mmseg-sparsemask[{extra}]'" in said[extra]
    # What a tool says is one line.
    assert extra == 'edge' or (said[extra].startswith('error: ') and '\n' not in said[extra])
