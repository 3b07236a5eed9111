"""Files appear whole or not at all."""

import os

import pytest

from mmseg_sparsemask.utils.files import check_work_dir, replacing, write_atomically


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


def test_work_dir_is_made_and_left_empty(tmp_path):
    check_work_dir(tmp_path / 'a/b')
    assert list((tmp_path / 'a/b').iterdir()) == []


def test_work_dir_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match=r'cannot write to .*file/w.*choose another .*--work-dir'):
        check_work_dir(tmp_path / 'file/w')


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root writes anywhere')
def test_work_dir_without_permission(tmp_path):
    (tmp_path / 'w').mkdir(mode=0o500)
    with pytest.raises(ValueError, match='cannot write to the work directory'):
        check_work_dir(tmp_path / 'w')
