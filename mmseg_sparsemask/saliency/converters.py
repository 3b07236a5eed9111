"""Bringing saliency data sets into ``images/<split>/*.jpg`` and ``masks/<split>/*.png``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from mmengine.utils import track_iter_progress

from mmseg_sparsemask.datasets.reading import by_stem, check_partners, make_folders, read_lines
from mmseg_sparsemask.utils.files import copy_file

MSRA_B_COUNTS = {'train': 2500, 'val': 500, 'test': 2000}


def _write(out_dir: Path, files: Iterable[tuple[str, Path, Path]]) -> None:
    """Copy what `files` gives: split, image and mask."""
    copies = [
        (source, out_dir / kind / split / f'{source.stem}{source.suffix.lower()}')
        for split, image, mask in files
        for kind, source in (('images', image), ('masks', mask))
    ]
    make_folders([target for _, target in copies])
    for source, target in track_iter_progress(copies):
        copy_file(source, target)


def _read_names(path: str | Path) -> list[str]:
    """Last parts without suffix of the paths in a list, one a line."""
    return [PurePosixPath(line.replace('\\', '/')).stem for line in read_lines(Path(path))]


def convert_msra_b(
    source: str | Path,
    lists: Mapping[str, str | Path],
    out_dir: str | Path,
    counts: Mapping[str, int] = MSRA_B_COUNTS,
) -> dict[str, int]:
    """Sort MSRA-B's images and masks by the lists of Jiang et al. (CVPR 2013).

    Args:
        source: The unpacked download; searched with all its folders for ``.jpg`` images and
            ``.png`` masks of equal names.
        lists: For ``train``, ``val`` and ``test`` the text file with their images, one a line;
            paths and suffixes in it are ignored.
        out_dir: Receives ``images/<split>`` and ``masks/<split>``.
        counts: How many images each list must have.

    Returns:
        Number of images of each split.

    Raises:
        FileNotFoundError: If a list, an image or a mask is missing.
        ValueError: If lists overlap, repeat an image or have another length than published, or
            ``out_dir`` holds images of another conversion.
    """
    images, masks = (by_stem(source, [kind], recursive=True) for kind in ('.jpg', '.png'))
    splits = {split: _read_names(lists[split]) for split in counts}
    owner: dict[str, str] = {}
    for split, names in splits.items():
        if len(names) != counts[split]:
            raise ValueError(
                f'{lists[split]} names {len(names)} images, expected {counts[split]} for {split}; '
                'are the lists in the right order?'
            )
        for name in names:
            if name in owner:
                raise ValueError(f'{name} is listed in {owner[name]} and again in {split}')
            owner[name] = split
            for kind, files in (('image', images), ('mask', masks)):
                if name not in files:
                    raise FileNotFoundError(f'{kind} of {name} ({split}) is not in {source}')
    # Nothing is written before everything has been found.
    work = [(split, images[name], masks[name]) for name, split in owner.items()]
    _write(Path(out_dir), work)
    return {split: len(names) for split, names in splits.items()}


def join_sod(bsds_dir: str | Path, mask_dir: str | Path, out_dir: str | Path) -> dict[str, int]:
    """Join the masks of SOD with their images, the 300 of BSDS500's train and val.

    BSDS500's train images become ``train``, its val images ``test``: 200 and 100.

    Args:
        bsds_dir: BSDS500 with ``images/train`` and ``images/val``.
        mask_dir: The masks as PNG with the images' names.
        out_dir: Receives ``images/<split>`` and ``masks/<split>``.

    Returns:
        Number of images of each split.

    Raises:
        FileNotFoundError: If a folder is missing or an image has no mask.
        ValueError: If a mask belongs to no image, or ``out_dir`` holds images of another
            conversion.
    """
    masks = by_stem(mask_dir, ['.png'], recursive=True)
    splits = {
        'train': by_stem(Path(bsds_dir) / 'images' / 'train', ['.jpg']),
        'test': by_stem(Path(bsds_dir) / 'images' / 'val', ['.jpg']),
    }
    images = {name for split in splits.values() for name in split}
    check_partners(
        images, masks, 'images have no mask', 'masks belong to no image of train and val'
    )
    work = [(split, paths[name], masks[name]) for split, paths in splits.items() for name in paths]
    _write(Path(out_dir), work)
    return {split: len(paths) for split, paths in splits.items()}
