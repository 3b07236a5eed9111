"""Whether the scores of a front say how good its decoders are once they are trained.

    python benchmarks/front_ranks.py draw SEARCH --like TABLE.yaml --out DIR
    python tools/run_table.py DIR/front_ranks.yaml --work-dir DIR/runs
    python benchmarks/front_ranks.py agree DIR

`draw` takes a point of the front at each size and random decoders of its parameters and
multiply-adds, all with the weights that they have in the supernet, and writes a table of runs that
trains each of them, from these weights (fine-tuned) and from the encoder's (retrained). `agree`
compares the ranks by the score before training with those after it.

    python benchmarks/front_ranks.py frozen SEARCH --out DIR

trains the same decoders from scratch on the features of the supernet's encoder, which learns
nothing then: a tenth of the time.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from scipy.stats import spearmanr
from torch import Tensor

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.plan import read_table
from mmseg_sparsemask.compare.results import read_results
from mmseg_sparsemask.connectivity import Connectivity, load, resolve
from mmseg_sparsemask.connectivity.controls import like
from mmseg_sparsemask.front.find import find_fronts, search_files
from mmseg_sparsemask.front.images import encoded, validation_images
from mmseg_sparsemask.front.points import write_point
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.front.why import mean_iou, validated_ious
from mmseg_sparsemask.models.decode_heads import SparseMaskHead
from mmseg_sparsemask.models.decode_heads.upsampling import upsample
from mmseg_sparsemask.search.front_table import pick, read_points
from mmseg_sparsemask.search.saved_search import read_search
from mmseg_sparsemask.utils.errors import one_line_errors
from mmseg_sparsemask.utils.files import csv_text, output_folder, write_atomically

TABLE, SCORES, TRAINED = 'front_ranks.yaml', 'scores.csv', 'frozen.csv'
TRAINED_HEADER = (
    'decoder', 'kind', 'size', 'parameters', 'multiply_adds', 'end', 'loss', 'score_val',
    'iterations', 'connectivity',
)  # fmt: skip
HEADER = ('decoder', 'kind', 'size', 'parameters', 'multiply_adds', 'loss', 'miou')


def decoders(
    args: argparse.Namespace, front: Path
) -> tuple[Supernet, list[tuple[str, str, int, Connectivity]]]:
    """A supernet with (name, kind, size, graph) of a point of its front and others at each size."""
    init_default_scope('mmseg')
    checkpoint, config = search_files(args.search, None)
    search = read_search(checkpoint, str(config), args.trust_checkpoint)
    settings = FrontSettings(points=args.sizes, images=args.images)
    source = Source(search, config, front)
    print(find_fronts([source], front, settings))
    supernet, found = Supernet(source, settings), []
    shape, size = supernet.head.shape, supernet.scorer.images.size
    for limit in sorted(args.sizes):
        best = load(pick(read_points(front), 'parameters', limit).path(front) / 'connectivity.json')
        drawn: dict[Connectivity, None] = {best: None}
        for seed in range(10 * args.random):
            if len(drawn) > args.random:
                break
            try:
                drawn[resolve(like(best, shape, seed, size), shape=shape)] = None
            except ValueError as error:  # no other decoder has such costs
                print(f'{limit:,.0f}, seed {seed}: {error}')
                break
        for place, graph in enumerate(drawn):
            kind = 'random' if place else 'front'
            found.append((f'{kind}-{limit:.0f}-{place}', kind, int(limit), graph))
    return supernet, found


def draw(args: argparse.Namespace) -> None:
    """Write the decoders, their scores and the table of runs."""
    given = read_table(args.like, check_configs=False)
    front = output_folder(args.out / 'front')
    supernet, found = decoders(args, front)
    rows, folders = [], {}
    for name, kind, size, graph in found:
        written = write_point(supernet, graph, front)
        costs = written.parameters, written.multiply_adds
        rows.append([name, kind, size, *costs, written.loss, written.miou])
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


def frozen(args: argparse.Namespace) -> None:
    """Train each decoder on kept features, note its score at once, and print the rank agreement."""
    front = output_folder(args.out / 'front')
    supernet, found = decoders(args, front)
    network, path = supernet.network, args.out / TRAINED
    notes = path.read_text().splitlines() if path.is_file() else [','.join(TRAINED_HEADER)]
    known = {row['decoder'] for row in csv.DictReader(notes)}
    if missing := [one for one in found if one[0] not in known]:
        dataset = DATASETS.build(network.cfg.train_dataloader.dataset)
        validation = validation_images(network, args.val)
        # Other crops of each image.
        crops = [
            crop
            for view in range(args.views)
            for crop in encoded(network, dataset, range(len(dataset)), training=True, draw=view + 1)
        ]
    for name, kind, size, graph in missing:
        head = trained_head(supernet, graph, crops, args.iterations)
        score = mean_iou(validated_ious(head, validation))
        cost = supernet.head.shape.cost(graph, supernet.scorer.images.size)
        loss = supernet.scorer.loss(graph)
        values = [name, kind, size, cost.parameters, cost.multiply_adds, graph.end, f'{loss:.5f}']
        notes.append(','.join(map(str, [*values, f'{score:.2f}', args.iterations, graph])))
        write_atomically(path, '\n'.join([*notes, '']))
        print(f'{name}: loss {loss:.4f} before training, mIoU {score:.2f} after', flush=True)
    rows = list(csv.DictReader(notes))
    told(f'{args.iterations} iterations on kept features, val', rows, 'score_val')


def trained_head(
    supernet: Supernet,
    graph: Connectivity,
    crops: Sequence[tuple[list[Tensor], Tensor, object]],
    iterations: int,
) -> SparseMaskHead:
    """A decoder from scratch by the retrain config's rates, on features that stay as they are."""
    cfg = Config.fromfile(supernet.search.settings.retrain_config)
    torch.manual_seed(0)
    head = MODELS.build({**cfg.model.decode_head, 'connectivity': graph}).train()
    wanted = dict(cfg.optim_wrapper.optimizer)
    kind = getattr(torch.optim, wanted.pop('type'))
    wanted['lr'] *= cfg.optim_wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult
    optimiser, power = kind(head.parameters(), **wanted), cfg.param_scheduler[0].power
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, iterations, power)
    numbers, batch = random.Random(0), cfg.train_dataloader.batch_size
    order: list[int] = []
    for _ in range(iterations):
        if len(order) < batch:
            order = numbers.sample(range(len(crops)), len(crops))
        taken = [crops[order.pop()] for _ in range(batch)]
        features = [torch.cat(level) for level in zip(*(crop[0] for crop in taken))]
        labels = torch.cat([crop[1] for crop in taken])
        logits = upsample(head.decode(features), tuple(labels.shape[-2:]), head.align_corners)
        loss = F.cross_entropy(logits, labels, ignore_index=head.ignore_index)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


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
            rows = [
                {**row, 'score': statistics.fmean(trained[row['decoder']])}
                for row in scores
                if row['decoder'] in trained
            ]
            told(f'{training}, {split}', rows, 'score')


def told(title: str, rows: Sequence[Mapping[str, str | float]], column: str) -> None:
    """Print the rank agreement over decoders, within each size, and the means of both kinds."""
    if len(rows) < 3:
        print(f'{title}: {len(rows)} decoders, too few for a rank agreement')
        return
    rho, low, high = rank_interval([(-float(row['loss']), float(row[column])) for row in rows])
    print(
        f'{title}: Spearman {rho:.2f} ({low:.2f} to {high:.2f}, 95 % by resampling the decoders) '
        f'over {len(rows)} decoders'
    )
    for size in dict.fromkeys(row['size'] for row in rows):
        alike = [row for row in rows if row['size'] == size]
        pairs = [(-float(row['loss']), float(row[column])) for row in alike]
        line = f'  {int(size):,} parameters:'
        if len(set(pairs)) > 2:
            line += f' Spearman {spearmanr(*zip(*pairs)).statistic:.2f},'
        for kind in ('front', 'random'):
            found = [float(row[column]) for row in alike if row['kind'] == kind]
            line += f' {kind} {statistics.fmean(found):.2f}' if found else ''
        print(line)


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
    first.add_argument('--like', type=Path, required=True, help='table whose data and size it has')
    first.add_argument('--finetune', type=int, default=350, help='iterations; 0 for none')
    first.add_argument('--retrain', type=int, default=700, help='iterations; 0 for none')
    first.add_argument('--seeds', type=int, default=1, help='runs of each decoder')
    first.set_defaults(run=draw)
    alone = commands.add_parser('frozen', help='train decoders on features of a frozen encoder')
    alone.add_argument('--iterations', type=int, default=400, help='of each decoder')
    alone.add_argument('--views', type=int, default=2, help='crops of each training image')
    alone.add_argument('--val', type=int, default=101, help='validation images')
    alone.set_defaults(run=frozen)
    for command in (first, alone):
        command.add_argument('search', type=Path, help='work directory of a search')
        command.add_argument(
            '--sizes', type=float, nargs='+', default=[50_000, 100_000, 170_000, 400_000],
            help='parameters of the points (default: 50000 100000 170000 400000)',
        )  # fmt: skip
        command.add_argument('--random', type=int, default=5, help='random decoders of each size')
        command.add_argument('--images', type=int, default=64, help='training images to score on')
        command.add_argument('--out', type=Path, required=True, help='folder to write')
        command.add_argument('--trust-checkpoint', action='store_true')
    second = commands.add_parser('agree', help='compare the ranks before and after training')
    second.add_argument('out', type=Path, help='folder that draw has written')
    second.set_defaults(run=agree)
    args = parser.parse_args()
    with one_line_errors():
        args.run(args)


if __name__ == '__main__':
    main()
