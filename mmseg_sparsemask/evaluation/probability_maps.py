"""What the saliency and the edge metric share: one-channel predictions, their names and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmseg_sparsemask.utils.files import write_atomically


def image_name(sample: dict) -> str:
    """Stem of the image's path; the name of everything that is written about it."""
    return Path(sample['img_path']).stem


def probability(sample: dict) -> np.ndarray:
    """Probability of the foreground at the image's original size.

    The toolbox stores the sigmoid of a one-channel output under ``seg_logits``.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        ValueError: If the model has more than one output channel.
    """
    data = sample['seg_logits']['data']
    if data.shape[0] != 1:
        raise ValueError(
            f'expected one output channel, got {data.shape[0]}; '
            'set out_channels=1 in the decode head'
        )
    return data[0].detach().float().cpu().numpy()


def save_map(prob: np.ndarray, folder: str | Path, name: str) -> None:
    """Write a map in [0, 1] as a grey 8-bit PNG, whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    grey = np.rint(np.clip(prob, 0, 1) * 255).astype(np.uint8)
    _, data = cv2.imencode('.png', grey)
    write_atomically(folder / f'{name}.png', data.tobytes())


def check_listed_once(names: Sequence[str]) -> None:
    """Refuse to count an image twice.

    Raises:
        ValueError: Naming the images.
    """
    seen: set[str] = set()
    twice = sorted({name for name in names if name in seen or seen.add(name)})
    if twice:
        raise ValueError(
            f'{len(twice)} images were evaluated twice, for example {twice[0]}; '
            'remove duplicates from the list of the data set'
        )
