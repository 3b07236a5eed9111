"""What a folder of images and one of masks hold, as a data set of the toolbox."""

from __future__ import annotations

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
from mmseg_sparsemask.fit import data_pairs
from mmseg_sparsemask.fit.data_pairs import Pair
from mmseg_sparsemask.fit.data_values import (
    VOID,
    Mask,
    Meaning,
    find_meaning,
    read_classes,
    read_mask,
    shown,
)
from mmseg_sparsemask.utils.files import check_work_dir, output_folder, replacing, write_atomically
from mmseg_sparsemask.utils.words import counted, listed

#: Scores of fewer images say little.
FEW = 5

_ORIENTATION = 0x0112  # of EXIF
# How masks hold their values.
_MODES = {'1': 'one bit', 'L': 'numbers', 'P': 'numbers with a palette', 'RGB': 'three channels'}


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
        files: Where the files are, as keywords of a ``BaseSegDataset``.
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
    files: dict[str, Any]
    lists: Path

    def lines(self) -> list[str]:
        """What was seen, and what to know before training, to be printed."""
        return [*self.seen, *(f'warning: {text}' for text in self.warnings)]

    def dataset(self, split: str) -> dict[str, Any]:
        """Settings of a ``BaseSegDataset`` for a split, without a pipeline."""
        return dict(
            type='BaseSegDataset',
            ann_file=str(self.lists / f'{split}.txt'),
            **self.files,
            metainfo=dict(classes=list(self.classes), palette=[list(c) for c in self.palette]),
            reduce_zero_label=False,
            ignore_index=VOID,
        )


class _Sample(NamedTuple):
    """What an image and its mask told."""

    pair: Pair
    split: str
    mask: Mask
    content: int  # a hash of the image's file
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
    found = data_pairs.find_files(image_dir, data_pairs.IMAGE_SUFFIXES, {mask_dir, folder})
    found_masks = data_pairs.find_files(mask_dir, data_pairs.MASK_SUFFIXES, {image_dir, folder})
    pairs = data_pairs.pair_up(found, found_masks)
    check_work_dir(folder, '--out')
    folder = output_folder(folder / 'data')
    beside = image_dir.parent
    where = (image_dir, mask_dir, beside, beside / 'ImageSets/Segmentation')
    splits, how = data_pairs.split_up(pairs, where, folder)
    samples = _read_all(pairs, splits, image_dir, mask_dir)
    meaning = find_meaning([sample.mask for sample in samples], lines)
    pixels = {split: _pixels(meaning, samples, split) for split in dict.fromkeys(splits.values())}
    if np.count_nonzero(pixels['train'][:-1]) < 2:
        raise ValueError(
            f'{mask_dir}: expected two classes at least in the masks to train on, got the values '
            f'{_values(sample for sample in samples if sample.split == "train")} alone'
        )
    files = _write(samples, meaning, image_dir, mask_dir, folder)
    sizes = np.array([sample.mask.size for sample in samples])
    *labelled, void = (pixels['train'] / pixels['train'].sum()).tolist()
    shares = tuple(share / sum(labelled) for share in labelled)
    split_of = [sample.split for sample in samples]
    counts = {s: split_of.count(s) for s in ('train', 'val', 'test') if s in split_of}
    middle = np.median(sizes, axis=0).astype(int).tolist()
    modes = Counter(_MODES.get(sample.mask.mode, 'numbers of 16 bits') for sample in samples)
    labels = Path(files['data_prefix']['seg_map_path'])
    return FolderData(
        classes=meaning.classes,
        palette=meaning.palette,
        counts=counts,
        image_size=(middle[0], middle[1]),
        class_shares=shares,
        void_share=void,
        warnings=(
            *_left_out('without a mask', found.values(), [pair.image for pair in pairs]),
            *_left_out('without an image', found_masks.values(), [pair.mask for pair in pairs]),
            *_left_out('of no split', [p.image for p in pairs], [s.pair.image for s in samples]),
            *_oddities(samples),
            *_missing(meaning, pixels),
        ),
        seen=(
            f'{len(samples)} images in {image_dir}, masks in {mask_dir} ({samples[0].pair.image} '
            f'and {samples[0].pair.mask})',
            f'{listed([f"{count} {split}" for split, count in counts.items()])}, {how}',
            f'{_by(sizes.min(0))} to {_by(sizes.max(0))} pixels, {_by(middle)} in the middle '
            '(height x width)',
            f'masks hold {" and ".join(modes)}, with the values {_values(samples)}',
            f'{len(meaning.classes)} classes, with these shares of train: '
            + listed([f'{n} {s:.1%}' for n, s in zip(meaning.classes, shares)], 20),
            f'void, which is ignored: {void:.1%} of train',
            *([f'what the toolbox reads as masks is in {labels}'] * (labels != mask_dir)),
        ),
        files=files,
        lists=folder,
    )


def _by(size: Sequence[int]) -> str:
    return f'{size[0]}x{size[1]}'


def _values(samples: Iterable[_Sample]) -> str:
    found = sorted({value for sample in samples for value in sample.mask.pixels})
    return listed([shown(value) for value in found], 20)


def _read_all(
    pairs: Sequence[Pair], splits: Mapping[str, str], images: Path, masks: Path
) -> list[_Sample]:
    def read(pair: Pair) -> _Sample | str:
        try:
            content, size, notes = _read_image(images / pair.image)
            mask = read_mask(masks / pair.mask)
        except (OSError, ValueError) as error:
            return str(error)
        if mask.size != size:
            turned = ' (an EXIF entry turns images, not masks)' * (mask.size == size[::-1])
            return f'{images / pair.image} is {_by(size)}, {mask.path} {_by(mask.size)}{turned}'
        return _Sample(pair, splits[pair.name], mask, content, notes)

    used = [pair for pair in pairs if pair.name in splits]
    with ThreadPoolExecutor() as pool:
        found = list(tqdm(pool.map(read, used), 'images', len(used), unit='image', delay=5))
    wrong = [one for one in found if isinstance(one, str)]
    if wrong:
        more = '; ...' * (len(wrong) > FEW)
        raise ValueError(
            f'{counted(len(wrong), "image")} cannot be used; mend or remove, or leave out by lists '
            f'train.txt and val.txt: {"; ".join(wrong[:FEW])}{more}'
        )
    return found


def _read_image(path: Path) -> tuple[int, tuple[int, int], list[str]]:
    """Hash of the file, height and width as the toolbox loads it, and what is odd."""
    data = path.read_bytes()
    loaded = decode_image(data, str(path), cv2.IMREAD_COLOR)
    header = Image.open(io.BytesIO(data))
    if header.format == 'JPEG' and not data.rstrip(b'\0\r\n ').endswith(b'\xff\xd9'):
        open_image(path)  # OpenCV fills up what is missing
    notes = []
    height, width = loaded.shape[:2]
    # Else the sizes tell whether the mask is turned, too.
    if (turn := header.getexif().get(_ORIENTATION, 1)) > 1 and (turn < 5 or height == width):
        notes.append('turned or mirrored by EXIF when loaded, and not their masks: look at both')
    if header.mode in ('RGBA', 'LA', 'PA', 'RGBX'):
        notes.append('with a fourth channel, which the loader drops')
    if header.mode[0] == 'I' and loaded.max() < 32:
        notes.append('nearly black once the loader has cut 16 bits to the upper eight: scale them')
    return hash(data), (height, width), notes


def _pixels(meaning: Meaning, samples: Iterable[_Sample], split: str) -> np.ndarray:
    """Number of pixels of each class, then of void."""
    pixels = np.zeros(VOID + 1, np.int64)
    for sample in samples:
        for value, count in sample.mask.pixels.items():
            pixels[meaning.label(sample.mask, value)] += count * (sample.split == split)
    return pixels[[*range(len(meaning.classes)), VOID]]


def _left_out(what: str, paths: Iterable[str], used: Iterable[str]) -> list[str]:
    left = sorted(set(paths).difference(used))
    return [f'left out, for {counted(len(left), "file")} {what}: {listed(left)}'] if left else []


def _oddities(samples: Iterable[_Sample]) -> list[str]:
    """What is odd, each with the names of its images."""
    found: dict[str, list[str]] = {}
    trained = {sample.content for sample in samples if sample.split == 'train'}
    for sample in samples:
        seen = sample.split != 'train' and sample.content in trained
        for note in [*sample.notes, *(['in train, too, so that scores say too much'] * seen)]:
            found.setdefault(note, []).append(sample.pair.image)
    return [f'{counted(len(n), "image")} {note}: {listed(n)}' for note, n in found.items()]


def _missing(meaning: Meaning, pixels: Mapping[str, np.ndarray]) -> list[str]:
    """Classes that never occur."""
    effects = {'train': 'never learned', 'val': 'not scored'}
    return [
        f'{listed(names)}: in no mask of {split}, so {effect}'
        for split, effect in effects.items()
        if (names := [name for name, count in zip(meaning.classes, pixels[split]) if not count])
    ]


def _write(
    samples: Sequence[_Sample], meaning: Meaning, images: Path, masks: Path, folder: Path
) -> dict[str, Any]:
    """Write lists, and labels if the toolbox cannot read the masks; a data set's keywords."""
    names = {sample.pair: sample.pair.stem for sample in samples}
    ends = {tuple(path.removeprefix(name) for path in pair[1:]) for pair, name in names.items()}
    if (
        len(ends) > 1
        or any(name != name.strip() for name in names.values())
        or any(
            sample.mask.mode not in ('1', 'L', 'P') or meaning.label(sample.mask, value) != value
            for sample in samples
            for value in sample.mask.pixels
        )
    ):
        suffixes = {os.path.splitext(pair.image)[1] for pair in names}
        end = suffixes.pop() if len(suffixes) == 1 else ''
        names = {pair: pair.image.removesuffix(end) for pair in names}
        ends, masks = {(end, '.png')}, folder / 'masks'
        # All 256 colours, or Pillow writes numbers in fewer bits and cuts them.
        palette = voc_palette()
        palette[: len(meaning.palette)] = meaning.palette
        for sample in tqdm(samples, 'labels', unit='mask', delay=5):
            labels = Image.fromarray(meaning.apply(sample.mask))
            labels.putpalette(np.array(palette, np.uint8).tobytes())
            path = masks / f'{names[sample.pair]}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                labels.save(temporary)
    for split in ('train', 'val', 'test'):
        lines = [f'{names[sample.pair]}\n' for sample in samples if sample.split == split]
        if lines:
            write_atomically(folder / f'{split}.txt', ''.join(lines))
        else:
            (folder / f'{split}.txt').unlink(missing_ok=True)
    ((img_suffix, seg_map_suffix),) = ends
    prefix = dict(img_path=str(images), seg_map_path=str(masks))
    return dict(data_prefix=prefix, img_suffix=img_suffix, seg_map_suffix=seg_map_suffix)
