"""What is said of a folder of images, and the data set that it becomes."""

import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmseg_sparsemask.fit.data import look


@pytest.fixture
def folders(tmp_path):
    """Twelve images of 6x8 with masks of three classes and void."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    for number in range(12):
        image = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        mask = rng.choice([0, 1, 2, 255], (6, 8)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f'images/{number:02}.png')
        Image.fromarray(mask).save(tmp_path / f'masks/{number:02}.png')
    return tmp_path


def test_the_data_set_holds_what_the_files_hold(folders):
    data = look(folders / 'images', folders / 'masks', folders / 'out')
    loads = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    seen = set()
    for split, count in data.counts.items():
        settings = data.dataset(split)
        assert settings.pop('type') == 'BaseSegDataset'
        dataset = BaseSegDataset(**settings, pipeline=loads)
        assert len(dataset) == count > 0
        for item in dataset:
            name = item['img_path'].rsplit('/', 1)[1]
            seen.add(name)
            image = np.asarray(Image.open(folders / 'images' / name))
            np.testing.assert_array_equal(item['img'][..., ::-1], image)
            mask = np.asarray(Image.open(folders / 'masks' / name))
            np.testing.assert_array_equal(item['gt_seg_map'], mask)
    assert len(seen) == 12
