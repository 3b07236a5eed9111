"""Running the tools one after another, with the progress of their trainings."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO, Any

#: Seconds between two looks at a tool that runs.
POLL = 0.5

#: Seconds that a tool has to end by itself.
PATIENCE = 10.0

_CHILD = str(Path(__file__).with_name('child.py'))


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, with the tools that it runs.

    A signal that is ignored, as ``nohup`` does it, stays ignored.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as a user would type it: relative when it lies below the working directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


def side_by_side(jobs: Sequence[Callable[[], None]], stop: Event) -> None:
    """Run jobs in threads; as soon as one fails, set the event by which the others end.

    Raises:
        Exception: What the first one that failed has raised.
    """
    with ThreadPoolExecutor(len(jobs)) as pool:
        try:
            for done in as_completed([pool.submit(job) for job in jobs]):
                done.result()
        except BaseException:
            stop.set()
            raise


def run_tool(
    title: str,
    tool: str | os.PathLike[str],
    *arguments: str | os.PathLike[str],
    work_dir: Path,
    total: int = 0,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    stop: Event | None = None,
) -> float:
    """Run a tool, show its progress, return the seconds it took.

    Args:
        title: Title of the step.
        tool: Path of the tool, as it is shown.
        arguments: For the tool.
        work_dir: Where the run writes its scalars, and this function the run's output.
        total: Iterations of a training; 0 shows no progress.
        options: For the tool's ``--cfg-options``.
        env: Environment of the tool; by default that of this process.
        stop: Ends the tool when another thread sets it.

    Raises:
        SystemExit: When it fails or was stopped, with the end of its output.
    """
    command = [os.fspath(tool), *map(os.fspath, arguments), '--work-dir', str(work_dir)]
    command += ['--cfg-options', *options] if options else []
    work_dir.mkdir(parents=True, exist_ok=True)
    log = work_dir / 'output.log'
    # A new file: whoever still writes into the old one does not write into this one.
    log.unlink(missing_ok=True)
    begun, start = time.perf_counter(), time.time()
    with log.open('w') as output:
        status = _run(title, command, env, stop, _progress(title, work_dir, total, start), output)
    if status:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-30:])
        raise SystemExit(f'{tail}\n{title} failed (exit status {status})')
    seconds = time.perf_counter() - begun
    print(f'   {title}: done in {clock(seconds)}', flush=True)
    return seconds


def call_tool(
    title: str,
    tool: str | os.PathLike[str],
    *arguments: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    stop: Event | None = None,
) -> None:
    """Run a tool that takes no time worth following, with its own output.

    Args:
        title: Title of the step.
        tool: Path of the tool, as it is shown.
        arguments: For the tool.
        env: Environment of the tool; by default that of this process.
        stop: Ends the tool when another thread sets it.

    Raises:
        SystemExit: When it fails or was stopped.
    """
    status = _run(title, [os.fspath(tool), *map(os.fspath, arguments)], env, stop)
    if status:
        raise SystemExit(f'{title} failed (exit status {status})')


def _run(
    title: str,
    command: Sequence[str],
    env: Mapping[str, str] | None,
    stop: Event | None,
    progress: Callable[[], None] = lambda: None,
    output: IO[str] | None = None,
) -> int:
    """Run a script, call `progress` now and then, return its exit status.

    The process ends with this one: `child` sees the end of a pipe that only this process holds.
    """
    print(f'\n== {title}\n$ python {shlex.join(command)}', flush=True)
    watched, held = os.pipe()
    with open(held, 'wb'):
        with open(watched, 'rb'):
            process = subprocess.Popen(
                [sys.executable, '-u', _CHILD, str(watched), *command],
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                env=env,
                pass_fds=[watched],
            )
        try:
            while process.poll() is None:
                progress()
                if stop is not None and stop.is_set():
                    raise SystemExit(f'{title} was stopped')
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
            progress()
        except BaseException:
            _end(process)
            raise
    return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _progress(title: str, work_dir: Path, total: int, start: float) -> Callable[[], None]:
    """What prints the iterations of a training that have been logged since the last call."""
    path: Path | None = None
    offset = 0

    def show() -> None:
        nonlocal path, offset
        if path is None:
            files = work_dir.glob('*/vis_data/scalars.json')
            path = next((file for file in files if file.stat().st_mtime >= start), None)
        if path is not None:
            records, offset = new_records(path, offset)
            for line in filter(None, (progress_line(record, total) for record in records)):
                print(f'   {title}: {line}', flush=True)

    return show if total else lambda: None


def new_records(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Records that a run has added to its scalars.json since `offset`, and where it ends now."""
    with path.open('rb') as file:
        file.seek(offset)
        lines = file.read().split(b'\n')
    # The last piece is a line that is still being written, or nothing.
    done = lines[:-1]
    return [json.loads(line) for line in done], offset + sum(len(line) + 1 for line in done)


def progress_line(record: Mapping[str, Any], total: int) -> str | None:
    """What a user wants to see of a record of scalars.json; None for other records."""
    if 'loss' not in record:
        return None
    left = (total - record['step']) * record['time']
    text = (
        f'iteration {record["step"]:{len(str(total))}}/{total}  eta {clock(left)}  '
        f'loss {record["loss"]:.3f}'
    )
    if 'connections' in record:
        text += (
            f'  if pruned now {record["connections"]:.0f} connections '
            f'(dropped <= {record["largest_dropped"]:.2g}, '
            f'kept >= {record.get("smallest_kept", 0):.2g})'
        )
    return text


def clock(seconds: float) -> str:
    """Minutes and seconds, ``3:07``; with hours where there are any, ``1:03:07``."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f'{hours}:{minutes_left:02}:{rest:02}' if hours else f'{minutes}:{rest:02}'
