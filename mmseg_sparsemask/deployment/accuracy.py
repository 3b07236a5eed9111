"""Images of a config's data sets, and the mean IoU on them: what a smaller file costs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from tqdm import tqdm

from mmseg_sparsemask.deployment.onnx_predictor import Predictor
from mmseg_sparsemask.deployment.predictor import pipeline_steps


@dataclass(frozen=True)
class TestSet:
    """Images to measure on, and what is to be found in them.

    Attributes:
        images: (H, W, C) uint8 each.
        truths: Labels (H, W) of each.
        ignore_index: Label of positions that do not count.
        title: Where they come from, for the report.
    """

    # The name looks like a test to pytest.
    __test__ = False

    images: Sequence[np.ndarray]
    truths: Sequence[np.ndarray]
    ignore_index: int
    title: str


def mean_iou(predictor: Predictor, test_set: TestSet) -> float:
    """Mean IoU over the classes that occur, in percent.

    Args:
        predictor: What finds the labels.
        test_set: What to measure on.

    Raises:
        ValueError: No position of the test set counts, or its labels are not those of the classes.
    """
    count = len(predictor.classes)
    pairs = np.zeros((count, count), int)
    images = tqdm(test_set.images, desc='mean IoU')
    for image, truth in zip(images, test_set.truths):
        counts = truth != test_set.ignore_index
        found, wanted = predictor(image)[counts], truth[counts].astype(int)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < count:
            raise ValueError(
                f'mean IoU: expected labels from 0 to {count - 1}, or {test_set.ignore_index} for '
                f'what does not count, got {wanted.min()} to {wanted.max()} ({test_set.title})'
            )
        np.add.at(pairs, (wanted, found), 1)
    hits = pairs.diagonal()
    unions = pairs.sum(0) + pairs.sum(1) - hits
    if not unions.any():
        raise ValueError(
            f'mean IoU: expected images with labels that count, got none ({test_set.title})'
        )
    return float(100 * (hits[unions > 0] / unions[unions > 0]).mean())


def images_of(cfg: Config, loader: str, count: int, spread: bool = False) -> list[np.ndarray]:
    """The first images of a data set of a config, or some at equal distances.

    Args:
        cfg: The config.
        loader: ``'test_dataloader'`` or ``'train_dataloader'``.
        count: How many.
        spread: At equal distances.

    Raises:
        ValueError: The config has none, or its files are not there.
    """
    samples, _ = _samples(cfg, loader, pipeline_steps(cfg)[:1], count, spread)
    return [_image(sample) for sample in samples]


def labelled_test_set(cfg: Config, count: int) -> TestSet:
    """Images of a config's test data set, evenly spread, with their labels.

    Raises:
        ValueError: The config has none, its files are not there, or it loads no labels.
    """
    labels = pipeline_steps(cfg, labels=True)
    if not labels:
        raise ValueError('the test pipeline of the config loads no labels; give --images')
    steps = [*pipeline_steps(cfg)[:1], *labels]
    samples, dataset = _samples(cfg, 'test_dataloader', steps, count, spread=True)
    truths = [sample['gt_seg_map'] for sample in samples]
    title = f'{len(samples)} of {len(dataset)} test images'
    return TestSet([*map(_image, samples)], truths, dataset.ignore_index, title)


def self_labelled(predictor: Predictor, images: Sequence[np.ndarray]) -> TestSet:
    """Images with the labels that a predictor gives: its own mean IoU on them is 100."""
    title = f"{len(images)} --images, with the trained network's labels as the truth"
    return TestSet(images, predictor(images), 255, title)


def _image(sample: dict[str, Any]) -> np.ndarray:
    image: np.ndarray = sample['img']
    return image.reshape(*image.shape[:2], -1)


def _samples(
    cfg: Config, loader: str, steps: list[dict[str, Any]], count: int, spread: bool
) -> tuple[list[dict[str, Any]], BaseSegDataset]:
    """The first samples of a loader's data set, or some at equal distances, and the data set."""
    if not cfg.get(loader):
        raise ValueError(f'the config has no {loader}; give images with --images')
    settings = copy.deepcopy(cfg[loader]['dataset'])
    while 'dataset' in settings:  # repeats another
        settings = settings['dataset']
    settings['pipeline'] = steps
    try:
        dataset = DATASETS.build(settings)
        count, among = min(count, len(dataset)), len(dataset)
        samples = [dataset[i * among // count if spread else i] for i in range(count)]
    # MMEngine asserts that files are there; a joined data set takes no pipeline.
    except (AssertionError, OSError, TypeError, ValueError) as error:
        name = loader.removesuffix('_dataloader')
        raise ValueError(
            f'the {name} data set of the config cannot be read ({error}); give images with --images'
        ) from error
    return samples, dataset
