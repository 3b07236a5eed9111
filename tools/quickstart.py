"""See it work: draws images with masks, and finds a network for them, as fit.py does for yours.

It searches for decoders, prunes and trains them beside plain ones, and shows all of it on a page.
Two trainings run at a time, on one thread each, whatever the number of cores: so the results are
the same. The same command goes on with what was stopped.
"""

import os
import time
from pathlib import Path

from mmseg_sparsemask_cli.arguments import out_folder, parser_of

TOOLS = Path(__file__).resolve().parent
SIZE = (64, 64)
COUNTS = {'train': 600, 'val': 100}


def parse_args(argv=None):
    parser = parser_of(__doc__, out_folder('work_dirs/quickstart'))
    parser.add_argument(
        '--iterations', type=int, default=600, help='of each network (default: 600)'
    )
    args = parser.parse_args(argv)
    if args.iterations < 1:
        parser.error(f'--iterations: expected 1 or more, got {args.iterations}')
    return args


def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    os.environ['CUDA_VISIBLE_DEVICES'] = ''  # a training takes the GPU that it sees
    from mmseg_sparsemask.utils.commands import clock, end_on_signals
    from mmseg_sparsemask.utils.errors import one_line_errors

    end_on_signals()
    with one_line_errors(interrupted='interrupted; the same command goes on'):
        import mmseg_sparsemask  # noqa: F401
        from mmseg_sparsemask.datasets.scene import CLASSES
        from mmseg_sparsemask.datasets.shapes import write_shapes
        from mmseg_sparsemask.fit.job import Asked, Limits, Plan, fit
        from mmseg_sparsemask.utils.files import check_work_dir

        check_work_dir(args.out, '--out')
        images, masks = write_shapes(args.out / 'drawn', COUNTS, SIZE)
        plan = Plan(SIZE, SIZE, 16, args.iterations, held_back=40, processes=2)
        classes = ','.join(CLASSES)
        asked = Asked(images, masks, 'small', None, classes, 5.0, Limits(), plan)
        text = fit(asked, args.out, TOOLS, 'cpu', resume=True)
    print(f'\n{text}\ntotal {clock(time.perf_counter() - start)}')


if __name__ == '__main__':
    main()
