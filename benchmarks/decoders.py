"""Features, decoders and references that the benchmarks run, and the check that they are equal."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from common import LAYOUTS, ROOT
from mmengine.config import Config
from mmseg.registry import MODELS
from reference.naive import naive_copy
from torch import Tensor, nn

#: MobileNet-V2's nine features, finest first.
CHANNELS = (32, 16, 24, 32, 64, 96, 160, 320, 1280)
STRIDES = (2, 2, 4, 8, 16, 16, 32, 32, 32)
CLASSES = 21
#: Largest difference over largest value.
TOLERANCE = 1e-5


def make_features(
    size: int, batch: int, levels: Sequence[int] = range(9), seed: int = 0
) -> list[Tensor]:
    """MobileNet-V2's features of an image: random, both bounds of ReLU6 in play.

    Args:
        size: Side of the image in pixels.
        batch: Images.
        levels: Which of the nine, from 0.
        seed: Seed of the numbers.

    Returns:
        Item i is (batch, C_i, ceil(size / s_i), ceil(size / s_i)), float32, contiguous.
    """
    generator = torch.Generator().manual_seed(seed)
    sides = [-(-size // STRIDES[level]) for level in levels]
    return [
        torch.randn(batch, CHANNELS[level], side, side, generator=generator).mul_(2).add_(0.5)
        for level, side in zip(levels, sides)
    ]


def placed(features: Sequence[Tensor], device: str, dtype: torch.dtype, layout: str):
    """Features on a device, in a dtype and a layout."""
    return [f.to(device, dtype).contiguous(memory_format=LAYOUTS[layout]) for f in features]


def make_head(type: str, levels: Sequence[int] = range(9), **kwargs: Any) -> nn.Module:
    """A head of the package on MobileNet-V2's features, its statistics and scales random."""
    head = MODELS.build(
        {
            'type': type,
            'in_channels': [CHANNELS[level] for level in levels],
            'in_index': list(range(len(levels))),
            'strides': [STRIDES[level] for level in levels],
            'num_classes': CLASSES,
            **kwargs,
        }
    )
    with torch.no_grad():
        for norm in head.norms.values():
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)
        for raw in head.connections.raw.values() if type == 'FDNHead' else ():
            raw.uniform_(0, 2)
    return head


def model_config(name: str) -> dict[str, Any]:
    """Model of ``configs/sparsemask/NAME.py``, without pretrained weights."""
    config = Config.fromfile(ROOT / 'configs' / 'sparsemask' / f'{name}.py').model.to_dict()
    config['backbone']['backbone'].pop('init_cfg', None)
    return config


def toolbox_head(name: str) -> nn.Module:
    """Decode head of a config, on the nine features."""
    config = model_config(name)['decode_head']
    config['in_index'] = len(CHANNELS) - 1
    return MODELS.build(config)


def naive(head: nn.Module, device: str, dtype: torch.dtype, layout: str) -> nn.Module:
    """The reference with the head's parameters, on a device, in a dtype and a layout."""
    reference = naive_copy(head).to(device, dtype)
    return reference.to(memory_format=LAYOUTS[layout])


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest value."""
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())


def relative_norm(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Norm of the difference over the norm, of several tensors together.

    For gradients: where an activation's input is within rounding of its bounds, a single element's
    gradient is there or not, which is much of a small tensor and little of all.
    """
    pairs = [(mine.double(), other.double()) for mine, other in zip(ours, theirs)]
    off = math.hypot(*(float((mine - other).norm()) for mine, other in pairs))
    return off / max(math.hypot(*(float(other.norm()) for _, other in pairs)), 1e-12)


@dataclass
class Equality:
    """Whether outputs equal the reference's, and how far they are off."""

    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def check(self, name: str, error: float, allowed: float) -> None:
        """Note and print one comparison.

        Args:
            name: Name of what is compared.
            error: Distance to the exact reference.
            allowed: Largest one that counts as equal.
        """
        # A comparison with NaN is False.
        equal = bool(error <= allowed)
        self.checks[name] = {'error': error, 'allowed': allowed, 'equal': equal}
        verdict = 'equal' if equal else 'NOT EQUAL'
        print(f'{name}: {verdict}, off by {error:.1e} (allowed {allowed:.1e})', flush=True)


def check_inference(
    equality: Equality,
    variants: dict[str, Callable[[], Tensor]],
    head: nn.Module,
    features: Sequence[Tensor],
    device: str,
    dtype: torch.dtype,
) -> None:
    """Compare each variant's logits with those of the reference.

    In float32 they must agree within `TOLERANCE`. In half precision, where the reference itself is
    far from that, a variant may be twice as far from the float32 reference as the reference is.

    Args:
        equality: Takes the results.
        variants: By name.
        head: Whose parameters the variants have, float32 on the CPU.
        features: Float32 on the CPU.
        device: Where the variants run.
        dtype: Likewise.
    """
    # Of what the variants see: in half precision rounded already.
    seen = placed(features, device, dtype, 'contiguous')
    exact = naive(_rounded(head, dtype), device, torch.float32, 'contiguous')
    expected = exact([feature.float() for feature in seen])
    allowed = TOLERANCE
    if dtype != torch.float32:
        own = relative(naive(head, device, dtype, 'contiguous')(seen), expected)
        allowed = max(allowed, 2 * own)
    for name, call in variants.items():
        equality.check(name, relative(call(), expected), allowed)


def _rounded(head: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(head).to(dtype).float()
