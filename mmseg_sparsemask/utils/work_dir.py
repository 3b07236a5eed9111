"""A work directory belongs to one run at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mmseg_sparsemask.utils.files import write_json


@contextmanager
def lock_work_dir(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a work directory, made if missing; it falls free however the process ends.

    Raises:
        ValueError: Another process holds it; the message names that process.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / '.run.lock')
    holder = folder / '.run.json'
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            who = json.loads(holder.read_text())
            name = f'process {who["pid"]} on {who["host"]}, since {who["since"]}'
        except (OSError, ValueError, KeyError, TypeError):
            name = 'another process'
        raise ValueError(
            f'{folder} is in use by {name}; wait for it, or give another --work-dir'
        ) from None
    try:
        since = datetime.now().astimezone().isoformat(timespec='seconds')
        write_json(holder, dict(pid=os.getpid(), host=socket.gethostname(), since=since))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
