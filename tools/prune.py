"""Prune the supernet of a checkpoint: what PruneHook writes, with other settings, any time."""

import argparse
import os
from pathlib import Path


def parse_args():
    parser = argparse.ArgumentParser(description='Prune the supernet of a checkpoint')
    parser.add_argument('checkpoint', help='checkpoint of a search')
    parser.add_argument(
        '--threshold',
        type=float,
        help='drop connections of smaller weight (default: as in the search)',
    )
    parser.add_argument(
        '--merge',
        action=argparse.BooleanOptionalAction,
        help='merge stages with equal inputs and drop subsumed ones (default: as in the search)',
    )
    parser.add_argument(
        '--permute-seed',
        type=int,
        metavar='N',
        help='put the weights in random places first, as a control: as many connections are left, '
        'with as many parameters within 5 %%; needs --out',
    )
    parser.add_argument(
        '--out',
        '--out-dir',
        dest='out_dir',
        help="where to write (default: the checkpoint's folder)",
    )
    parser.add_argument(
        '--retrain-config', help='config that retrain.py inherits (default: as in the search)'
    )
    parser.add_argument(
        '--finetune-config',
        help='config that finetune.py inherits (default: as in the search, else the retrain config '
        'with a shorter schedule)',
    )
    parser.add_argument(
        '--config', help="the search's config, for a checkpoint that does not describe its search"
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint that may run code while it is read',
    )
    args = parser.parse_args()
    if args.permute_seed is not None and args.out_dir is None:
        parser.error('--permute-seed: name a folder with --out, beside the search itself')
    return args


def main():
    args = parse_args()
    from mmseg_sparsemask.connectivity.prune import DEFAULT_THRESHOLD
    from mmseg_sparsemask.models.inheritance import pruned_head
    from mmseg_sparsemask.search.inherited_files import largest_difference, write_pruned
    from mmseg_sparsemask.search.permuted import permuted_supernet
    from mmseg_sparsemask.search.pruning import (
        inheritance_table,
        next_steps,
        prune_status,
        prune_supernet,
        summary_table,
        write_configs,
        write_graph,
    )
    from mmseg_sparsemask.search.saved_search import load_search
    from mmseg_sparsemask.search.search_report import write_search_report
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir

    with one_line_errors():
        search = load_search(args.checkpoint, args.config, args.trust_checkpoint)
        threshold = args.threshold
        if threshold is None:
            threshold = search.hook.get('threshold', DEFAULT_THRESHOLD)
        merge = search.hook.get('merge', False) if args.merge is None else args.merge
        retrain_config = args.retrain_config or search.hook.get('retrain_config')
        if retrain_config is not None and not os.path.isfile(retrain_config):
            raise ValueError(f'{retrain_config} does not exist; name one with --retrain-config')
        finetune_config = args.finetune_config or search.hook.get('finetune_config')
        if finetune_config is not None and not os.path.isfile(finetune_config):
            raise ValueError(f'{finetune_config} does not exist; name one with --finetune-config')
        status = prune_status(search.head, threshold, merge)
        out_dir = args.out_dir or os.path.dirname(os.path.abspath(args.checkpoint))
        check_work_dir(out_dir, '--out')
        meta = {
            'checkpoint': os.path.basename(args.checkpoint),
            'iteration': search.meta.get('iter', 0),
        }
        head, history = search.head, search.history
        connectivity = prune_supernet(head, threshold, merge, meta)
        if args.permute_seed is not None:
            head, connectivity = permuted_supernet(head, connectivity, args.permute_seed)
            history = None
        difference = largest_difference(head, pruned_head(head, connectivity))
        files = write_graph(head, connectivity, out_dir, history)
        files += write_configs(connectivity, out_dir, retrain_config, finetune_config)
        files.append(Path(out_dir) / 'pruned.pth')
        dataset_meta = search.meta.get('dataset_meta')
        meta = {**meta, 'dataset_meta': dataset_meta, 'largest_difference': difference}
        write_pruned(files[-1], search.state, head, connectivity, meta)
        files += write_search_report(
            search.head,
            connectivity,
            out_dir,
            search.history,
            threshold,
            merge,
            files,
            os.path.basename(args.checkpoint),
            search.scores,
        )
    print(summary_table(head, connectivity))
    print(
        f'largest dropped weight {status.largest_dropped:.2g}, '
        f'smallest kept {status.smallest_kept:.2g}'
    )
    print(inheritance_table(head, connectivity, difference))
    print(next_steps(out_dir, files))


if __name__ == '__main__':
    main()
