"""Files appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from mmseg_sparsemask.utils.files import (
    check_work_dir,
    is_deep,
    read_json,
    remove_stale,
    replacing,
    write_atomically,
)


@pytest.mark.parametrize('content', ['Stufe D1 ← E1\n', b'\x00\xff'])
def test_writes_and_replaces(tmp_path, content):
    path = tmp_path / 'x.json'
    path.write_text('old')
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == ['x.json']


@pytest.mark.parametrize('mode', [0o600, 0o664, 0o755])
def test_what_is_replaced_keeps_its_mode_and_a_link_stays_one(tmp_path, mode):
    (tmp_path / 'folder').mkdir()
    path, link = tmp_path / 'folder/x.csv', tmp_path / 'link.csv'
    path.write_text('old')
    path.chmod(mode)
    link.symlink_to(path)
    write_atomically(link, 'new')
    assert link.is_symlink() and path.read_text() == 'new'
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.listdir(tmp_path / 'folder') == ['x.csv']


@pytest.mark.parametrize('umask', [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / 'x.csv', 'new')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'x.csv').stat().st_mode) == 0o666 & ~umask


def test_what_must_not_be_replaced_is_left(tmp_path):
    (tmp_path / 'file').write_text('old')
    (tmp_path / 'file').chmod(0o444)
    (tmp_path / 'link').symlink_to(tmp_path / 'file')
    (tmp_path / 'ring').symlink_to(tmp_path / 'ring')
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    before = sorted(os.listdir(tmp_path))
    for name, reason in {
        'file': 'the file is read-only',
        'link': 'the file is read-only',
        'ring': 'not a plain file',
        'folder': 'not a plain file',
        'pipe': 'not a plain file',
    }.items():
        with pytest.raises(ValueError, match=rf'{name}: cannot be written \({reason}\)'):
            write_atomically(tmp_path / name, 'new')
    assert (tmp_path / 'file').read_text() == 'old' and sorted(os.listdir(tmp_path)) == before
    assert not Path('/dev/null').is_file()
    with pytest.raises(ValueError, match='not a plain file'):
        write_atomically('/dev/null', 'new')


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


def test_what_a_killed_run_has_left_goes(tmp_path):
    with replacing(tmp_path / 'train10.png') as temporary:
        killed = temporary.read_bytes(), temporary.name, temporary.stat().st_mode
    (tmp_path / 'train10.png').rename(tmp_path / killed[1])
    (tmp_path / killed[1]).chmod(killed[2])
    kept = ['.gitignore', '.notes.personal.png', 'a.png', '.a.folder_1']
    for name in kept[:3]:
        (tmp_path / name).write_text('')
    (tmp_path / kept[3]).mkdir(mode=0o600)
    assert len(os.listdir(tmp_path)) == 5
    remove_stale(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    remove_stale(tmp_path / 'nowhere')


def test_json(tmp_path):
    path = tmp_path / 'x.json'
    path.write_text('{"a": [1, {"b": null}]}')
    assert read_json(path) == {'a': [1, {'b': None}]}
    for text, message in [
        ('{', 'not a JSON file'),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', r"the keys \['c'\] appear twice"),
        ('[' * 51 + ']' * 51, 'nested more than 50 deep'),
        ('[' * 100_000, 'nested more than 50 deep'),
        ('9' * 5000, 'digits'),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=rf'x\.json: .*{message}'):
            read_json(path)
    path.write_text('[' * 50 + ']' * 50)
    read_json(path)
    with pytest.raises(OSError):
        read_json(tmp_path / 'nowhere')
    ring = {}
    ring['again'] = ring
    assert is_deep(ring) and not is_deep([{'a': ()}] * 1000)


def test_work_dir_that_cannot_be_written(tmp_path):
    check_work_dir(tmp_path / 'a/b')
    assert list((tmp_path / 'a/b').iterdir()) == []
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match=r'cannot write to .*file/w.*choose another .*--work-dir'):
        check_work_dir(tmp_path / 'file/w')


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root writes anywhere')
def test_work_dir_without_permission(tmp_path):
    (tmp_path / 'w').mkdir(mode=0o500)
    with pytest.raises(ValueError, match='cannot write to the folder'):
        check_work_dir(tmp_path / 'w')
