"""How the C library keeps memory that is no longer used."""

from __future__ import annotations

import ctypes

#: Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for what it computes next; return whether it does.

    glibc gives every block of more than 32 MiB back to the system at once. Where maps of many
    images are computed over and over, the system then spends a large part of the time on clearing
    pages. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all(
        mallopt(number, _LARGEST) == 1 for number in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)
    )
