"""Checkpoints as data: nothing in a file is run unless its reader says that it may be trusted."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_sparsemask.utils.files import replacing
from mmseg_sparsemask.utils.toolbox import allow_checkpoint_types

if TYPE_CHECKING:
    from torch import nn

#: The file in which MMSegmentation names the checkpoint that it wrote last.
LAST_CHECKPOINT = 'last_checkpoint'

_AUXILIARY = re.compile(r'(module\.)?auxiliary_head\.')


def load_checkpoint(path: str | os.PathLike[str], trust: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    A pickle can run any program while it is read. So only tensors and plain data are accepted,
    unless the caller trusts whoever made the file.

    Args:
        path: A file, or an ``http(s)://`` address; trusted, whatever MMSegmentation reads.
        trust: Read it as MMSegmentation does, pickled objects included.

    Returns:
        Its content. ``meta``, ``state_dict`` and ``message_hub`` are dicts, or not there.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, is no checkpoint, or holds more than data.
    """
    name = os.fspath(path)
    if trust:
        from mmengine.runner.checkpoint import _load_checkpoint

        content = _load_checkpoint(name, map_location='cpu')
    else:
        content = _load_data(name)
    if not isinstance(content, dict):
        raise ValueError(f'{name}: expected a checkpoint, got a {type(content).__name__}')
    content = dict(content)
    for key in ('meta', 'state_dict', 'message_hub'):
        if content.get(key) is None:
            content.pop(key, None)
        elif not isinstance(content[key], dict) or not all(
            isinstance(k, str) for k in content[key]
        ):
            raise ValueError(f'{name}: {key}: expected a dict of names, got {content[key]!r:.80}')
    return content


def _load_data(name: str) -> Any:
    import torch

    # Once MMSegmentation has loaded a checkpoint, it takes back the types it allowed for that.
    allow_checkpoint_types()
    options: dict[str, Any] = {'map_location': 'cpu', 'weights_only': True}
    try:
        if name.startswith(('http://', 'https://')):
            return torch.hub.load_state_dict_from_url(name, progress=False, **options)
        if '://' in name:
            raise ValueError(
                f'{name}: expected a file or an http(s) address; if you trust what it leads to, '
                'say so with --trust-checkpoint'
            )
        return torch.load(name, **options)
    except FileNotFoundError:
        raise FileNotFoundError(f'{name}: does not exist; expected a checkpoint (*.pth)') from None
    except pickle.UnpicklingError as error:
        # Torch's advice around it is to read the file whatever is in it.
        found = re.search(r'WeightsUnpickler error:\s*(.*)', str(error))
        reason = found[1] if found else str(error).splitlines()[0]
        raise ValueError(
            f'{name}: expected tensors and plain data, got something that would run code while it '
            'is read, or a damaged file; if you trust whoever made it, say so with '
            f'--trust-checkpoint ({reason[:300]})'
        ) from None
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f'{name}: cannot be read as a checkpoint; it is damaged or of another kind ({error})'
        ) from None


def load_strictly(model: nn.Module, content: Mapping[str, Any], name: str) -> None:
    """Give a network the weights of a checkpoint that has to be its own.

    Auxiliary heads predict nothing: they stay as they are, whether the checkpoint has any or not.

    Args:
        model: The network, or a wrapper for tests with augmentation.
        content: From `load_checkpoint`.
        name: Name of the file, for messages.

    Raises:
        ValueError: Weights are missing, superfluous or of another shape.
    """
    from mmengine.runner.checkpoint import _load_checkpoint_to_model

    network, weights = getattr(model, 'module', model), content.get('state_dict', content)
    known = {key: value for key, value in weights.items() if not _AUXILIARY.match(key)}
    known |= {key: v for key, v in network.state_dict().items() if _AUXILIARY.match(key)}
    try:
        _load_checkpoint_to_model(network, {'state_dict': known}, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f'the checkpoint {name} does not fit the model of the config: {error}'
        ) from error


def write_checkpoint(
    path: str | os.PathLike[str], state: Mapping[str, Any], meta: Mapping[str, Any]
) -> None:
    """Write a network's weights as a checkpoint without an optimizer; whole or not at all.

    Args:
        path: The file.
        state: Tensors by name, on the CPU.
        meta: Plain values about them.

    Raises:
        ValueError: The folder does not exist or cannot be written to.
    """
    import torch

    with replacing(path) as temporary:
        torch.save({'meta': dict(meta), 'state_dict': dict(state)}, temporary)


def checkpoint_to_resume(work_dir: str | os.PathLike[str]) -> tuple[Path | None, list[str]]:
    """The checkpoint with which a run goes on that was stopped at any moment.

    Args:
        work_dir: The run's. The checkpoint named in ``last_checkpoint`` is looked for there too,
            since the path inside is that of the time of writing.

    Returns:
        The newest that can be read, and why others were passed over. None when the run has not
        yet written any.

    Raises:
        ValueError: The run wrote checkpoints, and none can be read.
    """
    folder = Path(work_dir)
    pointer = folder / LAST_CHECKPOINT
    if not pointer.is_file():
        return None, []
    named = Path(pointer.read_text(errors='replace').strip())
    others = sorted(folder.glob('*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    # The best ones hold no optimiser.
    others = [path for path in others if not path.name.startswith('best_')]
    first = [path for path in (folder / named.name, named) if path.is_file()]
    reasons = [] if first else [f'{named} in {pointer} does not exist']
    for path in dict.fromkeys([*first[:1], *others]):
        try:
            content = load_checkpoint(path)
            missing = {'meta', 'state_dict', 'message_hub', 'optimizer'} - set(content)
            if missing:
                raise ValueError(f'{path}: holds no {", ".join(sorted(missing))}')
            if 'config' in content['meta']:
                raise ValueError(f'{path}: holds a config that resuming would run')
        except (OSError, ValueError) as error:
            reasons.append(str(error))
        else:
            return path, reasons
    raise ValueError(
        f'{folder}: no checkpoint can be resumed from; start anew without --resume, or name a '
        'checkpoint with --cfg-options resume=True load_from=FILE\n  ' + '\n  '.join(reasons)
    )
