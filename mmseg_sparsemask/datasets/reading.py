"""Which images a folder or a list holds, and reading one."""

from __future__ import annotations

from pathlib import Path

import cv2
import mmengine.fileio as fileio
import numpy as np


def list_stems(folder: Path, suffix: str) -> list[str]:
    """Sorted names without suffix of the files of one kind in a folder.

    Raises:
        FileNotFoundError: If the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder; link or convert the data set first')
    stems = sorted(path.stem for path in folder.iterdir() if path.suffix == suffix)
    if not stems:
        raise FileNotFoundError(f'no {suffix} files in {folder}')
    return stems


def read_list(path: Path) -> list[str]:
    """Names in a list, one a line, without suffix.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If it is empty or names an image twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f'list {path} is missing; run the converter of the data set')
    # Only known suffixes are cut: a dot can be part of a name.
    names = []
    for line in path.read_text().splitlines():
        name = line.strip()
        if name:
            names.append(name[:-4] if name.lower().endswith(('.jpg', '.png', '.bmp')) else name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{path} lists {len(twice)} images twice, for example {twice[0]}')
    if not names:
        raise ValueError(f'{path} is empty')
    return names


def read_image(path: str, backend_args: dict | None) -> np.ndarray:
    """An image as its file holds it: (H, W) or (H, W, C), the channels as OpenCV orders them.

    Raises:
        ValueError: It is no image that OpenCV can read.
    """
    data = np.frombuffer(fileio.get(path, backend_args=backend_args), dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(f'{path} is not an image that OpenCV can read')
    return image
