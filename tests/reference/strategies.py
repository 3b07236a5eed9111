"""Hypothesis strategies for connectivities; they need neither torch nor the toolbox."""

from hypothesis import strategies as st

from mmseg_sparsemask.connectivity.graph import (
    Connectivity,
    all_connections,
    allowed_sources,
    stage_name,
)

STRIDES = (1, 2, 4, 8, 16, 32, 64)


@st.composite
def stride_lists(draw, min_levels=1, max_levels=6, monotone=False, distinct=False, choices=STRIDES):
    """Strides of E1 .. EL.

    Args:
        draw: Given by hypothesis.
        min_levels: Smallest L.
        max_levels: Largest L.
        monotone: Only lists that never fall.
        distinct: Only lists without repetition.
        choices: What a stride may be.
    """
    strides = draw(
        st.lists(
            st.sampled_from(choices), min_size=min_levels, max_size=max_levels, unique=distinct
        )
    )
    return tuple(sorted(strides) if monotone else strides)


@st.composite
def connectivities(draw, min_levels=1, max_levels=6, strides=None, monotone=False, distinct=False):
    """Valid connectivities, built stage by stage from their end down, without any pruning.

    Args:
        draw: Given by hypothesis.
        min_levels: Smallest L.
        max_levels: Largest L.
        strides: These and no others; the four arguments around are then not used.
        monotone: Strides never fall.
        distinct: Strides do not repeat.
    """
    if strides is None:
        strides = draw(stride_lists(min_levels, max_levels, monotone, distinct))
    stages = {}
    wanted = {stage_name(draw(st.integers(1, len(strides))))}
    for level in range(1, len(strides) + 1):
        stage = stage_name(level)
        if stage not in wanted:
            continue
        sources = allowed_sources(level, len(strides))
        stages[stage] = draw(st.sets(st.sampled_from(sources), min_size=1))
        wanted |= stages[stage]
    return Connectivity(strides, stages)


@st.composite
def connection_weights(draw, min_levels=1, max_levels=5):
    """(strides, weights of every connection), weights in [0, 1] with many exact zeros."""
    strides = draw(stride_lists(min_levels, max_levels))
    weight = st.one_of(st.just(0.0), st.floats(0, 1))
    connections = all_connections(len(strides))
    values = draw(st.lists(weight, min_size=len(connections), max_size=len(connections)))
    return strides, dict(zip(connections, values))
