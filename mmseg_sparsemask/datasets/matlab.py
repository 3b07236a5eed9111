"""Reading MATLAB files of versions 5 to 7 without a line of C that trusts them.

SciPy's reader follows the numbers in a file as they come: a damaged one can end the process or
fill the memory. Annotations come from elsewhere, so everything here is bounded by the bytes that
are there. The layout is that of "MAT-File Format" (The MathWorks), chapter "Level 5 MAT-Files".
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np

#: What a file may unpack to, in bytes.
MAX_BYTES = 2**28
#: How deep cells and structures may lie in one another; BSDS500 has two levels, PASCAL-Part four.
MAX_DEPTH = 16
#: How many elements a file may hold.
MAX_ELEMENTS = 2**17

_HEADER, _TAG = 128, 8
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8'}
_NUMBERS |= {13: 'u8', 16: 'u1', 17: 'u2', 18: 'u4'}
_ENCODINGS = {16: 'utf-8', 17: 'utf-16', 18: 'utf-32'}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_ARRAYS = {6: 'f8', 7: 'f4', 8: 'i1', 9: 'u1', 10: 'i2', 11: 'u2', 12: 'i4', 13: 'u4', 14: 'i8'}
_ARRAYS |= {15: 'u8'}
_COMPLEX, _LOGICAL = 0x0800, 0x0200


class _Damaged(Exception):
    """What is wrong with a file."""


def parse_mat(data: bytes, name: str, logical: bool = False) -> dict[str, Any]:
    """The variables of a MATLAB file.

    Args:
        data: Content of the file.
        name: Name of the file, for error messages.
        logical: Give logical arrays as booleans, not as the bytes that they are stored in.

    Returns:
        Variables by name. Numbers are arrays, text is a string, a cell array is an array of
        objects, a structure array is an array of dictionaries, each of at least two dimensions.

    Raises:
        ValueError: No such file, a damaged or an outsized one, or one with sparse matrices or
            objects of a class, which this does not read.
    """
    try:
        return _Reader(data, logical).variables()
    except _Damaged as error:
        raise ValueError(
            f'{name} is not a MATLAB file of versions 5 to 7 that can be read ({error}); '
            'get it again, save it with -v7, or use PNG'
        ) from None


class _Reader:
    """Reads one file; ``order`` is ``'<'`` or ``'>'``, as ``struct`` writes byte orders."""

    def __init__(self, data: bytes, logical: bool) -> None:
        if data[:8] == b'\x89HDF\r\n\x1a\n' or data[124:128] in (b'\x00\x02IM', b'\x02\x00MI'):
            raise _Damaged('it is of version 7.3')
        if len(data) < _HEADER or data[124:128] not in (b'\x00\x01IM', b'\x01\x00MI'):
            raise _Damaged('the header is another')
        if len(data) > MAX_BYTES:
            raise _Damaged(f'it is larger than {MAX_BYTES} bytes')
        self.order = '<' if data[126:128] == b'IM' else '>'
        self.data = memoryview(data)[_HEADER:]
        self.logical = logical
        self.unpacked = len(data)
        self.elements = 0

    def variables(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        rest = self.data
        while len(rest):
            kind, body, rest = self.element(rest)
            if kind == _COMPRESSED:
                kind, body, _ = self.element(self.unpack(body))
            if kind != _MATRIX:
                raise _Damaged(f'a variable is of type {kind}')
            name, value = self.matrix(body, depth=0)
            if name in found:
                raise _Damaged(f'the variable {name!r} appears twice')
            if name:  # MATLAB adds a nameless one with what functions need
                found[name] = value
        return found

    def unpack(self, packed: memoryview) -> memoryview:
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(packed, MAX_BYTES - self.unpacked + 1)
        except zlib.error as error:
            raise _Damaged(f'packed data: {error}') from None
        self.charge(len(data))
        if not stream.eof:
            raise _Damaged('packed data end early')
        return memoryview(data)

    def charge(self, size: int) -> None:
        self.unpacked += max(size, 0)
        if self.unpacked > MAX_BYTES:
            raise _Damaged(f'it unpacks to more than {MAX_BYTES} bytes')

    def element(self, data: memoryview) -> tuple[int, memoryview, memoryview]:
        """Type and bytes of the first element, and what follows it."""
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise _Damaged(f'it holds more than {MAX_ELEMENTS} elements')
        if len(data) < _TAG:
            raise _Damaged('it ends early')
        kind, size = struct.unpack_from(f'{self.order}II', data)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size, start, end = kind & 0xFFFF, kind >> 16, 4, _TAG
        else:
            start, end = _TAG, _TAG + size
            if kind != _COMPRESSED:
                end += -size % 8
        if start + size > min(end, len(data)):
            raise _Damaged(f'an element of {size} bytes stands where {len(data)} are left')
        return kind, data[start : start + size], data[end:]

    def numbers(self, data: memoryview) -> tuple[np.ndarray, memoryview, int]:
        """The first element as a flat array, what follows it, and its type."""
        kind, body, rest = self.element(data)
        if kind not in _NUMBERS:
            raise _Damaged(f'numbers of type {kind}')
        dtype = np.dtype(self.order + _NUMBERS[kind])
        if len(body) % dtype.itemsize:
            raise _Damaged(f'{len(body)} bytes of {dtype}')
        return np.frombuffer(body, dtype), rest, kind

    def matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """Name and value of an array from the bytes of its element."""
        if depth > MAX_DEPTH:
            raise _Damaged(f'cells and structures lie more than {MAX_DEPTH} deep')
        if not len(data):  # as MATLAB writes what was never set
            return '', np.zeros((0, 0))
        flags, data, _ = self.numbers(data)
        dims, data, _ = self.numbers(data)
        name, data = self.text(data)
        if len(flags) != 2 or flags.dtype.kind != 'u' or flags.itemsize != 4:
            raise _Damaged('the flags of an array')
        shape = tuple(int(n) for n in dims)
        known = 2 <= len(shape) <= 8 and dims.dtype.kind != 'f' and min(shape) >= 0
        if not known or math.prod(max(n, 1) for n in shape) > MAX_BYTES:
            raise _Damaged(f'an array of size {shape[:9]}')
        kind, size = int(flags[0]) & 0xFF, math.prod(shape)
        if kind == _CELL:
            return name, self.cells(data, shape, size, depth)
        if kind == _STRUCT:
            return name, self.structures(data, shape, size, depth)
        if kind == _CHAR or kind in _ARRAYS:
            values, data, stored = self.numbers(data)
            if kind == _CHAR:
                return name, _string(values, stored)
            if int(flags[0]) & _COMPLEX:
                raise _Damaged('complex numbers')
            if values.size != size:
                raise _Damaged(f'{values.size} numbers in an array of size {shape}')
            # Real numbers may be stored as bytes, an eighth of what they take here.
            self.charge(size * np.dtype(_ARRAYS[kind]).itemsize - values.nbytes)
            with np.errstate(invalid='ignore'):  # stored as real numbers, meant as integers
                values = values.astype(_ARRAYS[kind])
            if self.logical and int(flags[0]) & _LOGICAL:
                values = values.astype(bool)
            return name, values.reshape(shape, order='F')
        raise _Damaged(f'{name or "a value"} is of class {kind}: sparse, a function or an object')

    def text(self, data: memoryview) -> tuple[str, memoryview]:
        values, rest, _ = self.numbers(data)
        if values.itemsize != 1 or len(values) > 63:
            raise _Damaged('a name')
        return values.tobytes().decode('latin-1'), rest

    def cells(self, data: memoryview, shape: tuple[int, ...], size: int, depth: int) -> np.ndarray:
        self.check_count(data, size)
        cells = np.empty(size, dtype=object)
        for index in range(size):
            cells[index], data = self.value(data, depth)
        return cells.reshape(shape, order='F')

    def structures(
        self, data: memoryview, shape: tuple[int, ...], size: int, depth: int
    ) -> np.ndarray:
        lengths, data, _ = self.numbers(data)
        names, data, _ = self.numbers(data)
        if len(lengths) != 1 or lengths.dtype.kind == 'f' or not 0 < int(lengths[0]) <= 64:
            raise _Damaged('the names of fields')
        length = int(lengths[0])
        table = names.tobytes()
        if len(table) % length:
            raise _Damaged('the names of fields')
        starts = range(0, len(table), length)
        fields = [table[i : i + length].split(b'\0')[0].decode('latin-1') for i in starts]
        if len(set(fields)) < len(fields):
            raise _Damaged('a field appears twice')
        self.check_count(data, size * max(len(fields), 1))
        found = np.empty(size, dtype=object)
        for index in range(size):
            found[index] = values = {}
            for field in fields:
                values[field], data = self.value(data, depth)
        return found.reshape(shape, order='F')

    def value(self, data: memoryview, depth: int) -> tuple[Any, memoryview]:
        kind, body, rest = self.element(data)
        if kind != _MATRIX:
            raise _Damaged(f'a value is of type {kind}')
        return self.matrix(body, depth + 1)[1], rest

    def check_count(self, data: memoryview, count: int) -> None:
        """Refuse more values than there are tags for, before room is made for them."""
        if count > len(data) // _TAG:
            raise _Damaged(f'{count} values in {len(data)} bytes')


def _string(values: np.ndarray, stored: int) -> str:
    if stored in _ENCODINGS:
        order = {'<': '-le', '>': '-be'}.get(values.dtype.str[0], '')
        return values.tobytes().decode(_ENCODINGS[stored] + order, errors='replace')
    if values.dtype.kind == 'f' or values.itemsize > 2:
        raise _Damaged('characters')
    return ''.join(chr(code) for code in values.astype(np.uint16))
