"""The embedded data set: scenes drawn from a seed, read through the toolbox's usual pipeline.

There are no files. A scene has an address such as ``shapes://64x64/0/train/image/000012.png``, and
a file backend registered for the prefix ``shapes`` draws what stands behind it. So
``LoadImageFromFile`` and ``LoadAnnotations`` work unchanged, as does whatever else in the toolbox
opens an image by its path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from mmengine.fileio import BaseStorageBackend, register_backend
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.items import data_item
from mmseg_sparsemask.datasets.scene import CLASSES, PALETTE, Scene, draw_scene
from mmseg_sparsemask.utils.checks import check_one_of, check_whole
from mmseg_sparsemask.utils.files import write_atomically

SPLITS = ('train', 'val', 'test')

#: What of a scene has an address: the image and two maps of the same size.
PARTS = ('image', 'labels', 'instances')

_ADDRESS = re.compile(
    r'shapes://(?P<height>\d+)x(?P<width>\d+)/(?P<seed>\d+)/(?P<split>\w+)/(?P<part>\w+)/(?P<index>\d+)\.png'
)


@functools.lru_cache(maxsize=2048)
def shapes_scene(size: tuple[int, int], seed: int, split: str, index: int) -> Scene:
    """Draw one scene of the embedded data set, or take it from the cache.

    Args:
        size: Height and width in pixels.
        seed: Seed of the data set, not negative.
        split: One of `SPLITS`; the splits share no image.
        index: Number of the image in its split, not negative.

    Returns:
        The scene, its arrays read-only because they are shared.

    Raises:
        ValueError: When ``split`` is unknown or ``size`` is too small.
    """
    check_one_of('split', split, SPLITS)
    scene = draw_scene(np.random.default_rng([seed, SPLITS.index(split), index]), size)
    for array in scene[:3]:
        array.setflags(write=False)
    return scene


def shapes_address(
    size: tuple[int, int], seed: int, split: str, index: int, part: str = 'image'
) -> str:
    """Address under which `ShapesBackend` serves a part (see `PARTS`) of a scene."""
    return f'shapes://{size[0]}x{size[1]}/{seed}/{split}/{part}/{index:06d}.png'


def write_shapes(
    folder: Path, counts: Mapping[str, int], size: tuple[int, int] = (64, 64), seed: int = 0
) -> tuple[Path, Path]:
    """Write scenes and their label maps as PNG files, for those who want to see files.

    What is there already is left as it is.

    Args:
        folder: Gets ``images/SPLIT`` and ``masks/SPLIT``.
        counts: Number of images of each split.
        size: Height and width in pixels.
        seed: Seed of the data set.

    Returns:
        The folders ``images`` and ``masks``.
    """
    draw = ShapesBackend()
    places = folder / 'images', folder / 'masks'
    for split, count in counts.items():
        for index in range(count):
            for place, part in zip(places, PARTS):
                path = place / split / f'{index:04}.png'
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, draw.get(shapes_address(size, seed, split, index, part)))
    return places


class ShapesBackend(BaseStorageBackend):
    """File backend behind ``shapes://`` addresses: draws the scene and encodes the part as PNG."""

    def get(self, filepath: str) -> bytes:
        """PNG bytes of the image or map at an address.

        Raises:
            FileNotFoundError: When the address is not one of `shapes_address`.
        """
        match = _ADDRESS.fullmatch(str(filepath))
        if match is None or match['split'] not in SPLITS or match['part'] not in PARTS:
            raise FileNotFoundError(
                f'{filepath} is no scene; expected an address such as '
                f'{shapes_address((64, 64), 0, "train", 12)} with a split of {SPLITS} '
                f'and a part of {PARTS}'
            )
        height, width, seed, index = map(int, match.group('height', 'width', 'seed', 'index'))
        part = getattr(shapes_scene((height, width), seed, match['split'], index), match['part'])
        _, data = cv2.imencode('.png', part, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return data.tobytes()

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """Refuse: scenes are images.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f'{filepath} is an image and cannot be read as text')


register_backend('shapes', ShapesBackend, prefixes='shapes', force=True)


@DATASETS.register_module()
class ShapesDataset(BaseSegDataset):
    """Semantic segmentation of drawn scenes; see `~.scene.draw_scene` for what is in them.

    Image ``index`` of a split depends on nothing but ``seed``, ``split``, ``index`` and ``size``.

    Args:
        length: Number of images.
        size: Height and width of the images in pixels.
        seed: Seed, not negative.
        split: ``'train'``, ``'val'`` or ``'test'``.
        **kwargs: See ``BaseSegDataset``; other classes in ``metainfo`` must be a subset.

    Raises:
        ValueError: When ``length`` is not positive, ``seed`` is negative, or ``split`` is unknown.
    """

    METAINFO = dict(classes=CLASSES, palette=[list(colour) for colour in PALETTE])

    #: Which of `PARTS` is the label map.
    label_part = 'labels'

    def __init__(
        self,
        length: int,
        size: tuple[int, int] = (64, 64),
        seed: int = 0,
        split: str = 'train',
        **kwargs,
    ) -> None:
        check_whole(1, length=length)
        check_whole(0, seed=seed)
        check_one_of('split', split, SPLITS)
        self.length = length
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        self.split = split
        super().__init__(img_suffix='.png', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Addresses of the images and label maps; nothing is drawn yet."""
        scenes = [(self.size, self.seed, self.split, index) for index in range(self.length)]
        return [
            data_item(self, shapes_address(*scene), shapes_address(*scene, self.label_part))
            for scene in scenes
        ]
