"""Searched decoders for MMSegmentation.

Importing this package registers everything in it with the toolbox; in a config,
``custom_imports = dict(imports=['mmseg_sparsemask'])`` does that.
"""

from mmseg_sparsemask.utils.toolbox import (
    allow_checkpoint_types,
    check_toolbox,
    import_toolbox,
    register_package,
)
from mmseg_sparsemask.version import __version__

check_toolbox()
import_toolbox()
allow_checkpoint_types()
register_package()

from mmseg_sparsemask import (  # noqa: E402
    binary_maps,
    datasets,
    dpc,
    edges,
    launch,
    models,
    registry,
    saliency,
    search,
)

__all__ = [
    '__version__',
    'binary_maps',
    'datasets',
    'dpc',
    'edges',
    'launch',
    'models',
    'registry',
    'saliency',
    'search',
]
