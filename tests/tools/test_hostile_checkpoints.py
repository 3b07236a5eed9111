"""No tool runs what is in a checkpoint."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from reference.tiny import ROOT

CONFIG = ROOT / 'configs/sparsemask/fcn_mbv2_shapes.py'


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture
def checkpoint(tmp_path):
    """Whole but for an object among the plain data; as the last one of a work directory."""
    path = tmp_path / 'w/iter_4.pth'
    path.parent.mkdir()
    weights = {'decode_head.connections.raw.D1': torch.ones(2)}
    meta = dict(iter=4, more=Hostile(tmp_path / 'made'))
    torch.save(dict(meta=meta, state_dict=weights, message_hub={}, optimizer={}), path)
    (path.parent / 'last_checkpoint').write_text(str(path))
    return path


def message(monkeypatch, tool, *arguments):
    """What a tool, run in this process, ends with."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
    return str(stop.value.code)


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('train.py', [CONFIG, '--resume', '--work-dir', '{folder}/w']),
        ('test.py', [CONFIG, '{checkpoint}', '--work-dir', '{folder}/eval']),
        ('prune.py', ['{checkpoint}', '--out', '{folder}/pruned']),
        ('prune.py', ['{checkpoint}', '--config', CONFIG, '--out', '{folder}/pruned']),
        ('deployment/export.py', [CONFIG, '{checkpoint}', '--format', 'torchscript']),
        (
            'inference.py',
            ['{folder}/a.png', '--config', CONFIG, '--checkpoint', '{checkpoint}']
            + ['--out', '{folder}/shown'],
        ),
    ],
    ids=['train', 'test', 'prune', 'prune --config', 'export', 'inference'],
)
def test_nothing_is_run(tool, arguments, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (32, 32)).save(tmp_path / 'a.png')
    words = [str(a).format(folder=tmp_path, checkpoint=checkpoint) for a in arguments]
    said = message(monkeypatch, tool, *words)
    assert said.startswith('error: ') and str(checkpoint) in said
    assert '--trust-checkpoint' in said
    assert not (tmp_path / 'made').exists()
    # The file is what it says: whoever trusts it runs it.
    torch.load(checkpoint, weights_only=False)
    assert (tmp_path / 'made').exists()
