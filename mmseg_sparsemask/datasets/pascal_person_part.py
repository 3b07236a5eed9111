"""PASCAL-Person-Part: six body parts of people in PASCAL VOC 2010, and the way there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.utils import track_iter_progress
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.matlab import parse_mat
from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.datasets.reading import check_folder, read_lines, save_image
from mmseg_sparsemask.utils.files import copy_file, output_folder, write_atomically

CLASSES = ('background', 'head', 'torso', 'upper arm', 'lower arm', 'upper leg', 'lower leg')

#: Part of a person in PASCAL-Part -> class here: hands are lower arms, feet lower legs.
PARTS = {
    **dict.fromkeys(
        ('head', 'leye', 'reye', 'lear', 'rear', 'lebrow', 'rebrow', 'nose', 'mouth', 'hair'), 1
    ),
    **dict.fromkeys(('torso', 'neck'), 2),
    **dict.fromkeys(('luarm', 'ruarm'), 3),
    **dict.fromkeys(('llarm', 'rlarm', 'lhand', 'rhand'), 4),
    **dict.fromkeys(('luleg', 'ruleg'), 5),
    **dict.fromkeys(('llleg', 'rlleg', 'lfoot', 'rfoot'), 6),
}
SPLITS = ('train', 'val')


@DATASETS.register_module()
class PascalPersonPartDataset(BaseSegDataset):
    """PASCAL-Person-Part (Chen et al., CVPR 2014, in the seven classes of arXiv:1511.03339).

    Label maps are PNG files with the values 0 to 6, 255 for void.

    Args:
        ann_file: List of image names without suffix.
        data_prefix: Folders of the images (``img_path``) and label maps (``seg_map_path``), by
            default ``images`` and ``labels``.
        **kwargs: See ``BaseSegDataset``.
    """

    METAINFO = dict(classes=CLASSES, palette=[list(colour) for colour in voc_palette(len(CLASSES))])

    def __init__(self, ann_file: str, data_prefix: dict | None = None, **kwargs) -> None:
        data_prefix = data_prefix or dict(img_path='images', seg_map_path='labels')
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)


def person_labels(path: str | os.PathLike) -> np.ndarray | None:
    """The label map of one annotation of PASCAL-Part.

    Args:
        path: A file of ``Annotations_Part``.

    Returns:
        (H, W) of uint8, or None if no person in it has a part.

    Raises:
        ValueError: A part that is not known, or a file that is damaged or of another layout.
    """
    content = parse_mat(Path(path).read_bytes(), str(path))
    labels = None
    for part in _person_parts(content.get('anno'), f'{path} is no annotation of PASCAL-Part'):
        name, mask = part.get('part_name'), part.get('mask')
        if not isinstance(name, str) or name not in PARTS:
            raise ValueError(
                f'{path}: a person has the unknown part {name!r}; known are {sorted(PARTS)}'
            )
        if not isinstance(mask, np.ndarray) or mask.dtype == object or mask.ndim != 2:
            raise ValueError(f'{path}: the part {name!r} has no mask (H, W)')
        if labels is None:
            labels = np.zeros(mask.shape, np.uint8)
        if mask.shape != labels.shape:
            raise ValueError(f'{path}: masks of {labels.shape} and {mask.shape}; expected one size')
        labels[mask != 0] = PARTS[name]
    return labels


def _person_parts(anno: Any, problem: str) -> Iterator[dict[str, Any]]:
    """The parts of all people, from ``anno.objects(i).parts(j)``."""
    if not _structures(anno) or 'objects' not in anno.flat[0]:
        raise ValueError(f'{problem}: expected anno.objects')
    objects = anno.flat[0]['objects']
    if isinstance(objects, np.ndarray) and not objects.size:
        return
    if not _structures(objects) or any(not isinstance(o.get('class'), str) for o in objects.flat):
        raise ValueError(f'{problem}: expected objects with class and parts')
    for item in objects.flat:
        if item['class'] != 'person':
            continue
        parts = item.get('parts')
        # Without parts MATLAB leaves an empty array of numbers.
        if isinstance(parts, np.ndarray) and not parts.size:
            continue
        if not _structures(parts):
            raise ValueError(f'{problem}: expected parts with part_name and mask')
        yield from parts.flat


def _structures(value: Any) -> bool:
    """Whether a value of `parse_mat` is a structure array of one element or more."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype == object
        and value.size > 0
        and all(isinstance(item, dict) for item in value.flat)
    )


def convert_pascal_part(
    voc: str | os.PathLike,
    annotations: str | os.PathLike,
    target: str | os.PathLike,
    lists: str | os.PathLike | None = None,
) -> dict[str, int]:
    """Merge the person parts of PASCAL-Part and lay out images, label maps and split lists.

    ``images/*.jpg``, ``labels/*.png``, ``train.txt`` and ``val.txt`` are written; every file
    appears whole or not at all, and running again fills up what is missing.

    Args:
        voc: ``VOCdevkit/VOC2010``.
        annotations: ``Annotations_Part`` of PASCAL-Part.
        target: Folder to create or to fill up.
        lists: Folder with ``train.txt`` and ``val.txt``; by default those in ``ImageSets/Main`` of
            VOC, as far as an image shows a person with parts.

    Returns:
        Number of images of each split.

    Raises:
        FileNotFoundError: A folder or list is missing, or a listed image has no annotation.
        ValueError: An annotation of another layout, a listed image without a person's part, or a
            list with paths in place of names.
    """
    voc, annotations, target = Path(voc), Path(annotations), Path(target)
    names = {}
    for split in SPLITS:
        file = Path(lists or voc / 'ImageSets' / 'Main') / f'{split}.txt'
        if not file.is_file():
            raise FileNotFoundError(f'there is no {file}; give VOC2010, or lists of your own')
        names[split] = read_lines(file)
        for name in names[split]:
            # The name becomes that of files below the target.
            if name.startswith('.') or name.replace('\\', '/') != Path(name).name:
                raise ValueError(f'{file}: expected names of images without folders, got {name!r}')
    for folder in (voc / 'JPEGImages', annotations):
        check_folder(folder, 'expected VOC2010 and Annotations_Part of PASCAL-Part')
    for folder in (target, target / 'images', target / 'labels'):
        output_folder(folder)
    counts = {}
    for split in SPLITS:
        kept = []
        for name in track_iter_progress(names[split]):
            annotation = annotations / f'{name}.mat'
            found = annotation.exists()
            if not found and lists is not None:
                raise FileNotFoundError(f'{annotation} is missing, {split}.txt lists it')
            labels = person_labels(annotation) if found else None
            if labels is None:
                if lists is None:
                    continue
                raise ValueError(f'{annotation} shows no part of a person, {split}.txt lists it')
            kept.append(name)
            save_image(labels, target / 'labels' / f'{name}.png')
            out = target / 'images' / f'{name}.jpg'
            if not out.exists():
                copy_file(voc / 'JPEGImages' / f'{name}.jpg', out)
        write_atomically(target / f'{split}.txt', ''.join(f'{name}\n' for name in kept))
        counts[split] = len(kept)
    return counts
