import pytest
from mmengine.config import Config

from mmseg_sparsemask.engine.checks import check_checkpoint, check_data_roots


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
