import csv
import json
import shutil
from pathlib import Path

import optuna
import pytest
import torch
from mmengine.config import Config

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.rerank import rank_correlation, run_rerank
from mmseg_sparsemask.dpc.space import SearchSpace
from mmseg_sparsemask.dpc.storage import open_storage

SPACE = SearchSpace(branches=2, rates=(1, 2), grids=(1,))
CELLS = ['-1:conv1x1 -1:sep3x3_1x1', '-1:sep3x3_2x2 0:conv1x1', '-1:conv1x1 -1:conv1x1']


@pytest.fixture
def storage(tmp_path):
    """A study of three finished trials, and one that repeats the best."""
    url = str(tmp_path / 'study.db')
    study = optuna.create_study(storage=open_storage(url), study_name='s', direction='maximize')
    for text, score, repeat in zip([*CELLS, CELLS[1]], [10.0, 30.0, 20.0, 30.0], [0, 0, 0, 1]):
        cell = Cell.from_string(text)
        trial = study.ask()
        for name, values in SPACE.choices().items():
            trial.suggest_categorical(name, values)
        attrs = dict(
            cell=text, hash=cell.hash, miou=score, parameters=1, multiply_adds=1, latency=1.0
        )
        for name, value in attrs.items():
            trial.set_user_attr(name, value)
        if repeat:
            trial.set_user_attr('repeat_of', 1)
        study.tell(trial, score)
    return url


def test_the_best_are_trained_for_real(tiny, tmp_path, storage):
    out = tmp_path / 'rerank'
    result = run_rerank(tiny, storage, 's', 2, out)
    assert [r['proxy_miou'] for r in sorted(result['rows'], key=lambda r: r['proxy_rank'])] == [
        30.0,
        20.0,
    ]
    real = [r['real_miou'] for r in result['rows']]
    assert real == sorted(real, reverse=True)
    with open(out / 'rerank.csv') as file:
        rows = list(csv.DictReader(file))
    assert {r['cell'] for r in rows} == {CELLS[1], CELLS[2]}
    best = Cell.load(out / 'cell.json')
    assert best == result['best'] and best.meta['real_miou'] == real[0]
    config = Config.fromfile(out / 'retrain.py')
    assert Cell.from_published(config.model.decode_head.cell) == best
    # Beside what it was found in: all retrainings in one folder would take one another's place.
    assert config.work_dir == str(out / 'retrain')
    assert json.loads((out / 'rerank.json').read_text())['rows'] == result['rows']
    # Going on with one more cell leaves what is done.
    stamps = {p: p.stat().st_mtime_ns for p in out.glob('*/result.json')}
    assert len(stamps) == 2
    more = run_rerank(tiny, storage, 's', 5, out)
    assert len(more['rows']) == 3
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    # A score of another budget is no score of this one.
    text = Path(tiny.filename).read_text()
    Path(tiny.filename).write_text(text.replace('max_iters=4', 'max_iters=6'))
    run_rerank(tiny, storage, 's', 1, out)
    assert len(list(out.glob('*/result.json'))) == 4


def test_a_checkpoint_to_start_from_is_none_to_resume(tiny, tmp_path, storage):
    run_rerank(tiny, storage, 's', 1, tmp_path / 'first')
    (start,) = (tmp_path / 'first').glob('*/iter_4.pth')
    run_rerank(tiny, storage, 's', 1, tmp_path / 'second', dict(load_from=str(start)))
    # All its iterations were run, not those that the checkpoint lacks.
    assert len(list((tmp_path / 'second').glob('*/iter_2.pth'))) == 1


def test_a_training_that_was_stopped_goes_on_bit_for_bit(tiny, tmp_path, storage):
    seed = dict(randomness=dict(seed=0))
    whole = run_rerank(tiny, storage, 's', 1, tmp_path / 'whole', seed)
    (folder,) = (path.parent for path in (tmp_path / 'whole').glob('*/result.json'))
    # As a kill at the third iteration leaves it.
    stopped = tmp_path / 'stopped' / folder.name
    stopped.mkdir(parents=True)
    shutil.copy(folder / 'iter_2.pth', stopped)
    (stopped / 'last_checkpoint').write_text(str(stopped / 'iter_2.pth'))
    again = run_rerank(tiny, storage, 's', 1, tmp_path / 'stopped', seed)
    assert again['rows'] == whole['rows']
    first, second = (
        torch.load(path / 'iter_4.pth', weights_only=False)['state_dict']
        for path in (folder, stopped)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_curves_lie_beside_their_training(tiny, tmp_path, storage):
    named = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
    run_rerank(tiny, storage, 's', 2, tmp_path / 'rerank', dict(visualizer=named))
    curves = list((tmp_path / 'rerank').glob('*/*/vis_data/scalars.json'))
    assert len({path.parents[2] for path in curves}) == 2
    for path in curves:
        assert path.read_text().count('mIoU') == 3  # two on the way, one at the end


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [10, 20, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert rank_correlation([1], [1]) is None
    assert rank_correlation([1, 2], [3, 3]) is None


def test_bad_input(tiny, tmp_path, storage):
    with pytest.raises(ValueError, match='--top must be a whole number, at least 1'):
        run_rerank(tiny, storage, 's', 0, tmp_path)
    with pytest.raises(ValueError, match=r"no study 'x' in this storage; it has \['s'\]"):
        run_rerank(tiny, storage, 'x', 1, tmp_path)
    optuna.create_study(storage=open_storage(storage), study_name='empty')
    with pytest.raises(ValueError, match='no finished trial'):
        run_rerank(tiny, storage, 'empty', 1, tmp_path)
    tiny.dpc_search.retrain = None
    with pytest.raises(ValueError, match='names no dpc_search.retrain'):
        run_rerank(tiny, storage, 's', 1, tmp_path)
