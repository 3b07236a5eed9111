from pathlib import Path

import pytest

from mmseg_sparsemask.saliency.converters import MSRA_B_COUNTS, convert_msra_b, join_sod

COUNTS = dict(train=2, val=1, test=1)


@pytest.fixture
def msra(tmp_path):
    """Images and masks in nested folders, lists with paths and suffixes of another system."""
    for i in range(4):
        folder = tmp_path / 'in' / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'0_{i}.jpg').write_text(f'image {i}')
        (folder / f'0_{i}.png').write_text(f'mask {i}')
    (tmp_path / 'train.txt').write_text('0_0.jpg\nsome\\folder\\0_1.png\n\n')
    (tmp_path / 'val.txt').write_text('0_2\n')
    (tmp_path / 'test.txt').write_text('1/0_3.jpg\n')
    lists = {split: tmp_path / f'{split}.txt' for split in COUNTS}
    return tmp_path / 'in', lists, tmp_path / 'out'


def test_published_split():
    assert MSRA_B_COUNTS == dict(train=2500, val=500, test=2000)


def test_msra_b(msra):
    assert convert_msra_b(*msra, counts=COUNTS) == COUNTS
    out = msra[2]
    files = sorted(str(p.relative_to(out)) for p in out.rglob('*') if p.is_file())
    assert files == [
        'images/test/0_3.jpg',
        'images/train/0_0.jpg',
        'images/train/0_1.jpg',
        'images/val/0_2.jpg',
        'masks/test/0_3.png',
        'masks/train/0_0.png',
        'masks/train/0_1.png',
        'masks/val/0_2.png',
    ]
    assert (out / 'masks/train/0_1.png').read_text() == 'mask 1'
    convert_msra_b(*msra, counts=COUNTS)  # again: nothing in the way


@pytest.mark.parametrize(
    'file, text, error, message',
    [
        ('val.txt', '0_0\n', ValueError, 'listed in train and again in val'),
        ('train.txt', '0_0\n0_0\n', ValueError, 'listed in train and again in train'),
        ('train.txt', '0_0\n', ValueError, 'names 1 images, expected 2 for train'),
        ('val.txt', '0_9\n', FileNotFoundError, r'image of 0_9 \(val\) is not in'),
    ],
)
def test_msra_b_with_wrong_lists(msra, file, text, error, message):
    msra[1]['val'].with_name(file).write_text(text)
    with pytest.raises(error, match=message):
        convert_msra_b(*msra, counts=COUNTS)
    assert not msra[2].exists()


def test_msra_b_incomplete(msra):
    (msra[0] / '0' / '0_2.png').unlink()
    with pytest.raises(FileNotFoundError, match='mask of 0_2'):
        convert_msra_b(*msra, counts=COUNTS)
    with pytest.raises(FileNotFoundError, match='list .* is missing'):
        convert_msra_b(msra[0], {**msra[1], 'val': Path('nowhere')}, msra[2], counts=COUNTS)
    with pytest.raises(FileNotFoundError, match='not a folder'):
        convert_msra_b(Path('nowhere'), msra[1], msra[2], counts=COUNTS)


@pytest.fixture
def sod(tmp_path):
    (tmp_path / 'masks').mkdir()
    for split, names in (('train', 'ab'), ('val', 'c'), ('test', 'd')):
        folder = tmp_path / 'bsds' / 'images' / split
        folder.mkdir(parents=True)
        for name in names:
            (folder / f'{name}.jpg').write_text(name)
            if split != 'test':
                (tmp_path / 'masks' / f'{name}.png').write_text(name)
    return tmp_path / 'bsds', tmp_path / 'masks', tmp_path / 'joined'


def test_sod(sod):
    assert join_sod(*sod) == dict(train=2, test=1)
    assert (sod[2] / 'images/test/c.jpg').read_text() == 'c'
    assert sorted(p.name for p in (sod[2] / 'masks/train').iterdir()) == ['a.png', 'b.png']


def test_sod_incomplete(sod):
    (sod[1] / 'b.png').rename(sod[1] / 'z.png')
    with pytest.raises(FileNotFoundError, match='no mask, for example b'):
        join_sod(*sod)
    (sod[1] / 'b.png').write_text('')
    with pytest.raises(ValueError, match='for example z'):
        join_sod(*sod)
    assert not sod[2].exists()


def test_what_a_killed_run_left_is_no_data_and_goes(msra, sod):
    for source in (msra[0] / '0', sod[0] / 'images/train', sod[1], msra[0] / '.cache'):
        source.mkdir(exist_ok=True)
        (source / '.b.nkktznav.png').write_text('half')
        (source / '.b.nkktznav.jpg').write_text('half')
    (msra[0] / '.cache' / '0_0.jpg').write_text('another')
    for target in (msra[2] / 'masks/train', sod[2] / 'images/test'):
        target.mkdir(parents=True, exist_ok=True)
        (target / '.train10.nkktznav.png').touch(mode=0o600)
    convert_msra_b(*msra, counts=COUNTS)
    join_sod(*sod)
    assert not list(msra[2].rglob('.*')) and not list(sod[2].rglob('.*'))


def test_another_conversion_in_the_same_folder_is_refused(msra, sod):
    """A data set takes all of a folder: images would be in two splits, or of two data sets."""
    convert_msra_b(*msra, counts=COUNTS)
    before = sorted(msra[2].rglob('*'))
    msra[1]['val'].write_text('0_3\n')
    msra[1]['test'].write_text('0_2\n')
    with pytest.raises(ValueError, match=r'holds 1 file that .* 0_3\.jpg, .* --out'):
        convert_msra_b(*msra, counts=COUNTS)
    assert sorted(msra[2].rglob('*')) == before
    with pytest.raises(ValueError, match=r'images/test holds 1 file'):
        join_sod(sod[0], sod[1], msra[2])
    (msra[2] / 'images/test/notes.txt').touch()  # no data set takes it
    for path in (*msra[2].rglob('*.jpg'), *msra[2].rglob('*.png')):
        path.unlink()
    assert join_sod(sod[0], sod[1], msra[2]) == dict(train=2, test=1)
