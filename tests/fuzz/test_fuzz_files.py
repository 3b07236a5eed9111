"""Some damaged files of each format; the `fuzz_*.py` make as many as one wants."""

import contextlib
import socket

import pytest
from fuzz.fuzz_files import FORMATS, fuzz
from fuzz.fuzz_published import Watch
from fuzz.fuzz_published import fuzz as fuzz_published


@pytest.mark.parametrize('row', FORMATS, ids=lambda row: row.name)
def test_damaged_files_are_refused_by_name(row, tmp_path):
    results = fuzz(row, count=300, seed=1, folder=tmp_path)
    assert set(results) == {'read', 'refused'}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('row', FORMATS, ids=lambda row: row.name)
def test_whole_files_are_read(row, tmp_path):
    path = tmp_path / f'x.{row.name}'
    for data in row.seeds():
        path.write_bytes(data)
        row.read(path)


@pytest.mark.parametrize('forged', [False, True], ids=['damaged', 'forged'])
def test_changed_config_json_is_refused_or_gives_labels(forged, tmp_path):
    results = fuzz_published(count=120, seed=1, folder=tmp_path, forged=forged)
    assert set(results) - {'other labels'} == {'refused', 'same labels'}
    assert forged or 'other labels' not in results


def test_what_a_file_would_open_is_seen(tmp_path):
    watch = Watch(tmp_path)
    watch.on = True
    with contextlib.suppress(OSError):
        open('/etc/no-such-file')
    with contextlib.suppress(OSError), socket.socket() as client:
        client.connect(('127.0.0.1', 9))
    watch.on = False
    assert [seen.split()[0] for seen in watch.seen] == ['open', 'socket.connect']
