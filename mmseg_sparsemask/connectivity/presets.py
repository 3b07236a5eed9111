"""Connectivities that need no search: the baselines, and the architecture of the paper.

A preset is a function from strides to a Connectivity. To add one, write it here and add it to
`PRESETS`.
"""

from __future__ import annotations

import itertools
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
    levels = range(1, len(strides) + 1)
    stages = {stage_name(level): [encoder_name(level), stage_name(level + 1)] for level in levels}
    stages[stage_name(len(strides))].pop()  # the coarsest has none below
    return Connectivity(strides, stages, {'source': 'preset unet'})


def flat(strides: Sequence[int]) -> Connectivity:
    """The plain sum: ``D1`` takes every encoder feature, and is the only stage."""
    stages = {'D1': [encoder_name(level) for level in range(1, len(strides) + 1)]}
    return Connectivity(strides, stages, {'source': 'preset flat'})


def segformer(strides: Sequence[int]) -> Connectivity:
    """The graph of SegFormer's head (Xie et al., NeurIPS 2021, Section 3.2).

    Each of the `pyramid_levels` has a stage of its own, and ``D1`` takes all of these. Where ``E1``
    is one of them, ``D1`` takes ``E1`` itself. If ``E1`` has the stride of the finest of them, this
    is that head's arithmetic with ReLU for ReLU6 and encoder features that are not activated.
    """
    return _pyramid(strides, 'segformer', top_down=False)


def fpn(strides: Sequence[int]) -> Connectivity:
    """The graph of semantic FPN (Kirillov et al., "Panoptic feature pyramid networks", CVPR 2019).

    As `segformer`, and each stage takes the next coarser one, too. What that paper's head has
    beyond the graph (3x3 convolutions, upsampling in steps) is not in it.
    """
    return _pyramid(strides, 'fpn', top_down=True)


def _pyramid(strides: Sequence[int], name: str, top_down: bool) -> Connectivity:
    levels = pyramid_levels(strides)
    stages = {stage_name(level): [encoder_name(level)] for level in levels}
    if top_down:
        for finer, coarser in itertools.pairwise(levels):
            stages[stage_name(finer)].append(stage_name(coarser))
    into_last = stages.setdefault('D1', [])
    coarse = [stage for stage in stages if stage != 'D1']
    into_last += [stage for stage in coarse if stage not in into_last]
    return Connectivity(strides, stages, {'source': f'preset {name}'})


def pyramid_levels(strides: Sequence[int]) -> list[int]:
    """Levels of the features that a head for four levels takes: for each stride from 4 on the last.

    Where ``EL`` and the feature before it have one stride, ``EL`` does not count: it is the wide
    convolution that classifiers end with (1,280 channels in MobileNet-V2 and EfficientNet). Without
    a stride from 4 on all strides count.

    Examples:
        >>> pyramid_levels((2, 2, 4, 8, 16, 16, 32, 32, 32))
        [3, 4, 6, 8]
    """
    last = len(strides) - (strides[-2:-1] == strides[-1:])
    levels = {stride: level for level, stride in enumerate(strides[:last], 1)}
    coarse = [level for stride, level in levels.items() if stride >= 4]
    return sorted(coarse or levels.values())


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
    'flat': flat,
    'segformer': segformer,
    'fpn': fpn,
    'sparse_acn': sparse_acn,
}

#: Found architectures, which have strides of their own (`transfer` puts them on others).
ARCHITECTURES: dict[str, Callable[[], Connectivity]] = {'sparsemask_mbv2_voc': sparsemask_mbv2_voc}


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
