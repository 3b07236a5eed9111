"""What the toolbox needs before it can be used."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import warnings

from mmseg_sparsemask.utils.extras import add_extras

#: What `mmseg.datasets`, `mmseg.datasets.transforms` and `mmpretrain.datasets` of the maintained
#: distribution print, once each, where its data platform is not installed.
NEEDLESS_LINE = 'Could not import OneDL'

#: How a warning begins that mmcv-lite gives at import: of a module that nothing here uses.
NEEDLESS_WARNING = 'Fail to import ``MultiScaleDeformableAttention``'

#: This package in ``package::config``, and the scope of its registries.
SCOPE = 'mmseg_sparsemask'


#: The toolbox, and torch that it runs on.
PARTS = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'torch')


def has_toolbox() -> bool:
    """Whether any part of the toolbox is installed; torch alone is none."""
    return any(importlib.util.find_spec(name) for name in PARTS[:-1])


def check_toolbox() -> None:
    """Raise an ImportError with the line to run when a part of the toolbox is missing.

    Neither distribution is a hard requirement, because installing one over the other breaks both.
    """
    missing = [name for name in PARTS if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f'mmseg_sparsemask needs MMSegmentation, but {", ".join(missing)} cannot be imported. '
            f'Run: {add_extras("onedl")} (the maintained distribution), or '
            f'{add_extras("openmmlab")} (the original one), in an environment that has neither yet.'
        )


def allow_checkpoint_types() -> None:
    """Let torch load what the toolbox's runner puts into checkpoints.

    That is more than tensors: NumPy scalars, and HistoryBuffers with references to their methods.
    ``torch.load(weights_only=True)`` refuses them: the maintained toolbox then warns and loads
    unsafely, the original one fails on resume and test.
    """
    import numpy as np
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer

    def method_of_history_buffer(owner: object, name: str) -> object:
        if owner is not HistoryBuffer:
            raise ValueError(f'expected a method of HistoryBuffer, got {name!r} of {owner!r}')
        return getattr(HistoryBuffer, name)

    dtypes = {type(np.dtype(kind)) for kind in ('f8', 'f4', 'i8', 'i4', 'u8', 'b1')}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.float64(0).__reduce__()[0],
            np.zeros(0).__reduce__()[0],
            np.ndarray,
            np.dtype,
            *dtypes,
            # A pickled method is getattr(class, name); this one serves that class alone.
            (method_of_history_buffer, 'builtins.getattr'),
        ]
    )


def import_toolbox() -> None:
    """Import the parts of the toolbox that print lines that say nothing to a user.

    The maintained distribution reports at level DEBUG that its data platform is missing, but
    without a logger, so that the line is printed; mmcv-lite warns of an operation that it lacks.
    All else that is printed meanwhile is passed on.
    """
    # Its progress bar keeps writing to what was the output when it was imported.
    import mmengine  # noqa: F401

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.filterwarnings('ignore', NEEDLESS_WARNING)
            for name in ('mmseg.datasets', 'mmpretrain.datasets', 'mmseg.models'):
                importlib.import_module(name)
    finally:
        for line in said.getvalue().splitlines():
            if line.strip() != NEEDLESS_LINE:
                print(line)


def register_package() -> None:
    """Let the toolbox find this package by its name.

    MMEngine resolves ``package::config`` for the packages of one table alone, which gets an entry
    for this one (`mmseg_sparsemask.registry` has what else the name needs). The maintained
    distribution's table names the original distribution for ``mmseg``, which makes
    ``mmseg::config`` fail; that entry is mended. Where MMEngine has no such table, nothing is done.
    """
    try:
        from mmengine.config.utils import MODULE2PACKAGE
    except ImportError:
        return
    # The module's name and not the distribution's: an editable installation is found by it alone.
    MODULE2PACKAGE.setdefault(SCOPE, SCOPE)
    if not _installed('mmsegmentation') and _installed('onedl-mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'onedl-mmsegmentation'


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
