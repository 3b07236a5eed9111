"""Pictures of what a network predicts, beside the truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_sparsemask.compare.sizes import build_segmentor
from mmseg_sparsemask.datasets.palette import colour_table
from mmseg_sparsemask.utils.checkpoints import load_checkpoint, load_strictly
from mmseg_sparsemask.utils.files import write_atomically

#: Pixels between image, truth and prediction; a picture is at least so high.
GAP, HEIGHT = 4, 256


@torch.no_grad()
def write_samples(cfg: Config, checkpoint: Path, out_dir: Path, count: int = 4) -> list[Path]:
    """Draw image, labels and prediction of the first test images side by side; return the paths.

    Args:
        cfg: Config of the network and its test data.
        checkpoint: Its weights.
        out_dir: Folder for the pictures.
        count: How many images.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model, data = build_segmentor(cfg), DATASETS.build(cfg.test_dataloader.dataset)
    load_strictly(model, load_checkpoint(checkpoint), str(checkpoint))
    palette = colour_table(data.metainfo['palette'])
    written = []
    for index in range(min(count, len(data))):
        item = data[index]
        (predicted,) = model.test_step(pseudo_collate([item]))
        picture = side_by_side(
            item['inputs'].numpy().transpose(1, 2, 0),
            item['data_samples'].gt_sem_seg.data[0].numpy().astype(np.uint8),
            predicted.pred_sem_seg.data[0].numpy().astype(np.uint8),
            palette,
        )
        stem = Path(item['data_samples'].img_path).stem
        written.append(out_dir / f'sample_{stem}.png')
        write_atomically(written[-1], cv2.imencode('.png', picture)[1].tobytes())
    return written


def side_by_side(
    image: np.ndarray, labels: np.ndarray, predicted: np.ndarray, palette: np.ndarray
) -> np.ndarray:
    """An image (BGR), its labels and the predicted ones, in the colours of a palette (RGB)."""
    image = cv2.resize(image, labels.shape[::-1])
    gap = np.full((len(labels), GAP, 3), 255, np.uint8)
    # The palette is RGB, the files BGR.
    colours = palette[..., ::-1]
    row = np.hstack([image, gap, colours[labels], gap, colours[predicted]])
    factor = max(1, HEIGHT // len(labels))
    return cv2.resize(row, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
