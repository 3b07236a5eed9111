import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.strategies import connectivities

from mmseg_sparsemask.connectivity import io
from mmseg_sparsemask.connectivity.graph import Connectivity
from mmseg_sparsemask.connectivity.presets import MBV2_STRIDES, preset

GOOD = {'strides': [2, 4, 8], 'stages': {'D3': ['E3', 'G'], 'D1': ['E1', 'D3']}}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(connectivities(), st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=3))
def test_json_both_ways(tmp_path_factory, c, meta):
    c = Connectivity(c.strides, c.stages, meta)
    path = tmp_path_factory.getbasetemp() / 'connectivity.json'
    io.save(c, path)
    back = io.load(path)
    assert back == c and back.meta == c.meta == meta
    assert io.to_dict(back) == io.to_dict(c) == json.loads(path.read_text())
    assert io.from_dict(io.to_dict(c)) == c


def test_the_file_is_that_of_the_documentation(tmp_path):
    io.save(preset('sparsemask_mbv2_voc'), tmp_path / 'connectivity.json')
    data = json.loads((tmp_path / 'connectivity.json').read_text())
    assert list(data) == ['format', 'version', 'strides', 'stages', 'meta']
    assert (data['format'], data['version']) == ('sparsemask.connectivity', 1)
    assert data['strides'] == [2, 2, 4, 8, 16, 16, 32, 32, 32]
    assert data['stages'] == {
        'D8': ['E9', 'G'],
        'D7': ['E7', 'G'],
        'D6': ['E6', 'G'],
        'D1': ['E1', 'E6', 'E7', 'E8', 'E9', 'D6', 'D7', 'D8', 'G'],
    }
    assert os.listdir(tmp_path) == ['connectivity.json']


def test_what_a_config_may_say(tmp_path):
    c = io.from_dict(GOOD)
    path = tmp_path / 'connectivity.json'
    io.save(c, path)
    for spec in (path, str(path), GOOD, io.to_dict(c), c):
        assert io.resolve(spec) == io.resolve(spec, [2, 4, 8]) == c
    assert io.resolve('unet', (2, 4)) == preset('unet', (2, 4))
    assert io.resolve('sparsemask_mbv2_voc', list(MBV2_STRIDES)) == preset('sparsemask_mbv2_voc')


def test_a_transfer_in_a_config(tmp_path):
    five = [2, 4, 8, 16, 32]
    known = 'D5: E5 G · D4: E4 G · D1: E1 E4 E5 D4 D5 G'
    spec = {'source': 'sparsemask_mbv2_voc', 'strides': five}
    assert str(io.resolve(spec)) == str(io.resolve(spec, five)) == known
    assert spec == {'source': 'sparsemask_mbv2_voc', 'strides': five}
    path = tmp_path / 'x.json'
    io.save(preset('sparsemask_mbv2_voc'), path)
    assert str(io.resolve({'source': str(path), 'strides': five})) == known
    inline = io.to_dict(preset('sparsemask_mbv2_voc'))
    assert str(io.resolve({'source': inline, 'strides': five})) == known
    twice = {'source': spec, 'strides': [4, 8, 16, 32]}
    assert str(io.resolve(twice)) == 'D4: E4 G · D3: E3 G · D1: E3 E4 D3 D4 G'
    assert io.resolve({'source': 'unet', 'strides': [4, 8]}) == preset('unet', [4, 8])


def test_import_of_a_mask_written_by_hand():
    # Row k is stage D(L-k), L = 3. Column j: E(L-j) | G for j = 0, then D(L-j+1).
    mask = np.zeros((3, 3, 2), dtype=bool)
    mask[0, 0, 0] = True  # D3 <- E3
    mask[0, 0, 1] = True  # D3 <- G
    mask[1, 1, 0] = True  # D2 <- E2
    mask[1, 1, 1] = True  # D2 <- D3
    mask[2, 2, 0] = True  # D1 <- E1
    mask[2, 0, 0] = True  # D1 <- E3
    mask[2, 2, 1] = True  # D1 <- D2
    c = io.from_npy(mask, [2, 4, 8])
    assert str(c) == 'D3: E3 G · D2: E2 D3 · D1: E1 E3 D2'


def test_import_of_the_published_mask_written_by_hand(tmp_path):
    mask = np.zeros((9, 9, 2), dtype=bool)
    mask[1, 0] = [True, True]  # D8: E9, G
    mask[2, 2, 0] = mask[2, 0, 1] = True  # D7: E7, G
    mask[3, 3, 0] = mask[3, 0, 1] = True  # D6: E6, G
    mask[8, [8, 3, 2, 1, 0], 0] = True  # D1: E1, E6, E7, E8, E9
    mask[8, [0, 2, 3, 4], 1] = True  # D1: G, D8, D7, D6
    np.save(tmp_path / 'mask.npy', mask)
    c = io.from_npy(tmp_path / 'mask.npy', MBV2_STRIDES)
    assert c == preset('sparsemask_mbv2_voc')
    assert c == io.from_npy(str(tmp_path / 'mask.npy'), MBV2_STRIDES)


def test_import_drops_what_leads_nowhere():
    mask = np.zeros((2, 2, 2), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 0] = True  # D2 <- E2, used by nobody; D1 <- E1
    assert str(io.from_npy(mask, [2, 4])) == 'D1: E1'


@given(connectivities())
def test_masks_both_ways(c):
    if c.end != 'D1':
        with pytest.raises(ValueError, match='expected a decoder that ends at D1, got one at D'):
            io.to_npy(c)
        return
    mask = io.to_npy(c)
    assert mask.shape == (c.num_levels, c.num_levels, 2) and mask.sum() == len(c)
    assert io.from_npy(mask, c.strides) == c


def _file(tmp_path, content, name='x.json'):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _mask(*places, levels=2):
    mask = np.zeros((levels, levels, 2), dtype=bool)
    for place in places:
        mask[place] = True
    return mask


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def npy(shape, body=b'', descr="'|b1'"):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + '\n'
    return b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header.encode() + body


BAD = {
    'a folder': (lambda p: io.load(p), 'cannot be read'),
    'a stage twice': (
        lambda p: io.load(_file(p, '{"strides":[2], "stages":{"D1":["E1"],"D1":["G"]}}')),
        r"x\.json: the keys \['D1'\] appear twice",
    ),
    'a mask in a config': (lambda p: io.resolve('m.npy'), r'tools/import_mask\.py'),
    'a version that equals 1': (
        lambda p: io.from_dict({**GOOD, 'version': True}),
        'expected version 1, got True',
    ),
    'keys that are no text': (lambda p: io.from_dict({**GOOD, 3: 4}), r"unknown keys \['3'\]"),
    'a deep file': (
        lambda p: io.load(_file(p, '[' * 100_000 + ']' * 100_000)),
        r'x\.json: nested more than 50 deep',
    ),
    'a deep note': (
        lambda p: io.load(_file(p, json.dumps({**GOOD, 'meta': {'x': nested(200)}}))),
        r'x\.json: nested more than 50 deep',
    ),
    'a deep note in a config': (
        lambda p: io.from_dict({**GOOD, 'meta': {'x': nested(2_000)}}),
        'connectivity: nested more than 50 deep',
    ),
    'a deep note to write': (
        lambda p: io.save(Connectivity([2], {'D1': ['E1']}, {'x': nested(2_000)}), p / 'x.json'),
        'meta: nested more than 50 deep',
    ),
    'a large file': (lambda p: io.load(_file(p, ' ' * 2_000_000)), r'x\.json: expected at most'),
    'no strides': (lambda p: io.from_dict({'stages': {}}), "'strides' is missing"),
    'no stages': (lambda p: io.from_dict({'strides': [2]}), "'stages' is missing"),
    'stages as a list': (
        lambda p: io.from_dict({'strides': [2], 'stages': ['D1']}),
        r"stages: expected an object such as \{'D1': \['E1', 'G'\]\}",
    ),
    'meta as text': (lambda p: io.from_dict({**GOOD, 'meta': 'x'}), 'meta: expected an object'),
    'strides that do not fit the stages': (
        lambda p: io.from_dict({**GOOD, 'strides': [2, 4]}),
        "connectivity: unknown stage 'D3'",
    ),
    'nothing known': (lambda p: io.resolve(3), "expected a preset's name, a path, a dict"),
    'a transfer to other strides than met': (
        lambda p: io.resolve({'source': GOOD, 'strides': [2, 4]}, [4, 8]),
        r'needs strides \[2, 4\], the backbone gives \[4, 8\]',
    ),
    'a transfer without strides': (
        lambda p: io.resolve({'source': 'unet'}),
        r"expected dict\(source=\.\.\., strides=\[\.\.\.\]\) for a transfer, got.*\['source'\]",
    ),
    'a transfer with more': (
        lambda p: io.resolve({'source': 'unet', 'strides': [2], 'x': 1}),
        "'strides', 'x'",
    ),
    'folder to write to is a file': (
        lambda p: io.save(io.from_dict(GOOD), _file(p, '', 'f') / 'x.json'),
        'cannot be written',
    ),
    'meta that is not JSON': (
        lambda p: io.save(Connectivity([2], {'D1': ['E1']}, {'x': np.zeros(2)}), p / 'x.json'),
        'meta: expected plain JSON values',
    ),
    'mask of other size': (
        lambda p: io.from_npy(_mask(), [2]),
        r'boolean array of shape \(1, 1, 2\) for 1 strides, got bool \(2, 2, 2\)',
    ),
    'mask of numbers': (lambda p: io.from_npy(np.ones((1, 1, 2)), [2]), 'got float64'),
    'mask with an impossible connection': (
        lambda p: io.from_npy(_mask((0, 1, 0)), [2, 4]),
        r'mask\[0, 1, 0\] stands for E1 -> D2, which is no connection',
    ),
    'mask without D1': (lambda p: io.from_npy(_mask((0, 0, 0)), [2, 4]), 'no connection reaches'),
    'mask file that is none': (
        lambda p: io.from_npy(_file(p, 'text', 'm.npy'), [2]),
        r'm\.npy: not a readable \.npy file',
    ),
    'a mask that says it is huge': (
        lambda p: io.from_npy(_file(p, npy((40_000, 40_000, 2)), 'm.npy'), [2]),
        r'm\.npy: not a readable \.npy file .*shape \(40000, 40000, 2\) in 0 bytes',
    ),
    'a mask whose header is no header': (
        lambda p: io.from_npy(_file(p, npy('(' * 90), 'm.npy'), [2]),
        r'm\.npy: not a readable \.npy file',
    ),
    'a mask file of numbers': (
        lambda p: io.from_npy(_file(p, npy((1, 1, 2), bytes(2), "'|u1'"), 'm.npy'), [2]),
        r'm\.npy: .*expected booleans, got uint8',
    ),
    'a mask file of other size': (
        lambda p: io.from_npy(_file(p, npy((1, 1, 2), bytes(2)), 'm.npy'), [2, 4]),
        r'm\.npy: mask: expected a boolean array of shape \(2, 2, 2\)',
    ),
    'a large mask file': (
        lambda p: io.from_npy(_file(p, bytes(2_000_000), 'm.npy'), [2]),
        r'm\.npy: not a readable \.npy file \(more than',
    ),
    'empty mask file': (lambda p: io.from_npy(_file(p, '', 'm.npy'), [2]), r'm\.npy: not a read'),
    'missing mask file': (lambda p: io.from_npy(p / 'm.npy', [2]), r'm\.npy: not a readable'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name, tmp_path):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call(tmp_path)
    assert not [f for f in os.listdir(tmp_path) if f not in ('x.json', 'f', 'm.npy')]


def test_an_archive_is_no_mask(tmp_path):
    np.savez(tmp_path / 'm.npz', a=np.zeros(1))
    with pytest.raises(ValueError, match=r'm\.npz: .*expected one array, got an \.npz'):
        io.from_npy(tmp_path / 'm.npz', [2])
