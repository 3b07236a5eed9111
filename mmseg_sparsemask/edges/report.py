"""Tables and the precision-recall plot of a boundary evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmseg_sparsemask.edges.scores import EdgeScores, f_measure
from mmseg_sparsemask.utils.figures import fitted, new_figure, save_figure
from mmseg_sparsemask.utils.files import csv_text, write_atomically, write_json


def score_dict(scores: EdgeScores) -> dict[str, float]:
    """The summary numbers under their usual names: ODS, OIS, AP, R50 and the ODS threshold."""
    return {
        'ODS': scores.ods,
        'OIS': scores.ois,
        'AP': scores.ap,
        'R50': scores.r50,
        'ODS_threshold': scores.ods_threshold,
    }


def draw_curves(curves: dict[str, EdgeScores]) -> Figure:
    """Precision over recall on lines of equal F, one curve per name.

    Args:
        curves: Name for the legend -> scores.
    """
    figure = new_figure(5.5, 5)
    axes = figure.add_subplot()
    recall = np.linspace(0.01, 1, 200)
    for f in np.arange(1, 10) / 10:
        # F = 2PR / (P + R) solved for P.
        reachable = recall > f / 2 + 1e-3
        precision = f * recall[reachable] / (2 * recall[reachable] - f)
        inside = precision <= 1
        x, y = recall[reachable][inside], precision[inside]
        axes.plot(x, y, color='0.8', lw=0.8)
        if len(x):
            axes.annotate(f'F={f:.1f}', (x[-1], y[-1]), color='0.5', fontsize=7, ha='right')
    for name, scores in curves.items():
        shown = scores.precision + scores.recall > 0
        label = fitted(
            f'{name} (ODS {scores.ods:.3f}, OIS {scores.ois:.3f}, AP {scores.ap:.3f})', 4, 8
        )
        line = axes.plot(scores.recall[shown], scores.precision[shown], label=label)[0]
        axes.plot(scores.ods_recall, scores.ods_precision, 'o', color=line.get_color())
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel='Recall', ylabel='Precision', aspect='equal')
    axes.legend(loc='lower left', fontsize=8)
    return figure


def write_scores(
    scores: EdgeScores, names: Sequence[str], folder: str | Path, title: str = 'prediction'
) -> None:
    """Write ``scores.json``, ``thresholds.csv``, ``images.csv`` and ``precision_recall.svg``.

    Args:
        scores: Scores of the data set.
        names: Names of the images, in the order of ``scores.images``.
        folder: Made if missing.
        title: Title of the curve.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / 'scores.json', score_dict(scores))
    f = f_measure(scores.precision, scores.recall)
    header = ['threshold', 'recall', 'precision', 'f']
    points = np.stack([scores.thresholds, scores.recall, scores.precision, f], axis=1)
    rows = [[f'{v:.6f}' for v in point] for point in points]
    write_atomically(folder / 'thresholds.csv', csv_text(header, rows))
    rows = [[name, *(f'{v:.6f}' for v in best)] for name, best in zip(names, scores.images)]
    write_atomically(folder / 'images.csv', csv_text(['image', *header], rows))
    save_figure(draw_curves({title: scores}), folder / 'precision_recall.svg')
