"""Features of any backbone, by module name."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.connectivity.cost import check_image_size
from mmseg_sparsemask.models.backbones.probing import (
    describe,
    image_channels,
    overwritten_outputs,
    probe_shapes,
)


@MODELS.register_module()
class FeatureTaps(BaseModule):
    """A backbone that gives the outputs of named modules.

    Any registered backbone will do: its modules are tapped as they run, finest feature first, and
    its own output is ignored. To get a feature before its activation, name the module before it:
    ``'conv1.bn'`` instead of ``'conv1'``. A module that replaces a named one, such as SyncBN in
    place of BN, is tapped instead of it.

    Args:
        backbone: Config of the backbone.
        features: Names of modules inside it, as ``named_modules()`` has them.
        image_size: (height, width) in pixels of the image it is run on once, on the meta device,
            to find channels and strides.
        in_channels: Channels of the images; by default what the backbone's first layer needs.

    Attributes:
        feature_info: What the features are: name, channels, stride, module.
        image_channels: Channels of the images.

    Raises:
        ValueError: A name is unknown (the message lists close ones), repeated, or its module gives
            no feature map; `image_size` is no size.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        features: Sequence[str],
        image_size: tuple[int, int] = (256, 256),
        in_channels: int | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(copy.deepcopy(backbone))
        self.features = _check_names(self.backbone, features)
        size = check_image_size(image_size)
        self.image_channels = in_channels or image_channels(self.backbone, size)
        self._taps = [_Tap(name) for name in self.features]
        #: Features that may lack a gradient, and how many parameters learned when that was seen.
        self._frozen: tuple[list[str], int] = ([], 0)
        shapes = probe_shapes(self, size, self.image_channels)
        self.feature_info = describe(shapes, size, self.features)
        overwritten = overwritten_outputs(self.backbone, self.features, size, self.image_channels)
        for tap in self._taps:
            tap.overwritten = tap.name in overwritten
        self._watch()

    @property
    def channels(self) -> list[int]:
        """Channels of the features."""
        return [feature.channels for feature in self.feature_info]

    @property
    def strides(self) -> list[int]:
        """Strides of the features, in input pixels."""
        return [feature.stride for feature in self.feature_info]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of images (N, C, H, W); item i is (N, C_i, H/s_i, W/s_i).

        Raises:
            ValueError: A module did not run, or, in training, what it gave is cut from the
                parameters that it depends on and that learn.
        """
        features = self._run(x)
        if self.training and torch.is_grad_enabled():
            cut = [name for name, f in zip(self.features, features) if not f.requires_grad]
            learning = sum(p.requires_grad for p in self.backbone.parameters())
            if cut and learning and self._frozen != (cut, learning):
                self._check_frozen(cut, x)
                self._frozen = cut, learning
        return features

    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        self._watch()
        try:
            for tap in self._taps:
                tap.active = True
            self.backbone(x)
            return tuple(tap.taken(self.backbone) for tap in self._taps)
        finally:
            for tap in self._taps:
                tap.active, tap.output = False, None

    @torch.compiler.assume_constant_result
    def _watch(self) -> None:
        """Tap the modules that have the names now."""
        for tap in self._taps:
            module = self.backbone.get_submodule(tap.name)
            if tap not in module._forward_hooks.values():
                module.register_forward_hook(tap)

    @torch.compiler.disable
    @torch.no_grad()
    def _check_frozen(self, names: Sequence[str], images: Tensor) -> None:
        """Refuse features without gradient that change with the parameters that learn."""
        probe = copy.deepcopy(self).eval()
        before = dict(zip(self.features, (f.nan_to_num() for f in probe._run(images[:1]))))
        for parameter in probe.parameters():
            if parameter.requires_grad:
                other = torch.linspace(0.5, 1, parameter.numel()).to(parameter)
                parameter.add_(other.view_as(parameter))
        after = dict(zip(self.features, (f.nan_to_num() for f in probe._run(images[:1]))))
        cut = [
            name
            for name in names
            if (after[name] - before[name]).abs().max() > 1e-3 * before[name].abs().max()
        ]
        if cut:
            raise ValueError(
                f'features: {", ".join(cut)} of {type(self.backbone).__name__} got no gradient, '
                'though parameters before them learn: something between computes without gradients '
                '(with_cp=True, torch.no_grad(), detach()); set with_cp=False or tap the whole '
                'block, or freeze these parameters'
            )


class _Tap:
    """Forward hook that keeps a module's output. A class, so that models can be copied.

    Attributes:
        name: The module's name.
        overwritten: A later module overwrites the output, so that a copy has to be kept.
        active: Outside of a pass nothing is kept: recomputed blocks run in the backward pass again.
        output: What was kept.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.overwritten = False
        self.active = False
        self.output: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.dim() != 4:
            kind = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f'features: module {self.name!r} gives {kind}, expected a map (N, C, h, w); '
                'tap another module'
            )
        if self.active:
            self.output = output.clone() if self.overwritten else output

    def taken(self, backbone: nn.Module) -> Tensor:
        """What was kept in this pass."""
        if self.output is None:
            raise ValueError(
                f'module {self.name!r} of {type(backbone).__name__} did not run; tap another one'
            )
        return self.output


def _check_names(backbone: nn.Module, features: Sequence[str]) -> tuple[str, ...]:
    if isinstance(features, str):
        raise ValueError(f'features: expected a list of module names, got {features!r}')
    known = [name for name, _ in backbone.named_modules() if name]
    for name in features:
        if name not in known:
            raise ValueError(
                f'features: {type(backbone).__name__} has no module {name!r}; there are '
                f'{", ".join(_near(name, known)[:20])}'
            )
    if not features or len(set(features)) != len(features):
        raise ValueError(
            f'features: expected distinct module names, at least one, got {list(features)}'
        )
    return tuple(features)


def _near(name: str, known: Sequence[str]) -> Sequence[str]:
    """Names that may have been meant: the same inside or outside of a wrapper, or alike."""
    inner = [k for k in known if k.endswith(f'.{name}') or name.endswith(f'.{k}')]
    if name and inner:
        return inner
    stem = re.split(r'[.\d]', name)[0]
    for prefix in ('', *(f'{k}.' for k in known)):
        near = [
            k
            for k in known
            if stem and k.startswith(prefix + stem) and k.count('.') <= (prefix + name).count('.')
        ]
        if near:
            return near
    return [k for k in known if '.' not in k]
