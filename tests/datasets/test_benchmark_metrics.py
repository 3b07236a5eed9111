import logging

import numpy as np
import pytest
import torch
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import METRICS
from PIL import Image

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.datasets import SceneParsingMetric, VOCServerMetric
from mmseg_sparsemask.datasets.palette import voc_palette


def sample(labels, name='x.jpg'):
    return {'img_path': f'/somewhere/{name}', 'pred_sem_seg': {'data': torch.tensor(labels)[None]}}


def test_palette_is_vocs():
    colours = np.array(voc_palette()).reshape(256, 3).tolist()
    assert colours[:21] == PascalVOCDataset.METAINFO['palette']
    assert colours[255] == [224, 224, 192]


def test_servers_layout(tmp_path):
    metric = METRICS.build(dict(type='VOCServerMetric', output_dir=str(tmp_path)))
    labels = [[0, 15, 20], [1, 2, 0]]
    metric.process(None, [sample(labels, '2008_000001.jpg'), sample([[3]], '2008_000002.jpg')])
    assert metric.evaluate(2) == {'images': 2}
    folder = tmp_path / 'results' / 'VOC2012' / 'Segmentation' / 'comp6_test_cls'
    assert sorted(p.name for p in folder.iterdir()) == ['2008_000001.png', '2008_000002.png']
    image = Image.open(folder / '2008_000001.png')
    assert image.mode == 'P' and np.array(image).tolist() == labels
    assert image.convert('RGB').getpixel((1, 0)) == (192, 128, 128)  # person


def test_server_bad_input(tmp_path):
    with pytest.raises(ValueError, match="competition must be one of 'comp5', .*got 'comp4'"):
        VOCServerMetric(str(tmp_path), competition='comp4')
    with pytest.raises(ValueError, match='output_dir is not set; run .*test.* with --out'):
        VOCServerMetric().process(None, [sample([[0]])])


def test_scene_parsing_score_by_hand(tmp_path):
    metric = METRICS.build(dict(type='SceneParsingMetric', iou_metrics=['mIoU']))
    metric.dataset_meta = {'classes': ('a', 'b')}
    truth = {'gt_sem_seg': {'data': torch.tensor([[[0, 0, 1, 255]]])}}
    metric.process(None, [{**sample([[0, 1, 1, 1]]), **truth}])
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    scores = metric.evaluate(1)
    # 2 of 3 pixels right; IoU 1/2 and 1/2.
    assert scores['aAcc'] == pytest.approx(66.67) and scores['mIoU'] == pytest.approx(50.0)
    assert scores['score'] == pytest.approx((66.67 + 50.0) / 2)
    only_write = SceneParsingMetric(format_only=True, output_dir=str(tmp_path))
    only_write.dataset_meta = {'classes': ('a', 'b')}
    only_write.process(None, [sample([[0, 1]])])
    assert only_write.evaluate(1) == {}
