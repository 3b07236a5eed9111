"""Whether the scores of a front say how good its decoders are once they are trained.

    python benchmarks/front_ranks.py SEARCH RESULTS.csv [RESULTS.csv ...] --out DIR

compares the supernet's scores of decoders with what tables of runs have for the same decoders,
trained as whole networks.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from statistics import fmean

from mmengine.registry import init_default_scope
from scipy.stats import spearmanr

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.results import NONE, Result, read_results
from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.front.find import search_files
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.search.saved_search import read_search
from mmseg_sparsemask.utils.errors import one_line_errors
from mmseg_sparsemask.utils.files import output_folder

SPLITS = ('val', 'test')


def source_of(args: argparse.Namespace) -> Source:
    """The supernet of a work directory or checkpoint."""
    init_default_scope('mmseg')
    checkpoint, config = search_files(args.search, None)
    search = read_search(checkpoint, str(config), args.trust_checkpoint)
    return Source(search, config, output_folder(args.out / 'front'))


def compare(args: argparse.Namespace) -> None:
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
    parser.add_argument('search', type=Path, help='work directory of a search')
    parser.add_argument('results', type=Path, nargs='+', help='CSV files of results')
    parser.add_argument('--training', default='from ImageNet weights', help='which of their runs')
    parser.add_argument(
        '--rerank', type=int, default=0, help='score by a training of so many steps'
    )
    parser.add_argument('--images', type=int, default=64, help='training images to score on')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument('--trust-checkpoint', action='store_true')
    args = parser.parse_args()
    with one_line_errors():
        compare(args)


if __name__ == '__main__':
    main()
