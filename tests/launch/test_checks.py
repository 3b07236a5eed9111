from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config
from reference.tiny import ROOT

from mmseg_sparsemask.datasets import CamVidDataset
from mmseg_sparsemask.deployment.predictor import _dataset_meta
from mmseg_sparsemask.launch import checks
from mmseg_sparsemask.launch.checks import (
    check_checkpoint,
    check_classes,
    check_data_roots,
    check_features,
    check_unused_end,
    warn_without_pruning,
)
from mmseg_sparsemask.models.decode_heads import FDNHead, SparseMaskHead
from mmseg_sparsemask.search import PruneHook


def dataset(root, **kwargs):
    return dict(type='CamVidDataset', data_root=str(root), **kwargs)


def config(**kwargs):
    return Config(dict(launcher='none', model=dict(type='EncoderDecoder'), **kwargs))


def test_checkpoint(tmp_path):
    check_checkpoint('https://example.com/a.pth')
    (tmp_path / 'a.pth').write_text('')
    check_checkpoint(str(tmp_path / 'a.pth'))
    with pytest.raises(FileNotFoundError, match=r'b\.pth does not exist'):
        check_checkpoint(str(tmp_path / 'b.pth'))


@pytest.mark.parametrize(
    ('make', 'key'),
    [
        (lambda d: d, 'dataset.data_root'),
        (lambda d: dict(type='RepeatDataset', times=2, dataset=d), 'dataset.dataset.data_root'),
        (
            lambda d: dict(type='ConcatDataset', datasets=[dict(type='ShapesDataset'), d]),
            'dataset.datasets.1.data_root',
        ),
    ],
)
def test_missing_data_root_is_named_with_its_key(tmp_path, make, key):
    cfg = config(train_dataloader=dict(dataset=make(dataset(tmp_path / 'none'))))
    with pytest.raises(FileNotFoundError, match=rf'^train_dataloader\.{key} = .*docs/data\.md'):
        check_data_roots(cfg, ['train_dataloader'])
    check_data_roots(cfg, ['val_dataloader'])


def test_every_key_that_names_the_missing_root_is_named(tmp_path):
    """Also that of a loader which this run does not use."""
    root = tmp_path / 'none'
    wrapped = dict(type='RepeatDataset', times=2, dataset=dataset(root))
    cfg = config(
        train_dataloader=dict(dataset=wrapped),
        val_dataloader=dict(dataset=dataset(tmp_path)),
        test_dataloader=dict(dataset=dataset(root)),
    )
    with pytest.raises(FileNotFoundError) as error:
        check_data_roots(cfg, ['train_dataloader', 'val_dataloader'])
    assert f'ln -s PATH {root}' in str(error.value)
    assert str(error.value).endswith(
        '--cfg-options train_dataloader.dataset.dataset.data_root=PATH '
        'test_dataloader.dataset.data_root=PATH'
    )


def test_missing_folder_or_list_below_the_root(tmp_path):
    for place in (dict(data_prefix=dict(img_path='images/val')), dict(ann_file='val.txt')):
        cfg = config(val_dataloader=dict(dataset=dataset(tmp_path, **place)))
        with pytest.raises(FileNotFoundError, match=f'there is no {tmp_path}/'):
            check_data_roots(cfg, ['val_dataloader'])
    (tmp_path / 'images/val').mkdir(parents=True)
    (tmp_path / 'val.txt').write_text('')
    place = dict(data_prefix=dict(img_path='images/val', seg_map_path=''), ann_file='val.txt')
    cfg = config(val_dataloader=dict(dataset=dataset(tmp_path, **place)))
    check_data_roots(cfg, ['val_dataloader'])


def test_what_cannot_be_checked_passes():
    cfg = config(
        train_dataloader=dict(dataset=dict(type='ShapesDataset', length=3)),
        val_dataloader=dict(dataset=dataset('s3://bucket/camvid', ann_file='val.txt')),
        test_dataloader=None,
    )
    check_data_roots(cfg, ['train_dataloader', 'val_dataloader', 'test_dataloader'])


@pytest.mark.parametrize('kind', ['CamVidDataset', CamVidDataset], ids=['named', 'class'])
@pytest.mark.parametrize('wrapper', [None, 'RepeatDataset', 'ClassBalancedDataset'])
def test_fewer_classes_than_the_data_set(kind, wrapper):
    data = dict(type=kind) if wrapper is None else dict(type=wrapper, dataset=dict(type=kind))
    cfg = config(train_dataloader=dict(dataset=data))
    cfg.model.decode_head = dict(num_classes=11)
    check_classes(cfg, 'train_dataloader')
    cfg.model.auxiliary_head = [dict(num_classes=5)]
    with pytest.raises(ValueError, match=r'head\.0\.num_classes = 5, .* 11 classes; set'):
        check_classes(cfg, 'train_dataloader')


def test_more_classes_than_the_data_set(monkeypatch):
    said = []
    monkeypatch.setattr(checks, 'print_log', lambda text, **_: said.append(text))
    cfg = config(train_dataloader=dict(dataset=dict(type='CamVidDataset')))
    cfg.model.decode_head = dict(num_classes=21)
    check_classes(cfg, 'train_dataloader')
    assert len(said) == 1 and 'model.decode_head.num_classes=11' in said[0]
    cfg.train_dataloader.dataset.metainfo = dict(classes=list('abcdefghijklmnopqrstu'))
    check_classes(cfg, 'train_dataloader')
    assert len(said) == 1


@pytest.mark.parametrize('kind', ['BaseSegDataset', 'ShapesDataset'])
def test_classes_may_be_the_name_of_a_file(tmp_path, kind):
    """As MMEngine reads it: their number is not that of the letters in its name."""
    (tmp_path / 'classes.txt').write_text('warm\ncold\n')
    named = dict(type=kind, metainfo=dict(classes=str(tmp_path / 'classes.txt')))
    cfg = config(train_dataloader=dict(dataset=named), test_dataloader=dict(dataset=named))
    cfg.model.decode_head = dict(num_classes=2)
    check_classes(cfg, 'train_dataloader')
    assert _dataset_meta(cfg)['classes'] == ['warm', 'cold']
    cfg.model.decode_head.num_classes = 1
    (tmp_path / 'classes.txt').write_text('warm\ncold\nhot\n')
    with pytest.raises(ValueError, match='has 3 classes'):
        check_classes(cfg, 'train_dataloader')


@pytest.mark.parametrize('heads, classes', [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (2, 3)])
def test_a_binary_task_may_count_the_background(heads, classes):
    data = dict(type='BaseSegDataset', metainfo=dict(classes=tuple('abc'[:classes])))
    cfg = config(train_dataloader=dict(dataset=data))
    cfg.model.decode_head = dict(num_classes=heads)
    if classes < 3:
        return check_classes(cfg, 'train_dataloader')
    with pytest.raises(ValueError, match='has 3 classes'):
        check_classes(cfg, 'train_dataloader')


def test_a_head_of_boundaries_has_classes_of_its_own():
    """STDC as the toolbox has it, whose last auxiliary head tells two."""
    cfg = Config.fromfile(Path(mmseg.__file__).parent / '.mim/configs/_base_/models/stdc.py')
    data = dict(type='BaseSegDataset', metainfo=dict(classes=list('abcdefghijklmnopqrs')))
    cfg.train_dataloader = dict(dataset=data)
    check_classes(cfg, 'train_dataloader')
    cfg.model.auxiliary_head[0].num_classes = 2
    with pytest.raises(ValueError, match=r'auxiliary_head\.0\.num_classes = 2'):
        check_classes(cfg, 'train_dataloader')


def test_strides_that_the_backbone_does_not_have():
    cfg = Config.fromfile(ROOT / 'configs/sparsemask/fdn_mbv2_shapes.py')
    check_features(cfg)
    cfg.model.decode_head.strides = [2, 2, 4, 8, 16, 16, 32, 32, 64]
    with pytest.raises(ValueError, match=r'decode_head\.strides=\[.*64\], but the backbone gives'):
        check_features(cfg)


def test_search_without_pruning_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(checks, 'print_log', lambda text, **_: said.append(text))
    cfg = config()
    warn_without_pruning(cfg)
    for head, hook in (('FDNHead', 'PruneHook'), (FDNHead, PruneHook)):
        cfg.model.decode_head = dict(type=head)
        cfg.custom_hooks = [dict(type=hook)]
        warn_without_pruning(cfg)
    assert not said
    cfg.custom_hooks = []
    warn_without_pruning(cfg)
    assert 'nothing will be pruned' in said[0]


@pytest.mark.parametrize(
    ('stages', 'more', 'key'),
    [
        (dict(D3=['E3', 'E4'], D1=['E1', 'D3']), {}, 'find_unused_parameters'),
        (
            dict(D1=['E1']),
            dict(model_wrapper_cfg=dict(type='X')),
            'model_wrapper_cfg.find',
        ),
        (dict(D1=['E1', 'G']), {}, None),
        (dict(D1=['E1', 'E9']), {}, None),
        (dict(D1=['E1']), dict(launcher='none'), None),
        (dict(D1=['E1']), dict(find_unused_parameters=True), None),
        (dict(D1=['E1']), {'model.auxiliary_head': dict(in_index=8)}, None),
        (dict(D1=['E1']), {'model.auxiliary_head': dict(in_index=[2, -1])}, None),
        (dict(D1=['E1']), {'model.auxiliary_head': dict(in_index=7)}, 'find_unused'),
        (dict(D1=['E1']), {'model.decode_head.type': SparseMaskHead}, 'find_unused_parameters'),
    ],
)
def test_several_processes_and_an_encoder_whose_end_nobody_takes(stages, more, key):
    cfg = Config.fromfile(ROOT / 'configs/sparsemask/sparsemask_mbv2_shapes.py')
    cfg.launcher = 'pytorch'
    cfg.merge_from_dict(more)
    strides = [2, 2, 4, 8, 16, 16, 32, 32, 32]
    cfg.model.decode_head.connectivity = dict(strides=strides, stages=stages)
    if key is None:
        check_unused_end(cfg)
    else:
        with pytest.raises(ValueError, match=f'the end of the encoder.*--cfg-options {key}'):
            check_unused_end(cfg)
