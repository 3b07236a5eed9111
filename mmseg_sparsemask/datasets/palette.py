"""Colours of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def voc_palette(count: int = 256) -> list[tuple[int, int, int]]:
    """The VOC development kit's RGB colours of the labels 0 .. count - 1.

    The bits of a label go to the three channels in turn, from the highest bit of each down.
    """
    colours = []
    for label in range(count):
        channels = [0, 0, 0]
        for bit in range(24):
            channels[bit % 3] |= ((label >> bit) & 1) << (7 - bit // 3)
        colours.append((channels[0], channels[1], channels[2]))
    return colours


def colour_table(palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Colours of all labels of eight bits, (256, 3) uint8; black for those without one."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table
