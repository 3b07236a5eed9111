"""What is shown of the tools that run one after another."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from reference.processes import lives, waited_for

from mmseg_sparsemask.utils import commands
from mmseg_sparsemask.utils.commands import clock, new_records, progress_line, run_tool


def test_progress_is_read_from_what_the_run_writes(tmp_path):
    path = tmp_path / 'scalars.json'
    first = {'loss': 3.0434, 'time': 0.25, 'step': 50, 'decode.loss_ce': 1.8}
    checked = {**first, 'step': 75, 'connections': 21.0, 'largest_dropped': 0.00042}
    checked['smallest_kept'] = 0.31
    path.write_text(f'{json.dumps(first)}\n{json.dumps(checked)[:20]}')
    records, offset = new_records(path, 0)
    assert records == [first]
    path.write_text(
        f'{json.dumps(first)}\n{json.dumps(checked)}\n{json.dumps({"mIoU": 50.0, "step": 75})}\n'
    )
    more, end = new_records(path, offset)
    assert end == path.stat().st_size and new_records(path, end) == ([], end)
    assert [progress_line(record, 350) for record in [*records, *more]] == [
        'iteration  50/350  eta 1:15  loss 3.043',
        'iteration  75/350  eta 1:09  loss 3.043  if pruned now 21 connections '
        '(dropped <= 0.00042, kept >= 0.31)',
        None,
    ]


@pytest.mark.parametrize(
    ('seconds', 'shown'), [(0.4, '0:00'), (59.6, '1:00'), (187, '3:07'), (3787, '1:03:07')]
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_a_tool_gets_its_options_and_its_environment(tmp_path, capsys):
    tool = tmp_path / 'tool.py'
    tool.write_text("import os, sys\nprint(sys.argv[1:], os.environ['WORD'])\n")
    seconds = run_tool(
        'a step', tool, 'x', work_dir=tmp_path / 'w', options=['a=1'], env={'WORD': 'hello'}
    )
    assert seconds > 0
    given = ['x', '--work-dir', str(tmp_path / 'w'), '--cfg-options', 'a=1']
    assert (tmp_path / 'w/output.log').read_text() == f'{given} hello\n'
    assert f'== a step\n$ python {tool} x --work-dir' in capsys.readouterr().out


def test_a_failing_tool_ends_it_with_the_end_of_its_output(tmp_path):
    tool = tmp_path / 'tool.py'
    tool.write_text("print('the reason')\nraise SystemExit(3)\n")
    with pytest.raises(SystemExit, match=r'the reason\na step failed \(exit status 3\)'):
        run_tool('a step', tool, work_dir=tmp_path)


#: Writes its process number into its work directory, and would live for a minute.
SLEEPER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
{}
(folder / 'pid.part').write_text(str(os.getpid()))
(folder / 'pid.part').rename(folder / 'pid')
time.sleep(60)
"""

#: Runs tools side by side, as the tables and the quickstart do.
STARTER = """
import pathlib, sys, threading
from mmseg_sparsemask.utils.commands import end_on_signals, run_tool
end_on_signals()
tool, *folders = sys.argv[1:]
for folder in folders[1:]:
    step = dict(target=run_tool, args=('step', tool), kwargs=dict(work_dir=pathlib.Path(folder)))
    threading.Thread(**step, daemon=True).start()
run_tool('step', tool, work_dir=pathlib.Path(folders[0]))
"""


def sleeper(folder, first=''):
    tool = folder / 'sleeper.py'
    tool.write_text(SLEEPER.format(first))
    return tool


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc')
@pytest.mark.parametrize('sent', [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_tools_end_with_the_process_that_started_them(tmp_path, sent):
    folders = [tmp_path / 'a', tmp_path / 'b']
    starter = subprocess.Popen(
        [sys.executable, '-c', STARTER, sleeper(tmp_path), *folders],
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A test's own process may have been started in the background.
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (sent,) if s != 9],
    )
    try:
        assert waited_for(lambda: all((f / 'pid').exists() for f in folders), 60), 'not started'
        pids = [int((folder / 'pid').read_text()) for folder in folders]
        assert all(map(lives, pids))
        starter.send_signal(sent)
        starter.wait(20)
        assert waited_for(lambda: not any(map(lives, pids)), 5), 'a tool is left'
    finally:
        starter.kill()
    expected = {signal.SIGKILL: -9, signal.SIGINT: -2}.get(sent, 128 + sent)
    assert starter.returncode == expected


@pytest.mark.parametrize('stubborn', ['', 'signal.signal(signal.SIGTERM, signal.SIG_IGN)'])
def test_another_thread_stops_a_tool(tmp_path, stubborn, monkeypatch):
    monkeypatch.setattr(commands, 'PATIENCE', 0.2)
    stop = threading.Event()
    tool = sleeper(tmp_path, stubborn)
    threading.Thread(
        target=lambda: waited_for((tmp_path / 'pid').exists) and stop.set(), daemon=True
    ).start()
    with pytest.raises(SystemExit, match='a step was stopped'):
        run_tool('a step', tool, work_dir=tmp_path, stop=stop)
    assert not lives((tmp_path / 'pid').read_text())


def test_who_still_writes_into_an_old_log_does_not_write_into_the_new_one(tmp_path):
    log = tmp_path / 'output.log'
    with log.open('w') as old:
        old.write('many words ' * 100)
        old.flush()
        tool = tmp_path / 'tool.py'
        tool.write_text("print('new')\n")
        run_tool('a step', tool, work_dir=tmp_path)
        old.write('more')
    assert log.read_bytes() == b'new\n'


def test_a_tool_is_the_main_module(tmp_path):
    """Processes that it starts afresh find its functions again, and its neighbours are found."""
    (tmp_path / 'neighbour.py').write_text("WORD = 'hello'\n")
    tool = tmp_path / 'tool.py'
    tool.write_text(
        'import multiprocessing, sys\nfrom neighbour import WORD\n'
        'def say():\n    print(WORD, flush=True)\n'
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=say)\n"
        '    process.start()\n    process.join()\n    sys.exit(process.exitcode)\n'
    )
    run_tool('a step', tool, work_dir=tmp_path / 'w')
    assert (tmp_path / 'w/output.log').read_text() == 'hello\n'


def test_jobs_side_by_side_end_with_the_first_that_fails():
    stop, done = threading.Event(), []

    def fail():
        raise SystemExit('the reason')

    def wait():
        done.append(stop.wait(20))
        raise SystemExit('was stopped')

    with pytest.raises(SystemExit, match='the reason'):
        commands.side_by_side([wait, fail], stop)
    assert done == [True]
    commands.side_by_side([lambda: done.append(1)] * 3, threading.Event())
    assert done == [True, 1, 1, 1]
