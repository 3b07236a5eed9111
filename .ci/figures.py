#!/usr/bin/env python
"""Draws again the pictures of docs/images that need nothing but files of this repository.

    python .ci/figures.py                  # draw into docs/images
    python .ci/figures.py --take WORK_DIR  # first take what tools/quickstart.py left there
    python .ci/figures.py --take-search WORK_DIR NAME   # or what a search left there

Those of a run are drawn from its numbers in docs/images/data, which say where they are from
(README.txt there). docs/gallery.md has the command of every picture, also of the others.
"""

import argparse
import csv
import shutil
from pathlib import Path

import cv2
import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmseg_sparsemask.connectivity import Connection, Connectivity, all_connections, load, preset
from mmseg_sparsemask.connectivity.draw import draw_graph, draw_graph_on, draw_weight_history
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.datasets.palette import colour_table
from mmseg_sparsemask.datasets.scene import PALETTE
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cell_figure import draw_cell
from mmseg_sparsemask.fit.networks import SEARCHED
from mmseg_sparsemask.utils.figures import new_figure, save_figure
from mmseg_sparsemask.utils.files import csv_text, read_json, write_atomically

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / 'docs/images'
DATA = IMAGES / 'data'
#: The best one of docs/dpc.md, trained end to end.
CELL = '-1:pool_4x8 -1:sep3x3_3x6 -1:sep3x3_12x15 0:sep3x3_1x15 1:sep3x3_18x1'


def table(name: str) -> list[dict[str, str]]:
    """Rows of a file of docs/images/data."""
    with (DATA / f'{name}.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def graph(name: str) -> Connectivity:
    """What a search found."""
    return load(DATA / f'{name}_connectivity.json')


def weights(name: str) -> Figure:
    """The weights of a search over time."""
    rows = table(f'{name}_connection_weights')
    steps = [int(row.pop('iteration')) for row in rows]
    history = [[float(value) for value in row.values()] for row in rows]
    connections = [Connection(*key.split()) for key in rows[0]]
    return draw_weight_history(steps, history, connections, kept=graph(name))


def overview() -> Figure:
    """Images, labels and predictions of the embedded data set, and the graph that was found."""
    figure = new_figure(9.5, 4.6)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15])
    for row in range(3):
        sample = matplotlib.image.imread(DATA / f'overview_sample_{row}.png')
        size = len(sample)
        for column, title in enumerate(('image', 'truth', 'prediction')):
            axes: Axes = left.add_subplot(3, 3, 3 * row + column + 1)
            axes.imshow(sample[:, column * size :][:, :size], interpolation='none')
            axes.set_axis_off()
            if not row:
                axes.set_title(title, fontsize=10)
    draw_graph_on(right.add_subplot(), graph('overview'), 'the decoder that was found')
    return figure


#: Picture: how it is drawn.
DRAWN = {
    'camvid_connection_weights': lambda: weights('camvid'),
    'camvid_connectivity': lambda: draw_graph(graph('camvid')),
    'dpc_camvid_cell': lambda: draw_cell(Cell.from_string(CELL).canonical(), 'found on CamVid'),
    'overview': overview,
    'shapes_connection_weights': lambda: weights('shapes'),
    'shapes_connectivity': lambda: draw_graph(graph('shapes')),
    'sparsemask_mbv2_voc': lambda: draw_graph(
        preset('sparsemask_mbv2_voc', (2, 2, 4, 8, 16, 16, 32, 32, 32))
    ),
    'voc_animals_connection_weights': lambda: weights('voc_animals'),
    'voc_animals_connectivity': lambda: draw_graph(graph('voc_animals')),
}


def take_search(search: Path, name: str) -> None:
    """Keep of a search what its pictures are drawn from."""
    from mmseg_sparsemask.search.record import HISTORY_KEY
    from mmseg_sparsemask.utils.checkpoints import load_checkpoint

    shutil.copy(search / 'connectivity.json', DATA / f'{name}_connectivity.json')
    checkpoint = load_checkpoint(
        max(search.glob('iter_*.pth'), key=lambda path: path.stat().st_mtime)
    )
    history = checkpoint['message_hub']['runtime_info'][HISTORY_KEY]
    space = all_connections(graph(name).num_levels)
    names = [' '.join(connection) for connection in sorted(space, key=lambda c: level_of(c.stage))]
    rows = [
        [step, *(round(weight, 4) for weight in record)]
        for step, record in zip(history['steps'], history['weights'])
    ]
    text = csv_text(['iteration', *names], rows)
    write_atomically(DATA / f'{name}_connection_weights.csv', text)


def take(work_dir: Path) -> None:
    """Keep of a quickstart its smallest searched decoder, and what that predicts."""
    networks, drawn = work_dir / 'networks', work_dir / 'drawn'
    front = networks / 'supernet/seed0/front'
    *_, picked = zip(SEARCHED, read_json(front / 'picked.json'))
    name, folder = picked
    shutil.copy(front / folder / 'connectivity.json', DATA / 'overview_connectivity.json')
    colours = colour_table(PALETTE)
    for row, found in enumerate(sorted((networks / name / 'seed0/maps').iterdir())[:3]):
        image = cv2.imread(str(drawn / 'images/val' / found.name))
        labels = (cv2.imread(str(path), 0) for path in (drawn / 'masks/val' / found.name, found))
        tiles = [image, *(colours[values][..., ::-1] for values in labels)]
        cv2.imwrite(str(DATA / f'overview_sample_{row}.png'), np.hstack(tiles))


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description='Draw the pictures of docs/images again.')
    parser.add_argument('--take', type=Path, metavar='WORK_DIR', help='of a quickstart')
    parser.add_argument(
        '--take-search', nargs=2, metavar=('WORK_DIR', 'NAME'), help='of any search'
    )
    args = parser.parse_args()
    if args.take:
        take(args.take)
    if args.take_search:
        take_search(Path(args.take_search[0]), args.take_search[1])
    for name, draw in DRAWN.items():
        save_figure(draw(), IMAGES / f'{name}.svg')


if __name__ == '__main__':
    main()
