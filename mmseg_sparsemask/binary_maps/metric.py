"""What the saliency and the edge metric share: one-channel predictions, their names and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmseg_sparsemask.datasets.reading import save_image
from mmseg_sparsemask.utils.checks import check_shares


class ProbabilityMapMetric(BaseMetric):
    """Writes each image's map; what it scores an image and the data set by, a subclass says.

    Args:
        output_dir: Folder for the maps as grey 8-bit PNG; ``tools/test.py --out`` sets it.
        keep_results: Set by the toolbox's own tools with ``--out``; without effect.
        format_only: Write the maps and score nothing.
        collect_device: See ``BaseMetric``.
        prefix: Prefix of the names of the scores.

    Raises:
        ValueError: For ``format_only`` without ``output_dir``.
    """

    #: What the log calls the maps.
    map_kind = 'probability'

    def __init__(
        self,
        output_dir: str | None = None,
        keep_results: bool = False,
        format_only: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and output_dir is None:
            raise ValueError('format_only needs output_dir, the folder for the maps')
        self.output_dir = output_dir
        self.format_only = format_only

    def score(self, sample: dict, prob: np.ndarray, name: str) -> Any:
        """What an image contributes, or a promise of it.

        Args:
            sample: Sample of the toolbox.
            prob: Probability of the foreground, (H, W) float32 in [0, 1].
            name: Name of the image.

        Raises:
            ValueError: Without a truth that fits.
        """
        raise NotImplementedError

    def summarise(self, contributions: list, names: list[str]) -> dict[str, float]:
        """Scores of the data set from what its images contribute, in the order of the names."""
        raise NotImplementedError

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Write and score the images of one batch.

        Raises:
            ValueError: As `score`, or if the model has more than one output channel, or gives no
                numbers in [0, 1].
        """
        for sample in data_samples:
            name, prob = Path(sample['img_path']).stem, probability(sample)
            check_shares(prob, f'{name}: prediction')
            if self.output_dir is not None:
                save_map(prob, self.output_dir, name)
            scored = None if self.format_only else self.score(sample, prob, name)
            self.results.append((sample['img_path'], scored))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of the data set; none with ``format_only``.

        Raises:
            ValueError: If an image was evaluated twice, or one map took the place of another.
        """
        paths = [path for path, _ in results]
        names = [Path(path).stem for path in paths]
        for known, what in ((paths, 'images were evaluated'), (names, 'maps were written')):
            twice = sorted(name for name, count in Counter(known).items() if count > 1)
            if twice and (known is paths or self.output_dir is not None):
                raise ValueError(
                    f'{len(twice)} {what} twice, for example {Path(twice[0]).stem}; remove '
                    'duplicates from the list of the data set, and test data sets that share '
                    'names one by one'
                )
        if self.output_dir is not None:
            logger = MMLogger.get_current_instance()
            logger.info(f'{self.map_kind} maps are saved to {self.output_dir}')
        if self.format_only:
            return {}
        return self.summarise([scored for _, scored in results], names)


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


def to_uint8(prob: np.ndarray) -> np.ndarray:
    """Round a map in [0, 1] to the grey levels 0..255.

    Args:
        prob: Floating point, (H, W).

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: On values that are not finite or outside [0, 1].
    """
    prob = np.asarray(prob)
    check_shares(prob, 'probabilities')
    grey: np.ndarray = np.rint(np.asarray(prob, float) * 255).astype(np.uint8)
    return grey


def save_map(prob: np.ndarray, folder: str | Path, name: str) -> None:
    """Write a map in [0, 1] as a grey 8-bit PNG, whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_image(to_uint8(prob), folder / f'{name}.png')
