"""Whether the scores of a front say how good its decoders are once they are trained.

    python benchmarks/front_ranks.py rows SEARCH RESULTS.csv [RESULTS.csv ...]

compares the supernet's scores of decoders with what tables of runs have for the same decoders,
trained as whole networks.

    python benchmarks/front_ranks.py frozen SEARCH --out DIR

takes a point of the front at each size and random decoders of its parameters and multiply-adds,
and trains them from scratch on the features of the supernet's encoder, which learns nothing then: a
tenth of the time.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from scipy.stats import spearmanr
from torch import Tensor

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.results import NONE, Result, read_results
from mmseg_sparsemask.connectivity import Connectivity, load, resolve
from mmseg_sparsemask.connectivity.controls import like
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.front.find import find_fronts, search_files
from mmseg_sparsemask.front.images import encoded, validation_images
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.front.why import mean_iou, validated_ious
from mmseg_sparsemask.models.decode_heads import SparseMaskHead
from mmseg_sparsemask.models.decode_heads.upsampling import upsample
from mmseg_sparsemask.search.front_table import pick, read_points
from mmseg_sparsemask.search.saved_search import read_search
from mmseg_sparsemask.utils.errors import one_line_errors
from mmseg_sparsemask.utils.files import output_folder, write_atomically
from mmseg_sparsemask.utils.repeatable import fingerprint_key

SPLITS = ('val', 'test')
TRAINED_HEADER = (
    'decoder', 'kind', 'size', 'parameters', 'multiply_adds', 'end', 'loss', 'score_val',
    'iterations', 'connectivity',
)  # fmt: skip


def source_of(args: argparse.Namespace) -> Source:
    """The supernet of a work directory or checkpoint."""
    init_default_scope('mmseg')
    checkpoint, config = search_files(args.search, None)
    search = read_search(checkpoint, str(config), args.trust_checkpoint)
    return Source(search, config, output_folder(args.out / 'front'))


def decoders(
    source: Source, supernet: Supernet, args: argparse.Namespace
) -> list[tuple[str, str, int, Connectivity]]:
    """(name, kind, size, graph) of a point of a supernet's front and others at each size."""
    front = source.folder
    print(find_fronts([source], front, supernet.settings))
    found = []
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
    return found


def rows(args: argparse.Namespace) -> None:
    """Print the rank agreement of scores and trained scores, with an interval."""
    settings = FrontSettings(images=args.images, rerank=args.rerank)
    supernet = Supernet(source_of(args), settings)
    shape, strides = supernet.head.shape, supernet.head.connectivity.strides
    trained: dict[Connectivity, list[Result]] = {}
    for result in (one for path in args.results for one in read_results(path)):
        if result.training != args.training or result.connectivity == NONE:
            continue
        stages = dict(part.split(': ') for part in result.connectivity.split(' · '))
        if max(level_of(stage) for stage in stages) > len(strides):
            continue
        graph = Connectivity(strides, {stage: srcs.split() for stage, srcs in stages.items()})
        # Others are of another width, or on other features.
        if shape.cost(graph).parameters == result.decoder_parameters:
            trained.setdefault(graph, []).append(result)
    score = supernet.trainings.loss if args.rerank else supernet.scorer.loss
    losses = {graph: score(graph) for graph in trained}
    scores = {
        graph: [fmean(float(getattr(run, f'score_{split}')) for run in runs) for split in SPLITS]
        for graph, runs in trained.items()
    }
    for graph in sorted(trained, key=lambda graph: losses[graph]):
        shown, runs = '  '.join(f'{score:.2f}' for score in scores[graph]), trained[graph]
        print(f'{losses[graph]:.3f}  {shown}  {len(runs)}  {runs[0].method}: {graph}')
    for place, split in enumerate(SPLITS):
        pairs = [(-losses[graph], found[place]) for graph, found in scores.items()]
        print(f'{split}: {agreement(pairs)}')


def frozen(args: argparse.Namespace) -> None:
    """Train each decoder on kept features, note its score at once, and print the rank agreement."""
    source = source_of(args)
    supernet = Supernet(source, FrontSettings(points=args.sizes, images=args.images))
    found = decoders(source, supernet, args)
    network, path = supernet.network, trained_file(supernet, args)
    notes = path.read_text().splitlines() if path.is_file() else [','.join(TRAINED_HEADER)]
    # A point of one name is another decoder where other sizes were asked for.
    known = {(row['decoder'], row['connectivity']) for row in csv.DictReader(notes)}
    if missing := [one for one in found if (one[0], str(one[3])) not in known]:
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
    wanted = {(name, str(graph)) for name, _, _, graph in found}
    rows = [r for r in csv.DictReader(notes) if (r['decoder'], r['connectivity']) in wanted]
    told(f'{args.iterations} iterations on kept features, val', rows, 'score_val')


def trained_file(supernet: Supernet, args: argparse.Namespace) -> Path:
    """Where the scores are noted of one supernet, trained and validated in one way."""
    retrain = Config.fromfile(supernet.search.settings.retrain_config).to_dict()
    known = [supernet.scorer.notes.name, retrain, args.iterations, args.views, args.val]
    return args.out / f'frozen_{fingerprint_key({"of": known})}.csv'


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


def told(title: str, rows: Sequence[Mapping[str, str | float]], column: str) -> None:
    """Print the rank agreement over decoders, within each size, and the means of both kinds."""
    print(f'{title}: {agreement([(-float(row["loss"]), float(row[column])) for row in rows])}')
    for size in dict.fromkeys(row['size'] for row in rows):
        alike = [row for row in rows if row['size'] == size]
        pairs = [(-float(row['loss']), float(row[column])) for row in alike]
        line = f'  {int(size):,} parameters:'
        if len(set(pairs)) > 2:
            line += f' Spearman {spearmanr(*zip(*pairs)).statistic:.2f},'
        for kind in ('front', 'random'):
            found = [float(row[column]) for row in alike if row['kind'] == kind]
            line += f' {kind} {fmean(found):.2f}' if found else ''
        print(line)


def agreement(pairs: list[tuple[float, float]], resamples: int = 2000) -> str:
    """Spearman's rank correlation with a 95 % interval from resampled pairs."""
    if len(pairs) < 3:
        return f'{len(pairs)} decoders, too few for a rank agreement'
    numbers, found = random.Random(0), []
    while len(found) < resamples:
        drawn = numbers.choices(pairs, k=len(pairs))
        if all(len(set(side)) > 1 for side in zip(*drawn)):
            found.append(float(spearmanr(*zip(*drawn)).statistic))
    found.sort()
    rho = float(spearmanr(*zip(*pairs)).statistic)
    low, high = found[int(0.025 * resamples)], found[int(0.975 * resamples) - 1]
    return (
        f'Spearman {rho:.2f} ({low:.2f} to {high:.2f}, 95 % by resampling the decoders) over '
        f'{len(pairs)} decoders'
    )


def main() -> None:
    """Compare the ranks of decoders before and after training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser('rows', help='compare with the runs of tables')
    first.add_argument('--training', default='from ImageNet weights', help='which of their runs')
    first.add_argument('--rerank', type=int, default=0, help='score by a training of so many steps')
    first.set_defaults(run=rows)
    alone = commands.add_parser('frozen', help='train decoders on features of a frozen encoder')
    alone.add_argument('--iterations', type=int, default=400, help='of each decoder')
    alone.add_argument('--views', type=int, default=2, help='crops of each training image')
    alone.add_argument('--val', type=int, default=101, help='validation images')
    alone.add_argument(
        '--sizes', type=float, nargs='+', default=[50_000, 100_000, 170_000, 400_000],
        help='parameters of the points (default: 50000 100000 170000 400000)',
    )  # fmt: skip
    alone.add_argument('--random', type=int, default=5, help='random decoders of each size')
    alone.set_defaults(run=frozen)
    for command in (first, alone):
        command.add_argument('search', type=Path, help='work directory of a search')
        command.add_argument('--images', type=int, default=64, help='training images to score on')
        command.add_argument('--out', type=Path, required=True, help='folder to write')
        command.add_argument('--trust-checkpoint', action='store_true')
    first.add_argument('results', type=Path, nargs='+', help='CSV files of results')
    args = parser.parse_args()
    with one_line_errors():
        args.run(args)


if __name__ == '__main__':
    main()
