"""A network that learns from another one too, for results/camvid-front_efficientnet-lite0.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional

from mmseg_sparsemask.compare.steps import last_checkpoint
from mmseg_sparsemask.utils.checkpoints import load_checkpoint


@MODELS.register_module()
class DistilledSegmentor(EncoderDecoder):
    """Learns the labels and, position by position, what a trained network makes of the image.

    The second loss is the Kullback-Leibler divergence of its classes from the teacher's (Hinton et
    al., 2015, arXiv 1503.02531, at temperature 1; for segmentation: Liu et al., CVPR 2019, Section
    3.1), at the resolution of its own logits.

    Args:
        teacher: Work directory of the teacher: its config, and the last of its checkpoints.
        weight: Weight of the second loss.
        **kwargs: Of the segmentor.
    """

    def __init__(self, teacher: str, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.teacher, self.weight = Path(teacher), weight
        # In a list it is no part of this network: no parameters, no state, no training mode. It is
        # read when it is needed: a network that is only measured or tested needs none.
        self._teacher: list[Any] = []

    def loss(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
        """Losses of the decoder's logits."""
        logits = self.decode_head(self.extract_feat(inputs))
        losses = self.decode_head.loss_by_feat(logits, data_samples)
        with torch.no_grad():
            if not self._teacher:
                self._teacher.append(trained(self.teacher).to(inputs.device))
            (teacher,) = self._teacher
            wanted = teacher.decode_head(teacher.extract_feat(inputs))
            wanted = functional.interpolate(wanted, logits.shape[2:], mode='bilinear')
        given, wanted = (functional.log_softmax(each, dim=1) for each in (logits, wanted))
        apart = functional.kl_div(given, wanted, reduction='none', log_target=True)
        losses['loss_distilled'] = self.weight * apart.sum(1).mean()
        return {f'decode.{name}': loss for name, loss in losses.items()}


def trained(folder: Path) -> Any:
    """The network of a work directory, in evaluation mode, with its last weights."""
    (config,) = folder.glob('*.py')
    network = MODELS.build(Config.fromfile(config).model).eval().requires_grad_(False)
    network.load_state_dict(load_checkpoint(last_checkpoint(folder))['state_dict'])
    return network
