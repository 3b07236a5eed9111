"""COCO's instances as label maps of PASCAL VOC's 21 classes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.utils import track_iter_progress

from mmseg_sparsemask.datasets.reading import MAX_PIXELS, save_image
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.files import output_folder, write_atomically

#: COCO's name of each VOC class, from label 1 on; label 0 is the background.
COCO_NAMES = (
    *('airplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow'),
    *('dining table', 'dog', 'horse', 'motorcycle', 'person', 'potted plant', 'sheep'),
    *('couch', 'train', 'tv'),
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
        ImportError: Without pycocotools.
        ValueError: Not a file of COCO instances, or a damaged one.
    """
    require_extra('pycocotools', 'coco')
    annotations = Path(annotations)
    if not annotations.is_file():
        raise FileNotFoundError(
            f"{annotations} does not exist; expected COCO's instances_train2017.json from "
            'annotations_trainval2017.zip (docs/data.md)'
        )
    images, objects = _read(annotations)
    folder = output_folder(output_folder(target) / split)
    names = []
    for image in track_iter_progress([image for image in images if image['id'] in objects]):
        name = Path(image['file_name']).stem
        try:
            labels = label_map(objects[image['id']], image['height'], image['width'])
        except ValueError as error:
            raise ValueError(f'{annotations}, {image["file_name"]}: {error}') from None
        if np.count_nonzero(labels) < min_pixels:
            continue
        save_image(labels, folder / f'{name}.png')
        names.append(name)
    listed = ''.join(f'{name}\n' for name in sorted(names))
    write_atomically(Path(target) / f'{split}.txt', listed)
    return len(names)


def _read(path: Path) -> tuple[list[dict[str, Any]], dict[int, list[tuple[int, Any]]]]:
    """Images, and for each the (label, segmentation) of its objects, from large to small."""
    try:
        data = json.loads(path.read_bytes().decode('utf-8'))
        images, names = data['images'], {c['id']: c['name'] for c in data['categories']}
        _check_images(images)
        known = [a for a in data['annotations'] if names.get(a['category_id']) in COCO_NAMES]
        for annotation in known:
            if not _is_number(annotation['area']) or type(annotation['image_id']) is not int:
                raise ValueError(f'an annotation with area {annotation["area"]!r:.100}')
        known.sort(key=lambda annotation: -annotation['area'])
        objects: dict[int, list[tuple[int, Any]]] = {}
        for annotation in known:
            label = COCO_NAMES.index(names[annotation['category_id']]) + 1
            painted = (label, annotation['segmentation'])
            objects.setdefault(annotation['image_id'], []).append(painted)
        missing = sorted(set(COCO_NAMES) - set(names.values()))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: expected COCO instances with images, categories and annotations '
            f'({type(error).__name__}: {error})'
        ) from None
    if missing:
        raise ValueError(f'{path}: the categories {missing} are missing; expected those of COCO')
    return images, objects


def _check_images(images: Any) -> None:
    """Refuse images of impossible size, and names that would lead out of the folder."""
    ids, names = set(), set()
    for image in images:
        height, width, name = image['height'], image['width'], image['file_name']
        if type(image['id']) is not int or not all(type(n) is int for n in (height, width)):
            raise ValueError(f'the image {name!r:.100} has no id, height or width')
        if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
            raise ValueError(
                f'the image {name!r:.100} has a size of {str(width):.20}x{str(height):.20}'
            )
        stem = Path(name).stem
        if not stem or stem.startswith('.') or len(stem) > 200 or not stem.isprintable():
            raise ValueError(f'{name!r:.100} cannot be the name of an image')
        ids.add(image['id'])
        names.add(stem)
    if len(ids) < len(images) or len(names) < len(images):
        raise ValueError('two images have one id or one name')


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**53


def label_map(
    objects: Sequence[tuple[int, Any]], height: int, width: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Paint (label, segmentation) one over the other: (height, width).

    Polygons cover the pixels that COCO's own library says they do.

    Args:
        objects: Segmentations are COCO's: polygons ``[[x, y, x, y, ...], ...]`` or an uncompressed
            run length code ``{'counts': [...], 'size': [h, w]}``.
        height: In pixels.
        width: In pixels.

    Raises:
        ValueError: No segmentation of these two kinds, or one of another size.
    """
    labels = np.zeros((height, width), dtype=np.uint8)
    for label, segmentation in objects:
        decode = decode_runs if isinstance(segmentation, Mapping) else polygon_mask
        labels[decode(segmentation, height, width)] = label
    return labels


def polygon_mask(polygons: Any, height: int, width: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """What the parts of an object cover together: (height, width).

    Args:
        polygons: ``[[x, y, x, y, ...], ...]`` in pixels, 0 at the corner of the image. A part of
            fewer than three points covers nothing.
        height: In pixels.
        width: In pixels.

    Raises:
        ImportError: Without pycocotools.
        ValueError: No polygons, or some that no image of this size has.
    """
    require_extra('pycocotools', 'coco')
    from pycocotools import mask as coco

    parts = []
    for polygon in polygons if isinstance(polygons, list) else [None]:
        if not isinstance(polygon, list) or len(polygon) % 2 or not all(map(_is_number, polygon)):
            raise ValueError('segmentation: expected polygons [[x, y, x, y, ...], ...] of numbers')
        # The library is C: it takes room for every pixel of the outline, wherever that leads, and
        # takes four numbers for a box.
        if len(polygon) < 6:
            continue
        points = np.asarray(polygon, dtype=float).reshape(-1, 2)
        steps = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1)
        if np.abs(points).max() > 2 * max(height, width) or steps.sum() > 8 * height * width + 999:
            raise ValueError(f'segmentation: a polygon leads out of the image, {width}x{height}')
        parts.append(polygon)
    if not parts:
        return np.zeros((height, width), dtype=bool)
    covered: np.ndarray[Any, np.dtype[np.bool_]] = (
        coco.decode(coco.merge(coco.frPyObjects(parts, height, width))) != 0
    )
    return covered


def decode_runs(
    code: Mapping[str, Any], height: int, width: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A run length code as a mask (height, width): runs of 0 and 1 in turn, column by column."""
    counts, size = code.get('counts'), code.get('size')
    if isinstance(counts, (str, bytes)):
        raise ValueError(
            "segmentation: expected COCO's own annotations with plain run lengths, got a "
            'compressed string; decode it with pycocotools first'
        )
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise ValueError('segmentation: expected run lengths, integers of at least 0')
    total = sum(counts)
    if size != [height, width] or total != height * width:
        raise ValueError(
            f'segmentation: expected run lengths of {height}x{width} pixels, got '
            f'{str(total):.20} for size {size!r:.100}'
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order='F')
