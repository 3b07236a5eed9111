"""Searched decoders for MMSegmentation.

Importing this package registers everything in it with the toolbox; in a config,
``custom_imports = dict(imports=['mmseg_sparsemask'])`` does that. Where no part of the toolbox is
installed, nothing is registered: `mmseg_sparsemask.connectivity`, and what
`mmseg_sparsemask.deployment` has for ONNX files, need NumPy, OpenCV, Pillow and onnxruntime alone.
"""

from typing import Any

from mmseg_sparsemask.utils.toolbox import (
    allow_checkpoint_types,
    check_toolbox,
    has_toolbox,
    import_toolbox,
    register_package,
)
from mmseg_sparsemask.version import __version__

__all__ = ['__version__']

if has_toolbox():
    check_toolbox()
    import_toolbox()
    allow_checkpoint_types()
    register_package()

    from mmseg_sparsemask import (
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

    __all__ += [
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


def __getattr__(name: str) -> Any:
    if not name.startswith('_'):
        check_toolbox()
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
