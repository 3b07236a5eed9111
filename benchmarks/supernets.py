"""Training passes of the supernet's decoder, as `search_step.py` and `memory.py` run them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Sequence

import torch
from common import DTYPES, LAYOUTS
from decoders import (
    TOLERANCE,
    Equality,
    make_features,
    make_head,
    naive,
    placed,
    relative,
    relative_norm,
)
from torch import Tensor, nn

Forward = Callable[[Sequence[Tensor]], Tensor]


class Step:
    """Forward and backward of a decoder in training mode.

    Parameters are float32; in half precision the features are half and the forward pass runs under
    autocast, as a mixed-precision search does. Gradients of the features are computed too: the
    backbone trains.

    Args:
        forward: Logits from features.
        parameters: That get gradients.
        buffers: Other state, such as running statistics.
        features: Float32, on the CPU.
        device: Where to run.
        dtype: A key of `DTYPES`; ``'fp64'`` if the parameters are.
        layout: A key of `LAYOUTS`, of the features.
    """

    def __init__(
        self,
        forward: Forward,
        parameters: Sequence[Tensor],
        buffers: Iterable[Tensor],
        features: Sequence[Tensor],
        device: str,
        dtype: str,
        layout: str,
    ) -> None:
        self.forward_of = forward
        self.features = [
            feature.detach().requires_grad_()
            for feature in placed(features, device, DTYPES[dtype], layout)
        ]
        self.leaves = [*self.features, *parameters]
        self.buffers = list(buffers)
        self.device = device
        self.dtype = dtype
        self.target: Tensor | None = None

    def forward(self) -> Tensor:
        """Logits, with their graph."""
        context = contextlib.nullcontext()
        if self.dtype in ('fp16', 'bf16'):
            context = torch.autocast(self.device.partition(':')[0], DTYPES[self.dtype])
        with context:
            return self.forward_of(self.features)

    def backward(self, logits: Tensor) -> list[Tensor]:
        """Gradients of the features and the parameters, for a fixed gradient of the logits."""
        if self.target is None:
            generator = torch.Generator().manual_seed(3)
            target = torch.randn(logits.shape, generator=generator)
            self.target = target.contiguous(memory_format=torch.channels_last).to(logits)
        # Features that no connection uses have no gradient.
        gradients = torch.autograd.grad(logits, self.leaves, self.target, allow_unused=True)
        return [
            torch.zeros_like(leaf) if gradient is None else gradient
            for leaf, gradient in zip(self.leaves, gradients)
        ]

    def __call__(self) -> list[Tensor]:
        """Forward and backward."""
        return self.backward(self.forward())


def make_steps(
    size: int,
    batch: int,
    device: str,
    dtype: str,
    *,
    levels: Sequence[int] = range(9),
    channels: int = 64,
    compile_mode: str | None = None,
    only: Sequence[str] | None = None,
) -> tuple[nn.Module, dict[str, Step]]:
    """The supernet's head, float32 on the CPU, and its training passes by variant.

    Args:
        size: Side of the image in pixels.
        batch: Images.
        device: Where to run.
        dtype: A key of `DTYPES`.
        levels: Which of MobileNet-V2's nine features, from 0.
        channels: Channels of a stage.
        compile_mode: Also a compiled variant.
        only: These variants; all by default.
    """
    features = make_features(size, batch, levels)
    # No noise on the connection weights: the reference has none.
    settings = dict(levels=levels, channels=channels, connections=dict(noise_std=0.0))
    head = make_head('FDNHead', **settings).train()
    steps = {}

    def wanted(name: str) -> bool:
        return only is None or name in only

    for layout in LAYOUTS:
        if wanted(f'naive {layout}'):
            # Statistics stay in float32 under autocast, as the parameters do.
            reference = naive(head, device, torch.float32, layout)
            weights = {
                stage: raw.detach().clone().to(device).requires_grad_()
                for stage, raw in head.connections.raw.items()
            }
            steps[f'naive {layout}'] = Step(
                lambda maps, reference=reference, weights=weights: reference(maps, weights),
                _parameters_of_naive(head, reference, weights),
                reference.buffers(),
                features,
                device,
                dtype,
                layout,
            )
    ours = {'ours': copy.deepcopy(head)}
    if compile_mode:
        ours['ours, compiled'] = copy.deepcopy(head)
    for name, module in ours.items():
        if wanted(name):
            module = module.to(device)
            state = _parameters(module), list(module.buffers())
            if name.endswith('compiled'):
                module = torch.compile(module, mode=compile_mode, dynamic=False)
            steps[name] = Step(module, *state, features, device, dtype, 'channels_last')
    return head, steps


def _parameters(head: nn.Module) -> list[Tensor]:
    """Parameters of a supernet in the order of `_parameters_of_naive`."""
    stages = head.connectivity.stages
    return [
        *(head.convs[stage][source] for stage in stages for source in stages[stage]),
        *(getattr(head.norms[stage], key) for stage in stages for key in ('weight', 'bias')),
        *(head.connections.raw[stage] for stage in stages),
        *head.conv_seg.parameters(),
    ]


def _parameters_of_naive(head, reference: nn.Module, weights: dict[str, Tensor]) -> list[Tensor]:
    stages = head.connectivity.stages
    norms = reference.stage_bns
    return [
        *(reference.convs[f'{t}_{stage}'].weight for stage in stages for t in stages[stage]),
        *(getattr(norms[stage], key) for stage in stages for key in ('weight', 'bias')),
        *(weights[stage] for stage in stages),
        *reference.classifier.parameters(),
    ]


def check_training(
    equality: Equality,
    head: nn.Module,
    steps: dict[str, Step],
    size: int,
    batch: int,
    levels: Sequence[int] = range(9),
    label: str = '',
) -> None:
    """Compare logits and gradients of every variant with the reference in float64.

    Gradients jump where an activation's input is at a bound of ReLU6. Of millions of inputs some
    are within rounding of one, so in float32 two right forms differ there; the arithmetic is
    checked in float64, on a small image, where none is.

    Args:
        equality: Takes the results.
        head: As `make_steps` gives it.
        steps: Likewise.
        size: Side of the image in pixels.
        batch: Images.
        levels: Which of MobileNet-V2's nine features, from 0.
        label: Precedes the names of the checks.
    """
    start = f'{label}, ' if label else ''
    errors = {}
    expected: tuple[Tensor, list[Tensor]] | None = None
    for name, step in steps.items():
        logits = step.forward().detach()
        gradients = step()
        if expected is None:
            seen = [feature.detach().cpu().float() for feature in step.features]
            expected = _exact(head, seen, step.device, step.target)
        errors[name] = relative(logits, expected[0]), relative_norm(gradients, expected[1])
    own = errors['naive contiguous']
    small = make_features(min(size, 64), batch, levels)
    exact: tuple[Tensor, list[Tensor]] | None = None
    for name, (of_logits, of_gradients) in errors.items():
        if name.startswith('naive'):
            continue
        equality.check(f'{start}{name}: logits', of_logits, max(TOLERANCE, 2 * own[0]))
        equality.check(f'{start}{name}: gradients', of_gradients, max(1e-3, 4 * own[1]))
        if not name.endswith('compiled'):
            module = copy.deepcopy(steps[name].forward_of).double()
            state = _parameters(module), module.buffers()
            step = Step(module, *state, small, steps[name].device, 'fp64', 'channels_last')
            logits = step.forward().detach()
            gradients = step()
            exact = exact or _exact(head, small, step.device, step.target)
            each = (relative_norm([mine], [other]) for mine, other in zip(gradients, exact[1]))
            error = max(relative(logits, exact[0]), *each)
            equality.check(f'{start}{name}: both in float64', error, 1e-9)


def _exact(
    head: nn.Module, features: Sequence[Tensor], device: str, target: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Logits and gradients of the reference in float64."""
    reference = naive(head, device, torch.float64, 'contiguous')
    weights = {
        stage: raw.detach().double().to(device).requires_grad_()
        for stage, raw in head.connections.raw.items()
    }
    step = Step(
        lambda maps: reference(maps, weights),
        _parameters_of_naive(head, reference, weights),
        reference.buffers(),
        features,
        device,
        'fp64',
        'contiguous',
    )
    step.target = target.double()
    return step.forward().detach(), step()
