"""Data that would train wrongly: what was expected, what came, what to do, in one line."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image
from reference.folders import TABLE, Folders, in_colour, with_palette

from mmseg_sparsemask.fit import data as fit_data
from mmseg_sparsemask.fit.data import look

A_DOZEN = [f'{number:02}' for number in range(12)]


def rewrite(*names, form):
    """Masks of some names, written in another form."""

    def breaking(folders):
        for name in names:
            path = folders.masks / f'{name}.png'
            form(np.asarray(Image.open(path))).save(path)

    return breaking


def cut(folder, name, keep=0.6):
    def breaking(folders):
        path = getattr(folders, folder) / f'{name}.png'
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    return breaking


def lossy(folders):
    for path in folders.masks.iterdir():
        Image.open(path).save(path.with_suffix('.jpg'))
        path.unlink()


def cut_jpeg(folders):
    for name in A_DOZEN:
        path = folders.images / f'{name}.png'
        Image.open(path).save(path.with_suffix('.jpg'))
        path.unlink()
    path = folders.images / '05.jpg'
    path.write_bytes(path.read_bytes()[:-12])


def as_jpeg_named_png(folders):
    for path in folders.masks.iterdir():
        Image.open(path).save(path, format='JPEG')


def turned(orientation):
    """An image that its header turns or mirrors."""

    def breaking(folders):
        path = folders.images / '05.png'
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.open(path).save(path, exif=exif)

    return breaking


def alone(folders):
    for path in sorted(folders.images.iterdir())[1:]:
        path.unlink()


def several_kinds(folders):
    for path in list(folders.masks.iterdir()):
        for kind in ('color', 'labelIds'):
            shutil.copy(path, path.with_name(f'{path.stem}_{kind}.png'))
        path.unlink()


def write_lists(**lists):
    def breaking(folders):
        for name, lines in lists.items():
            (folders.root / f'{name}.txt').write_text('\n'.join(lines))

    return breaking


def copy_as(source, target):
    return lambda folders: shutil.copy(folders.root / source, folders.root / target)


def remove(folder):
    return lambda folders: shutil.rmtree(getattr(folders, folder))


def all_of(form):
    return rewrite(*A_DOZEN, form=form)


def sixteen(labels):
    return Image.fromarray(labels.astype(np.uint16) * 1000)


def ambiguous(labels):
    return with_palette(labels, tuple(np.random.default_rng(labels[0]).permutation([0, 1, 2, 255])))


def void_alone_to_score(folders):
    rewrite('05', form=lambda labels: Image.fromarray(np.full_like(labels, 255)))(folders)
    (folders.root / 'train.txt').write_text('\n'.join({*A_DOZEN} - {'05'}))
    (folders.root / 'val.txt').write_text('05')


# What is done to a dozen of images with the labels 0, 1, 2 and 255; what is said; of which classes.
REFUSED = {
    'no folder': (remove('masks'), 'masks is not a folder; give a folder of images', None),
    'empty folder': (lambda f: [p.unlink() for p in f.images.iterdir()], 'holds nothing', None),
    'void alone to score': (void_alone_to_score, 'all pixels of val are void, so nothing', None),
    'one image': (alone, 'expected an image with a mask to train on and one to score', None),
    'no mask is named so': (
        lambda f: [
            p.rename(p.with_name(f'{p.stem}{n}.png')) for n, p in enumerate(f.masks.iterdir())
        ],
        'no mask is named as an image: 00.png, 01.png, 02.png and 9 more are images',
        None,
    ),
    'several masks': (
        several_kinds,
        'masks that end in _color, _labelIds; make a folder of one kind',
        None,
    ),
    'two images': (
        copy_as('images/03.png', 'images/03.jpg'),
        '03.jpg and 03.png have one name',
        None,
    ),
    'two masks': (copy_as('masks/03.png', 'masks/03.bmp'), '03.bmp and 03.png have one name', None),
    'a name that no list can hold': (
        lambda f: [
            (f.root / p / '03.png').rename(f.root / p / '03 .png') for p in ('images', 'masks')
        ],
        "a list cannot hold the name '03 .png'; rename",
        None,
    ),
    'another size': (
        rewrite('05', form=lambda m: Image.fromarray(m[:4])),
        r'05.png has the size \(6, 8\), .*masks/05.png \(4, 8\)',
        None,
    ),
    'turned': (
        turned(6),
        r'05.png has the size \(8, 6\), .*; an EXIF entry turns images, not masks',
        None,
    ),
    'damaged image': (
        cut('images', '05'),
        '1 image cannot be used; mend .*05.png is damaged',
        None,
    ),
    'damaged mask': (cut('masks', '05'), '1 image cannot be used; mend .*masks/05.png', None),
    'empty image': (cut('images', '05', 0), 'images/05.png is not an image', None),
    'cut JPEG': (cut_jpeg, 'images/05.jpg is', None),
    'JPEG masks': (lossy, '12 images cannot be used.*00.jpg is a JPEG file, which changes', None),
    'JPEG masks in disguise': (as_jpeg_named_png, '00.png is a JPEG file', None),
    'colours without a table': (
        all_of(in_colour),
        'in colour, or .*128,64,128 in .*give --classes FILE with',
        None,
    ),
    'colours with names': (all_of(in_colour), 'masks are in colour', ['sky', 'road', 'tree']),
    'colour without a class': (
        all_of(in_colour),
        r'no class has the colour 224,224,192 .*give --classes FILE with a line "NAME R',
        TABLE,
    ),
    'one colour': (
        all_of(lambda m: in_colour(m * 0 + np.uint8(1))),
        'two classes at least .* hold one; all masks hold 128,64,128',
        TABLE,
    ),
    'one colour beside void': (
        all_of(lambda m: in_colour(m % 2 * 255)),
        'two classes at least .* all masks hold 224,224,192, 10,20,30',
        [*TABLE, 'void'],
    ),
    'palettes that differ': (
        all_of(ambiguous),
        'in palettes that differ: .* in .*, .* in .*; give --classes',
        None,
    ),
    '16 bits': (
        all_of(sixteen),
        'masks hold 0, 1000, 2000, .*give --classes FILE .*NAME,NUMBER',
        None,
    ),
    'fractions': (
        lambda f: [
            Image.fromarray(np.float32(np.asarray(Image.open(p))) / 2).save(p.with_suffix('.tif'))
            or p.unlink()
            for p in f.masks.iterdir()
        ],
        'expected whole numbers from 0 to 65535, got 0.0 to 127.5',
        None,
    ),
    'photographs': (
        all_of(lambda m: Image.fromarray(np.arange(m.size, dtype=np.uint8).reshape(m.shape) * 5)),
        'expected 0, 1, 2, ... of at most 64 classes',
        None,
    ),
    'more values than classes': (
        None,
        r'holds 2, expected 0, 1, or 255 for void; give',
        'sky,road',
    ),
    '0 and 255 of three classes': (
        all_of(lambda m: Image.fromarray(np.uint8(255 * (m > 1)))),
        'expected two classes at least in the masks to train on, .* hold 0, 255',
        'sky,road,tree',
    ),
    'empty masks': (
        all_of(lambda m: Image.fromarray(m * 0)),
        'two classes at least .* all masks hold 0',
        None,
    ),
    'void alone': (
        all_of(lambda m: Image.fromarray(m | 255)),
        'masks hold 255: expected 0, 1, 2',
        None,
    ),
    'list with missing names': (
        write_lists(train=['00', '01', 'nowhere'], val=['02']),
        r'train.txt names images without a file or a mask: nowhere; remove these lines',
        None,
    ),
    'image in two lists': (
        write_lists(train=['00', '01'], val=['01']),
        'val.txt: 01 is in another list, too; remove it from one',
        None,
    ),
    'empty list': (write_lists(train=['00'], val=['\n']), 'expected an image with a mask to', None),
    'name twice': (None, 'different names, .*; got sky, road, sky', 'sky,road,sky'),
    'colour twice': (
        None,
        'with different colours, .*got sky 1,1,1, road 1,1,1',
        ['sky 1,1,1', 'road 1,1,1'],
    ),
    'one class': (
        None,
        'expected 2 to 255 classes .* or a file of them.*got no_such_file.txt',
        'no_such_file.txt',
    ),
    'kinds of values': (None, 'with different numbers, .* or without; got a,1', ['a,1', 'b 1,2,3']),
    'value here and there': (
        None,
        'different numbers, .* or without; got a, b, c,2',
        ['a', 'b', 'c,2'],
    ),
    'colour out of range': (None, "expected NAME, .* got 'sky 256,0,0'", ['sky 256,0,0', 'b']),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refused_in_one_line(tmp_path, case):
    breaking, message, classes = REFUSED[case]
    folders = Folders(tmp_path).add(A_DOZEN)
    if breaking:
        breaking(folders)
    with pytest.raises(ValueError, match=message) as caught:
        look(folders.images, folders.masks, folders.out, classes)
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 900
    assert not list(folders.out.rglob('*.*'))


def test_cut_jpeg_is_refused_where_opencv_fills_it_up(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_data, 'decode_image', lambda *_: np.zeros((6, 8, 3), np.uint8))
    folders = Folders(tmp_path).add(A_DOZEN)
    cut_jpeg(folders)
    with pytest.raises(ValueError, match='1 image cannot .*05.jpg is damaged .*truncated'):
        look(folders.images, folders.masks, folders.out)


def alpha(folders):
    for name in ('03', '04'):
        path = folders.images / f'{name}.png'
        Image.open(path).convert('RGBA').save(path)


def dark(folders):
    values = np.full((6, 8), 4095, np.uint16)
    Image.fromarray(values).save(folders.images / '05.png')


def lonely(folders):
    (folders.masks / '03.png').unlink()
    (folders.images / '04.png').unlink()


SAID = {
    'no partner': (
        lonely,
        ['1 file left out, without a mask: 03.png', '1 file left out, without an image: 04.png'],
    ),
    'four channels': (alpha, ['2 files with a fourth channel, .*: 03.png, 04.png']),
    'upside down': (turned(3), ['1 file turned or mirrored by EXIF .*: 05.png']),
    'twelve bits in sixteen': (dark, ['1 file nearly black .*: 05.png']),
    'never in train': (
        all_of(lambda m: Image.fromarray(m * (m != 1))),
        ['road: in no mask of train, so never learned', 'road: in no mask of val, so not scored'],
    ),
}


@pytest.mark.parametrize('case', SAID)
def test_said_with_names(tmp_path, case):
    breaking, messages = SAID[case]
    folders = Folders(tmp_path).add(A_DOZEN)
    breaking(folders)
    said = look(folders.images, folders.masks, folders.out, 'sky,road,tree').lines()
    for message in messages:
        assert any(re.search(f'^warning: .*{message}', line) for line in said), said
