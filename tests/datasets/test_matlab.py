"""The reader of MATLAB files against SciPy's, and what it refuses."""

import io
import struct
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from mmseg_sparsemask.datasets import matlab
from mmseg_sparsemask.datasets.matlab import parse_mat

RNG = np.random.default_rng(0)


def written(content, **options):
    file = io.BytesIO()
    savemat(file, content, **options)
    return file.getvalue()


def cells(*values):
    found = np.empty((1, len(values)), dtype=object)
    found[0] = values
    return found


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize(
    'dtype', 'f8 f4 i1 u1 i2 u2 i4 u4 i8 u8 bool'.split(), ids=lambda dtype: dtype
)
def test_numbers_equal_scipys(dtype, packed):
    content = {
        f'x{i}': RNG.integers(0, 2, shape).astype(dtype)
        for i, shape in enumerate([(3, 4), (1, 1), (0, 0), (2, 3, 4), (1, 3)])
    }
    data = written(content, do_compression=packed)
    got, want = parse_mat(data, 'x.mat'), loadmat(io.BytesIO(data))
    assert set(got) == set(content)
    for name, value in got.items():
        assert value.dtype == want[name].dtype and value.shape == want[name].shape
        np.testing.assert_array_equal(value, want[name])


def test_cells_structures_and_text():
    content = {
        'c': cells({'Boundaries': np.eye(3), 'name': 'äb'}, 'text', np.zeros((2, 0))),
        's': np.array([(1, 'x'), (2, '')], dtype=[('n', object), ('t', object)]),
    }
    got = parse_mat(written(content), 'x.mat')
    first, text, empty = got['c'].ravel()
    np.testing.assert_array_equal(first.item()['Boundaries'], np.eye(3))
    assert first.item()['name'] == 'äb' and text == 'text' and empty.shape == (2, 0)
    assert [(int(item['n'].item()), item['t']) for item in got['s'].ravel()] == [(1, 'x'), (2, '')]


def element(order, kind, body):
    return struct.pack(f'{order}II', kind, len(body)) + body + bytes(-len(body) % 8)


def file(*elements, order='<'):
    mark = {'<': b'\x00\x01IM', '>': b'\x01\x00MI'}[order]
    return b'MATLAB 5.0 MAT-file'.ljust(124) + mark + b''.join(elements)


def matrix(order='<', kind=6, shape=(2, 3), name=b'x', *values):
    return element(
        order,
        14,
        element(order, 6, struct.pack(f'{order}II', kind, 0))
        + element(order, 5, struct.pack(f'{order}{len(shape)}i', *shape))
        + element(order, 1, name)
        + b''.join(values),
    )


@pytest.mark.parametrize('order', '<>')
def test_either_order_of_bytes_and_numbers_stored_as_others(order):
    stored = element(order, 3, struct.pack(f'{order}6h', *range(6)))
    data = file(matrix(order, 6, (2, 3), b'x', stored), order=order)
    got = parse_mat(data, 'x.mat')['x']
    assert got.dtype == np.float64 and got.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert loadmat(io.BytesIO(data))['x'].tolist() == got.tolist()


def nested(depth):
    value = matrix('<', 6, (0, 0), b'', element('<', 9, b''))
    for _ in range(depth):
        value = matrix('<', 1, (1, 1), b'x', value)
    return file(value)


BAD = {
    'nothing': (b'', 'the header is another'),
    'text': (b'MATLAB 5.0 MAT-file'.ljust(200), 'the header is another'),
    'version 7.3': (b'MATLAB 7.3'.ljust(124) + b'\x00\x02IM', 'version 7.3'),
    'cut off': (written({'x': np.eye(9)})[:-40], 'bytes stands where'),
    'cut off when packed': (
        file(struct.pack('<II', 15, 9) + zlib.compress(bytes(99))[:9]),
        'packed data end early',
    ),
    'not packed': (file(struct.pack('<II', 15, 9) + b'a' * 9), 'packed data: '),
    'more than it holds': (
        file(matrix('<', 6, (20000, 20000), b'x', element('<', 9, bytes(48)))),
        'an array of size',
    ),
    'other count': (
        file(matrix('<', 6, (2, 4), b'x', element('<', 9, bytes(48)))),
        r'6 numbers in an array of size \(2, 4\)',
    ),
    'negative': (file(matrix('<', 6, (-2, -3), b'x', element('<', 9, bytes(48)))), 'of size'),
    'cells that are not there': (file(matrix('<', 1, (9000, 9000))), 'values in 0 bytes'),
    'deep': (nested(100), 'deep'),
    'very deep': (nested(20_000), 'deep'),
    'sparse': (written({'x': csc_matrix(np.eye(3))}), 'x is of class 5: sparse'),
    'complex': (written({'x': np.eye(2) * 1j}), 'complex'),
    'twice': (
        file(*[matrix('<', 9, (1, 1), b'x', element('<', 2, b'\1'))] * 2),
        "'x' appears twice",
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_damaged_files(name):
    data, message = BAD[name]
    with pytest.raises(ValueError, match=rf'^a/b\.mat is not a MATLAB file .*{message}'):
        parse_mat(data, 'a/b.mat')


def test_what_unpacks_to_too_much(monkeypatch):
    monkeypatch.setattr(matlab, 'MAX_BYTES', 2**20)
    packed = zlib.compress(bytes(2**23), 9)
    assert len(packed) < 10_000
    with pytest.raises(ValueError, match='unpacks to more than 1048576 bytes'):
        parse_mat(file(struct.pack('<II', 15, len(packed)) + packed), 'x.mat')
    # Stored as bytes, meant as real numbers.
    wide = matrix('<', 6, (1000, 200), b'x', element('<', 2, bytes(200_000)))
    with pytest.raises(ValueError, match='unpacks to more'):
        parse_mat(file(wide), 'x.mat')


def test_more_elements_than_a_file_has(monkeypatch):
    monkeypatch.setattr(matlab, 'MAX_ELEMENTS', 50)
    with pytest.raises(ValueError, match='more than 50 elements'):
        parse_mat(written({'x': cells(*range(30))}), 'x.mat')
