"""Test-time augmentation of models with one output channel."""

from __future__ import annotations

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.utils import SampleList


@MODELS.register_module()
class BinaryTTAModel(BaseTTAModel):
    """Average the foreground probability over scales and flips.

    The toolbox's ``SegTTAModel`` applies the sigmoid to maps that already went through it, so that
    every probability is above one half, and keeps the last augmentation's map instead of the mean.
    """

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Merge the augmentations of each image.

        Args:
            data_samples_list: For each image its augmentations, with ``seg_logits`` holding
                probabilities (1, H, W) at the original size.

        Returns:
            One sample an image: the first one's meta data and labels, the mean probability.
        """
        merged = []
        for samples in data_samples_list:
            prob = torch.stack([sample.seg_logits.data for sample in samples]).mean(dim=0)
            sample = samples[0].clone()
            threshold = self.module.decode_head.threshold
            sample.seg_logits = PixelData(data=prob)
            sample.pred_sem_seg = PixelData(data=(prob > threshold).to(prob))
            merged.append(sample)
        return merged
