"""Lists of names, as people's editors save them."""

import subprocess
import sys

import pytest

from mmseg_sparsemask.datasets.pascal_person_part import convert_pascal_part
from mmseg_sparsemask.datasets.reading import read_list
from mmseg_sparsemask.saliency.converters import convert_msra_b

BOM = b'\xef\xbb\xbf'


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes(BOM + b'a.jpg\r\n\r\n stra\xc3\x9fe_1 \n')
    assert read_list(path) == ['a', 'stra\xdfe_1']
    # Whatever the locale of the machine is.
    code = (
        'import pathlib, sys\nfrom mmseg_sparsemask.datasets.reading import read_list\n'
        'print(ascii(read_list(pathlib.Path(sys.argv[1]))))'
    )
    env = dict(PYTHONCOERCECLOCALE='0', PYTHONUTF8='0', LC_ALL='C', PYTHONPATH=':'.join(sys.path))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, path], env=env, capture_output=True, text=True
    )
    assert done.stdout.strip() == ascii(['a', 'stra\xdfe_1']), done.stderr


def test_lists_of_the_converters(tmp_path):
    (tmp_path / 'list.txt').write_bytes(BOM + b'x/a.jpg\n')
    for kind in ('jpg', 'png'):
        (tmp_path / f'a.{kind}').write_bytes(b'')
    counts = convert_msra_b(
        tmp_path, {'train': tmp_path / 'list.txt'}, tmp_path / 'out', {'train': 1}
    )
    assert counts == {'train': 1} and (tmp_path / 'out/images/train/a.jpg').is_file()
    for name in ('train.txt', 'val.txt'):
        (tmp_path / name).write_bytes(BOM + b'a\n')
    for folder in ('voc/JPEGImages', 'notes'):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='notes/a.mat is missing'):
        convert_pascal_part(tmp_path / 'voc', tmp_path / 'notes', tmp_path / 'o', tmp_path)


def test_what_is_no_text_is_one_error_that_names_the_list(tmp_path):
    (tmp_path / 'list.txt').write_bytes('stra\xdfe'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'list\.txt: expected a list in UTF-8'):
        read_list(tmp_path / 'list.txt')
