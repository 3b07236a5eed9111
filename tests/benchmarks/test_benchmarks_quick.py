"""The benchmarks run, find every form equal to the reference, and write what they measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    'decoder_inference': ['--profile'],
    'search_step': [],
    'search_step --scaling': [],
    'memory': [],
    'end_to_end': [],
    'deployed': ['--runtimes', 'eager', 'torchscript', 'onnxruntime'],
}


def run_quick(name, out, *arguments):
    script, *own = name.split()
    command = [sys.executable, str(ROOT / 'benchmarks' / f'{script}.py'), *own, '--quick']
    command += ['--threads', '1', '--json', str(out), *arguments]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=out.parent)


@pytest.mark.slow
@pytest.mark.parametrize('name', ARGUMENTS)
def test_quick(name, tmp_path):
    out = tmp_path / 'found' / 'result.json'
    out.parent.mkdir()
    done = run_quick(name, out, *ARGUMENTS[name])
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result['benchmark'] == name.split()[0]
    assert list(out.parent.iterdir()) == [out], 'a partial file was left'
    for key in ('device', 'threads', 'dtype', 'torch', 'mmseg', 'load_before', 'load_after'):
        assert result['conditions'][key] is not None
    assert result['equality'] and all(check['equal'] for check in result['equality'].values())
    if 'variants' in result and name != 'memory':
        assert_timings(result['variants'])
        if name != 'deployed':
            assert result['floor']['floor_ms'] > 0
            assert result['rates']['copy_bytes'] > 0
    if name == 'decoder_inference':
        assert {'naive contiguous', 'naive channels_last', 'ours', 'FCN contiguous'} < set(
            result['variants']
        )
        assert 'Self CPU' in done.stdout
    elif name == 'search_step --scaling':
        assert [row['connections'] for row in result['scaling']] == [12, 90, 12, 90]
        for row in result['scaling']:
            per_connection = row['ours_ms'] / row['connections']
            assert row['ours_ms_per_connection'] == pytest.approx(per_connection)
    elif name == 'memory':
        rows = result['variants']
        for row in rows.values():
            if row['saved'] is not None and row['alive'] is not None:
                assert 0 < row['saved'] <= row['alive'] * 1.001 <= row['peak'] * 1.001
        assert rows['ours']['saved'] < rows['naive contiguous']['saved']
    elif name == 'deployed':
        for runtime in ARGUMENTS[name][1:]:
            assert result['summary'][f'FCN, {runtime}']['over_fcn'] == 1
            assert result['summary'][f'SparseMask, {runtime}']['ms'] > 0
    elif name == 'end_to_end':
        assert result['summary']['FCN']['of_medians']['FCN'] == 1
        assert result['summary']['SparseMask']['fps'] > 0


def assert_timings(variants):
    for name, found in variants.items():
        assert 0 < found['min_ms'] <= found['median_ms'], name
        assert len(found['rounds_ms']) == 3, name
        for ratio in found['times_as_fast_as'].values():
            median = variants[ratio['reference']]['median_ms']
            assert ratio['of_medians'] == pytest.approx(median / found['median_ms'])


@pytest.mark.slow
def test_an_output_that_is_not_equal_fails(tmp_path):
    """A head that is off by 1 in 1000 must not be timed as if it were right."""
    script = tmp_path / 'broken.py'
    script.write_text(
        f"""
import runpy, sys
sys.path.insert(0, {str(ROOT / 'benchmarks')!r})
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
right = FusionHead.decode
FusionHead.decode = lambda self, features: 1.001 * right(self, features)
sys.argv = ['decoder_inference.py', '--quick', '--threads', '1']
runpy.run_path({str(ROOT / 'benchmarks' / 'decoder_inference.py')!r}, run_name='__main__')
"""
    )
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1 and 'NOT EQUAL: ours' in done.stderr
