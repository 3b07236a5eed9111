"""Both tasks through the toolbox's runner on the embedded data set: train, validate, test, TTA."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.binary_maps.tta import BinaryTTAModel

ROOT = Path(__file__).parents[2] / 'configs'


def tiny(name, work_dir):
    """Two iterations on a few images and a thin encoder."""
    cfg = Config.fromfile(ROOT / name)
    cfg.work_dir = str(work_dir)
    cfg.model.backbone.backbone.widen_factor = 0.25
    channels = dict(sparsemask=[8, 8, 8, 8, 16, 24, 40, 80, 1280], hed=[8, 8, 8, 24, 80], fcn=1280)
    cfg.model.decode_head.in_channels = channels[Path(name).stem.split('_')[0]]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 2
        loader.dataset.length = 3
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.visualizer.vis_backends = []
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.experiment_name = f'{work_dir.name}_{Path(name).stem}'
    return cfg


@pytest.mark.parametrize(
    'name, keys',
    [
        ('edge/sparsemask_mbv2_shapes_edge.py', {'ODS', 'OIS', 'AP', 'R50', 'ODS_threshold'}),
        ('saliency/fcn_mbv2_shapes_saliency.py', {'max_f', 'mae', 's_measure', 'max_e'}),
    ],
)
def test_train_and_test(tmp_path, name, keys):
    cfg = tiny(name, tmp_path)
    cfg.test_evaluator.output_dir = str(tmp_path / 'maps')
    task = name.split('/')[0]
    runner = Runner.from_cfg(cfg)
    runner.train()
    scores = runner.test()
    assert {f'{task}/{key}' for key in keys} <= set(scores)
    maps = sorted((tmp_path / 'maps').glob('*.png'))
    assert [path.name for path in maps] == ['000000.png', '000001.png', '000002.png']
    assert cv2.imread(str(maps[0]), cv2.IMREAD_UNCHANGED).shape == (64, 64)
    assert (tmp_path / 'iter_2.pth').is_file()


@pytest.mark.parametrize(
    'name', ['edge/hed_mbv2_shapes_edge.py', 'saliency/fcn_mbv2_shapes_saliency.py']
)
def test_several_scales(tmp_path, name):
    """The merged map is the mean of the probabilities of the single runs."""
    cfg = tiny(name, tmp_path)
    cfg.test_dataloader.batch_size = 1
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
    runner = Runner.from_cfg(cfg)
    scores = runner.test()
    assert all(np.isfinite(value) for value in scores.values())

    model = runner.model.eval()
    batch = next(iter(runner.test_dataloader))
    with torch.no_grad():
        (merged,) = model.test_step(batch)
        singles = [
            model.module.test_step(dict(inputs=x, data_samples=s))[0].seg_logits.data
            for x, s in zip(batch['inputs'], batch['data_samples'])
        ]
    assert len(singles) == (3 if 'edge' in name else 6)
    torch.testing.assert_close(merged.seg_logits.data, torch.stack(singles).mean(0))


def test_merging_by_hand():
    init_default_scope('mmseg')

    class Segmentor(torch.nn.Module):
        decode_head = type('Head', (), {'threshold': 0.5})()
        test_step = None

    model = BinaryTTAModel(module=Segmentor())
    samples = []
    for i, value in enumerate((0.2, 0.9)):
        sample = SegDataSample(metainfo=dict(img_path='a.jpg', flip=bool(i)))
        sample.seg_logits = PixelData(data=torch.full((1, 2, 3), value))
        sample.gt_sem_seg = PixelData(data=torch.ones(1, 2, 3))
        samples.append(sample)
    (merged,) = model.merge_preds([samples])
    torch.testing.assert_close(merged.seg_logits.data, torch.full((1, 2, 3), 0.55))
    assert merged.pred_sem_seg.data.all() and merged.gt_sem_seg.data.all()
    assert merged.img_path == 'a.jpg' and not merged.flip
    assert samples[0].seg_logits.data[0, 0, 0] == torch.tensor(0.2)
