"""Salient object detection: images with one binary mask each."""

from __future__ import annotations

from pathlib import Path

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

SALIENCY_METAINFO = dict(classes=('background', 'salient'), palette=[[0, 0, 0], [255, 255, 255]])


def list_stems(folder: Path, suffix: str) -> list[str]:
    """Sorted names without suffix of the files of one kind in a folder.

    Raises:
        FileNotFoundError: If the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder; link or convert the data set first')
    stems = sorted(path.stem for path in folder.iterdir() if path.suffix == suffix)
    if not stems:
        raise FileNotFoundError(f'no {suffix} files in {folder}')
    return stems


def read_list(path: Path) -> list[str]:
    """Names in a list, one a line, without suffix.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If it is empty or names an image twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f'list {path} is missing; run the converter of the data set')
    # Only known suffixes are cut: a dot can be part of a name.
    names = []
    for line in path.read_text().splitlines():
        name = line.strip()
        if name:
            names.append(name[:-4] if name.lower().endswith(('.jpg', '.png', '.bmp')) else name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{path} lists {len(twice)} images twice, for example {twice[0]}')
    if not names:
        raise ValueError(f'{path} is empty')
    return names


@DATASETS.register_module()
class SaliencyDataset(BaseSegDataset):
    """A folder of images and a folder of masks with the same names (MSRA-B, SOD, ECSSD, DUTS, ...).

    Args:
        ann_file: List of names, one a line, with or without suffix, relative to ``data_root``.
            Without it every image of the folder is taken.
        img_suffix: Of the images.
        seg_map_suffix: Of the masks.
        **kwargs: See ``BaseSegDataset``; ``data_prefix`` needs ``img_path`` and, unless the images
            have no masks, ``seg_map_path``.

    Raises:
        FileNotFoundError: If a folder, a list, an image or a mask is missing.
        ValueError: If an image is listed twice.
    """

    METAINFO = SALIENCY_METAINFO

    def __init__(
        self,
        ann_file: str = '',
        img_suffix: str = '.jpg',
        seg_map_suffix: str = '.png',
        **kwargs,
    ) -> None:
        super().__init__(
            ann_file=ann_file, img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """Pair images and masks by name."""
        images = Path(self.data_prefix['img_path'])
        masks = self.data_prefix.get('seg_map_path')
        if self.ann_file:
            names = read_list(Path(self.ann_file))
        else:
            names = list_stems(images, self.img_suffix)
        data = []
        for name in names:
            item = dict(
                img_path=str(images / (name + self.img_suffix)),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            if masks:
                item['seg_map_path'] = str(Path(masks) / (name + self.seg_map_suffix))
            for key in ('img_path', 'seg_map_path'):
                if key in item and not Path(item[key]).is_file():
                    raise FileNotFoundError(
                        f'{item[key]} is missing ({len(names)} images are listed); '
                        'complete the data set or correct data_prefix and the suffixes'
                    )
            data.append(item)
        return data
