"""connectivity.json, connectivity in a config, and the masks of the authors' implementation."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmseg_sparsemask.connectivity.controls import from_settings
from mmseg_sparsemask.connectivity.graph import (
    GLOBAL,
    Connection,
    Connectivity,
    check_strides,
    encoder_name,
    level_of,
    stage_name,
)
from mmseg_sparsemask.connectivity.presets import ARCHITECTURES, PRESETS, preset
from mmseg_sparsemask.connectivity.prune import drop_unreachable, is_allowed
from mmseg_sparsemask.connectivity.shape import DecoderShape
from mmseg_sparsemask.connectivity.transfer import transfer
from mmseg_sparsemask.utils.checks import check_keys
from mmseg_sparsemask.utils.files import MAX_DEPTH, is_deep, read_json, write_atomically
from mmseg_sparsemask.utils.tool_command import tool_command

FORMAT = 'sparsemask.connectivity'
VERSION = 1
#: The largest mask that is read; a mask of 64 levels has 8,192 bytes.
MAX_NPY_BYTES = 2**20

#: What stands for a connectivity in a config: see `resolve`.
ConnectivityLike = str | Path | Mapping[str, Any] | Connectivity


def to_dict(connectivity: Connectivity) -> dict[str, Any]:
    """The content of connectivity.json, in plain Python types."""
    return {
        'format': FORMAT,
        'version': VERSION,
        'strides': list(connectivity.strides),
        'stages': {stage: list(sources) for stage, sources in connectivity.stages.items()},
        'meta': dict(connectivity.meta),
    }


def from_dict(data: Mapping[str, Any], where: str = 'connectivity') -> Connectivity:
    """Read the content of connectivity.json.

    Args:
        data: As `to_dict` writes it. ``format``, ``version`` and ``meta`` may be missing, so that
            strides and stages can be written inline in a config.
        where: Put at the start of error messages.

    Raises:
        ValueError: Unknown or missing keys, another format or version, or not a valid
            Connectivity.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f'{where}: expected a JSON object, got {type(data).__name__}')
    check_keys(data, ('format', 'version', 'strides', 'stages', 'meta'), where)
    if is_deep(data):
        raise ValueError(f'{where}: nested more than {MAX_DEPTH} deep')
    if data.get('format', FORMAT) != FORMAT:
        raise ValueError(f'{where}: expected format {FORMAT!r}, got {data["format"]!r}')
    version = data.get('version', VERSION)
    if type(version) is not int or version != VERSION:  # True would equal 1
        raise ValueError(
            f'{where}: expected version {VERSION}, got {version!r}; update '
            'mmseg-sparsemask to read files of later versions'
        )
    for key in ('strides', 'stages'):
        if key not in data:
            raise ValueError(f'{where}: {key!r} is missing')
    if not isinstance(data['stages'], Mapping):
        raise ValueError(
            f"{where}: stages: expected an object such as {{'D1': ['E1', 'G']}}, "
            f'got {data["stages"]!r}'
        )
    meta = data.get('meta', {})
    if not isinstance(meta, Mapping):
        raise ValueError(f'{where}: meta: expected an object, got {meta!r}')
    try:
        return Connectivity(data['strides'], data['stages'], meta)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None


def save(connectivity: Connectivity, path: str | os.PathLike[str]) -> None:
    """Write connectivity.json; the file appears whole or not at all.

    Raises:
        ValueError: `meta` holds what JSON cannot, or the file cannot be written.
    """
    data = to_dict(connectivity)
    if is_deep(data):
        raise ValueError(f'meta: nested more than {MAX_DEPTH} deep')
    try:
        meta = json.dumps(data['meta'], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'meta: expected plain JSON values (strings, finite numbers, lists, dicts): {error}'
        ) from None
    lines = [f'    {json.dumps(s)}: {json.dumps(sources)}' for s, sources in data['stages'].items()]
    stages = ',\n'.join(lines)
    text = (
        f'{{\n  "format": {json.dumps(FORMAT)},\n  "version": {VERSION},\n'
        f'  "strides": {json.dumps(data["strides"])},\n  "stages": {{\n{stages}\n  }},\n'
        f'  "meta": {meta}\n}}\n'
    )
    write_atomically(path, text)


def load(path: str | os.PathLike[str]) -> Connectivity:
    """Read connectivity.json.

    Raises:
        ValueError: Missing, unreadable, not JSON, not a valid Connectivity; or an ``.npy`` mask,
            which says nothing of strides (see `from_npy`).
    """
    path = Path(path)
    if path.suffix == '.npy':
        raise ValueError(
            f"{path}: the authors' masks hold no strides; convert it with "
            f'{tool_command("import_mask")}, which writes a connectivity.json'
        )
    try:
        data = read_json(path)
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be read ({error.strerror}); expected a connectivity.json or the name '
            f'of a preset: {", ".join([*PRESETS, *ARCHITECTURES])}'
        ) from None
    return from_dict(data, str(path))


def resolve(
    spec: ConnectivityLike, strides: Sequence[int] | None = None, shape: DecoderShape | None = None
) -> Connectivity:
    """The Connectivity of any form that a config may hold.

    Args:
        spec: One of

            * a preset's name (`presets.PRESETS`, `presets.ARCHITECTURES`);
            * the path of a connectivity.json (in a config: ``'{{ fileDirname }}/x.json'``, so that
              it is relative to the config);
            * the content of such a file, inline;
            * ``dict(source=<any of these>, strides=[...])``: transferred to those strides;
            * ``dict(source='random', seed=..., parameters=...)``: see `controls.from_settings`.
        strides: Strides of the features it will meet, if known; those of `shape` by default.
        shape: Shape of the head it is for, if known; a random decoder needs it.

    Raises:
        ValueError: None of these; or its strides differ from `strides`.
    """
    if strides is None and shape is not None:
        strides = shape.strides
    if isinstance(spec, Mapping) and spec.get('source') == 'random':
        connectivity = from_settings(spec, shape)
    elif isinstance(spec, Mapping) and 'source' in spec:
        unknown = sorted(set(spec) - {'source', 'strides'})
        if unknown or 'strides' not in spec:
            raise ValueError(
                'connectivity: expected dict(source=..., strides=[...]) for a transfer, '
                f'got the keys {sorted(spec)}'
            )
        source, target = spec['source'], check_strides(spec['strides'])
        fits_any = isinstance(source, str) and source in PRESETS
        connectivity = transfer(resolve(source, target if fits_any else None), target)
    elif isinstance(spec, Connectivity):
        connectivity = spec
    elif isinstance(spec, Mapping):
        connectivity = from_dict(spec)
    elif isinstance(spec, Path) or (isinstance(spec, str) and spec.endswith(('.json', '.npy'))):
        connectivity = load(spec)
    elif isinstance(spec, str):
        connectivity = preset(spec, strides)
    else:
        raise ValueError(
            "connectivity: expected a preset's name, a path, a dict or a Connectivity, "
            f'got {spec!r}'
        )
    if strides is not None and tuple(strides) != connectivity.strides:
        raise ValueError(
            f'connectivity needs strides {list(connectivity.strides)}, the backbone gives '
            f'{list(strides)}; transfer it with connectivity=dict(source=..., '
            f'strides={list(strides)}), and look at the result with {tool_command("transfer")}'
        )
    return connectivity


def from_npy(
    mask: NDArray[np.bool_] | str | os.PathLike[str], strides: Sequence[int]
) -> Connectivity:
    """Read a mask of the authors' implementation.

    Args:
        mask: Boolean array (L, L, 2), or the path of an ``.npy`` file that holds one. Row k is
            stage ``D(L-k)``. Column j is ``E(L-j)`` in the last axis's 0; in its 1 it is ``G`` for
            j = 0 and ``D(L-j+1)`` for j >= 1.
        strides: Stride of ``E1`` .. ``EL``, which the mask does not hold.

    Returns:
        What remains after stages without input or user are dropped.

    Raises:
        ValueError: Wrong shape or type, an entry that stands for no connection, or nothing left.
    """
    if isinstance(mask, (str, os.PathLike)):
        try:
            return from_npy(_load_array(mask), strides)
        except ValueError as error:
            raise ValueError(f'{mask}: {error}') from None
    strides = check_strides(strides)
    num_levels = len(strides)
    if mask.shape != (num_levels, num_levels, 2) or mask.dtype != np.bool_:
        raise ValueError(
            f'mask: expected a boolean array of shape {(num_levels, num_levels, 2)} for '
            f'{num_levels} strides, got {mask.dtype} {mask.shape}'
        )
    connections = set()
    for row, column, kind in np.argwhere(mask).tolist():
        source = encoder_name(num_levels - column)
        if kind == 1:
            source = GLOBAL if column == 0 else stage_name(num_levels - column + 1)
        connection = Connection(source, stage_name(num_levels - row))
        if not is_allowed(connection, num_levels):
            raise ValueError(
                f'mask[{row}, {column}, {kind}] stands for {source} -> {connection.stage}, which '
                'is no connection of the Fully Dense Network'
            )
        connections.add(connection)
    kept = drop_unreachable(connections)
    if not kept:
        raise ValueError('mask: no connection reaches D1')
    return Connectivity.from_connections(strides, kept, {'source': 'imported .npy mask'})


def _load_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    try:
        if os.path.getsize(path) > MAX_NPY_BYTES:
            raise ValueError(f'more than {MAX_NPY_BYTES} bytes')
        data = Path(path).read_bytes()
        if data[:4] == b'PK\x03\x04':
            raise ValueError('expected one array, got an .npz archive')
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f'expected version 1.0 of the format, got {version}')
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        # What the header says is compared with what is there before it takes memory.
        size, left = math.prod(shape), len(data) - file.tell()
        if dtype != np.bool_ or min(shape, default=0) < 0 or size != left:
            raise ValueError(f'expected booleans, got {dtype} of shape {shape} in {left} bytes')
        array = np.frombuffer(data, np.uint8, offset=file.tell())
    except Exception as error:  # NumPy parses the header as Python and lets its errors pass
        raise ValueError(f'not a readable .npy file ({error})') from None
    mask: NDArray[Any] = (array != 0).reshape(shape, order='F' if fortran else 'C')
    return mask


def to_npy(connectivity: Connectivity) -> NDArray[np.bool_]:
    """The authors' form of a Connectivity; the inverse of `from_npy`.

    Raises:
        ValueError: The decoder does not end at ``D1``, as all of that form do.
    """
    if connectivity.end != 'D1':
        raise ValueError(f'mask: expected a decoder that ends at D1, got one at {connectivity.end}')
    num_levels = connectivity.num_levels
    mask = np.zeros((num_levels, num_levels, 2), dtype=np.bool_)
    for source, stage in connectivity:
        column = 0 if source == GLOBAL else num_levels - level_of(source) + (source[0] == 'D')
        mask[num_levels - level_of(stage), column, int(source[0] != 'E')] = True
    return mask
