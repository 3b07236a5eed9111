import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from scipy.io import savemat

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.edges.datasets import BSDS500Dataset
from mmseg_sparsemask.edges.transforms import LoadBSDSBoundaries, boundaries_of, consensus_label

META = ('img_path', 'ori_shape', 'img_shape', 'gt_boundaries')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBSDSBoundaries'),
    dict(type='PackSegInputs', meta_keys=META),
]


def save_bsds(path, maps):
    """The structure of the original: a cell array of structs with Segmentation and Boundaries."""
    cells = np.empty((1, len(maps)), dtype=object)
    for i, boundary in enumerate(maps):
        cells[0, i] = {'Segmentation': np.ones_like(boundary), 'Boundaries': boundary}
    savemat(path, {'groundTruth': cells})


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, names in (('train', ['2', '1']), ('val', ['9']), ('test', ['5'])):
        for part in ('images', 'groundTruth'):
            (tmp_path / part / split).mkdir(parents=True)
        for name in names:
            image = tmp_path / 'images' / split / f'{name}.jpg'
            cv2.imwrite(str(image), np.zeros((12, 16, 3), np.uint8))
            maps = [(rng.random((12, 16)) < 0.3).astype(np.uint8) for _ in range(3)]
            save_bsds(tmp_path / 'groundTruth' / split / f'{name}.mat', maps)
        (tmp_path / 'images' / split / 'Thumbs.db').write_text('')
    return tmp_path


def test_reads_the_original_layout(folder):
    data = BSDS500Dataset(split=['train', 'val'], data_root=str(folder), pipeline=PIPELINE)
    names = [data.get_data_info(i)['img_path'].rsplit('/', 1)[1] for i in range(len(data))]
    assert names == ['1.jpg', '2.jpg', '9.jpg']
    sample = data[0]['data_samples']
    assert sample.gt_boundaries.shape == (3, 12, 16)
    votes = sample.gt_boundaries.sum(axis=0)
    label = sample.gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(label == 1, votes >= 2)
    np.testing.assert_array_equal(label == 255, votes == 1)
    np.testing.assert_array_equal(label == 0, votes == 0)


def test_missing_files(folder, tmp_path):
    (folder / 'groundTruth' / 'val' / '9.mat').unlink()
    with pytest.raises(FileNotFoundError, match=r'9\.mat is missing'):
        BSDS500Dataset(split='val', data_root=str(folder))
    with pytest.raises(FileNotFoundError, match='link or convert'):
        BSDS500Dataset(split='train', data_root=str(tmp_path / 'nowhere'))


@pytest.mark.parametrize('split', ['all', [], ['train', 'train']])
def test_wrong_split(folder, split):
    with pytest.raises(ValueError, match='split must be'):
        BSDS500Dataset(split=split, data_root=str(folder))


def test_wrong_annotations(tmp_path):
    def load(**content):
        savemat(tmp_path / 'x.mat', content)
        return LoadBSDSBoundaries()(dict(seg_map_path=str(tmp_path / 'x.mat'), seg_fields=[]))

    with pytest.raises(ValueError, match=r"groundTruth as BSDS500 has it, found \['other'\]"):
        load(other=np.zeros(3))
    with pytest.raises(ValueError, match='no field Boundaries'):
        cells = np.empty((1, 1), dtype=object)
        cells[0, 0] = {'Segmentation': np.ones((2, 2))}
        load(groundTruth=cells)
    (tmp_path / 'x.mat').write_text('no mat')
    with pytest.raises(ValueError, match='not a MATLAB file'):
        LoadBSDSBoundaries()(dict(seg_map_path=str(tmp_path / 'x.mat'), seg_fields=[]))


def test_annotation_of_another_size(folder):
    path = folder / 'groundTruth' / 'test' / '5.mat'
    save_bsds(path, [np.zeros((12, 17), np.uint8)])
    data = BSDS500Dataset(split='test', data_root=str(folder), pipeline=PIPELINE)
    with pytest.raises(ValueError, match=r'5\.mat is \(12, 17\), the image \(12, 16\)'):
        data[0]


def test_consensus_by_hand():
    maps = np.array([[[1, 1, 1, 1, 0]], [[1, 1, 1, 0, 0]], [[1, 1, 0, 0, 0]], [[1, 0, 0, 0, 0]]])
    assert consensus_label(maps).tolist() == [[1, 1, 255, 255, 0]]  # 2 of 4 is no majority
    assert consensus_label(maps, 'negative').tolist() == [[1, 1, 0, 0, 0]]
    assert consensus_label(maps[:1]).tolist() == [[1, 1, 1, 1, 0]]
    with pytest.raises(ValueError, match='minority'):
        LoadBSDSBoundaries(minority='positive')
    with pytest.raises(ValueError, match='K >= 1'):
        consensus_label(np.zeros((0, 3, 3)))


def test_boundaries_of_segments_by_hand():
    segments = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    assert boundaries_of(segments).tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert not boundaries_of(np.ones((3, 4), int)).any()


def test_shapes_variant_outlines_the_shapes():
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadInstanceBoundaries'), PIPELINE[-1]]
    data = DATASETS.build(
        dict(type='ShapesEdgeDataset', length=3, size=(48, 64), split='val', pipeline=pipeline)
    )
    for item in data:
        sample = item['data_samples']
        label = sample.gt_sem_seg.data[0].numpy()
        np.testing.assert_array_equal(sample.gt_boundaries[0], label)
        assert label.shape == (48, 64) and 20 < label.sum() < 1000
    assert data.metainfo['classes'] == ('background', 'edge')
