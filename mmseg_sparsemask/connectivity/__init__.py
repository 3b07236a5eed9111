"""Connectivity of a decoder as data: no torch, no toolbox.

`graph` says what it is, `prune` makes one from weights, `presets` has those that need no search,
`transfer` puts one on another backbone, `shape` counts what one costs, `io` reads and writes,
`draw` shows.
"""

from mmseg_sparsemask.connectivity.cost import Cost
from mmseg_sparsemask.connectivity.graph import (
    GLOBAL,
    Connection,
    Connectivity,
    Feature,
    all_connections,
    allowed_sources,
)
from mmseg_sparsemask.connectivity.io import (
    from_dict,
    from_npy,
    load,
    resolve,
    save,
    to_dict,
    to_npy,
)
from mmseg_sparsemask.connectivity.presets import ARCHITECTURES, PRESETS, preset
from mmseg_sparsemask.connectivity.prune import prune
from mmseg_sparsemask.connectivity.shape import DecoderShape
from mmseg_sparsemask.connectivity.transfer import transfer, transfer_report

__all__ = [
    'ARCHITECTURES',
    'GLOBAL',
    'PRESETS',
    'Connection',
    'Connectivity',
    'Cost',
    'DecoderShape',
    'Feature',
    'all_connections',
    'allowed_sources',
    'from_dict',
    'from_npy',
    'load',
    'preset',
    'prune',
    'resolve',
    'save',
    'to_dict',
    'to_npy',
    'transfer',
    'transfer_report',
]
