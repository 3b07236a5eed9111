"""The search as a whole, with a training that is replaced by a function of the cell."""

import collections
import csv
import html
import os
import shlex
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from mmengine.config import Config
from mmseg.registry import MODELS
from optuna.trial import TrialState

from mmseg_sparsemask.dpc import worker as worker_module
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.proxy import ProxyResult, prepare_task
from mmseg_sparsemask.dpc.report import pareto_front, ranking, write_study_report
from mmseg_sparsemask.dpc.samplers import build_sampler, distributions
from mmseg_sparsemask.dpc.search import run_search
from mmseg_sparsemask.dpc.settings import SearchSettings
from mmseg_sparsemask.dpc.space import SearchSpace
from mmseg_sparsemask.dpc.storage import open_storage
from mmseg_sparsemask.dpc.study import finished_trials, open_study
from mmseg_sparsemask.dpc.worker import Job, cost_of, run_worker, search_fingerprint
from mmseg_sparsemask.utils.work_dir import lock_work_dir

SPACE = SearchSpace(branches=3, rates=(1, 2, 3), grids=(1, 2))


def score(cell):
    """A smooth score with one best cell: large rates, few poolings, a chain."""
    return sum(
        (b.op.size[0] + 2 * b.op.size[1]) * (b.op.kind == 'sep3x3') + (b.input + 1)
        for b in cell.canonical().branches
    )


@pytest.fixture
def fake(monkeypatch):
    trained = []

    def train(task, cell, work_dir, report):
        trained.append(cell.hash)
        time.sleep(0.01)
        return ProxyResult(miou=float(score(cell)), curve=((6, float(score(cell))),), seconds=0.02)

    monkeypatch.setattr(worker_module, 'train_cell', train)
    monkeypatch.setattr(worker_module, 'measure_latency', lambda task, cell: float(len(cell)))
    monkeypatch.setattr(worker_module, 'POLL', 0.02)
    return trained


@pytest.fixture
def make_job(tiny, tmp_path):
    task = prepare_task(tiny)

    def make(target, **changes):
        settings = SearchSettings.from_config(tiny)
        changes.setdefault('space', SPACE)
        settings = SearchSettings(**{**vars(settings), **changes})
        return Job(
            settings=settings,
            task=task,
            storage=str(tmp_path / 'study.db'),
            study='s',
            target=target,
            work_dir=str(tmp_path / 'work'),
            worker=0,
            threads=1,
            parent=os.getppid(),
        )

    return make


def study_of(job):
    storage = open_storage(job.storage)
    return open_study(
        storage, job.study, job.settings.directions, search_fingerprint(job.settings, job.task)
    )


def work(job, count):
    study_of(job)
    jobs = [Job(**{**vars(job), 'worker': i}) for i in range(count)]
    threads = [threading.Thread(target=run_worker, args=(each,)) for each in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return study_of(job)


@pytest.mark.parametrize('kind', ['local_search', 'random', 'tpe', 'nsga2'])
def test_exact_counts_and_no_cell_twice(make_job, fake, kind):
    objectives = ('miou', 'parameters') if kind == 'nsga2' else ('miou',)
    job = make_job(9, sampler=dict(type=kind), objectives=objectives)
    study = work(job, 3)
    assert len(finished_trials(study)) == 9
    assert len(fake) == len(set(fake)) == 9
    assert {t.user_attrs['hash'] for t in finished_trials(study)} == set(fake)
    for trial in finished_trials(study):
        cell = Cell.from_string(trial.user_attrs['cell'])
        assert trial.values[0] == score(cell)
        assert trial.user_attrs['parameters'] == cost_of(job.task, cell).parameters
    assert len(finished_trials(work(job, 2))) == 9  # nothing left to do
    more = work(Job(**{**vars(job), 'target': 12}), 2)
    assert len(finished_trials(more)) == 12


@pytest.mark.parametrize('kind', ['local_search', 'tpe', 'nsga2'])
def test_one_worker_draws_the_same_again_also_after_a_stop(make_job, fake, kind, tmp_path):
    drawn = []
    for name, stops in (('whole', (12,)), ('again', (12,)), ('stopped', (5, 12))):
        fake.clear()
        sampler = dict(type=kind, **{'nsga2': {'population_size': 4}}.get(kind, {'startup': 4}))
        job = make_job(12, sampler=sampler)
        for target in stops:
            changes = {'target': target, 'storage': str(tmp_path / f'{name}.db')}
            work(Job(**{**vars(job), **changes}), 1)
        drawn.append(list(fake))
    assert len(drawn[0]) == 12
    assert drawn[0] == drawn[1] == drawn[2]


@pytest.mark.parametrize('kind', ['local_search', pytest.param('tpe', marks=pytest.mark.slow)])
def test_a_whole_small_space(make_job, fake, kind):
    space = SearchSpace(branches=2, rates=(1,), grids=(1,))
    job = make_job(space.count_distinct, space=space, sampler=dict(type=kind))
    study = work(job, 3)
    assert len(finished_trials(study)) == len(set(fake)) == len(fake) == space.count_distinct


def simulate(kind, seed, count, space=SPACE):
    """A search in memory, one worker."""
    sampler = build_sampler(dict(type=kind), space, seed)
    study = optuna.create_study(sampler=sampler, direction='maximize')
    cells = []
    for _ in range(count):
        trial = study.ask(distributions(space))
        cells.append(space.from_params(trial.params))
        trial.set_user_attr('hash', cells[-1].hash)
        study.tell(trial, score(cells[-1]))
    return cells


def test_the_papers_mix_finds_better_cells():
    mean = {}
    for kind in ('local_search', 'random'):
        scores = [score(cell) for cell in simulate(kind, 0, 60, SearchSpace())]
        mean[kind] = sum(scores[:20]) / 20, sum(scores[-20:]) / 20
    assert mean['local_search'][1] > mean['local_search'][0]
    assert mean['local_search'][1] > mean['random'][1]


def test_draws_follow_the_number_of_the_trial():
    def draw(seed, kind='random'):
        return simulate(kind, seed, 30)

    assert draw(0) == draw(0) != draw(1)
    assert len({cell.hash for cell in draw(0)}) == 30
    # Uniform until there is something to be near.
    assert draw(0, 'local_search')[:10] == draw(0)[:10]


def test_mixing_share():
    sampler = build_sampler(dict(type='local_search', explore=0.25, startup=1), SearchSpace(), 0)
    study = optuna.create_study(sampler=sampler, direction='maximize')
    first = study.ask(distributions(SearchSpace()))
    study.tell(first, 1.0)
    centre = first.params
    near = 0
    for _ in range(200):
        trial = study.ask(distributions(SearchSpace()))
        near += sum(trial.params[k] != centre[k] for k in centre) == 1
        study.tell(trial, 0.0)
    assert 0.65 < near / 200 < 0.85


def test_local_search_stays_near_the_best_that_keeps_all_bounds():
    """Also those that are known only once a cell was measured."""

    def violations(trial):
        return [trial.user_attrs['latency'] - 10]

    def draw(constraints):
        config = dict(type='local_search', explore=0.0, startup=1)
        sampler = build_sampler(config, SearchSpace(), 0, constraints=constraints)
        study = optuna.create_study(sampler=sampler, direction='maximize')
        for value, latency in ((1.0, 5.0), (9.0, 50.0)):
            trial = study.ask(distributions(SearchSpace()))
            trial.set_user_attr('latency', latency)
            study.tell(trial, value)
        drawn = study.ask(distributions(SearchSpace())).params
        return [sum(drawn[k] != t.params[k] for k in drawn) for t in study.trials[:2]]

    assert draw(violations)[0] == 1 and draw(None)[1] == 1


@pytest.mark.parametrize('kind', ['local_search', 'nsga2'])
def test_constraints(make_job, fake, kind, tmp_path):
    bound = 300
    job = make_job(8, sampler=dict(type=kind), constraints=dict(parameters=bound))
    # What NSGA-II draws repeats with one worker only.
    study = work(job, 2 if kind == 'local_search' else 1)
    if kind == 'local_search':  # not even tried
        assert all(t.user_attrs['parameters'] <= bound for t in finished_trials(study))
    result = write_study_report(study, job.settings, tmp_path / 'report')
    assert cost_of(job.task, result['best']).parameters <= bound
    with open(tmp_path / 'report' / 'results.csv') as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert (row['feasible'] == 'True') == (int(row['parameters']) <= bound)
    assert (tmp_path / 'report' / 'pareto_parameters.svg').exists()


def test_a_failing_cell_does_not_end_the_search(make_job, fake, monkeypatch):
    good, calls = worker_module.train_cell, collections.Counter()

    def sometimes(task, cell, work_dir, report):
        calls['n'] += 1
        if calls['n'] in (2, 5):
            raise RuntimeError('out of memory')
        return good(task, cell, work_dir, report)

    monkeypatch.setattr(worker_module, 'train_cell', sometimes)
    study = work(make_job(4), 1)
    assert len(finished_trials(study)) == 4
    errors = [t.user_attrs['error'] for t in study.trials if t.state == TrialState.FAIL]
    assert errors == ['RuntimeError: out of memory'] * 2


def test_an_error_that_stays_is_raised(make_job, fake, monkeypatch):
    def never(task, cell, work_dir, report):
        raise RuntimeError('no such device')

    monkeypatch.setattr(worker_module, 'train_cell', never)
    job = make_job(6)
    with pytest.raises(RuntimeError, match='no such device'):
        run_worker(job)
    assert not finished_trials(study_of(job))


def test_a_worker_whose_launcher_is_gone_ends(make_job, fake):
    job = make_job(5)
    study_of(job)
    run_worker(Job(**{**vars(job), 'parent': 1 if os.getppid() != 1 else 2}))
    assert not fake


def test_report(make_job, fake, tmp_path):
    job = make_job(9)
    study = work(job, 2)
    out = tmp_path / "a writer's report"
    result = write_study_report(study, job.settings, out)
    names = {str(p.relative_to(out)) for p in out.rglob('*') if p.is_file()}
    assert names == {
        'results.csv',
        'history.svg',
        'pareto_parameters.svg',
        'cell.json',
        'cell.svg',
        'retrain.py',
        'report.html',
        *(f'cells/rank_{k}.svg' for k in range(1, 6)),
    }
    page = (out / 'report.html').read_text()
    assert f'<th scope="row">{ranking(study)[0].number}</th>' in page
    command = f'python tools/train.py {shlex.quote(str(out / "retrain.py"))}'
    assert command in html.unescape(page)
    with open(out / 'results.csv') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert max(float(r['miou']) for r in rows) == result['miou'] == score(result['best'])
    assert Cell.load(out / 'cell.json') == result['best']
    config = Config.fromfile(out / 'retrain.py')
    assert Cell.from_published(config.model.decode_head.cell) == result['best']
    assert config.model.decode_head.num_classes == 8
    assert MODELS.build(config.model).decode_head.context.cell.cell == result['best']
    ranked = ranking(study)
    assert [t.values[0] for t in ranked] == sorted((t.values[0] for t in ranked), reverse=True)


def test_pictures_are_those_of_the_present_ranking(make_job, fake, tmp_path):
    """Of a report with bounds, after one without: fewer cells rank."""
    job = make_job(6)
    study = work(job, 1)
    write_study_report(study, job.settings, tmp_path)
    least = min(t.user_attrs['parameters'] for t in finished_trials(study))
    bounded = replace(job.settings, constraints=dict(parameters=least))
    write_study_report(study, bounded, tmp_path)
    drawn = {path.name for path in (tmp_path / 'cells').iterdir()}
    count = len(ranking(study, bounded.constraints))
    assert count < 5 and drawn == {f'rank_{place}.svg' for place in range(1, count + 1)}


def test_pareto_front_by_exhaustion(make_job, fake):
    trials = finished_trials(work(make_job(12), 1))

    def point(trial):
        return trial.user_attrs['miou'], trial.user_attrs['parameters']

    def beats(a, b):
        return a != b and a[0] >= b[0] and a[1] <= b[1]

    first = {point(trial): trial.number for trial in reversed(trials)}
    kept = {first[p] for p in first if not any(beats(other, p) for other in first)}
    assert {t.number for t in pareto_front(trials, 'parameters')} == kept


def test_studies_that_do_not_compare(make_job, fake):
    job = make_job(3)
    study_of(job)
    other = make_job(3, space=SearchSpace(branches=2))
    with pytest.raises(ValueError, match='was started with space='):
        study_of(other)
    storage = open_storage(job.storage)
    changed = {**search_fingerprint(job.settings, job.task), 'caches': {'train': 'x', 'val': 'y'}}
    with pytest.raises(ValueError, match='caches=.*backbone checkpoint'):
        open_study(storage, job.study, job.settings.directions, changed)


def test_a_changed_setting_is_refused_before_anything_is_computed(make_job, fake, monkeypatch):
    job = make_job(3)
    study_of(job)
    monkeypatch.setattr('mmseg_sparsemask.dpc.search.prepare_task', lambda cfg: pytest.fail('ran'))
    config = Config.fromfile(Path(job.work_dir).parent / 'tiny.py')
    config.dpc_search.proxy.batch_size = 3
    with pytest.raises(ValueError, match='was started with'):
        run_search(config, job.storage, 's', 1, 3, job.work_dir)


@pytest.mark.parametrize(
    'part, change',
    [
        ('dpc_search', dict(proxy=dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5))))),
        ('model', dict(decode_head=dict(output_stride=8))),
        ('val_evaluator', dict(ignore_index=0)),
    ],
)
def test_what_scores_depend_on_is_known_by_a_study(make_job, fake, monkeypatch, part, change):
    job = make_job(3)
    study_of(job)
    monkeypatch.setattr('mmseg_sparsemask.dpc.search.prepare_task', lambda cfg: pytest.fail('ran'))
    config = Config.fromfile(Path(job.work_dir).parent / 'tiny.py')
    config.dpc_search.space = dict(branches=3, rates=(1, 2, 3), grids=(1, 2))
    config.merge_from_dict({part: change})
    with pytest.raises(ValueError, match='was started with'):
        run_search(config, job.storage, 's', 1, 3, job.work_dir)


def test_a_worker_imports_what_the_config_imports(make_job, fake, monkeypatch, tmp_path):
    """A loss, a metric or an optimiser of one's own is registered in every process."""
    (tmp_path / 'own_parts.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    job = make_job(0)
    imports = dict(imports=['own_parts'], allow_failed_imports=False)
    run_worker(replace(job, task=replace(job.task, imports=imports)))
    assert sys.modules.pop('own_parts').__file__ == str(tmp_path / 'own_parts.py')
    assert job.task.imports == dict(imports=['mmseg_sparsemask'])


def test_two_searches_in_one_work_directory(tiny, tmp_path):
    """The second is told who holds it, and changes nothing."""
    with lock_work_dir(tmp_path / 'work'):
        with pytest.raises(ValueError, match=f'in use by process {os.getpid()} on .*--work-dir'):
            run_search(tiny, str(tmp_path / 'study.db'), 's', 1, 2, tmp_path / 'work')
    assert not (tmp_path / 'cache').exists()
    assert all(path.name.startswith('.') for path in (tmp_path / 'work').iterdir())


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(trials=0), '--trials must be a whole number, at least 1, got 0'),
        (dict(workers=0), '--workers must be a whole number, at least 1, got 0'),
        (dict(storage='postgresql+psycopg://me:secret@127.0.0.1:1/x'), 'cannot reach the storage'),
        (dict(storage='nothing://x'), 'nothing://x'),
        (dict(storage='/proc/none/x.db'), 'cannot|No such file'),
    ],
)
def test_bad_starts_leave_nothing(tiny, tmp_path, changes, message):
    arguments = dict(
        storage=str(tmp_path / 'study.db'), study_name='s', workers=1, trials=2, work_dir=tmp_path
    )
    with pytest.raises((ValueError, OSError), match=message) as error:
        run_search(tiny, **{**arguments, **changes})
    assert 'secret' not in str(error.value)
    assert not (tmp_path / 'cache').exists() and not (tmp_path / 'study.db').exists()
