"""COCO's instances as label maps of PASCAL VOC's 21 classes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.utils import track_iter_progress
from PIL import Image

from mmseg_sparsemask.utils.files import replacing, write_atomically

#: COCO's name of each VOC class, from label 1 on; label 0 is the background.
COCO_NAMES = (
    'airplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'dining table',
    'dog',
    'horse',
    'motorcycle',
    'person',
    'potted plant',
    'sheep',
    'couch',
    'train',
    'tv',
)


def convert_coco(
    annotations: str | os.PathLike[str],
    target: str | os.PathLike[str],
    split: str,
    min_pixels: int = 1000,
) -> int:
    """Write a label map for every image that shows enough of VOC's classes.

    Objects are painted from large to small, so that small ones stay visible. Regions of other
    classes are background. Writes ``<target>/<split>/<image>.png`` and, last, the list of their
    names, ``<target>/<split>.txt``; an interrupted run can just be started again.

    Args:
        annotations: COCO's ``instances_train2017.json`` or the like.
        target: Folder to write to.
        split: Name of the folder and list.
        min_pixels: Images with fewer labelled pixels are left out (1,000 is usual).

    Returns:
        Number of images written.

    Raises:
        FileNotFoundError: No such annotation file.
        ValueError: Not a file of COCO instances.
    """
    annotations = Path(annotations)
    if not annotations.is_file():
        raise FileNotFoundError(
            f"{annotations} does not exist; expected COCO's instances_train2017.json from "
            'annotations_trainval2017.zip (docs/data.md)'
        )
    images, objects = _read(annotations)
    folder = Path(target) / split
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for image in track_iter_progress([image for image in images if image['id'] in objects]):
        labels = label_map(objects[image['id']], image['height'], image['width'])
        if np.count_nonzero(labels) < min_pixels:
            continue
        name = Path(image['file_name']).stem
        with replacing(folder / f'{name}.png') as temporary:
            Image.fromarray(labels).save(temporary)
        names.append(name)
    listed = ''.join(f'{name}\n' for name in sorted(names))
    write_atomically(Path(target) / f'{split}.txt', listed)
    return len(names)


def _read(path: Path) -> tuple[list[dict[str, Any]], dict[int, list[tuple[int, Any]]]]:
    """Images, and for each the (label, segmentation) of its objects, from large to small."""
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        labels = {
            category['id']: COCO_NAMES.index(category['name']) + 1
            for category in data['categories']
            if category['name'] in COCO_NAMES
        }
        known = [a for a in data['annotations'] if a['category_id'] in labels]
        known.sort(key=lambda annotation: -annotation['area'])
        objects: dict[int, list[tuple[int, Any]]] = {}
        for annotation in known:
            label = labels[annotation['category_id']]
            objects.setdefault(annotation['image_id'], []).append(
                (label, annotation['segmentation'])
            )
        images = data['images']
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: expected COCO instances with images, categories and annotations '
            f'({type(error).__name__}: {error})'
        ) from None
    if len(labels) != len(COCO_NAMES):
        missing = sorted(set(COCO_NAMES) - {c['name'] for c in data['categories']})
        raise ValueError(f'{path}: the categories {missing} are missing; expected those of COCO')
    return images, objects


def label_map(
    objects: Sequence[tuple[int, Any]], height: int, width: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Paint (label, segmentation) one over the other: (height, width).

    Args:
        objects: Segmentations are COCO's: polygons ``[[x, y, x, y, ...], ...]`` or an uncompressed
            run length code ``{'counts': [...], 'size': [h, w]}``.
        height: In pixels.
        width: In pixels.

    Raises:
        ValueError: A compressed run length code, or one of another size.
    """
    labels = np.zeros((height, width), dtype=np.uint8)
    for label, segmentation in objects:
        if isinstance(segmentation, Mapping):
            labels[decode_runs(segmentation, height, width)] = label
            continue
        # Each part on its own: together, overlaps would count as holes.
        for polygon in segmentation:
            points = np.asarray(polygon, dtype=float).reshape(-1, 2)
            # COCO's coordinates are of pixel corners, OpenCV's of pixel centres.
            cv2.fillPoly(labels, [np.rint(points - 0.5).astype(np.int32)], label)
    return labels


def decode_runs(
    code: Mapping[str, Any], height: int, width: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A run length code as a mask (height, width): runs of 0 and 1 in turn, column by column."""
    counts = code['counts']
    if isinstance(counts, (str, bytes)):
        raise ValueError(
            "segmentation: expected COCO's own annotations with plain run lengths, got a "
            'compressed string; decode it with pycocotools first'
        )
    values = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(values, counts)
    if list(code['size']) != [height, width] or flat.size != height * width:
        raise ValueError(
            f'segmentation: expected run lengths of {height}x{width} pixels, got '
            f'{flat.size} for size {code["size"]}'
        )
    return flat.reshape((height, width), order='F')
