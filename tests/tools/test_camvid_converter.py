import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]


def convert(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / 'tools/dataset_converters/camvid.py', *map(str, arguments)],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )


def test_converter(tmp_path):
    for split in ('train', 'val', 'test'):
        for folder, shape in ((split, (6, 8, 3)), (f'{split}annot', (6, 8))):
            (tmp_path / 'in' / folder).mkdir(parents=True)
            image = Image.fromarray(np.full(shape, 11, np.uint8))
            image.save(tmp_path / 'in' / folder / 'a.png')
    done = convert(tmp_path / 'in', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f'{tmp_path}/out: 1 train, 1 val, 1 test'
    assert (np.array(Image.open(tmp_path / 'out/annotations/val/a.png')) == 255).all()
    assert (tmp_path / 'out/images/val/a.png').read_bytes() == (
        tmp_path / 'in/val/a.png'
    ).read_bytes()


def test_converter_error(tmp_path):
    done = convert(tmp_path, '--out', tmp_path / 'out')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('error: ')
    assert 'Traceback' not in done.stderr
