"""Which images a folder or a list holds, reading one, and writing one."""

from __future__ import annotations

import io
import warnings
import zlib
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import cv2
import mmengine.fileio as fileio
import numpy as np
from PIL import Image

from mmseg_sparsemask.utils.files import output_folder, replacing
from mmseg_sparsemask.utils.words import counted

#: The largest image that is read, in pixels: 8192 x 8192. What a damaged header says is refused
#: before it takes memory.
MAX_PIXELS = 2**26

_PNG = b'\x89PNG\r\n\x1a\n'


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without names that begin with a dot.

    Those are files that a killed program has left half written, and what systems keep for
    themselves.
    """
    return sorted(path for path in folder.iterdir() if not path.name.startswith('.'))


def check_folder(folder: Path, remedy: str = 'link or convert the data set first') -> None:
    """Raise a FileNotFoundError with a remedy if a folder is missing."""
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder; {remedy}')


def check_partners(needed: Collection[str], found: Collection[str], no: str, extra: str) -> None:
    """Make sure that two sets of names are the same.

    Args:
        needed: Names that need a partner.
        found: Names of the partners.
        no: What to say of names without a partner, after their number.
        extra: What to say of partners that belong to nothing.

    Raises:
        FileNotFoundError: A name has no partner.
        ValueError: A partner belongs to nothing.
    """
    needed, found = set(needed), set(found)
    for names, said, error in (
        (needed - found, no, FileNotFoundError),
        (found - needed, extra, ValueError),
    ):
        if names:
            raise error(f'{len(names)} {said}, for example {min(names)}')


def list_stems(folder: Path, suffix: str) -> list[str]:
    """Sorted names without suffix of the files of one kind in a folder.

    Raises:
        FileNotFoundError: If the folder is missing or holds none.
    """
    check_folder(folder)
    stems = [path.stem for path in visible(folder) if path.suffix == suffix]
    if not stems:
        raise FileNotFoundError(f'no {suffix} files in {folder}')
    return stems


def by_stem(
    folder: str | Path, suffixes: Iterable[str], recursive: bool = False
) -> dict[str, Path]:
    """The files of some kinds in a folder, sorted, by name without suffix.

    Args:
        folder: Names in it that begin with a dot are left out.
        suffixes: Lower case.
        recursive: Also look in the folders below.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If a name is there twice.
    """
    folder = Path(folder)
    check_folder(folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob('*') if recursive else folder.iterdir()):
        hidden = any(part.startswith('.') for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in suffixes:
            continue
        if path.stem in found:
            raise ValueError(
                f'{path.stem} is there twice, as {found[path.stem]} and {path}; remove one'
            )
        found[path.stem] = path
    return found


def make_folders(files: Collection[Path]) -> None:
    """Make the folders of the files that a converter is going to write, all of them.

    Raises:
        ValueError: A folder holds others of the same kinds, as of an earlier conversion. A data set
            takes all of a folder, so that images of one split would be in another, too.
    """
    files = set(files)
    folders = {file.parent for file in files}
    suffixes = {file.suffix for file in files}
    for folder in sorted(filter(Path.is_dir, folders)):
        others = [p for p in visible(folder) if p.suffix in suffixes and p not in files]
        if others:
            raise ValueError(
                f'{folder} holds {counted(len(others), "file")} that this conversion does not '
                f'write, such as {others[0].name}, and the data set would take them, too; delete '
                'the folder, or choose another one with --out'
            )
    for folder in folders:
        output_folder(folder)


def suffixes_in(folder: Path) -> tuple[str, list[str]]:
    """What a folder and those below it hold, in words, and the suffixes by frequency."""
    held = Counter(path.suffix for path in folder.rglob('*') if path.is_file()).most_common()
    text = ', '.join(f'{count} {suffix}' for suffix, count in held[:3]) or 'nothing'
    return text, [suffix for suffix, _ in held]


def read_lines(path: Path) -> list[str]:
    """The lines of a list that are not empty, without white space around them.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If it is not text in UTF-8, with or without a byte order mark.
    """
    if not path.is_file():
        raise FileNotFoundError(f'list {path} is missing; run the converter of the data set')
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: expected a list in UTF-8 ({error}); save it as such') from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_list(path: Path) -> list[str]:
    """Names in a list, one a line, without suffix.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If it is empty, no text, or names an image twice.
    """
    # Only known suffixes are cut: a dot can be part of a name.
    names = [
        name[:-4] if name.lower().endswith(('.jpg', '.png', '.bmp')) else name
        for name in read_lines(path)
    ]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError(f'{path} lists {len(twice)} images twice, for example {twice[0]}')
    if not names:
        raise ValueError(f'{path} is empty')
    return names


def save_image(values: np.ndarray, path: Path) -> None:
    """Write labels or grey values (H, W) of eight bits as an image, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(values).save(temporary)


def grey_of(image: np.ndarray, path: str | Path) -> np.ndarray:
    """One channel of an image, whose channels have to be equal: (H, W).

    Raises:
        ValueError: It is in colour.
    """
    if image.ndim == 3:
        if (image[..., :3] != image[..., :1]).any():
            raise ValueError(f'{path} is a colour image; expected a grey map')
        image = image[..., 0]
    return image


def read_raw_image(path: str, backend_args: dict | None) -> np.ndarray:
    """An image as its file holds it: (H, W) or (H, W, C), the channels as OpenCV orders them.

    Raises:
        ValueError: It is damaged, no image, or has more than `MAX_PIXELS`.
    """
    return decode_image(bytes(fileio.get(path, backend_args=backend_args)), path)


def decode_image(data: bytes, name: str, flag: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """As `read_raw_image`, from the content of a file; OpenCV's flag says in which form.

    Raises:
        ValueError: It is damaged, no image, or has more than `MAX_PIXELS`.
    """
    _check_size(data, name)
    if data.startswith(_PNG):
        _check_chunks(data, name)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flag)
    except cv2.error as error:
        raise ValueError(f'{name} is damaged ({error.err}); get it again') from None
    if image is None:
        raise ValueError(f'{name} is not an image that can be read; get it again')
    return image


def _check_chunks(data: bytes, name: str) -> None:
    """Refuse a PNG with a damaged chunk: OpenCV takes the room that a chunk's length asks for."""
    place, kind = len(_PNG), b''
    while kind != b'IEND':
        end = place + 8 + int.from_bytes(data[place : place + 4], 'big')
        kind = data[place + 4 : place + 8]
        if (
            end + 4 > len(data)
            or zlib.crc32(data[place + 4 : end]).to_bytes(4, 'big') != (data[end : end + 4])
        ):
            raise ValueError(f'{name} is damaged at byte {place}; get it again')
        place = end + 4


def read_indices(path: Path) -> np.ndarray:
    """The values of a file of labels, (H, W); a palette stays what it is, indices.

    Raises:
        ValueError: It is damaged, no image, in colour, or has more than `MAX_PIXELS`.
    """
    values = np.array(open_image(path))
    if values.ndim != 2:
        raise ValueError(f'{path} is a colour image; expected labels, one value a pixel')
    return values


def open_image(path: Path) -> Image.Image:
    """An image as Pillow, which the toolbox reads labels with, decodes it.

    Raises:
        ValueError: It is damaged, no image, or has more than `MAX_PIXELS`.
    """
    data = path.read_bytes()
    _check_size(data, str(path))
    try:
        opened = Image.open(io.BytesIO(data))
        opened.load()
    except Exception as error:  # each of Pillow's decoders has its own
        raise ValueError(f'{path} is damaged ({error}); get it again') from None
    return opened


def image_size(path: Path) -> tuple[int, int]:
    """Height and width that the header of an image says.

    Raises:
        ValueError: It is no image or has more than `MAX_PIXELS`.
    """
    return _check_size(path.read_bytes(), str(path))


def _check_size(data: bytes, name: str) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as opened:
                width, height = opened.size
                # Deflate makes 1,032 bytes of one at most, and a byte has eight pixels at most.
                most = 8 * 1032 * len(data) if opened.format == 'PNG' else MAX_PIXELS
        large = width * height > min(most, MAX_PIXELS)
    except Image.DecompressionBombError:  # Pillow's own bound is higher
        large = True
    except Exception:  # each of Pillow's formats has its own
        raise ValueError(f'{name} is not an image that can be read; get it again') from None
    if large:
        raise ValueError(
            f'{name} says that it has more pixels than the {MAX_PIXELS} that are read, or than its '
            f'{len(data)} bytes can hold; get it again'
        )
    return height, width
