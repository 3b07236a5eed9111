"""Searched decoders for MMSegmentation.

Importing this package registers everything in it with the toolbox; in a config,
``custom_imports = dict(imports=['mmseg_sparsemask'])`` does that.
"""

from mmseg_sparsemask.utils.toolbox import allow_checkpoint_types, check_toolbox
from mmseg_sparsemask.version import __version__

check_toolbox()
allow_checkpoint_types()

from mmseg_sparsemask import (  # noqa: E402
    datasets,
    dpc,
    edges,
    engine,
    evaluation,
    models,
    saliency,
)

__all__ = [
    '__version__',
    'datasets',
    'dpc',
    'edges',
    'engine',
    'evaluation',
    'models',
    'saliency',
]
