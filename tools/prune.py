"""Prune the supernet of a checkpoint: what PruneHook writes, with other settings, any time."""

import argparse
import os

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity.prune import DEFAULT_THRESHOLD
from mmseg_sparsemask.engine.pruning import (
    load_search,
    next_steps,
    prune_status,
    summary_table,
    write_results,
)
from mmseg_sparsemask.utils.files import check_work_dir


def parse_args():
    parser = argparse.ArgumentParser(description='Prune the supernet of a checkpoint')
    parser.add_argument('checkpoint', help='checkpoint of a search')
    parser.add_argument(
        '--threshold',
        type=float,
        help='drop connections of smaller weight (default: as in the search, else '
        f'{DEFAULT_THRESHOLD})',
    )
    parser.add_argument(
        '--merge',
        action=argparse.BooleanOptionalAction,
        help='merge stages with equal inputs and drop subsumed ones (default: as in the search)',
    )
    parser.add_argument('--out-dir', help="where to write (default: the checkpoint's folder)")
    parser.add_argument(
        '--retrain-config', help='config that retrain.py inherits (default: as in the search)'
    )
    parser.add_argument(
        '--config',
        help="the search's config, for a checkpoint that does not describe its search",
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint that may run code while it is read',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    try:
        search = load_search(args.checkpoint, args.config, args.trust_checkpoint)
        threshold = args.threshold
        if threshold is None:
            threshold = search.hook.get('threshold', DEFAULT_THRESHOLD)
        merge = search.hook.get('merge', False) if args.merge is None else args.merge
        retrain_config = args.retrain_config or search.hook.get('retrain_config')
        if retrain_config is not None and not os.path.isfile(retrain_config):
            raise ValueError(f'{retrain_config} does not exist; name one with --retrain-config')
        status = prune_status(search.head, threshold, merge)
        out_dir = args.out_dir or os.path.dirname(os.path.abspath(args.checkpoint))
        check_work_dir(out_dir)
        connectivity, paths = write_results(
            search.head,
            out_dir,
            threshold,
            merge,
            search.history,
            retrain_config,
            {'checkpoint': os.path.basename(args.checkpoint), 'iteration': search.iteration},
        )
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(summary_table(search.head, connectivity))
    print(
        f'largest dropped weight {status.largest_dropped:.2g}, '
        f'smallest kept {status.smallest_kept:.2g}'
    )
    print(next_steps(paths))


if __name__ == '__main__':
    main()
