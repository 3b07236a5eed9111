"""Tables are shared by processes that may end at any moment; the tools are small scripts here."""

import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path
from threading import Event

import pytest
import yaml
from compare.test_results import UNET

from mmseg_sparsemask.compare import runner as runner_module
from mmseg_sparsemask.compare import steps as steps_module
from mmseg_sparsemask.compare.plan import Entry, Run, Search, read_table, runs_of
from mmseg_sparsemask.compare.results import append_results, read_results
from mmseg_sparsemask.compare.runner import TableRunner
from mmseg_sparsemask.compare.steps import Steps
from mmseg_sparsemask.connectivity import preset
from mmseg_sparsemask.connectivity.presets import MBV2_STRIDES
from mmseg_sparsemask.search.front_table import Point

ROOT = Path(__file__).parents[2]

#: As the tools do it: one process a work directory, and files at its end.
TOOL = """
import fcntl, json, os, pathlib, sys, time
here, name = pathlib.Path(__file__).parent, pathlib.Path(__file__).stem
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
with (here / 'started').open('a') as file:
    file.write(f'{os.getpid()} {name} {folder}\\n')
lock = (folder / '.lock').open('a')
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    raise SystemExit('error: in use')
for _ in range(4):
    print('a line of the log', flush=True)
    time.sleep(float((here / 'pace').read_text()))
if (here / 'fails').exists() and name == 'train':
    raise SystemExit('error: no such data')
out = folder / '20260101'
out.mkdir(exist_ok=True)
if name == 'train':
    (out / '20260101.log').write_text('')
    (folder / 'last_checkpoint').write_text('iter_1.pth')
    for left in ('pruned.pth', 'finetune.py'):
        (folder / left).write_text((here / 'config.py').read_text())
else:
    (out / '20260101.json').write_text('{"mIoU": 30.0}')
"""
RESULTS = """
import csv, json, os, pathlib, sys
with (pathlib.Path(__file__).parent / 'started').open('a') as file:
    file.write(f'{os.getpid()} results {sys.argv[2]}\\n')
fields = json.loads((pathlib.Path(__file__).parent / 'row.json').read_text())
run = json.loads((pathlib.Path(sys.argv[2]) / 'run.json').read_text())
fields.update({key: value for key, value in run.items() if key in fields and key != 'options'})
fields.update(config='c', image_size='64 x 64', search_iterations=run['search_iterations'])
with open(sys.argv[4], 'w', newline='') as file:
    csv.writer(file, lineterminator='\\n').writerows([fields, fields.values()])
"""
PRUNE = """
import pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
for left in ('pruned.pth', 'finetune.py'):
    (out / left).write_text((pathlib.Path(__file__).parent / 'config.py').read_text())
"""
FRONT = """
import pathlib, sys
front = pathlib.Path(sys.argv[1]) / 'front'
with (pathlib.Path(__file__).parent / 'started').open('a') as file:
    file.write(f'0 front {sys.argv[1]} {sys.argv[sys.argv.index("--points") + 1:]}\\n')
rows = [(pathlib.Path(__file__).parent / 'header').read_text()]
for parameters, loss in ((4000, 0.5), (6000, 0.4)):
    (front / str(parameters)).mkdir(parents=True)
    text = (pathlib.Path(__file__).parent / 'config.py').read_text()
    (front / str(parameters) / 'finetune.py').write_text(text)
    rows.append(f'{parameters},s,1,D1,{parameters},1,1,,{parameters},{loss},9,D1,,')
(front / 'front.csv').write_text('\\n'.join(rows))
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of four runs, two of which share a search, and tools that train nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner_module, 'POLL', 0.1)
    monkeypatch.setattr('mmseg_sparsemask.utils.commands.POLL', 0.05)
    here = dict(machine='m', versions='v', commit='c')
    monkeypatch.setattr(steps_module, 'surroundings', lambda: here)
    Path('config.py').write_text("train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)\n")
    for name in ('train', 'test'):
        Path(f'{name}.py').write_text(TOOL)
    Path('results.py').write_text(RESULTS)
    Path('row.json').write_text(json.dumps(asdict(UNET)))
    Path('pace').write_text('0.03')
    common = dict(training='t', iterations=1)
    entries = [
        dict(common, name='unet', method='U-Net', config='config.py', seeds=[0, 1]),
        dict(common, name='tuned', method='s', search='search', use='finetune', seeds=[0]),
        dict(common, name='found', method='f', search='search', use='pruned', seeds=[0])
        | dict(iterations=0),
    ]
    content = dict(data='d', encoder='e', image_size=[64, 64], threads=1, val_options=None)
    content.update(searches=dict(search=dict(config='config.py', iterations=1)), entries=entries)
    Path('table.yaml').write_text(yaml.safe_dump(content))
    return read_table('table.yaml')


def runner_of(table):
    return TableRunner(table, runs_of(table), Path('w'), Path('r/table.csv'), Path('.'))


def started():
    path = Path('started')
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def lives(pid):
    stat = Path(f'/proc/{pid}/stat')
    return stat.exists() and stat.read_text().rpartition(')')[2].split()[0] != 'Z'


def fork(table, processes=1):
    """The table in a process of its own, with a session, as from a terminal."""

    def run():
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        from mmseg_sparsemask.utils.commands import end_on_signals

        end_on_signals()
        runner_of(table).run(processes)

    process = multiprocessing.get_context('fork').Process(target=run)
    process.start()
    return process


@pytest.mark.parametrize('processes', [1, 2])
def test_a_table_is_run_once(table, processes, capsys):
    runner_of(table).run(processes)
    rows = read_results('r/table.csv')
    assert sorted((row.method, row.seed) for row in rows) == [
        ('U-Net', 0), ('U-Net', 1), ('f', 0), ('s', 0),
    ]  # fmt: skip
    assert sorted(name for _, name, _ in started()) == (
        ['results'] * 4 + ['test'] * 4 + ['train'] * 4
    )
    assert '4 of 4 rows done' in capsys.readouterr().out
    runner_of(table).run()
    assert len(started()) == 12


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc')
@pytest.mark.parametrize('pair', [False, True])
def test_a_table_survives_that_its_processes_are_killed(table, pair):
    """Each is killed alone: what it had started ends with it, and no other process of the table."""
    numbers, killed = random.Random(pair), 0
    Path('pace').write_text('0.1')
    processes = [fork(table) for _ in range(1 + pair)]
    for number in range(10):
        time.sleep(numbers.uniform(0.05, 0.4))
        place = number % len(processes)
        mine = processes[place]
        sent = numbers.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
        children = {pid for pid, *_ in started() if lives(pid)}
        children = {pid for pid in children if parent_of(pid) == mine.pid}
        if mine.is_alive():
            killed += 1
            os.kill(mine.pid, sent)
        mine.join(20)
        assert mine.exitcode in (-sent, 128 + sent, 0), 'it ended by itself'
        end = time.monotonic() + 5
        while any(map(lives, children)) and time.monotonic() < end:
            time.sleep(0.02)
        assert not any(map(lives, children)), 'a tool is left'
        processes[place] = fork(table)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    rows = read_results('r/table.csv')
    assert killed >= 5 and len(rows) == 4 and not any(lives(pid) for pid, *_ in started())
    assert all(b'\0' not in log.read_bytes() for log in Path('w').rglob('output.log'))


def parent_of(pid):
    try:
        return int(Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])
    except (OSError, IndexError):
        return None


def test_a_work_directory_in_use_is_left_for_later(table, capsys):
    folder = Path('w/unet/seed0')
    folder.mkdir(parents=True)
    with (folder / '.lock').open('w') as lock, ThreadPoolExecutor() as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = pool.submit(runner_of(table).run)
        end = time.monotonic() + 20
        while len(read_results('r/table.csv') if Path('r/table.csv').exists() else []) < 3:
            assert time.monotonic() < end and not running.done()
            time.sleep(0.05)
        assert all(Path(given).parts[:3] != folder.parts for _, _, given in started())
        fcntl.flock(lock, fcntl.LOCK_UN)
        running.result(20)
    assert len(read_results('r/table.csv')) == 4
    assert capsys.readouterr().out.count(f'left for later: U-Net, t, seed 0: {folder}') == 1


def test_a_failing_step_ends_the_others(table):
    Path('fails').write_text('')
    with pytest.raises(SystemExit, match=r'(?s)no such data.*failed \(exit status 1\)'):
        runner_of(table).run(processes=2)
    assert not any(lives(pid) for pid, *_ in started()) and not Path('r/table.csv').exists()
    # Nothing was finished, so all of it is tried again.
    Path('fails').unlink()
    runner_of(table).run(processes=2)
    assert len(read_results('r/table.csv')) == 4


def test_a_work_directory_of_another_run_is_kept(table):
    runner_of(table).run()
    Path('r/table.csv').unlink()
    with pytest.raises(ValueError, match="seed0 holds a run with encoder = 'e', the table asks"):
        runner_of(replace(table, encoder='another')).run()


def test_a_record_of_a_network_that_is_not_trained_is_asked_for_too(table):
    runner_of(table).run()
    Path('r/table.csv').unlink()
    renamed = replace(table, entries=(replace(table.entries[2], method='another'),))
    with pytest.raises(ValueError, match="found holds a run with method = 'f', the table asks"):
        runner_of(renamed).run()


def test_a_control_that_was_killed_while_it_was_pruned(table):
    Path('prune.py').write_text(PRUNE)
    entry = replace(table.entries[1], name='permuted', method='p', control='permuted')
    folder = Path('w/permuted/seed0')
    folder.mkdir(parents=True)
    (folder / 'pruned.pth').write_text('')  # the first of what is written
    runner_of(replace(table, entries=(entry,))).run()
    assert len(read_results('r/table.csv')) == 1


def test_other_processes_add_rows_while_one_makes_its_own(table, monkeypatch):
    """To make a row takes seconds, in which many processes once waited for each other."""
    runner = runner_of(table)
    (runner.root / runner_module.TAKEN).mkdir(parents=True)

    class Making:
        @staticmethod
        def call(title, program, command, work_dir, option, path):
            with runner._taken('results'):
                append_results(path, [replace(UNET, method=work_dir.name)])

    for name in ('FCN', 'U-Net'):
        Path(name).mkdir()
        # What a process left that was stopped before its row was added.
        append_results(Path(name, 'row.csv'), [UNET])
        runner._add_row(Making, Path(name))
    assert [row.method for row in read_results(runner.results)] == ['FCN', 'U-Net']


def test_points_of_a_front_are_found_once_and_trained(table, tmp_path):
    Path('front.py').write_text(FRONT)
    Path('header').write_text(','.join(field.name for field in fields(Point)))
    entries = [
        replace(table.entries[1], name=f'point-{limit}', method=f'{limit}', point=limit)
        for limit in (7000, 5000)
    ]
    searches = {'search': replace(table.searches['search'], front=['--rerank', '9'])}
    table = replace(table, entries=tuple(entries), searches=searches)
    root, results = Path('work'), Path('table.csv')
    runner = TableRunner(table, runs_of(table), root, results, tmp_path)
    runner.run()
    search = root / 'search/seed0'
    started = [line.split(maxsplit=1)[1] for line in Path('started').read_text().splitlines()]
    assert [line for line in started if line.startswith('front')] == [
        f"front {search} ['5000', '7000', '--rerank', '9']"
    ]
    assert started[1].startswith('front') and len(read_results(results)) == 2
    for limit, found in ((7000, 6000), (5000, 4000)):
        record = json.loads((search / f'point-{limit}/run.json').read_text())
        assert record['config'] == str(search / f'front/{found}/finetune.py')
        assert f'front.py --points {limit} --rerank 9 > finetune.py' in record['described']


def test_weights_of_an_encoder_are_given_to_what_begins_with_them(table):
    """A `finetune.py` has no place for them: all of its weights are in ``pruned.pth``."""
    weights = 'model.backbone.init_cfg.checkpoint'
    table = replace(table, options={weights: 'a.pth'})
    steps = Steps(table, Path('w'), Path('.'), Event())
    unet, tuned, _ = table.entries
    for entry, given in ((unet, True), (tuned, False), (replace(tuned, use='retrain'), True)):
        _, options = steps._start_of(Run(entry, 0))
        assert (weights in options) == given


def test_a_control_has_the_width_that_options_give(table, monkeypatch):
    """Its costs are counted in the network that is trained, not in that of the config alone."""
    monkeypatch.chdir(ROOT)
    width = {'model.decode_head.channels': 8}
    folder = Path(table.name)  # only joined to
    search = Search('configs/sparsemask/fdn_mbv2_shapes.py', 1, options=width)
    sized = Entry(
        *('r', 'random', 't', (0,), 1, 'configs/sparsemask/unet_mbv2_shapes.py'),
        size_of='search',
        options=width,
    )
    found = preset('unet', MBV2_STRIDES)
    monkeypatch.setattr(steps_module, 'load', lambda path: found)
    table = replace(table, searches={'search': search}, entries=(sized,))
    steps = Steps(table, folder, Path('.'), Event())
    for of in (sized, search):
        shape, settings = steps._like_found(Run(sized, 0), of)
        assert shape.channels == 8
        assert settings['parameters'] == shape.cost(found, (64, 64)).parameters
