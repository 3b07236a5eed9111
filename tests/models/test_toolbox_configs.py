"""The toolbox's own configs with `decode_head` replaced: each builds, and learns from a batch.

The configs are the files that the toolbox installs. Besides the head, only what tests must not have
is taken out: downloads of pretrained weights, and SyncBN, which refuses CPUs.
"""

import copy
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401

CONFIGS = Path(mmseg.__file__).parent / '.mim/configs'

#: Strides of an encoder of four stages, and the published decoder transferred to them.
FOUR_STAGES = [4, 8, 16, 32], 'D4: E4 G · D3: E3 G · D1: E3 E4 D3 D4 G'

#: Config, channels and strides of what its backbone gives, and the pruned decoder.
CASES = {
    'resnet50': (
        'fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py',
        [256, 512, 1024, 2048],
        [4, 8, 8, 8],
        # A dilated encoder stops at 1/8, where the published decoder has nothing to take.
        'D4: E4 · D3: E3 D4 · D2: E2 D3 · D1: E1 D2',
    ),
    'segformer': (
        'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
        [32, 64, 160, 256],
        *FOUR_STAGES,
    ),
    'swin': (
        'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
        [96, 192, 384, 768],
        *FOUR_STAGES,
    ),
    'hrnet': (
        'hrnet/fcn_hr18_4xb4-20k_voc12aug-512x512.py',
        [18, 36, 72, 144],
        *FOUR_STAGES,
    ),
}

pytestmark = pytest.mark.skipif(
    not CONFIGS.is_dir(), reason=f'the toolbox was installed without its configs ({CONFIGS})'
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def new_head(kind, channels, strides, classes):
    head = dict(
        type=kind,
        in_channels=channels,
        in_index=[0, 1, 2, 3],
        strides=strides,
        channels=16,
        num_classes=classes,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    if kind == 'FDNHead':
        head['loss_connectivity'] = dict(type='SparseConnectivityLoss')
    else:
        source = 'sparsemask_mbv2_voc' if 32 in strides else 'unet'
        head['connectivity'] = dict(source=source, strides=strides)
    return head


def batch(size, classes):
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(2):
        label = torch.randint(classes, (1, *size), generator=generator)
        label[:, :3] = 255
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size))
        sample.gt_sem_seg = PixelData(data=label)
        samples.append(sample)
    images = torch.randint(256, (2, 3, *size), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


@pytest.mark.parametrize('kind', ['FDNHead', 'SparseMaskHead'])
@pytest.mark.parametrize('case', CASES)
def test_builds_and_steps(case, kind):
    path, channels, strides, expected = CASES[case]
    cfg = Config.fromfile(CONFIGS / path)
    old = cfg.model.decode_head
    cfg.model.decode_head = new_head(kind, channels, strides, old.num_classes)
    cfg.model.pretrained = None
    cfg.model.backbone.pop('init_cfg', None)
    size = (65, 97)
    cfg.model.data_preprocessor.size = size

    torch.manual_seed(0)
    known = copy.deepcopy(cfg.model.decode_head.to_dict())
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    assert cfg.model.decode_head.to_dict() == known
    head = model.decode_head
    assert head.align_corners and head.out_channels == old.num_classes
    if kind == 'SparseMaskHead':
        assert str(head.connectivity) == expected
    else:
        assert len(head.connectivity) == 20

    cfg.optim_wrapper.pop('loss_scale', None)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.train()
    losses = model.train_step(batch(size, old.num_classes), wrapper)
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert 'decode.loss_ce' in losses
    assert ('decode.loss_connectivity' in losses) == (kind == 'FDNHead')
    # The auxiliary head, which the config has for another feature, is as it was.
    assert ('aux.loss_ce' in losses) == ('auxiliary_head' in cfg.model)
    still = [
        name
        for name, p in model.named_parameters()
        if name.startswith('decode_head.') and torch.equal(p, before[name])
    ]
    assert not still
    moved = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert any(name.startswith('backbone.') for name in moved)

    model.eval()
    with torch.no_grad():
        data = model.data_preprocessor(batch(size, old.num_classes))
        (first, _) = model.predict(**data)
    assert first.pred_sem_seg.data.shape == (1, *size)
