"""Drawings of one-channel predictions: image, truth and probability side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmseg_sparsemask.utils.figures import figure_to_array, fitted, new_figure


def draw_panels(rows: Sequence[Mapping[str, np.ndarray]], width: float = 4.0) -> Figure:
    """Pictures side by side, a row for each image, with titles above the first row.

    Args:
        rows: Title -> (H, W, 3) uint8 in RGB, or (H, W) in [0, 1], black to white. Each row has the
            titles of the first.
        width: Width of a picture, in inches.
    """
    titles = list(rows[0])
    shapes = [row[titles[0]].shape for row in rows]
    heights = [width * shape[0] / shape[1] for shape in shapes]
    figure = new_figure(width * len(titles), sum(heights) + 0.3)
    grid = figure.subplots(len(rows), len(titles), squeeze=False, height_ratios=heights)
    for place, (line, row) in enumerate(zip(grid, rows)):
        for axes, title in zip(line, titles):
            axes.imshow(row[title], cmap='gray', vmin=0, vmax=1)
            axes.set_title(fitted(title, width, 12) if place == 0 else '')
            axes.set_axis_off()
    return figure


@VISUALIZERS.register_module()
class MapVisualizer(SegLocalVisualizer):
    """MMSegmentation's visualiser for boundaries and salient objects.

    The toolbox draws labels, of which these tasks have two; what one wants to see is the map. Each
    drawing has the image, the truth (for boundaries the share of the annotators that mark a pixel)
    and the probability, with titles.
    """

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        **kwargs,
    ) -> None:
        """Draw, and save or show.

        Args:
            name: Name of the image.
            image: (H, W, 3) uint8, RGB.
            data_sample: With ``gt_sem_seg`` or the meta information ``gt_boundaries``, and
                ``seg_logits`` (probabilities, one channel); what is missing is left out.
            draw_gt: Draw the truth.
            draw_pred: Draw the map.
            show: Open a window instead of saving.
            wait_time: Seconds that the window stays.
            out_file: Where to, instead of the visualisation backends.
            step: Stored with the drawing.
            kwargs: Keywords of the base class; they change nothing here.
        """
        panels: dict[str, np.ndarray] = {'image': image}
        if data_sample is not None:
            truth = _truth(data_sample)
            if draw_gt and truth is not None:
                panels['truth'] = truth
            if draw_pred and 'seg_logits' in data_sample:
                panels['probability, black 0 to white 1'] = (
                    data_sample.seg_logits.data[0].cpu().numpy()
                )
        drawn = figure_to_array(draw_panels([panels]))
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(mmcv.rgb2bgr(drawn), out_file)
        else:
            self.add_image(name, drawn, step)


def _truth(sample: SegDataSample) -> np.ndarray | None:
    """(H, W) in [0, 1]; what is not labelled counts as half."""
    if 'gt_boundaries' in sample:
        return np.asarray(sample.gt_boundaries, dtype=np.float32).mean(0)
    if 'gt_sem_seg' in sample:
        labels = sample.gt_sem_seg.data[0].cpu().numpy()
        return np.where(labels > 1, 0.5, labels)
    return None
