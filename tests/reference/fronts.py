"""A small supernet that is made to be cut, and tools/front.py on it."""

import runpy

from mmengine.runner import Runner
from reference import tiny

from mmseg_sparsemask.connectivity import DecoderShape, preset
from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.latency import LatencyTable

#: Of a config of `tiny`: four images are held back.
MORE = """
model['decode_head'].update(connections=dict(type='SampledConnections'), loss_connectivity=None)
train_dataloader['dataset']['indices'] = 20
val_cfg = val_dataloader = val_evaluator = None
"""


def searched(folder, iterations, more=MORE):
    """Work directory of a search with a config of `tiny`, trained."""
    config = tiny.write_configs(folder, iterations=iterations, more=more)
    Runner.from_cfg(tiny.load(config, folder / 'w')).train()
    return folder / 'w'


def run(*arguments):
    """The tool, in this process."""
    return runpy.run_path(str(tiny.ROOT / 'tools/front.py'))['main']([str(a) for a in arguments])


def write_table(path, channels=8, **meta):
    """A latency table of the search space of `tiny`; return its costs."""
    strides = (2, 4, 8, 16, 32)
    space, shape = preset('fdn', strides), DecoderShape(strides, (8, 8, 16, 32, 64), channels, 8)
    costs = PartCosts(
        {c: 0.1 * (1 + place % 7) for place, c in enumerate(space)},
        dict.fromkeys(space.stages, 0.2),
        0.3,
    )
    LatencyTable(costs, shape, (32, 32), 'cpu', 1, meta).save(path)
    return costs
