"""What a folder of images becomes: the data set of the toolbox, and what is said of it."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image
from reference.folders import NAMES, TABLE, Folders, in_colour, with_palette

from mmseg_sparsemask.fit.data import look
from mmseg_sparsemask.fit.data_values import read_classes, shown

A_DOZEN = [f'{number:02}' for number in range(12)]
OF_SPLITS = [f'train/{n}' for n in A_DOZEN[:8]] + [f'val/{n}' for n in A_DOZEN[8:]]


def check(folders, **kwargs):
    """Look, load everything as the toolbox does, compare it with what was drawn: data, splits."""
    before = folders.files()
    data = look(folders.images, folders.masks, folders.out, **kwargs)
    assert folders.files() == before
    loads = [dict(type=LoadImageFromFile), dict(type=LoadAnnotations)]
    splits = {}
    for split, count in data.counts.items():
        settings = data.dataset(split)
        assert settings.pop('type') == 'BaseSegDataset'
        dataset = BaseSegDataset(**settings, pipeline=loads)
        assert len(dataset) == count > 0 and dataset.metainfo['classes'] == list(data.classes)
        for item in dataset:
            splits[item['img_path']] = split
            image, labels = folders.drawn[item['img_path']]
            np.testing.assert_array_equal(item['img'][..., ::-1], image)
            np.testing.assert_array_equal(item['gt_seg_map'], labels)
    assert len(data.lines()) < 12
    return data, splits


def sixteen(labels):
    return Image.fromarray(
        np.where(labels == 255, 65535, labels.astype(int) * 300).astype(np.uint16)
    )


def float_(labels):
    return Image.fromarray(labels.astype(np.float32))


def shuffled(labels):
    """Numbers of another order in each file, as programs give them that save space."""
    return with_palette(labels, tuple(np.random.default_rng(labels[0]).permutation([0, 1, 2, 255])))


# Masks, how they are written, the classes that a user gives, whether they are written anew.
FORMS = {
    'numbers': ('.png', Image.fromarray, None, False),
    'numbers in TIFF': ('.TIF', Image.fromarray, NAMES, False),
    'numbers with names': ('.png', Image.fromarray, 'sky, road,tree', False),
    'numbers with a palette': ('.png', with_palette, None, False),
    'palette of GIF': ('.gif', with_palette, TABLE + ['void 224,224,192'], True),
    'palette and table': ('.png', with_palette, TABLE, False),
    'palettes that differ': ('.png', shuffled, TABLE + ['void 224,224,192'], True),
    'colours': ('.png', in_colour, TABLE + ['void'], True),
    'colours with alpha': ('.png', lambda m: in_colour(m).convert('RGBA'), TABLE + ['void'], True),
    'numbers and colours to draw': ('.png', Image.fromarray, TABLE, False),
    'numbers in three channels': ('.png', lambda m: Image.fromarray(m).convert('RGB'), None, True),
    'numbers and alpha': ('.png', lambda m: Image.fromarray(m).convert('LA'), NAMES, True),
    'numbers of 16 bits': ('.png', sixteen, ['sky,0', 'road,300', 'tree,600', 'void'], True),
    'floats': ('.tif', float_, None, True),
}


@pytest.mark.parametrize('form', FORMS)
def test_the_toolbox_reads_what_was_drawn(tmp_path, form):
    suffix, write, classes, anew = FORMS[form]
    folders = Folders(tmp_path).add(A_DOZEN, f'{{}}{suffix}', form=write)
    data, splits = check(folders, classes=classes)
    assert len(splits) == 12 and (folders.out / 'data/masks').exists() == anew
    assert data.classes == (tuple(NAMES) if classes else ('class_0', 'class_1', 'class_2'))
    assert data.image_size == (6, 8) and not data.warnings[1:]
    counts = np.zeros(256)
    for path, split in splits.items():
        if split == 'train':
            counts += np.bincount(folders.drawn[path][1].ravel(), minlength=256)
    np.testing.assert_allclose(data.class_shares, counts[:3] / counts[:3].sum())
    assert data.void_share == counts[255] / counts.sum() > 0
    if isinstance(classes, list) and TABLE[0] in classes:
        assert data.palette == ((10, 20, 30), (128, 64, 128), (0, 200, 0))


@pytest.mark.parametrize('high', [255, 65535])
@pytest.mark.parametrize('classes, names', [(None, 'background foreground'), ('no,yes', 'no yes')])
def test_zero_and_the_highest_number_are_two_classes(tmp_path, high, classes, names):
    def form(labels):
        return Image.fromarray(
            (labels.astype(int) * high).astype(np.uint16 if high > 255 else np.uint8)
        )

    folders = Folders(tmp_path, (0, 1)).add(A_DOZEN, form=form)
    assert check(folders, classes=classes)[0].classes == tuple(names.split())


def test_one_bit_and_greys_that_are_named(tmp_path):
    folders = Folders(tmp_path, (0, 1)).add(A_DOZEN, form=lambda m: Image.fromarray(m > 0))
    assert check(folders)[0].classes == ('class_0', 'class_1')
    for path in folders.masks.iterdir():
        Image.fromarray(np.asarray(Image.open(path)) * np.uint8(128) + np.uint8(9)).save(path)
    data, _ = check(folders, classes=['ground 9,9,9', 'crack 137,137,137'])
    assert data.classes == ('ground', 'crack') and data.palette[1] == (137, 137, 137)
    for path in folders.masks.iterdir():
        Image.fromarray((np.asarray(Image.open(path)) > 9) * np.uint8(255)).save(path)
    folders.drawn = {path: (image, labels * 2) for path, (image, labels) in folders.drawn.items()}
    check(folders, classes=['black 0,0,0', 'grey 128,128,128', 'white 255,255,255'])


# Names of images, of a mask, of an image, whether the masks are written anew.
LAYOUTS = {
    'upper case': (A_DOZEN, '{}.png', '{}.PNG', False),
    'an addition': (A_DOZEN, '{}_mask.png', '{}.png', False),
    'both have one': (A_DOZEN, '{}_labelIds.png', '{}_leftImg8bit.png', False),
    'of another beginning': (A_DOZEN, 'label_{}.png', 'img_{}.png', True),
    'no separator': (A_DOZEN, 'mask{}.png', 'img{}.png', True),
    'spaces and umlauts': ([f'Stra\xdfe {n} \xfc.v2' for n in A_DOZEN], '{}.png', '{}.png', False),
    'folders': (OF_SPLITS, '{}.png', '{}.png', False),
    'folders and additions': (OF_SPLITS, '{}-gt.png', '{}_rgb.png', False),
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_masks_are_found_by_name(tmp_path, layout):
    names, mask, image, anew = LAYOUTS[layout]
    folders = Folders(tmp_path).add(names, mask, image)
    (folders.images / '.hidden.png').write_bytes(b'')
    (folders.masks / 'Thumbs.db').write_bytes(b'')
    data, splits = check(folders)
    assert len(splits) == 12 and (folders.out / 'data/masks').exists() == anew
    assert not data.warnings[1:]
    if 'folders' in layout:
        assert data.counts == {'train': 8, 'val': 4} and 'by their folders' in data.lines()[1]
        assert all(f'/{split}/' in path for path, split in splits.items())


def test_mixed_suffixes_links_and_two_forms_of_unicode(tmp_path):
    folders = Folders(tmp_path)
    folders.add([f'\xfc{n}' for n in range(6)]).add([f'b{n}' for n in range(6)], image='{}.bmp')
    for path in sorted(folders.masks.iterdir())[:9]:
        path.rename(path.with_name(unicodedata.normalize('NFD', path.name)))
    (tmp_path / 'elsewhere').mkdir()
    for path in sorted(folders.images.glob('*.bmp')):
        path.symlink_to(path.rename(tmp_path / 'elsewhere' / path.name))
    assert len(check(folders)[1]) == 12


def test_masks_below_images_and_out_below_both(tmp_path):
    folders = Folders(tmp_path)
    folders.masks = folders.images / 'masks'
    folders.add(A_DOZEN, form=sixteen)
    folders.out = folders.images / 'out'
    for _ in range(2):
        data = look(folders.images, folders.masks, folders.out, ['a,0', 'b,300', 'c,600', 'void'])
        assert sum(data.counts.values()) == 12 and not data.warnings[1:]


def test_lists_of_the_user(tmp_path):
    folders = Folders(tmp_path).add(A_DOZEN)
    (tmp_path / 'train.txt').write_bytes(
        b'\xef\xbb\xbf00.png\r\n01\r\nimages/02.png masks/02.png\r\n'
    )
    (tmp_path / 'val.txt').write_text('/data/03.png\n04\n\n')
    (tmp_path / 'test.txt').write_text('secret_1\nsecret_2\n')
    data, splits = check(folders)
    assert data.counts == {'train': 3, 'val': 2} and 'by the lists in' in data.lines()[1]
    assert '7 files left out, of no split: 05.png, ' in data.warnings[0]
    (tmp_path / 'test.txt').write_text('05\n06\n07\n')
    (tmp_path / 'val.txt').unlink()
    data, _ = check(folders)
    assert data.counts == {'train': 2, 'val': 1, 'test': 3}


def test_lists_that_were_written_stay(tmp_path):
    folders = Folders(tmp_path).add(A_DOZEN, 'm_{}.png', 'i_{}.png')
    _, before = check(folders)
    moved, gone, *_ = (path for path, split in before.items() if split == 'train')
    lists = {split: folders.out / f'data/{split}.txt' for split in ('train', 'val')}
    held = {split: path.read_text().splitlines() for split, path in lists.items()}
    name = next(line for line in held['train'] if line in moved)
    held['train'].remove(name)
    held['val'].append(name)
    for split, path in lists.items():
        path.write_text('\n'.join(held[split]))
    folders.add(['13', '14'], 'm_{}.png', 'i_{}.png')
    Path(gone).unlink()
    _, after = check(folders)
    assert after[moved] == 'val'
    assert all(
        after[path] == split for path, split in before.items() if path in after and path != moved
    )


def test_numbers_that_are_ignored_move_those_above_them(tmp_path):
    folders = Folders(tmp_path, (0, 1, 255)).add(
        A_DOZEN, form=lambda m: Image.fromarray(m + np.uint8(1))
    )
    data, _ = check(folders, classes='ignore,sky,road')
    assert data.classes == ('sky', 'road') and data.void_share > 0.2


@pytest.mark.parametrize(
    'text',
    [
        '# label:color_rgb:parts:actions\nsky:10,20,30::\nbig road:128,64,128::\nvoid:0,0,0::\n',
        '10 20 30\t\tsky\n128 64 128\tbig road\n0 0 0\tVoid\n',
        'name,r,g,b\nsky, 10, 20, 30\nbig road, 128, 64, 128\nignore, 0, 0, 0\n',
        'sky 10,20,30\r\n\r\nbig road = 128;64;128\r\nvoid 0 0 0',
    ],
)
def test_tables_of_colours_as_others_write_them(tmp_path, text):
    (tmp_path / 'table.txt').write_text(text)
    lines = read_classes(tmp_path / 'table.txt')
    assert [line.name for line in lines] == ['sky', 'big road', None]
    assert [shown(line.value) for line in lines] == ['10,20,30', '128,64,128', '0,0,0']


def test_more_names_than_a_path_may_have_letters():
    names = [f'a class of things, {number}'.replace(',', '') for number in range(40)]
    assert [line.name for line in read_classes(','.join(names))] == names


def test_names_may_hold_numbers_and_lines_may_give_them(tmp_path):
    assert [*read_classes('layer 1, layer 2')] == [('layer 1', None), ('layer 2', None)]
    (tmp_path / 'table.csv').write_text('class,id\nroad,7\ncar 2\t26\nvoid\n')
    lines = read_classes(str(tmp_path / 'table.csv'))
    assert [*lines] == [('road', 7), ('car 2', 26), (None, None)]
