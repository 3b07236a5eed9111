"""What a folder of images and one of masks hold, as a data set of the toolbox."""

from __future__ import annotations

import copy
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.datasets.reading import decode_image, open_image
from mmseg_sparsemask.fit.data_pairs import Pair, find_files, pair_up, split_up
from mmseg_sparsemask.fit.data_values import (
    VOID,
    Mask,
    Meaning,
    find_meaning,
    read_classes,
    read_mask,
    shown,
)
from mmseg_sparsemask.utils.commands import shown_path
from mmseg_sparsemask.utils.files import check_work_dir, output_folder, replacing, write_atomically
from mmseg_sparsemask.utils.words import counted, listed

_ORIENTATION = 0x0112  # of EXIF
_NOTES = (
    'turned or mirrored by EXIF when loaded, and not their masks: look at both',
    'with a fourth channel, which the loader drops',
    'nearly black once the loader has cut 16 bits to the upper eight: scale them',
)


@dataclass(frozen=True)
class FolderData:
    """Images with masks, looked at and split.

    Attributes:
        classes: Names of the labels 0, 1, ...
        palette: Red, green and blue of each class.
        counts: Number of images of each split: ``train``, ``val`` and perhaps ``test``.
        image_size: Median height and width.
        class_shares: Share of each class among the labelled pixels of ``train``.
        void_share: Share of the pixels of ``train`` that are ignored.
        seen: What was seen, in sentences.
        warnings: What to know before training.
        settings: Settings of a ``BaseSegDataset``, but for its list.
        lists: Folder of the lists of the splits.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    counts: dict[str, int]
    image_size: tuple[int, int]
    class_shares: tuple[float, ...]
    void_share: float
    seen: tuple[str, ...]
    warnings: tuple[str, ...]
    settings: dict[str, Any]
    lists: Path

    def lines(self) -> list[str]:
        """What was seen, and what to know before training, to be printed."""
        return [*self.seen, *(f'warning: {text}' for text in self.warnings)]

    def dataset(self, split: str) -> dict[str, Any]:
        """Settings of a ``BaseSegDataset`` for a split, without a pipeline."""
        return {**copy.deepcopy(self.settings), 'ann_file': str(self.lists / f'{split}.txt')}


class _Sample(NamedTuple):
    """What an image and its mask told."""

    pair: Pair
    split: str
    mask: Mask
    notes: list[str]


def look(
    images: str | os.PathLike[str],
    masks: str | os.PathLike[str],
    out: str | os.PathLike[str],
    classes: str | os.PathLike[str] | Sequence[str] | None = None,
) -> FolderData:
    """Look at every image and every mask, and write down what the toolbox needs to read them.

    Below ``out/data`` come the lists of the splits and, if the toolbox cannot read the masks as
    they are, their labels as PNG files. Nothing else is written.

    Args:
        images: Folder of images.
        masks: Folder of masks; see `pair_up` for their names.
        out: Folder to write to.
        classes: See `read_classes`; None takes the numbers of the masks.

    Raises:
        ValueError: What would not train, or train wrongly.
    """
    image_dir, mask_dir, folder = (Path(os.path.abspath(path)) for path in (images, masks, out))
    if image_dir == mask_dir:
        raise ValueError(f'{images} is the folder of images and of masks; give each their own')
    lines = read_classes(classes)
    found = find_files(image_dir, {mask_dir, folder})
    found_masks = find_files(mask_dir, {image_dir, folder})
    pairs = pair_up(found, found_masks)
    check_work_dir(folder, '--out')
    folder = output_folder(folder / 'data')
    beside = image_dir.parent
    splits, how = split_up(
        pairs, (image_dir, mask_dir, beside, beside / 'ImageSets/Segmentation'), folder
    )
    samples = _read_all(pairs, splits, image_dir, mask_dir)
    meaning = find_meaning([sample.mask for sample in samples], lines)
    counts = dict(Counter(sorted(sample.split for sample in samples)))
    pixels = {split: _pixels(meaning, samples, split) for split in counts}
    values = sorted({value for sample in samples for value in sample.mask.pixels})
    held = listed([shown(value) for value in values], 20)
    if np.count_nonzero(pixels['train'][:-1]) < 2:
        raise ValueError(
            f'{mask_dir}: expected two classes at least in the masks to train on, which hold one; '
            f'all masks hold {held}'
        )
    if void_only := [split for split in counts if not pixels[split][:-1].any()]:
        raise ValueError(
            f'{mask_dir}: all pixels of {listed(void_only)} are void, so nothing can be scored; '
            'label some, or divide the images by lists train.txt and val.txt'
        )
    settings = _write(samples, meaning, image_dir, mask_dir, folder)
    sizes = np.array([sample.mask.size for sample in samples])
    height, width = np.median(sizes, axis=0).astype(int).tolist()
    low, high = (f'{size[0]}x{size[1]}' for size in (sizes.min(0), sizes.max(0)))
    *labelled, void = (pixels['train'] / pixels['train'].sum()).tolist()
    shares = tuple(share / sum(labelled) for share in labelled)
    labels = Path(settings['data_prefix']['seg_map_path'])
    return FolderData(
        classes=meaning.classes,
        palette=tuple(meaning.palette),
        counts=counts,
        image_size=(height, width),
        class_shares=shares,
        void_share=void,
        warnings=tuple(
            f'{counted(len(names), "file")} {what}: {listed(sorted(names))}'
            for what, names in {
                'left out, without a mask': {*found.values()} - {p.image for p in pairs},
                'left out, without an image': {*found_masks.values()} - {p.mask for p in pairs},
                'left out, of no split': {p.image for p in pairs if p.name not in splits},
                **{n: {s.pair.image for s in samples if n in s.notes} for n in _NOTES},
            }.items()
            if names
        )
        + tuple(
            f'{listed(names)}: in no mask of {split}, so {effect}'
            for split, effect in (('train', 'never learned'), ('val', 'not scored'))
            if (names := [n for n, count in zip(meaning.classes, pixels[split]) if not count])
        ),
        seen=(
            f'{len(samples)} images in {shown_path(image_dir)}, masks in {shown_path(mask_dir)} '
            f'({samples[0].pair.image} and {samples[0].pair.mask})',
            f'{listed([f"{count} {split}" for split, count in counts.items()])}, {how}',
            f'{height}x{width} pixels (height x width) in the middle, from {low} to {high}',
            f'masks hold {held}; their labels are in {shown_path(labels)}',
            f'{len(shares)} classes, with these shares of train: '
            + listed([f'{n} {s:.1%}' for n, s in zip(meaning.classes, shares)], 20),
            f'void, which is ignored: {void:.1%} of train',
        ),
        settings=settings,
        lists=folder,
    )


def _read_all(
    pairs: Sequence[Pair], splits: Mapping[str, str], images: Path, masks: Path
) -> list[_Sample]:
    def read(pair: Pair) -> _Sample | str:
        try:
            size, notes = _read_image(images / pair.image)
            mask = read_mask(masks / pair.mask)
        except (OSError, ValueError) as error:
            return str(error)
        if mask.size != size:
            turned = '; an EXIF entry turns images, not masks' * (mask.size == size[::-1])
            return f'{images / pair.image} has the size {size}, {mask.path} {mask.size}{turned}'
        return _Sample(pair, splits[pair.name], mask, notes)

    used = [pair for pair in pairs if pair.name in splits]
    with ThreadPoolExecutor() as pool:
        found = list(tqdm(pool.map(read, used), 'images', len(used), unit='image', delay=5))
    if wrong := [one for one in found if isinstance(one, str)]:
        raise ValueError(
            f'{counted(len(wrong), "image")} cannot be used; mend or remove, or leave out by lists '
            f'train.txt and val.txt: {listed(wrong, 5)}'
        )
    return found


def _read_image(path: Path) -> tuple[tuple[int, int], list[str]]:
    """Height and width as the toolbox loads it, and what is odd."""
    data = path.read_bytes()
    loaded = decode_image(data, str(path), cv2.IMREAD_COLOR)
    header = Image.open(io.BytesIO(data))
    if header.format == 'JPEG' and not data.rstrip(b'\0\r\n ').endswith(b'\xff\xd9'):
        open_image(path)  # OpenCV may fill up what is missing
    height, width = loaded.shape[:2]
    turn = header.getexif().get(_ORIENTATION, 1)
    # Else the sizes tell whether the mask is turned, too.
    odd = (
        turn > 1 and (turn < 5 or height == width),
        header.mode in ('RGBA', 'LA', 'PA', 'RGBX'),
        header.mode[0] == 'I' and loaded.max() < 32,
    )
    return (height, width), [note for note, is_so in zip(_NOTES, odd) if is_so]


def _pixels(meaning: Meaning, samples: Iterable[_Sample], split: str) -> np.ndarray:
    """Number of pixels of each class, then of void."""
    pixels = np.zeros(VOID + 1, np.int64)
    for sample in samples:
        for value, count in sample.mask.pixels.items():
            pixels[meaning.label(sample.mask, value)] += count * (sample.split == split)
    return pixels[[*range(len(meaning.classes)), VOID]]


def _write(
    samples: Sequence[_Sample], meaning: Meaning, images: Path, masks: Path, folder: Path
) -> dict[str, Any]:
    """Write lists, and labels if the toolbox cannot read the masks; the settings of a data set."""
    names = {sample.pair: sample.pair.stem for sample in samples}
    ends = {tuple(path.removeprefix(name) for path in pair[1:]) for pair, name in names.items()}
    readable = all(
        sample.mask.mode in ('1', 'L', 'P') and meaning.label(sample.mask, value) == value
        for sample in samples
        for value in sample.mask.pixels
    )
    if not readable or len(ends) > 1 or any(name != name.strip() for name in names.values()):
        suffixes = {os.path.splitext(pair.image)[1] for pair in names}
        end = suffixes.pop() if len(suffixes) == 1 else ''
        names = {pair: pair.image.removesuffix(end) for pair in names}
        ends, masks = {(end, '.png')}, folder / 'masks'
        # All 256 colours, or Pillow writes numbers in fewer bits and cuts them.
        palette = [*meaning.palette, *voc_palette()[len(meaning.palette) :]]
        for sample in tqdm(samples, 'labels', unit='mask', delay=5):
            labels = Image.fromarray(meaning.apply(sample.mask))
            labels.putpalette(np.array(palette, np.uint8).tobytes())
            path = masks / f'{names[sample.pair]}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                labels.save(temporary)
    for split in {sample.split for sample in samples}:
        lines = [f'{names[sample.pair]}\n' for sample in samples if sample.split == split]
        write_atomically(folder / f'{split}.txt', ''.join(lines))
    ((img_suffix, seg_map_suffix),) = ends
    return dict(
        type='BaseSegDataset',
        data_prefix=dict(img_path=str(images), seg_map_path=str(masks)),
        img_suffix=img_suffix,
        seg_map_suffix=seg_map_suffix,
        metainfo=dict(classes=[*meaning.classes], palette=[[*rgb] for rgb in meaning.palette]),
        reduce_zero_label=False,
        ignore_index=VOID,
    )
