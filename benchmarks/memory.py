"""Memory of one step of the search: what forward keeps for backward, and the peak of both.

    python benchmarks/memory.py --threads 2 --json OUT.json

Three figures for each variant of the supernet's decoder in training mode, in MiB:

- `saved`: what autograd saves, as distinct storages, seen by saved-tensor hooks. Parameters,
  running statistics and the encoder's features exist anyway and are not counted.
- `alive`: all that the forward pass allocated and that still exists at its end, but for the logits:
  the same question asked of the allocator.
- `peak`: the most that exists at any time of forward and backward beyond parameters and features.
  On a GPU the allocator's; on a CPU counted operation by operation, without what a kernel allocates
  for itself.
"""

from __future__ import annotations

import gc
import sys

import torch
from common import finish, parse_args, prepare, profile, table
from decoders import Equality
from supernets import Step, check_training, make_steps
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseg_sparsemask.utils.timing import synchronize

MIB = 2**20


def existing(step: Step) -> list[Tensor]:
    """Tensors that are there without the step."""
    return [*step.leaves, *step.buffers]


def saved_bytes(step: Step) -> int:
    """Bytes of the distinct storages that autograd saves in a forward pass."""
    known = {tensor.untyped_storage().data_ptr() for tensor in existing(step)}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = step.forward()
    del logits
    return sum(saved.values())


class Allocations(TorchDispatchMode):
    """Storages that operations make while this is active, and the most that exist at once."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in existing(step)}
        # A weak reference keeps the address of what is gone from being used again.
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation and note what it made."""
        result = func(*args, **(kwargs or {}))
        new = False
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                if storage._cdata not in self.known and storage._cdata not in self.made:
                    self.made[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
                    new = True
        if new:
            self.peak = max(self.peak, self.alive())
        return result

    def alive(self) -> int:
        """Bytes that still exist."""
        self.made = {key: made for key, made in self.made.items() if not made[0].expired()}
        return sum(size for _, size in self.made.values())


def counted(step: Step) -> tuple[int, int]:
    """Bytes alive after the forward pass, and the peak of forward and backward, on a CPU."""
    with Allocations(step) as allocations:
        logits = step.forward()
        alive = allocations.alive() - logits.untyped_storage().nbytes()
        step.backward(logits)
    return alive, allocations.peak


def allocated(step: Step) -> tuple[int, int]:
    """The same on a GPU, from its allocator."""
    synchronize('cuda')
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    logits = step.forward()
    alive = torch.cuda.memory_allocated() - before - logits.untyped_storage().nbytes()
    step.backward(logits)
    synchronize('cuda')
    return alive, torch.cuda.max_memory_allocated() - before


def main() -> int:
    args = parse_args(__doc__, size=256, batch=4, threads=1, rounds=1)
    conditions = prepare(args)
    head, steps = make_steps(
        args.size, args.batch, args.device, args.dtype, compile_mode=args.compile
    )
    equality = Equality()
    check_training(equality, head, steps, args.size, args.batch)
    on_gpu = args.device.startswith('cuda')
    found: dict[str, dict[str, float | None]] = {}
    for name, step in steps.items():
        step()
        gc.collect()
        row: dict[str, float | None] = {
            'saved': saved_bytes(step) / MIB,
            'alive': None,
            'peak': None,
        }
        # A compiled step runs no operations that a dispatch mode could see.
        if on_gpu or name != 'ours, compiled':
            alive, peak = allocated(step) if on_gpu else counted(step)
            row['alive'], row['peak'] = alive / MIB, peak / MIB
        found[name] = row
    references = [name for name in found if name.startswith('naive')]
    best = {
        key: min(references, key=lambda name: found[name][key])
        for key in ('saved', 'alive', 'peak')
    }
    heads, rows = ['variant'], []
    for key in best:
        heads += [f'{key} MiB', 'of naive']
    for name, row in found.items():
        cells = [name]
        for key, reference in best.items():
            share = None if row[key] is None else row[key] / found[reference][key]
            row[f'{key}_of_naive'] = share
            cells += ['-', '-'] if share is None else [f'{row[key]:.1f}', f'{share:.3f}']
        rows.append(cells)
    print(f'\n{table(heads, rows)}')
    if args.profile:
        profile(steps['ours'], args.device, 'ours', calls=3)
    return finish(
        args,
        'memory',
        {
            'conditions': conditions,
            'equality': equality.checks,
            'unit': 'MiB',
            'references': best,
            'variants': found,
        },
    )


if __name__ == '__main__':
    sys.exit(main())
