"""Files appear whole or not at all."""

import os

import pytest

from mmseg_sparsemask.utils.files import replacing, write_atomically


@pytest.mark.parametrize('content', ['Stufe D1 ← E1\n', b'\x00\xff'])
def test_writes_and_replaces(tmp_path, content):
    path = tmp_path / 'x.json'
    path.write_text('old')
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == ['x.json']
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / 'x.png'
    path.write_text('old')
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, '.png')
        temporary.write_text('half')
        assert path.read_text() == 'old'
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ['x.png'] and path.read_text() == 'old'


def test_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r'no/x: cannot be written \(No such file'):
        write_atomically(tmp_path / 'no' / 'x', 'y')
    with pytest.raises(ValueError, match='expected an existing folder with write permission'):
        with replacing(tmp_path / 'no' / 'x'):
            pytest.fail('entered')
