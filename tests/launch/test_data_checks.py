"""What is said of the first images, and what is refused, before anything is trained."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_sparsemask.launch import checks
from mmseg_sparsemask.launch.data_checks import check_images

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
HEAD = dict(type='FCNHead', in_channels=8, in_index=1, channels=8, num_classes=2, num_convs=1)


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(checks, 'print_log', lambda text, **_: texts.append(text))
    return texts


@pytest.fixture
def make(tmp_path):
    """A config whose data set has label maps with these values, a map for each list."""

    def config(*maps, suffix='.png', dtype=np.uint8, head=None, loader=None, **dataset):
        for kind in ('images', 'labels'):
            (tmp_path / kind).mkdir(exist_ok=True)
        for number, values in enumerate(maps):
            cv2.imwrite(str(tmp_path / f'images/{number}.png'), np.zeros((8, 8, 3), np.uint8))
            labels = np.repeat(np.array(values, dtype), 4, axis=0)
            cv2.imwrite(str(tmp_path / f'labels/{number}.png'), labels)
        data = dict(
            type='BaseSegDataset',
            data_root=str(tmp_path),
            img_suffix=suffix,
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=LOAD,
            metainfo=dict(classes=('a', 'b'), palette=[[0] * 3, [1] * 3]),
        )
        backbone = dict(
            type='MobileNetV2', widen_factor=0.25, out_indices=(1, 2), norm_cfg=dict(type='BN')
        )
        model = dict(type='EncoderDecoder', backbone=backbone, decode_head={**HEAD, **(head or {})})
        return Config(
            dict(
                model=model,
                train_dataloader=dict(dataset={**data, **dataset}, batch_size=2, **(loader or {})),
                val_dataloader=None,
            )
        )

    return config


@pytest.mark.parametrize(
    'maps, seen, missing, remedy',
    [
        ([[[0, 255]], [[255, 0]]], '0, 255', 'b', 'LoadSaliencyMask'),
        ([[[1, 255]], [[1, 1]]], '1, 255', 'a', 'reduce_zero_label'),
        ([[[255, 255]]], '255', 'a, b', 'reduce_zero_label'),
    ],
)
def test_a_class_that_never_occurs_is_said_once(make, said, maps, seen, missing, remedy):
    cfg = make(*maps)
    cfg.val_dataloader = cfg.train_dataloader
    check_images(cfg)
    (text,) = said
    assert f'first {len(maps)} label maps hold the values {seen}, so never {missing} (' in text
    assert remedy in text and text.startswith('train_dataloader.dataset: ')


@pytest.mark.parametrize(
    'maps, remedy',
    [([[[0, 255]]], 'LoadSaliencyMask'), ([[[1, 1]], [[255, 1]]], 'reduce_zero_label')],
)
def test_a_validation_on_one_class_of_several_is_said(make, said, tmp_path, maps, remedy):
    cfg = make([[0, 1]])
    other = tmp_path / 'val'
    (tmp_path / 'labels').rename(other)
    val = make(*maps).train_dataloader
    cfg.train_dataloader.dataset.data_prefix.seg_map_path = 'val'
    cfg.train_dataloader.dataset.indices = [0]
    cfg.val_dataloader = val
    check_images(cfg)
    (text,) = said
    assert text.startswith('val_dataloader.dataset: ') and 'one class of 2' in text
    assert remedy in text
    cfg.val_dataloader.dataset.data_prefix.seg_map_path = 'val'
    cfg.val_dataloader.dataset.indices = [0]
    check_images(cfg)
    assert len(said) == 1


def test_classes_that_occur_somewhere_are_not_missed(make, said):
    check_images(make([[0, 0]], [[0, 255]], [[1, 0]]))
    wrapped = make([[0, 0]], [[1, 1]])
    inner = wrapped.train_dataloader.dataset
    wrapped.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    check_images(wrapped)
    inner.pipeline[1] = dict(type='LoadSaliencyMask')
    check_images(make([[0, 0]], [[255, 255]], pipeline=inner.pipeline))
    assert not said


def test_labels_of_sixteen_bits(make, said):
    """MMSegmentation's loader keeps the lower eight bits."""
    check_images(make([[0, 257]], dtype=np.uint16))
    assert len(said) == 1 and '257 becomes 1' in said[0]
    check_images(make([[0, 1, 65535]], dtype=np.uint16))  # void remains void
    assert len(said) == 1
    with pytest.raises(ValueError, match='hold the values 0, 44, a head has the labels 0 to 1'):
        check_images(make([[0, 300]], dtype=np.uint16))
    assert '300 becomes 44' in said[1]


@pytest.mark.parametrize('value, classes', [(2, 2), (1, 1), (7, 6)])
def test_labels_that_no_head_has(make, said, value, classes):
    cfg = make([[0, value]], head=dict(num_classes=classes))
    if value < max(classes, 2):  # one output tells two labels apart
        return check_images(cfg)
    with pytest.raises(
        ValueError, match=f'hold the values 0, {value}, a head has .* to {classes - 1}'
    ):
        check_images(cfg)


def test_a_label_that_is_ignored_by_other_heads_alone(make):
    """To the loss of a head it is a class beyond the last."""
    own = dict(num_classes=2, ignore_index=254)
    check_images(make([[0, 1, 254]], head=own))
    with pytest.raises(ValueError, match='values 0, 1, 255, a head has .* 1 and ignores 254; '):
        check_images(make([[0, 1, 255]], head=own))
    cfg = make([[0, 1, 255]], head=own)
    cfg.model.auxiliary_head = HEAD
    with pytest.raises(ValueError, match='0, 1, 255, a head has .* and ignores nothing; '):
        check_images(cfg)
    logits, labels = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
    head = MODELS.build({**HEAD, **own})
    with pytest.raises(IndexError, match='Target 255 is out of bounds'):
        head.loss_decode(logits, labels, ignore_index=head.ignore_index)


def test_label_maps_in_colour(make):
    with pytest.raises(ValueError, match=r'labels/0\.png is an image of 3 channels'):
        check_images(make(np.zeros((4, 4, 3))))


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_no_image(make, loader):
    cfg = make([[0, 1]], [[0, 1]], suffix='.jpg')
    cfg.train_dataloader, cfg.val_dataloader = None, cfg.train_dataloader
    cfg[loader] = cfg.val_dataloader
    with pytest.raises(
        ValueError, match=r"no image found that ends in '\.jpg' in .*images"
    ) as error:
        check_images(cfg)
    remedy = f'which holds 2 .png; set --cfg-options {loader}.dataset.img_suffix=.png'
    assert str(error.value).endswith(remedy)


def test_a_list_with_a_byte_order_mark(make, tmp_path):
    cfg = make([[0, 1]], ann_file='list.txt')
    (tmp_path / 'list.txt').write_bytes(b'\xef\xbb\xbf0\n')
    with pytest.raises(ValueError, match=r'list\.txt begins with a byte order mark'):
        check_images(cfg)


EPOCHS = dict(type='DefaultSampler', shuffle=True)


@pytest.mark.parametrize(
    'images, loader, remedy',
    [
        (3, dict(sampler=EPOCHS), 'drop_last=True'),
        (3, dict(sampler=EPOCHS, drop_last=True), None),
        (4, dict(sampler=EPOCHS), None),
        (3, dict(sampler=dict(type='InfiniteSampler')), None),
        (3, dict(sampler=dict(type='InfiniteSampler'), batch_size=1), 'batch_size=2 or more'),
    ],
)
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_a_batch_of_one_image(make, images, loader, remedy, channels):
    cfg = make(*[[[0, 1]]] * images)
    cfg.train_dataloader.update(loader)
    cfg.model.backbone = dict(
        type='ResNetV1c', depth=18, in_channels=channels, base_channels=8, stem_channels=8
    )
    cfg.model.backbone.update(out_indices=(0, 1), strides=(1, 2), dilations=(1, 1), num_stages=2)
    cfg.model.decode_head.in_channels = 16
    check_images(cfg)  # a plain head does not mind
    cfg.model.decode_head = dict(
        **dict(type='FDNHead', strides=[4, 8], in_channels=[8, 16], in_index=[0, 1]),
        **dict(channels=4, num_classes=2),
    )
    if remedy is None:
        return check_images(cfg)
    with pytest.raises(ValueError, match=f'{images} images in batches of .*{remedy}'):
        check_images(cfg)
    cfg.launcher = 'slurm'  # several processes that make one batch, as far as is known here
    check_images(cfg)
