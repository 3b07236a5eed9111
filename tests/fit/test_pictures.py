"""IoU of each class from label maps, against the toolbox's metric; the gallery."""

import cv2
import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from reference.drawn_folder import draw_folder

from mmseg_sparsemask.fit.data import look
from mmseg_sparsemask.fit.pictures import SHOWN, WIDTH, Scored


@pytest.fixture
def scored(tmp_path):
    images, masks = draw_folder(tmp_path)
    data = look(images, masks, tmp_path / 'out')
    settings = data.dataset('val')
    config = tmp_path / 'config.py'
    config.write_text(f'test_dataloader = dict(dataset={settings!r})\n')
    return Scored(config), tmp_path / 'maps'


def test_ious_are_those_of_the_metric(scored):
    pictures, maps = scored
    maps.mkdir()
    rng = np.random.default_rng(0)
    count = len(pictures.classes)
    metric = IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = {'classes': pictures.classes}
    for place in range(len(pictures.data)):
        item = pictures.data[place]
        truth = item['gt_seg_map']
        found = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, count, truth.shape))
        found[truth == 255] = 0
        name = item['img_path'].rpartition('/')[2]
        cv2.imwrite(str(maps / name), found.astype(np.uint8))
        both = (torch.from_numpy(found.astype(int)), torch.from_numpy(truth.astype(int)))
        metric.results.append(metric.intersect_and_union(*both, count, 255))
    hits, unions = (sum(part) for part in list(zip(*metric.results))[:2])
    (ious,) = pictures.ious({'one': maps}).values()
    for iou, hit, union in zip(ious, hits.tolist(), unions.tolist()):
        assert iou == (pytest.approx(100 * hit / union, abs=0.01) if union else None)


def test_gallery(scored):
    pictures, maps = scored
    maps.mkdir()
    for place in range(len(pictures.data)):
        item = pictures.data[place]
        name = item['img_path'].rpartition('/')[2]
        cv2.imwrite(str(maps / name), item['gt_seg_map'])
    rows = pictures.gallery({'a': maps, 'b': maps})
    assert len(rows) == min(SHOWN, len(pictures.data))
    for _, tiles in rows:
        assert [tile.shape for tile in tiles] == [(WIDTH, WIDTH, 3)] * 4
        assert np.array_equal(tiles[1], tiles[2])  # truth and what says the same


def test_a_map_that_is_gone(scored):
    pictures, maps = scored
    with pytest.raises(ValueError, match='expected the labels that a test wrote'):
        pictures.ious({'one': maps})
