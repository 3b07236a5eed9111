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

from mmseg_sparsemask.connectivity import Feature
from mmseg_sparsemask.connectivity.graph import encoder_name


@MODELS.register_module()
class FeatureTaps(BaseModule):
    """A backbone that gives the outputs of named modules.

    Any registered backbone will do: its modules are tapped as they run, finest feature first, and
    what it returns itself is ignored. To get a feature before its activation, name the module
    before it: ``'conv1.bn'`` instead of ``'conv1'``.

    Args:
        backbone: Config of the backbone.
        features: Names of modules inside it, as ``named_modules()`` has them.
        image_size: (height, width) in pixels of the image it is run on once, on the meta device,
            to find channels and strides.

    Attributes:
        feature_info: What the features are: name, channels, stride, module.

    Raises:
        ValueError: A name is unknown (the message lists close ones), repeated, or its module gives
            no feature map.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        features: Sequence[str],
        image_size: tuple[int, int] = (256, 256),
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(copy.deepcopy(backbone))
        self.features = _check_names(self.backbone, features)
        self._taps: dict[str, Tensor] = {}
        modules = dict(self.backbone.named_modules())
        overwritten = _overwritten_taps(self.backbone, self.features, tuple(image_size))
        for name in self.features:
            modules[name].register_forward_hook(_Tap(self._taps, name, name in overwritten))
        shapes = probe_shapes(self, tuple(image_size))
        self.feature_info = describe(shapes, tuple(image_size), self.features)

    @property
    def channels(self) -> list[int]:
        """Channels of the features."""
        return [feature.channels for feature in self.feature_info]

    @property
    def strides(self) -> list[int]:
        """Strides of the features, in input pixels."""
        return [feature.stride for feature in self.feature_info]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of images (N, 3, H, W); item i is (N, C_i, H/s_i, W/s_i)."""
        self._taps.clear()
        self.backbone(x)
        try:
            return tuple(self._taps[name] for name in self.features)
        except KeyError as error:
            raise ValueError(
                f'module {error} of {type(self.backbone).__name__} did not run; tap another one'
            ) from None
        finally:
            self._taps.clear()


class _Tap:
    """Forward hook that keeps a module's output. A class, so that models can be copied.

    An output that is `overwritten`, by a later module that works in place, is kept as a copy.
    """

    def __init__(self, taps: dict[str, Tensor], name: str, overwritten: bool) -> None:
        self.taps = taps
        self.name = name
        self.overwritten = overwritten

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.dim() != 4:
            kind = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f'features: module {self.name!r} gives {kind}, expected a map (N, C, h, w); '
                'tap another module'
            )
        self.taps[self.name] = output.clone() if self.overwritten else output


def probe_shapes(backbone: nn.Module, image_size: tuple[int, int]) -> list[tuple[int, ...]]:
    """Shapes of a backbone's outputs for one image of that size, without computing anything.

    Runs a copy on the meta device or, if the backbone cannot run there, on the backbone's device.
    """
    outputs = _run_on_meta(copy.deepcopy(backbone), image_size)
    if outputs is None:
        outputs = _run(copy.deepcopy(backbone), image_size, next(backbone.parameters()).device)
    return [tuple(output.shape) for output in outputs]


def describe(
    shapes: Sequence[Sequence[int]], image_size: tuple[int, int], modules: Sequence[str] = ()
) -> tuple[Feature, ...]:
    """Names, channels and strides of features from their shapes (N, C, h, w)."""
    return tuple(
        Feature(
            encoder_name(level),
            shape[1],
            max(1, round(image_size[0] / shape[2])),
            modules[level - 1] if modules else '',
        )
        for level, shape in enumerate(shapes, 1)
    )


def _run_on_meta(probe: nn.Module, image_size: tuple[int, int]) -> Any:
    """What a backbone gives for one image once it is moved there; None if it cannot run there."""
    try:
        return _run(probe.to('meta'), image_size, 'meta')
    except NotImplementedError:
        return None


def _run(probe: nn.Module, image_size: tuple[int, int], device: torch.device | str) -> Any:
    probe.eval()  # Not chained: that of MobileNetV2 returns nothing.
    with torch.no_grad():
        return probe(torch.zeros(1, 3, *image_size, device=device))


def _overwritten_taps(
    backbone: nn.Module, features: Sequence[str], image_size: tuple[int, int]
) -> frozenset[str]:
    """Features whose values a later module replaces in place, such as an activation."""
    probe = copy.deepcopy(backbone)
    outputs: dict[str, tuple[Any, int]] = {}
    modules = dict(probe.named_modules())
    for name in features:
        modules[name].register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update(
                {name: (output, getattr(output, '_version', 0))}
            )
        )
    if _run_on_meta(probe, image_size) is None:
        return frozenset(features)  # It cannot be told: the safe answer.
    return frozenset(
        name
        for name, (output, version) in outputs.items()
        if getattr(output, '_version', 0) != version
    )


def _check_names(backbone: nn.Module, features: Sequence[str]) -> tuple[str, ...]:
    if isinstance(features, str):
        raise ValueError(f'features: expected a list of module names, got {features!r}')
    known = [name for name, _ in backbone.named_modules() if name]
    for name in features:
        if name in known:
            continue
        depth = name.count('.')
        stem = re.split(r'[.\d]', name)[0]
        near = [k for k in known if k.startswith(stem) and k.count('.') <= depth]
        near = near or [k for k in known if '.' not in k]
        raise ValueError(
            f'features: {type(backbone).__name__} has no module {name!r}; there are '
            f'{", ".join(near[:20])}'
        )
    if not features or len(set(features)) != len(features):
        raise ValueError(
            f'features: expected distinct module names, at least one, got {list(features)}'
        )
    return tuple(features)
