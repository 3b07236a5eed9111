"""IoU of each class from label maps, against the toolbox's metric; the gallery."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
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


def test_names_that_several_folders_have(scored, tmp_path):
    pictures, maps = scored
    maps.mkdir()
    settings = Config.fromfile(tmp_path / 'config.py').test_dataloader.dataset.to_dict()
    listed = Path(settings['ann_file']).read_text().split()[:2]
    # Two films whose frames have the same name; a test writes the second over the first.
    for film, name in zip('ab', listed):
        for key, suffix in (('img_path', 'img_suffix'), ('seg_map_path', 'seg_map_suffix')):
            source = Path(settings['data_prefix'][key], name + settings[suffix])
            target = Path(settings['data_prefix'][key], film, '0001' + settings[suffix])
            target.parent.mkdir()
            target.write_bytes(source.read_bytes())
    Path(settings['ann_file']).write_text('a/0001\nb/0001\n')
    pictures = Scored(tmp_path / 'config.py')
    cv2.imwrite(str(maps / '0001.png'), pictures.data[1]['gt_seg_map'])
    assert set(pictures.ious({'one': maps})['one']) <= {100.0, None}
    assert len(pictures.gallery({'one': maps})) == 1
