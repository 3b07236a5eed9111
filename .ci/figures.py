#!/usr/bin/env python
"""Draws again the pictures of docs/images that need nothing but files of this repository.

    python .ci/figures.py                  # draw into docs/images
    python .ci/figures.py --take WORK_DIR  # first take what tools/quickstart.py left there

Those of a run are drawn from its numbers in docs/images/data, which say where they are from
(README.txt there). docs/gallery.md has the command of every picture, also of the others.
"""

import argparse
import csv
import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmseg_sparsemask.compare.rows import Row
from mmseg_sparsemask.compare.scatter import draw_comparison
from mmseg_sparsemask.connectivity import Connection, all_connections, load, preset
from mmseg_sparsemask.connectivity.draw import draw_graph, draw_graph_on, draw_weight_history
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cell_figure import draw_cell
from mmseg_sparsemask.edges.report import draw_curves
from mmseg_sparsemask.edges.scores import EdgeScores, f_measure
from mmseg_sparsemask.utils.figures import new_figure, save_figure
from mmseg_sparsemask.utils.files import csv_text, write_atomically

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / 'docs/images'
DATA = IMAGES / 'data'
CAMVID = ROOT / 'configs/sparsemask/connectivities/mbv2_camvid-96x128.json'
SHAPES = DATA / 'shapes_connectivity.json'
#: The best one of docs/dpc.md, trained end to end.
CELL = '-1:pool_4x8 -1:sep3x3_3x6 -1:sep3x3_12x15 0:sep3x3_1x15 1:sep3x3_18x1'


def table(name: str) -> list[dict[str, str]]:
    """Rows of a file of docs/images/data."""
    with (DATA / f'{name}.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def weights(name: str, found: Path) -> Figure:
    """The weights of a search over time."""
    rows = table(name)
    steps = [int(row.pop('iteration')) for row in rows]
    history = [[float(value) for value in row.values()] for row in rows]
    connections = [Connection(*key.split()) for key in rows[0]]
    return draw_weight_history(steps, history, connections, kept=load(found))


def comparison(name: str) -> Figure:
    """Scores over costs. Two scores with the mean and deviation of a row stand for its runs."""
    rows = []
    for row in table(name):
        mean, half = float(row['score']), float(row['score_std'] or 0) / 2**0.5
        rows.append(
            Row(
                row['method'],
                scores=[mean - half, mean + half] if half else [mean],
                encoder_parameters=0,
                decoder_parameters=round(float(row['parameters_millions']) * 1e6),
                encoder_multiply_adds=0,
                decoder_multiply_adds=round(float(row['multiply_adds_billions']) * 1e9),
                fps=float(row['images_per_second']),
            )
        )
    return draw_comparison(rows)


def curve(name: str, title: str, ois: float, ap: float) -> Figure:
    """Precision over recall; the scores that are no point of the curve are docs/reproduce.md's."""
    points = np.array([[float(value) for value in row.values()] for row in table(name)]).T
    f = f_measure(points[1], points[0])
    best = int(f.argmax())
    scores = EdgeScores(
        ods=float(f[best]),
        ods_threshold=0,
        ods_recall=float(points[0][best]),
        ods_precision=float(points[1][best]),
        ois=ois,
        ap=ap,
        r50=0,
        thresholds=f,
        recall=points[0],
        precision=points[1],
        images=np.empty((0, 4)),
    )
    return draw_curves({title: scores})


def overview() -> Figure:
    """Images, labels and predictions of the embedded data set, and the graph that was found."""
    figure = new_figure(9.5, 4.6)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15])
    for row in range(3):
        sample = matplotlib.image.imread(DATA / f'shapes_sample_{row}.png')
        # Three squares, with a gap between them.
        size = len(sample)
        gap = (sample.shape[1] - 3 * size) // 2
        for column, title in enumerate(('image', 'truth', 'prediction')):
            axes: Axes = left.add_subplot(3, 3, 3 * row + column + 1)
            start = column * (size + gap)
            axes.imshow(sample[:, start : start + size], interpolation='none')
            axes.set_axis_off()
            if not row:
                axes.set_title(title, fontsize=10)
    draw_graph_on(right.add_subplot(), load(SHAPES), 'the decoder that was found')
    return figure


#: Picture: how it is drawn.
DRAWN = {
    'bsds500_pr_hed': lambda: curve('bsds500_pr_hed', 'HED', 0.563, 0.474),
    'bsds500_pr_sparsemask': lambda: curve(
        'bsds500_pr_sparsemask', 'transferred decoder', 0.505, 0.455
    ),
    'camvid-96x128_compare': lambda: comparison('camvid-96x128_compare'),
    'camvid-96x128_connection_weights': lambda: weights('camvid-96x128_connection_weights', CAMVID),
    'camvid-96x128_connectivity': lambda: draw_graph(load(CAMVID)),
    'dpc_camvid_cell': lambda: draw_cell(Cell.from_string(CELL).canonical(), 'found on CamVid'),
    'overview': overview,
    'shapes_compare': lambda: comparison('shapes_compare'),
    'shapes_connection_weights': lambda: weights('shapes_connection_weights', SHAPES),
    'shapes_connectivity': lambda: draw_graph(load(SHAPES)),
    'sparsemask_mbv2_voc': lambda: draw_graph(
        preset('sparsemask_mbv2_voc', (2, 2, 4, 8, 16, 16, 32, 32, 32))
    ),
}


def take(work_dir: Path) -> None:
    """Keep of a quickstart what its pictures are drawn from."""
    from mmseg_sparsemask.search.record import HISTORY_KEY
    from mmseg_sparsemask.utils.checkpoints import load_checkpoint

    search = work_dir / 'search/seed0'
    shutil.copy(search / 'connectivity.json', SHAPES)
    checkpoint = load_checkpoint(
        max(search.glob('iter_*.pth'), key=lambda path: path.stat().st_mtime)
    )
    history = checkpoint['message_hub']['runtime_info'][HISTORY_KEY]
    space = all_connections(load(SHAPES).num_levels)
    names = [' '.join(connection) for connection in sorted(space, key=lambda c: level_of(c.stage))]
    rows = [
        [step, *(round(weight, 4) for weight in record)]
        for step, record in zip(history['steps'], history['weights'])
    ]
    text = csv_text(['iteration', *names], rows)
    write_atomically(DATA / 'shapes_connection_weights.csv', text)
    for row, sample in enumerate(sorted(work_dir.glob('sample_*.png'))[:3]):
        shutil.copy(sample, DATA / f'shapes_sample_{row}.png')


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description='Draw the pictures of docs/images again.')
    parser.add_argument('--take', type=Path, metavar='WORK_DIR', help='of a quickstart')
    args = parser.parse_args()
    if args.take:
        take(args.take)
    for name, draw in DRAWN.items():
        save_figure(draw(), IMAGES / f'{name}.svg')


if __name__ == '__main__':
    main()
