"""Times of a table's networks, measured again together."""

import json
import runpy
from dataclasses import replace

import pytest
from compare.test_results import ROOT, UNET

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.gather import PASSES, RUN_FILE, surroundings, time_together
from mmseg_sparsemask.compare.results import append_results, read_results

ROWS = [replace(UNET, method=name, seed=1, ms=1e6) for name in ('U-Net', 'FCN')]


def write_runs(folder):
    for row in ROWS:
        run = dict(
            method=row.method,
            training=row.training,
            seed=row.seed,
            search_iterations=row.search_iterations,
            training_iterations=row.training_iterations,
            described='its config',
            config=str(
                ROOT / f'configs/sparsemask/{row.method.lower().replace("-", "")}_mbv2_shapes.py'
            ),
            options=[],
            threads=1,
            image_size=[32, 64],
        )
        (folder / row.method).mkdir()
        (folder / row.method / RUN_FILE).write_text(json.dumps(run))


def test_times_are_replaced_and_nothing_else(tmp_path, capsys):
    write_runs(tmp_path)
    append_results(tmp_path / 'x.csv', ROWS)
    main = runpy.run_path(str(ROOT / 'tools/results.py'))['main']
    main(['time', str(tmp_path), '--csv', str(tmp_path / 'x.csv')])
    timed = read_results(tmp_path / 'x.csv')
    assert all(0 < row.ms < 1e5 for row in timed)
    assert {row.timed_on for row in timed} == {surroundings()['machine']}
    assert [replace(row, ms=1e6, timed_on=UNET.timed_on) for row in timed] == ROWS
    assert 'FCN, from ImageNet weights, seed 1: 1000000.0 -> ' in capsys.readouterr().out


def test_each_pass_is_told(tmp_path):
    write_runs(tmp_path)
    told = []
    time_together(ROWS, tmp_path, lambda: told.append('pass'))
    assert len(told) == PASSES * len(ROWS)


def test_a_run_that_is_not_there(tmp_path):
    write_runs(tmp_path)
    with pytest.raises(
        ValueError,
        match='1 are not there: U-Net, from ImageNet weights, seed 7; name the --work-dir',
    ):
        time_together([*ROWS, replace(UNET, seed=7)], tmp_path)
    with pytest.raises(ValueError, match='expected at least one row'):
        time_together([], tmp_path)
