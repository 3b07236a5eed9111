"""What the plugin says, and needs, when a part of its surroundings is missing."""

import json

import pytest
from reference.without import TOOLBOX, run_without


@pytest.mark.parametrize('names', [('mmengine', 'mmcv', 'mmseg'), ('mmpretrain',), ('torch',)])
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


def test_without_any_part_of_the_toolbox_asking_for_it_names_the_line():
    done = run_without(
        TOOLBOX,
        """
        import mmseg_sparsemask
        mmseg_sparsemask.models
        """,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: ') and 'mmseg, mmpretrain, torch cannot be' in last


@pytest.mark.parametrize('extra', ['edge', 'dpc', 'timm', 'tensorboard'])
def test_extras_are_not_needed_to_import_and_are_named_where_they_are(said, extra):
    assert f"pip install 'mmseg-sparsemask[{extra}]'" in said[extra]
    # What a tool says is one line.
    assert extra == 'edge' or (said[extra].startswith('error: ') and '\n' not in said[extra])
