"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file that takes the place of another once the block has ended well.

    Args:
        path: The file to make or to replace. Its folder must exist.

    Yields:
        Path of an empty file in the same folder, hidden, with the same suffix. It is removed if
        the block raises.

    Raises:
        ValueError: The folder does not exist or cannot be written to.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f'.{path.stem}.', suffix=path.suffix
        )
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be written ({error.strerror}); expected an existing folder with '
            'write permission'
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # Temporary files are made for their owner alone.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file of bytes, or of text in UTF-8, whole or not at all.

    Raises:
        ValueError: The folder does not exist or cannot be written to.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write an indented JSON file, whole or not at all.

    Raises:
        ValueError: The folder does not exist or cannot be written to.
    """
    write_atomically(path, json.dumps(data, indent=2) + '\n')


def check_work_dir(work_dir: str | os.PathLike[str]) -> None:
    """Create a work directory and make sure that a file can be written there.

    Raises:
        ValueError: When it cannot.
    """
    try:
        os.makedirs(work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise ValueError(
            f'cannot write to the work directory {work_dir} ({error.strerror}); '
            'choose another one with --work-dir'
        ) from error
