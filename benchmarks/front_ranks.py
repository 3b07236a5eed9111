"""Whether the scores of a front say how good its decoders are once they are trained.

    python benchmarks/front_ranks.py draw SEARCH --like TABLE.yaml --out DIR
    python tools/run_table.py DIR/front_ranks.yaml --work-dir DIR/runs
    python benchmarks/front_ranks.py agree DIR

`draw` takes a point of the front at each size and random decoders of its parameters and
multiply-adds, all with the weights that they have in the supernet, and writes a table of runs that
trains each of them, from these weights (fine-tuned) and from the encoder's (retrained). `agree`
compares the ranks by the score before training with those after it.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
from pathlib import Path

import yaml
from mmengine.registry import init_default_scope
from scipy.stats import spearmanr

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.plan import read_table
from mmseg_sparsemask.compare.results import read_results
from mmseg_sparsemask.connectivity import load, resolve
from mmseg_sparsemask.connectivity.controls import like
from mmseg_sparsemask.front.find import find_fronts, search_files
from mmseg_sparsemask.front.points import write_point
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.search.front_table import pick, read_points
from mmseg_sparsemask.search.saved_search import read_search
from mmseg_sparsemask.utils.errors import one_line_errors
from mmseg_sparsemask.utils.files import csv_text, output_folder, write_atomically

TABLE, SCORES = 'front_ranks.yaml', 'scores.csv'
HEADER = ('decoder', 'kind', 'size', 'parameters', 'multiply_adds', 'loss', 'miou')


def draw(args: argparse.Namespace) -> None:
    """Write the decoders, their scores and the table of runs."""
    init_default_scope('mmseg')
    given = read_table(args.like, check_configs=False)
    checkpoint, config = search_files(args.search, None)
    search = read_search(checkpoint, str(config), args.trust_checkpoint)
    front = output_folder(args.out / 'front')
    settings = FrontSettings(points=args.sizes, images=args.images)
    source = Source(search, config, front)
    print(find_fronts([source], front, settings))
    supernet = Supernet(source, settings)
    shape, rows, folders = supernet.head.shape, [], {}
    for size in sorted(args.sizes):
        point = pick(read_points(front), 'parameters', size)
        best = load(point.path(front) / 'connectivity.json')
        drawn, seed = {}, 0
        while len(drawn) < args.random and seed < 10 * args.random:
            try:
                graph = resolve(like(best, shape, seed, supernet.scorer.images.size), shape=shape)
            except ValueError as error:  # no other decoder has such costs
                print(f'{size:,.0f}, seed {seed}: {error}')
                break
            drawn[graph] = seed
            seed += 1
        drawn.pop(best, None)
        for kind, graph in [('front', best), *(('random', graph) for graph in drawn)]:
            written = write_point(supernet, graph, front)
            name = f'{kind}-{size:.0f}-{drawn.get(graph, 0)}'
            costs = written.parameters, written.multiply_adds
            rows.append([name, kind, f'{size:.0f}', *costs, written.loss, written.miou])
            folders[name] = written.path(front)
    entries = [
        {
            'name': f'{name}-{use}',
            'method': name,
            'training': training,
            'config': str(folders[name] / f'{use}.py'),
            'iterations': iterations,
            'seeds': list(range(args.seeds)),
        }
        for use, training, iterations in (
            ('finetune', 'fine-tuned from the supernet', args.finetune),
            ('retrain', "from the encoder's weights", args.retrain),
        )
        if iterations
        for name, *_ in rows
    ]
    table = {
        'data': given.data,
        'encoder': given.encoder,
        'image_size': list(given.image_size),
        'threads': given.threads,
        'val_options': None if given.val_options is None else dict(given.val_options),
        'searches': {},
        'entries': entries,
    }
    write_atomically(args.out / SCORES, csv_text(HEADER, rows))
    write_atomically(args.out / TABLE, yaml.safe_dump(table, sort_keys=False))
    print(f'{len(rows)} decoders; python tools/run_table.py {args.out / TABLE}')


def agree(args: argparse.Namespace) -> None:
    """Print the rank agreement of scores and trained scores, with an interval."""
    with (args.out / SCORES).open() as file:
        scores = list(csv.DictReader(file))
    results = read_results((args.out / TABLE).with_suffix('.csv'))
    for training in dict.fromkeys(result.training for result in results):
        for split in ('val', 'test'):
            trained: dict[str, list[float]] = {}
            for result in results:
                score = result.score_val if split == 'val' else result.score_test
                if result.training == training and not isinstance(score, str):
                    trained.setdefault(result.method, []).append(score)
            pairs = [
                (-float(row['loss']), statistics.fmean(trained[row['decoder']]), row)
                for row in scores
                if row['decoder'] in trained
            ]
            if len(pairs) < 3:
                print(f'{training}, {split}: {len(pairs)} decoders, too few for a rank agreement')
                continue
            rho, low, high = rank_interval([pair[:2] for pair in pairs])
            print(
                f'{training}, {split}: Spearman {rho:.2f} ({low:.2f} to {high:.2f}, 95 % by '
                f'resampling the decoders) over {len(pairs)} decoders'
            )
            for size in dict.fromkeys(row['size'] for _, _, row in pairs):
                by_kind = {
                    kind: [
                        score
                        for _, score, row in pairs
                        if (row['kind'], row['size']) == (kind, size)
                    ]
                    for kind in ('front', 'random')
                }
                if all(by_kind.values()):
                    best, mean = by_kind['front'][0], statistics.fmean(by_kind['random'])
                    print(f'  {int(size):,} parameters: front {best:.2f}, random {mean:.2f}')


def rank_interval(
    pairs: list[tuple[float, float]], resamples: int = 2000
) -> tuple[float, float, float]:
    """Spearman's rank correlation with a 95 % interval from resampled pairs."""
    numbers, found = random.Random(0), []
    while len(found) < resamples:
        drawn = numbers.choices(pairs, k=len(pairs))
        if all(len(set(side)) > 1 for side in zip(*drawn)):
            found.append(float(spearmanr(*zip(*drawn)).statistic))
    found.sort()
    rho = float(spearmanr(*zip(*pairs)).statistic)
    return rho, found[int(0.025 * resamples)], found[int(0.975 * resamples) - 1]


def main() -> None:
    """Draw decoders, or compare their ranks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser('draw', help='write decoders and the table that trains them')
    first.add_argument('search', type=Path, help='work directory of a search')
    first.add_argument('--like', type=Path, required=True, help='table whose data and size it has')
    first.add_argument(
        '--sizes', type=float, nargs='+', default=[50_000, 100_000, 170_000, 400_000],
        help='parameters of the points (default: 50000 100000 170000 400000)',
    )  # fmt: skip
    first.add_argument('--random', type=int, default=5, help='random decoders of each size')
    first.add_argument('--images', type=int, default=64, help='training images to score on')
    first.add_argument('--finetune', type=int, default=350, help='iterations; 0 for none')
    first.add_argument('--retrain', type=int, default=700, help='iterations; 0 for none')
    first.add_argument('--seeds', type=int, default=1, help='runs of each decoder')
    first.add_argument('--out', type=Path, required=True, help='folder to write')
    first.add_argument('--trust-checkpoint', action='store_true')
    first.set_defaults(run=draw)
    second = commands.add_parser('agree', help='compare the ranks before and after training')
    second.add_argument('out', type=Path, help='folder that draw has written')
    second.set_defaults(run=agree)
    args = parser.parse_args()
    with one_line_errors():
        args.run(args)


if __name__ == '__main__':
    main()
