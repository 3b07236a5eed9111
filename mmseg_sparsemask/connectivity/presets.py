"""Connectivities that need no search: the baselines, and the architecture of the paper.

A preset is a function from strides to a Connectivity. To add one, write it here and add it to
`PRESETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmseg_sparsemask.connectivity.graph import (
    GLOBAL,
    Connection,
    Connectivity,
    all_connections,
    check_strides,
    encoder_name,
    stage_name,
)
from mmseg_sparsemask.connectivity.prune import drop_unreachable, is_allowed

#: Strides of the nine features of MobileNet-V2: conv1, the seven bottleneck stages, conv2.
MBV2_STRIDES = (2, 2, 4, 8, 16, 16, 32, 32, 32)

#: Channels of the same features.
MBV2_CHANNELS = (32, 16, 24, 32, 64, 96, 160, 320, 1280)


def fdn(strides: Sequence[int]) -> Connectivity:
    """The Fully Dense Network: all L(L+1) connections (SparseMask, Section 3.1)."""
    return Connectivity.from_connections(
        strides, all_connections(len(strides)), {'source': 'preset fdn'}
    )


def unet(strides: Sequence[int]) -> Connectivity:
    """U-Net: ``DL`` takes ``EL``; ``Dl`` takes ``El`` and ``D(l+1)``; no ``G``."""
    num_levels = len(strides)
    stages = {
        stage_name(level): [encoder_name(level)]
        + ([stage_name(level + 1)] if level < num_levels else [])
        for level in range(num_levels, 0, -1)
    }
    return Connectivity(strides, stages, {'source': 'preset unet'})


def sparse_acn(strides: Sequence[int]) -> Connectivity:
    """SparseACN (Zhu et al., "Sparsely aggregated convolutional networks", ECCV 2018).

    With E1 .. EL, G, DL .. D1 in one line, a stage takes the features 1, 2, 4, 8, 16, ... places
    before it, as far as the Fully Dense Network has that connection.
    """
    num_levels = len(strides)
    levels = range(1, num_levels + 1)
    line = [*map(encoder_name, levels), GLOBAL, *map(stage_name, reversed(levels))]
    connections = []
    for place in range(num_levels + 1, len(line)):
        step = 1
        while step <= place:
            connection = Connection(line[place - step], line[place])
            if is_allowed(connection, num_levels):
                connections.append(connection)
            step *= 2
    return Connectivity.from_connections(
        strides, drop_unreachable(connections), {'source': 'preset sparse_acn'}
    )


def sparsemask_mbv2_voc() -> Connectivity:
    """What SparseMask's search found on VOC 2012 with MobileNet-V2 (the paper's architecture)."""
    return Connectivity(
        MBV2_STRIDES,
        {
            'D8': ['E9', 'G'],
            'D7': ['E7', 'G'],
            'D6': ['E6', 'G'],
            'D1': ['E1', 'E6', 'E7', 'E8', 'E9', 'D6', 'D7', 'D8', 'G'],
        },
        {'source': 'SparseMask, arXiv 1904.07642: VOC 2012, MobileNet-V2'},
    )


#: Presets for any strides.
PRESETS: dict[str, Callable[[Sequence[int]], Connectivity]] = {
    'fdn': fdn,
    'unet': unet,
    'sparse_acn': sparse_acn,
}

#: Found architectures, which have strides of their own (`transfer` puts them on others).
ARCHITECTURES: dict[str, Callable[[], Connectivity]] = {
    'sparsemask_mbv2_voc': sparsemask_mbv2_voc,
}


def preset(name: str, strides: Sequence[int] | None = None) -> Connectivity:
    """A preset by name.

    Args:
        name: A key of `PRESETS` or `ARCHITECTURES`.
        strides: Needed by the former; the latter have their own.

    Raises:
        ValueError: Unknown name, or strides missing or not positive integers.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]()
    if name not in PRESETS:
        known = ', '.join([*PRESETS, *ARCHITECTURES])
        raise ValueError(
            f'unknown preset {name!r}: expected one of {known}, or the path of a connectivity.json'
        )
    if strides is None:
        raise ValueError(f"preset {name!r} needs strides: give the backbone features' strides")
    return PRESETS[name](check_strides(strides))
