"""Processes that tests start, end, and look for."""

import time
from pathlib import Path


def lives(pid):
    """Whether a process is there; one that has ended and waits to be asked how is not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def waited_for(condition, seconds=20.0):
    """What a condition gives, asked until it holds or the time is over."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
