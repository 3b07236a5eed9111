"""A work directory belongs to one run at a time, and keeps what earlier runs found."""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmseg_sparsemask.utils.files import check_work_dir, write_json

#: Hidden file that the run of a work directory holds locked, and who that is.
LOCK_FILE, HOLDER_FILE = '.lock', '.lock.json'

#: Seconds to wait for what a killed run left behind, such as processes that read images.
GRACE = 20.0


@contextmanager
def lock_work_dir(path: str | os.PathLike[str]) -> Iterator[None]:
    """Context in which no other process on this file system can lock the same directory.

    The operating system holds the lock, so it ends with the process, however that ends.

    Args:
        path: The directory; it is made if it does not exist.

    Raises:
        ValueError: Another run holds it (the message says which), or it cannot be written.
    """
    check_work_dir(path)
    folder = Path(path)
    lock = FileLock(folder / LOCK_FILE)
    deadline = time.monotonic() + GRACE
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            holder = _holder(folder)
            if not _is_gone(holder) or time.monotonic() > deadline:
                raise ValueError(
                    f'the work directory {folder} is in use by {_describe(holder)}; wait for that '
                    'run, end it, or choose another directory with --work-dir'
                ) from None
            time.sleep(0.5)
    try:
        write_json(
            folder / HOLDER_FILE,
            {
                'pid': os.getpid(),
                'host': socket.gethostname(),
                'since': time.strftime('%Y-%m-%d %H:%M:%S'),
            },
        )
        yield
    finally:
        (folder / HOLDER_FILE).unlink(missing_ok=True)
        lock.release()


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether a run holds a work directory now."""
    file = Path(path) / LOCK_FILE
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True


def keep_earlier(path: str | os.PathLike[str], names: Sequence[str]) -> Path | None:
    """Move files of an earlier run out of the way of a new one.

    Args:
        path: The work directory.
        names: Files in it; those that do not exist are passed over.

    Returns:
        The folder ``earlier/<number>`` in it that they went to; None if there was nothing to move.
    """
    folder = Path(path)
    found = [folder / name for name in names if (folder / name).exists()]
    if not found:
        return None
    for number in itertools.count(1):
        target = folder / 'earlier' / str(number)
        try:
            target.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    for file in found:
        file.rename(target / file.name)
    return target


def _holder(folder: Path) -> dict[str, object]:
    try:
        content = json.loads((folder / HOLDER_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_gone(holder: dict[str, object]) -> bool:
    """Whether the process was one of this machine and has ended."""
    pid = holder.get('pid')
    if holder.get('host') != socket.gethostname() or not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _describe(holder: dict[str, object]) -> str:
    if not holder:
        return 'another process'
    return f'process {holder.get("pid")} on {holder.get("host")} since {holder.get("since")}'
