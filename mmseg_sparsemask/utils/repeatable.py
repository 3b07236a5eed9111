"""What a computation was made of, as a short hash, and random numbers that come again."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


def weights_digest(module: nn.Module) -> str:
    """A hash of all parameters and buffers of a module, names included.

    Buffers that say where a run is (`models.run_state`) do not count.
    """
    counted = {
        f'{prefix}.{name}'.removeprefix('.')
        for prefix, part in module.named_modules()
        for name in getattr(part, 'run_state', ())
    }
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if name in counted:
            continue
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def encoder_digest(model: Any) -> str:
    """A hash of what computes a segmentor's features: its backbone, and its neck if it has one."""
    return weights_digest(
        nn.ModuleList([model.backbone, *([model.neck] if model.with_neck else [])])
    )


def fingerprint_key(fingerprint: Mapping[str, Any]) -> str:
    """The name of what was computed from something: sixteen hex digits."""
    text = json.dumps(fingerprint, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def seeded(*seeds: int) -> Iterator[None]:
    """Draw from fixed random states inside, and leave the outer ones as they were."""
    outer = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        value = int(np.random.SeedSequence(list(seeds)).generate_state(1)[0])
        random.seed(value)
        np.random.seed(value)
        torch.manual_seed(value)
        try:
            yield
        finally:
            random.setstate(outer[0])
            np.random.set_state(outer[1])
