"""What the toolbox needs before it can be used."""

from __future__ import annotations

import importlib.util


def check_toolbox() -> None:
    """Raise an ImportError with the line to run when a part of the toolbox is missing.

    Neither distribution is a hard requirement, because installing one over the other breaks both.
    """
    missing = [
        name
        for name in ('torch', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain')
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ImportError(
            f'mmseg_sparsemask needs MMSegmentation, but {", ".join(missing)} cannot be imported. '
            "Run: pip install 'mmseg-sparsemask[onedl]' (the maintained distribution), or "
            "'mmseg-sparsemask[openmmlab]' (the original one), in an environment that has "
            'neither yet.'
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
