"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The largest JSON file that is read whole; those of this package have a few thousand bytes.
MAX_JSON_BYTES = 2**20
#: How deep lists and objects may lie in one another in what is read.
MAX_DEPTH = 50

# As `replacing` names its temporary files.
_TEMPORARY = re.compile(r'\..+\.[a-z0-9_]{8}(\.[A-Za-z0-9]+)?')


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file that takes the place of another once the block has ended well.

    What is replaced keeps its mode, and a link stays a link to it; a new file gets the mode that
    the process's umask leaves.

    Args:
        path: The file to make or to replace. Its folder must exist.

    Yields:
        Path of an empty file in the same folder, hidden, with the same suffix. It is removed if
        the block raises.

    Raises:
        ValueError: The folder does not exist or cannot be written to; the path is a folder or a
            device, or a file that is read-only.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = _mode_of(target)
        temporary, umasked = _temporary_beside(target)
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be written ({error.strerror}); expected an existing folder with '
            'write permission, and no file of this name or one that may be replaced'
        ) from None
    try:
        yield temporary
        temporary.chmod(umasked if mode is None else mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode_of(path: Path) -> int | None:
    """Permissions of a file that may be replaced; None where there is none yet."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, 'not a plain file')
    # Root, and the owner of the folder, could replace it all the same.
    if not mode & 0o222 or not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, 'the file is read-only')
    return stat.S_IMODE(mode)


def _temporary_beside(path: Path) -> tuple[Path, int]:
    """A new file for its owner alone, and the mode that it would have by the umask."""
    while True:
        temporary = path.with_name(f'.{path.stem}.{secrets.token_hex(4)}{path.suffix}')
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            continue
        try:
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
        return temporary, mode


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file of bytes, or of text in UTF-8, whole or not at all.

    Raises:
        ValueError: It cannot be written; see `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def copy_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file, whole or not at all.

    Raises:
        OSError: The source cannot be read.
        ValueError: The target cannot be written; see `replacing`.
    """
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write an indented JSON file, whole or not at all.

    Raises:
        ValueError: It cannot be written; see `replacing`.
    """
    write_atomically(path, json.dumps(data, indent=2) + '\n')


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV: a line of names, then one for each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: str | os.PathLike[str]) -> list[list[str]]:
    """The lines of a CSV file in UTF-8 that are not empty, with or without a byte order mark.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file. The message names it.
    """
    try:
        text = Path(path).read_bytes().decode('utf-8-sig')
        return [line for line in csv.reader(io.StringIO(text, newline=''), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path}: not a CSV file in UTF-8 ({error})') from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file of this package.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, larger than `MAX_JSON_BYTES`, nested deeper than `MAX_DEPTH`, or
            a key stands in one object twice. The message names the file.
    """
    size = os.path.getsize(path)
    if size > MAX_JSON_BYTES:
        raise ValueError(f'{path}: expected at most {MAX_JSON_BYTES} bytes, got {size}')
    try:
        text = Path(path).read_bytes().decode('utf-8')
        data = json.loads(text, object_pairs_hook=_unique_keys)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: not a JSON file ({error})') from None
    except RecursionError:
        raise ValueError(f'{path}: nested more than {MAX_DEPTH} deep') from None
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    if is_deep(data):
        raise ValueError(f'{path}: nested more than {MAX_DEPTH} deep')
    return data


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys; a stage listed twice would lose its first half.
    data = dict(pairs)
    if len(data) != len(pairs):
        twice = sorted(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise ValueError(f'the keys {twice} appear twice; join them into one')
    return data


def is_deep(data: Any, most: int = MAX_DEPTH) -> bool:
    """Whether lists and mappings lie in one another deeper than that."""
    if isinstance(data, Mapping):
        data = list(data.values())
    if not isinstance(data, (list, tuple)):
        return False
    return most == 0 or any(is_deep(item, most - 1) for item in data)


def remove_stale(folder: str | os.PathLike[str]) -> None:
    """Delete what runs that were killed inside `replacing` have left in a folder, if it exists.

    For programs that are alone in writing to the folder: another's temporary files would go too.
    """
    folder = Path(folder)
    for path in list(folder.glob('.*')) if folder.is_dir() else []:
        # Nobody but `replacing` makes files for the owner alone under such names.
        mode = path.lstat().st_mode
        if _TEMPORARY.fullmatch(path.name) and stat.S_ISREG(mode) and mode & 0o777 == 0o600:
            path.unlink()


def output_folder(folder: str | os.PathLike[str]) -> Path:
    """Create a folder to write into, or clear it of what killed runs left; see `remove_stale`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    return folder


def check_work_dir(work_dir: str | os.PathLike[str], option: str = '--work-dir') -> None:
    """Create a work directory and make sure that a file can be written there.

    Args:
        work_dir: The directory.
        option: Option of the tool, with which to choose another.

    Raises:
        ValueError: When it cannot.
    """
    try:
        os.makedirs(work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise ValueError(
            f'cannot write to the folder {work_dir} ({error.strerror}); '
            f'choose another one with {option}'
        ) from error
