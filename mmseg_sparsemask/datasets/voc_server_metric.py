"""Predictions in the form that the PASCAL VOC evaluation server takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from PIL import Image

from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.utils.checks import check_one_of
from mmseg_sparsemask.utils.files import replacing
from mmseg_sparsemask.utils.tool_command import tool_command


@METRICS.register_module()
class VOCServerMetric(BaseMetric):
    """Writes label maps for the PASCAL VOC evaluation server; computes nothing.

    A prediction goes to ``results/VOC2012/Segmentation/<competition>_<image_set>_cls/<image>.png``
    below `output_dir`: an indexed PNG with VOC's palette, of the image's size. Pack the folder
    ``results`` into an archive and upload that.

    Args:
        output_dir: Folder to write to; the tools' ``--out`` sets it.
        competition: ``'comp5'`` trained on VOC alone, ``'comp6'`` on other data too (ImageNet or
            COCO).
        image_set: The list of images, ``'test'``.
        keep_results: Set by the toolbox's own tools with ``--out``; without effect.
        collect_device: As in every metric of the toolbox.
        prefix: As in every metric of the toolbox.

    Raises:
        ValueError: Another competition; no output_dir when the first prediction comes.
    """

    def __init__(
        self,
        output_dir: str | None = None,
        competition: str = 'comp6',
        image_set: str = 'test',
        keep_results: bool = True,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_one_of('competition', competition, ('comp5', 'comp6'))
        self.output_dir = output_dir
        self.subfolder = Path(f'results/VOC2012/Segmentation/{competition}_{image_set}_cls')
        self.palette = [value for colour in voc_palette() for value in colour]

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Write the label maps of a batch."""
        if self.output_dir is None:
            remedy = f'run {tool_command("test")} with --out'
            raise ValueError(f'VOCServerMetric: output_dir is not set; {remedy}')
        folder = Path(self.output_dir) / self.subfolder
        folder.mkdir(parents=True, exist_ok=True)
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy().astype(np.uint8)
            image = Image.fromarray(labels, mode='L')
            image.putpalette(self.palette)
            path = folder / f'{Path(sample["img_path"]).stem}.png'
            with replacing(path) as temporary:
                image.save(temporary)
            self.results.append(path.name)

    def compute_metrics(self, results: list[str]) -> dict[str, float]:
        """Say how many were written."""
        logger = MMLogger.get_current_instance()
        logger.info(f'{len(results)} label maps in {Path(str(self.output_dir)) / self.subfolder}')
        return {'images': len(results)}
