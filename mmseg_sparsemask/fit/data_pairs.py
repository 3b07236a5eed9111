"""Which mask belongs to which image, and which images to which split."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmseg_sparsemask.datasets.reading import read_lines, suffixes_in
from mmseg_sparsemask.utils.commands import shown_path
from mmseg_sparsemask.utils.words import listed

SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
#: Share of the images that are drawn for validation.
VAL_SHARE = 0.2

# What folders and lists of a split are called.
_SPLIT = re.compile('(train|val|test)(ing|id|idation)?')


class Pair(NamedTuple):
    """An image and its mask.

    Attributes:
        name: The image's path below its folder, without suffix, in one form of Unicode.
        image: The image's path below its folder.
        mask: The mask's path below its folder.
    """

    name: str
    image: str
    mask: str

    @property
    def stem(self) -> str:
        """What the paths of both begin with, without suffix."""
        return os.path.commonprefix([os.path.splitext(path)[0] for path in (self.image, self.mask)])


def find_files(folder: Path, without: set[Path]) -> dict[str, str]:
    """Paths of pictures below a folder by name without suffix, sorted; hidden ones are left out.

    Args:
        folder: Is searched with all folders below it.
        without: Folders that do not count if they lie in this one.

    Raises:
        ValueError: It is no folder or holds no picture, two have one name, or a name cannot stand
            in a list.
    """
    if not folder.is_dir():
        raise ValueError(f'{folder} is not a folder; give a folder of images and one of masks')
    without = {other for other in without if folder in other.parents}
    found: dict[str, str] = {}
    for path in sorted(glob.glob('**/*', root_dir=folder, recursive=True)):
        stem, suffix = os.path.splitext(path)
        full = folder / path
        if suffix.lower() in SUFFIXES and full.is_file() and not without & {*full.parents}:
            name = unicodedata.normalize('NFC', stem)
            if found.setdefault(name, path) != path:
                raise ValueError(f'{folder}: {found[name]} and {path} have one name; remove one')
            if [name.encode(errors='replace').decode()] != name.strip().splitlines():
                raise ValueError(f'{folder}: a list cannot hold the name {path!r}; rename the file')
    if not found:
        raise ValueError(
            f'{folder}: no file ends in {", ".join(SUFFIXES)}; it holds {suffixes_in(folder)[0]}'
        )
    return found


def pair_up(images: Mapping[str, str], masks: Mapping[str, str]) -> list[Pair]:
    """Images with their masks, sorted by name.

    A mask is named as its image is, or with an addition that all masks have (``a_mask``), or both
    are once all images and all masks lose what they begin and end with (``img_1`` and
    ``label_1``); with the folders in which they lie, or without.

    Args:
        images: Paths by name, as `find_files` gives them.
        masks: The same.

    Raises:
        ValueError: There is no pair, or an image has several masks.
    """
    best: dict[str, str] = {}
    for view in (str, os.path.basename):
        names = [view(name) for name in images], [view(name) for name in masks]
        for shorten in (lambda *both: both, _without_addition, _without_ends):
            of_images, of_masks = map(_unique, shorten(*names), (images, masks))
            pairs = {of_images[short]: of_masks[short] for short in of_images if short in of_masks}
            best = max(best, pairs, key=len)
            if len(best) == min(len(images), len(masks)):
                break
    if not best:
        raise ValueError(
            f'no mask is named as an image: {listed([*images.values()], 3)} are images, '
            f'{listed([*masks.values()], 3)} masks; name the mask of a.jpg a.png or a_mask.png'
        )
    return [Pair(name, images[name], masks[mask]) for name, mask in sorted(best.items())]


def _unique(shorts: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Names by what they were shortened to, without those that became the same."""
    count = Counter(shorts)
    return {short: name for short, name in zip(shorts, names) if count[short] == 1}


def _without_addition(images: list[str], masks: list[str]) -> tuple[list[str], list[str]]:
    known, ends = {*images}, Counter[str]()
    for mask in masks:
        parts = (mask[end:] for end in range(len(mask), 0, -1) if mask[:end] in known)
        ends[next((part for part in parts if not part[:1].isdigit()), '')] += 1
    kinds = [part for part, n in ends.items() if part and 2 * n >= min(len(images), len(masks))]
    if len(kinds) > 1:
        raise ValueError(
            f'images have masks that end in {listed(kinds)}; make a folder of one kind'
        )
    return images, [mask.removesuffix(''.join(kinds)) for mask in masks]


def _without_ends(*both: list[str]) -> Iterator[list[str]]:
    """Names without what all of their folder begin and end with, up to a separator."""
    for names in both:
        heads, tails = zip(*map(os.path.split, names))
        start = re.match(r'(.*[-_. ]|\D*)', os.path.commonprefix(tails))[0]
        rests = [tail.removeprefix(start) for tail in tails]
        end = os.path.commonprefix([rest[::-1] for rest in rests])[::-1]
        end = re.search(r'([-_. ].*)?$', end)[0]
        yield [os.path.join(head, rest.removesuffix(end)) for head, rest in zip(heads, rests)]


def split_up(
    pairs: Sequence[Pair], folders: Iterable[Path], own: Path
) -> tuple[dict[str, str], str]:
    """The split of pairs by name, and how it was found.

    Lists such as ``train.txt`` and ``val.txt`` come first, then folders ``train`` and ``val``. If
    these have nothing for validation, a fifth of the images is drawn by a hash of their names. What
    an earlier run has written down stays, so that an image keeps its split whatever is added.

    Args:
        pairs: At least one.
        folders: Where lists may be.
        own: Where an earlier run has written its lists.

    Raises:
        ValueError: A list has names that are no pair, a pair is in two lists, or there is nothing
            to train on or to score.
    """
    how, given = 'by their folders', {}
    for pair in pairs:
        tops = (path.split(os.sep)[0].lower() for path in (pair.image, pair.mask))
        if found := next(filter(None, map(_SPLIT.fullmatch, tops)), None):
            given[pair.name] = found[1]
    for folder in folders:
        if listed_there := _read_lists(folder, pairs):
            how, given = f'by the lists in {folder}', listed_there
            break
    if 'val' not in given.values():
        how = f'drawn by a hash of the name, written to {shown_path(own)}'
        rest = [name for name, split in given.items() if split == 'train']
        rest = rest or [pair.name for pair in pairs if pair.name not in given]
        written = _read_own_lists(own, pairs)
        if 'val' not in map(written.get, rest):
            written = {}
        new = [name for name in rest if name not in written]
        new.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
        given |= {name: written.get(name, 'train') for name in rest}
        lacking = max(round(VAL_SHARE * len(rest)), 1) - [*given.values()].count('val')
        given |= dict.fromkeys(new[: max(lacking, 0)], 'val')
    if {'train', 'val'} - set(given.values()):
        raise ValueError(
            'expected an image with a mask to train on and one to score at least, got '
            f'{listed([f"{pair.image} for {given.get(pair.name)}" for pair in pairs])}'
        )
    return given, how


def _read_lists(folder: Path, pairs: Sequence[Pair]) -> dict[str, str]:
    """Splits by name of a pair, from a user's lists, which may name folders and masks, too."""
    names = [pair.name for pair in pairs]
    known = _unique([*map(os.path.basename, names)], names) | {name: name for name in names}
    given: dict[str, str] = {}
    for path in sorted(folder.glob('*.txt')):
        split = _SPLIT.fullmatch(path.stem.lower())
        lines = read_lines(path) if split else []
        missing = []
        for line in lines:
            stems = [_without_suffix(text) for text in (line, line.split()[0])]
            keys = [key for stem in stems for key in (stem, os.path.basename(stem)) if key in known]
            if not keys:
                missing.append(line)
            elif given.setdefault(known[keys[0]], split[1]) != split[1]:
                raise ValueError(f'{path}: {line} is in another list, too; remove it from one')
        # Public test sets often have no masks.
        if missing and (split[1] != 'test' or len(missing) < len(lines)):
            raise ValueError(
                f'{path} names images without a file or a mask: {listed(missing)}; remove these '
                'lines or add the files'
            )
    return given


def _without_suffix(path: str) -> str:
    stem, suffix = os.path.splitext(unicodedata.normalize('NFC', path))
    return stem if suffix.lower() in SUFFIXES else stem + suffix


def _read_own_lists(folder: Path, pairs: Sequence[Pair]) -> dict[str, str]:
    """Splits by name of a pair, from what `look` has written, and a user has perhaps changed."""
    known = {key: p.name for p in pairs for key in (p.stem, os.path.splitext(p.image)[0], p.image)}
    paths = [path for path in sorted(folder.glob('*.txt')) if _SPLIT.fullmatch(path.stem)]
    lines = {line: path.stem for path in paths for line in read_lines(path)}
    return {known[line]: split for line, split in lines.items() if line in known}
