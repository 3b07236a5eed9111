"""Export to a disk that is full: one line that names the file, and nothing left of it."""

import subprocess
import sys

import pytest
from reference.tiny import ROOT, environment

#: Blocks of 1,024 bytes that a file may have: less than any of the three.
LIMIT = 8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='needs ulimit')
@pytest.mark.parametrize(
    ('kind', 'suffix'), [('onnx', 'onnx'), ('torchscript', 'torchscript'), ('torch_export', 'pt2')]
)
def test_one_line_and_nothing_left(kind, suffix, trained, tmp_path):
    config, checkpoint = trained
    out = tmp_path / f'net.{suffix}'
    out.write_text('of before')
    done = subprocess.run(
        ['bash', '-c', f'ulimit -f {LIMIT}; exec "$@"', 'bash', sys.executable]
        + [str(ROOT / 'tools/deployment/export.py'), str(config), str(checkpoint)]
        + ['--format', kind, '--out', str(out)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == f'error: {out}: cannot be written (File too large)'
    assert 'Traceback' not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert out.read_text() == 'of before'
