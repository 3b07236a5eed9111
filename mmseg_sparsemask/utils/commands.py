"""Running the tools one after another, with the progress of their trainings."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any


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
        title: Of the step.
        tool: Path of the tool, as it is shown.
        arguments: For the tool.
        work_dir: Where the run writes its scalars, and this function the run's output.
        total: Iterations of a training; 0 shows no progress.
        options: For the tool's ``--cfg-options``.
        env: Environment of the tool; by default that of this process.
        stop: Ends a training when another thread sets it.

    Raises:
        SystemExit: When it fails or was stopped, with the end of its output.
    """
    command = [os.fspath(tool), *map(os.fspath, arguments), '--work-dir', str(work_dir)]
    command += ['--cfg-options', *options] if options else []
    print(f'\n== {title}\n$ python {shlex.join(command)}', flush=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    begun, start = time.perf_counter(), time.time()
    log = work_dir / 'output.log'
    with log.open('w') as output:
        process = subprocess.Popen(
            [sys.executable, '-u', *command], stdout=output, stderr=subprocess.STDOUT, env=env
        )
        try:
            if total:
                _follow(process, title, work_dir, total, start, stop or Event())
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-30:])
        raise SystemExit(f'{tail}\n{title} failed (exit status {process.returncode})')
    seconds = time.perf_counter() - begun
    print(f'   {title}: done in {clock(seconds)}', flush=True)
    return seconds


def call_tool(
    title: str,
    tool: str | os.PathLike[str],
    *arguments: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a tool that takes no time worth following, with its own output.

    Args:
        title: Of the step.
        tool: Path of the tool, as it is shown.
        arguments: For the tool.
        env: Environment of the tool; by default that of this process.

    Raises:
        SystemExit: When it fails.
    """
    command = [os.fspath(tool), *map(os.fspath, arguments)]
    print(f'\n== {title}\n$ python {shlex.join(command)}', flush=True)
    done = subprocess.run([sys.executable, *command], env=env)
    if done.returncode:
        raise SystemExit(f'{title} failed (exit status {done.returncode})')


def _follow(
    process: subprocess.Popen[bytes],
    title: str,
    work_dir: Path,
    total: int,
    start: float,
    stop: Event,
) -> None:
    """Print the progress of a training until its process ends, which `stop` makes it do."""
    path: Path | None = None
    offset = 0
    while True:
        running = process.poll() is None
        if running and stop.is_set():
            process.terminate()
        if path is None:
            files = work_dir.glob('*/vis_data/scalars.json')
            path = next((file for file in files if file.stat().st_mtime >= start), None)
        if path is not None:
            records, offset = new_records(path, offset)
            for line in filter(None, (progress_line(record, total) for record in records)):
                print(f'   {title}: {line}', flush=True)
        if not running:
            return
        time.sleep(0.5)


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
