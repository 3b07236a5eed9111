"""Reading checkpoints without running what is in them."""

from __future__ import annotations

import os
import pickle
from typing import Any

import torch

from mmseg_sparsemask.utils.toolbox import allow_checkpoint_types


def load_checkpoint(path: str | os.PathLike[str], trust: bool = False) -> dict[str, Any]:
    """A checkpoint, on the CPU.

    Args:
        path: The file.
        trust: Also read objects, whose reading can run any code; for files of your own.

    Raises:
        ValueError: There is no such file, it is damaged, or it holds more than plain data.
    """
    allow_checkpoint_types()
    try:
        data = torch.load(path, map_location='cpu', weights_only=not trust)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f'{path}: holds more than plain data, or is damaged ({reason}); if you trust where '
            'it comes from, load it with trust=True'
        ) from None
    except (OSError, RuntimeError, EOFError) as error:
        raise ValueError(f'{path}: no readable checkpoint ({error})') from None
    if not isinstance(data, dict):
        raise ValueError(f'{path}: expected a checkpoint (a dict), got {type(data).__name__}')
    return data
