"""The record of a search, for its page."""

import random

from mmseg_sparsemask.connectivity import DecoderShape, preset, prune
from mmseg_sparsemask.report import SearchRecord, Step

STRIDES = (2, 4, 8, 16)
CHANNELS = (16, 24, 32, 64)
SHAPE = DecoderShape(STRIDES, CHANNELS, 8, 3)
SIZE = (65, 97)


def search_record(**changes):
    """Six records of a search of four features, with some of its values changed."""
    space = preset('fdn', STRIDES)
    rng = random.Random(1)
    rows = [[10 ** rng.uniform(-5, 0) for _ in space] for _ in range(6)]
    rows[2][-1] = 0.001  # exactly one of the slider's thresholds
    values = dict(
        name='a search',
        connectivity=prune(dict(zip(space, rows[-1])), STRIDES, 0.02),
        strides=STRIDES,
        connections=list(space),
        steps=[0, 10, 20, 30, 40, 50],
        weights=rows,
        threshold=0.02,
        merge=False,
        costs=SHAPE.part_costs(space, SIZE),
        image_size=SIZE,
        budgets={'parameters': 9000.0},
        scores=[(20, 41.5), (50, 55.25)],
        score_name='mIoU',
        settings={'data set': 'shapes'},
        commands=[Step('python tools/train.py retrain.py', 'train it')],
    )
    return SearchRecord(**{**values, **changes})
