"""A few hundred damaged files of each format; `fuzz_files.py` makes as many as one wants."""

import pytest
from fuzz.fuzz_files import FORMATS, fuzz


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
