"""What the plugin says, and needs, when a part of its surroundings is missing."""

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


def test_extras_are_not_needed_to_import_and_are_named_where_they_are():
    extras = ('optuna', 'skimage', 'onnx', 'onnxruntime', 'onnxscript', 'timm', 'tensorboard')
    done = run_without(
        extras,
        """
        import mmseg_sparsemask
        from mmseg.registry import METRICS
        try:
            METRICS.build(dict(type='EdgeMetric'))
        except ImportError as error:
            print(error)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert "Run: pip install 'mmseg-sparsemask[edge]'" in done.stdout


@pytest.mark.parametrize(
    ('extra', 'config'),
    [('timm', 'fdn_efficientnet-b0_voc.py'), ('tensorboard', 'fdn_mbv2_shapes.py')],
)
def test_train_names_the_extra_of_what_the_toolbox_imports(extra, config, tmp_path):
    code = f"""
        import runpy
        sys.argv = ['train.py', 'configs/sparsemask/{config}', '--work-dir', '{tmp_path}/w']
        runpy.run_path('tools/train.py', run_name='__main__')
    """
    done = run_without([extra], code)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and f"pip install 'mmseg-sparsemask[{extra}]'" in last
    assert not (tmp_path / 'w').exists()


def test_the_search_for_cells_names_its_extra():
    code = """
        import runpy
        sys.argv = ['dpc_search.py', 'configs/dpc/search_mbv2_shapes.py', '--trials', '1']
        runpy.run_path('tools/dpc_search.py', run_name='__main__')
    """
    done = run_without(('optuna',), code)
    assert done.returncode != 0
    assert "Run: pip install 'mmseg-sparsemask[dpc]'" in done.stderr
