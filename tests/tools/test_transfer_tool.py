import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmseg_sparsemask.connectivity import load, preset, resolve, save, transfer

ROOT = Path(__file__).parents[2]
FIVE = ['2', '4', '8', '16', '32']


def tool(name):
    spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_transfer_tells_the_known_answer(tmp_path, capsys):
    out = tmp_path / 'new' / 'folder'
    tool('transfer')(['sparsemask_mbv2_voc', '--strides', *FIVE, '--out', str(out)])
    text = capsys.readouterr().out
    assert 'result: 10 connections, strides [2, 4, 8, 16, 32]' in text
    for line in ('  D5: E5 G\n', '  D4: E4 G\n', '  D1: E1 E4 E5 D4 D5 G\n'):
        assert line in text
    assert 'dropped\n  nothing\n' in text and '  E8 (stride 32) -> E5\n' in text
    assert sorted(os.listdir(out)) == ['connectivity.json', 'connectivity.svg']
    expected = transfer(preset('sparsemask_mbv2_voc'), (2, 4, 8, 16, 32))
    assert load(out / 'connectivity.json') == expected
    # The line to paste says the same.
    line = text.split('in a config: connectivity=')[1].splitlines()[0]
    assert resolve(eval(line, {'dict': dict})) == expected


def test_transfer_says_what_was_dropped_and_why(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool('transfer')(['sparsemask_mbv2_voc', '--strides', *FIVE[1:]])
    text = capsys.readouterr().out
    assert 'E1 (stride 2) -> no feature of this stride' in text
    assert 'dropped\n  E1: no feature of stride 2\n' in text
    assert os.listdir(tmp_path) == []


def test_transfer_of_a_file_and_of_a_preset(tmp_path, capsys):
    save(preset('unet', (2, 4, 8)), tmp_path / 'c.json')
    tool('transfer')([str(tmp_path / 'c.json'), '--strides', '4', '8'])
    assert '  D2: E2\n  D1: E1 D2\n' in capsys.readouterr().out
    tool('transfer')(['unet', '--strides', '4', '8'])
    assert 'result: 3 connections' in capsys.readouterr().out


def test_import_of_a_mask(tmp_path, capsys):
    mask = np.zeros((2, 2, 2), dtype=bool)
    mask[0, 0, 1] = mask[1, 1, 0] = mask[1, 1, 1] = True  # D2: G; D1: E1, D2
    np.save(tmp_path / 'mask.npy', mask)
    arguments = [str(tmp_path / 'mask.npy'), '--strides', '4', '8', '--out']
    tool('import_mask')([*arguments, str(tmp_path / 'c.json')])
    assert '3 connections: D2: G · D1: E1 D2' in capsys.readouterr().out
    assert str(load(tmp_path / 'c.json')) == 'D2: G · D1: E1 D2'


BAD = {
    'nothing left': ('transfer', ['sparsemask_mbv2_voc', '--strides', '64'], 'nothing is left'),
    'unknown preset': ('transfer', ['sparsmask', '--strides', '4'], 'unknown preset'),
    'missing file': ('transfer', ['no.json', '--strides', '4'], r'no\.json: cannot be read'),
    'missing mask': ('import_mask', ['no.npy', '--strides', '4'], r'no\.npy: not a readable'),
    'out is a file': (
        'transfer',
        ['unet', '--strides', '4', '--out', __file__],
        'File exists',
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_input_ends_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    which, arguments, message = BAD[name]
    with pytest.raises(SystemExit, match=f'^error: .*{message}'):
        tool(which)(arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_as_commands(tmp_path):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    for arguments in (['transfer.py', 'unet', '--strides', '4', '8'], ['import_mask.py', '--help']):
        command = [sys.executable, str(ROOT / 'tools' / arguments[0]), *arguments[1:]]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
