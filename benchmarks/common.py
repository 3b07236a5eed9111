"""What the benchmarks share: arguments, conditions, interleaved timing, tables, JSON.

Variants are timed in one process and take turns: every round runs each once, another one first each
time, so that whatever else the machine does meets all of them. Given are the median over rounds,
the fastest round, the distance of the quartiles over the median, and ratios to a reference two
ways: of the medians, and the median of the ratios within each round.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import resource
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mmseg_sparsemask.utils.files import write_atomically
from mmseg_sparsemask.utils.timing import in_turns, processor, seconds_of, synchronize

ROOT = Path(__file__).resolve().parents[1]
# The reference that everything is compared with is the oracle of the tests.
sys.path.insert(0, str(ROOT / 'tests'))

DTYPES = {
    'fp32': torch.float32,
    'fp16': torch.float16,
    'bf16': torch.bfloat16,
    'fp64': torch.float64,  # for checks
}
LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}
#: Seconds of one turn: shorter variants are called more than once. A GPU's clock needs longer.
TURN = {'cpu': 0.005, 'cuda': 0.03}


def parse_args(
    description: str,
    *,
    size: int,
    batch: int,
    threads: int,
    rounds: int,
    quick_size: int = 32,
    extend: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> argparse.Namespace:
    """Arguments that every benchmark takes.

    Args:
        description: First line is the help.
        size: Default side of the image in pixels; `quick_size` with ``--quick``.
        batch: Default.
        threads: Default.
        rounds: Default; 3 with ``--quick``.
        quick_size: See `size`.
        extend: Adds the benchmark's own arguments.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--threads', type=int, default=threads)
    parser.add_argument('--batch', type=int, default=batch)
    parser.add_argument('--size', type=int, help=f'side of the image in pixels ({size})')
    parser.add_argument('--rounds', type=int, help=f'turns of each variant ({rounds})')
    parser.add_argument('--dtype', choices=['fp32', 'fp16', 'bf16'], default='fp32')
    parser.add_argument(
        '--compile', nargs='?', const='default', metavar='MODE', help='also with torch.compile'
    )
    parser.add_argument(
        '--profile', action='store_true', help="our form's most expensive operations"
    )
    parser.add_argument('--quick', action='store_true', help='small and few: to see that it works')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write everything measured here')
    extend(parser)
    args = parser.parse_args()
    args.size = args.size or (quick_size if args.quick else size)
    args.rounds = args.rounds or (3 if args.quick else rounds)
    args.warmup = 1 if args.quick else 3
    return args


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Set threads and precision; the conditions that the figures hold for."""
    import mmcv
    import mmengine
    import mmseg
    from mmengine.registry import init_default_scope

    import mmseg_sparsemask

    torch.set_num_threads(args.threads)
    # Full float32 for everyone: equality within 1e-5 is meaningless in TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    init_default_scope('mmseg')
    allocator = {key: os.environ[key] for key in os.environ if key.startswith('MALLOC_')}
    if 'LD_PRELOAD' in os.environ:
        allocator['LD_PRELOAD'] = Path(os.environ['LD_PRELOAD']).name
    found = {
        'device': processor(args.device),
        'cores': os.cpu_count(),
        'threads': args.threads,
        'dtype': args.dtype,
        'batch': args.batch,
        'size': args.size,
        'allocator': allocator or 'default',
        'load_before': round(os.getloadavg()[0], 2),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'mmseg': mmseg.__version__,
        'mmcv': mmcv.__version__,
        'mmengine': mmengine.__version__,
        'mmseg_sparsemask': mmseg_sparsemask.__version__,
    }
    if args.quick:
        found['quick'] = 'smoke run: the figures mean nothing'
    print('\n'.join(f'{key:>16}: {value}' for key, value in found.items()) + '\n', flush=True)
    return found


@dataclass(frozen=True)
class Timings:
    """Seconds of one call, by variant, one entry a round, and its page faults."""

    seconds: Mapping[str, Sequence[float]]
    faults: Mapping[str, float]

    def median(self, name: str) -> float:
        """Seconds."""
        return statistics.median(self.seconds[name])

    def spread(self, name: str) -> float:
        """Distance of the quartiles over the median."""
        low, _, high = statistics.quantiles(self.seconds[name], n=4, method='inclusive')
        return (high - low) / self.median(name)

    def fastest(self, names: Sequence[str]) -> str:
        """Which of some variants has the least median."""
        return min(names, key=self.median)

    def ratio(self, name: str, reference: str) -> float:
        """How many times as fast as the reference: ratio of the medians."""
        return self.median(reference) / self.median(name)

    def round_ratio(self, name: str, reference: str) -> float:
        """The same as the median of each round's ratio."""
        pairs = zip(self.seconds[reference], self.seconds[name])
        return statistics.median(theirs / ours for theirs, ours in pairs)

    def table(self, references: Mapping[str, str]) -> str:
        """All variants as a Markdown table.

        Args:
            references: Variants to compare with, by the heading of their column.
        """
        heads = ['variant', 'median ms', 'min ms', 'spread', 'page faults']
        heads += [f'x {title} ({of})' for title in references for of in ('medians', 'rounds')]
        rows = []
        for name, seconds in self.seconds.items():
            row = [name, f'{1e3 * self.median(name):.2f}', f'{1e3 * min(seconds):.2f}']
            row += [f'{100 * self.spread(name):.0f} %', f'{self.faults[name]:.0f}']
            for reference in references.values():
                row.append(f'{self.ratio(name, reference):.2f}')
                row.append(f'{self.round_ratio(name, reference):.2f}')
            rows.append(row)
        return table(heads, rows)

    def as_dict(self, references: Mapping[str, str]) -> dict[str, Any]:
        """All variants for JSON; times in milliseconds."""
        return {
            name: {
                'median_ms': 1e3 * self.median(name),
                'min_ms': 1e3 * min(seconds),
                'spread': self.spread(name),
                'page_faults': self.faults[name],
                'rounds_ms': [1e3 * value for value in seconds],
                'times_as_fast_as': {
                    title: {
                        'reference': reference,
                        'of_medians': self.ratio(name, reference),
                        'median_of_rounds': self.round_ratio(name, reference),
                    }
                    for title, reference in references.items()
                },
            }
            for name, seconds in self.seconds.items()
        }


def measure(
    variants: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    device: str,
    warmup: int,
    label: str = 'timing',
) -> Timings:
    """Time variants in turns; see the module's docstring.

    Args:
        variants: One call of each.
        rounds: Turns that count.
        device: Whose queue to wait for.
        warmup: Calls of each before; a compiled variant is built in the first.
        label: Label of the progress bar.
    """
    turn = TURN['cuda' if device.startswith('cuda') else 'cpu']
    calls = {}
    bar = tqdm(total=len(variants) * (rounds + 1), desc=label, leave=False, disable=None)
    for name, call in variants.items():
        for _ in range(warmup):
            seconds, _ = _turn(call, 1, device)
        calls[name] = min(100, max(1, math.ceil(turn / seconds)))
        bar.update()
    times: dict[str, list[float]] = {name: [] for name in variants}
    faults: dict[str, list[float]] = {name: [] for name in variants}
    gc.collect()
    gc.disable()
    try:
        for order in in_turns(list(variants), rounds):
            for name in order:
                seconds, count = _turn(variants[name], calls[name], device)
                times[name].append(seconds)
                faults[name].append(count)
                bar.update()
    finally:
        gc.enable()
        bar.close()
    return Timings(times, {name: statistics.median(counts) for name, counts in faults.items()})


def _turn(call: Callable[[], Any], calls: int, device: str) -> tuple[float, float]:
    """Seconds and page faults of one call."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    seconds = seconds_of(call, device, calls)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return seconds, faults / calls


def profile(call: Callable[[], Any], device: str, title: str, calls: int = 10) -> str:
    """Print the operations that take longest; the table."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    on_gpu = device.startswith('cuda')
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_gpu else [])
    call()
    with record(activities=activities) as profiler:
        for _ in range(calls):
            call()
        synchronize(device)
    by = 'self_cuda_time_total' if on_gpu else 'self_cpu_time_total'
    text = profiler.key_averages().table(sort_by=by, row_limit=15, max_name_column_width=40)
    print(f'\n{title}, {calls} calls:\n{text}')
    return text


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows)]
    lines = [
        '| ' + ' | '.join(_pad(c, w, i) for i, (c, w) in enumerate(zip(row, widths))) + ' |'
        for row in (heads, *rows)
    ]
    rule = [
        ('-' * (width + 2) if i == 0 else '-' * (width + 1) + ':') for i, width in enumerate(widths)
    ]
    return '\n'.join([lines[0], '|' + '|'.join(rule) + '|', *lines[1:]])


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def finish(args: argparse.Namespace, name: str, result: dict[str, Any]) -> int:
    """Write the JSON, if asked for.

    Args:
        args: The benchmark's.
        name: The benchmark's.
        result: With ``conditions``, and ``equality`` as `Equality.as_dict` gives it.

    Returns:
        The exit code: 1 if an output was not equal to the reference's.
    """
    result['conditions']['load_after'] = round(os.getloadavg()[0], 2)
    if args.json is not None:
        arguments = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
        content = {'benchmark': name, 'arguments': arguments, **result}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.json, json.dumps(content, indent=1) + '\n')
        print(f'\nwritten: {args.json}')
    unequal = [check for check, found in result['equality'].items() if not found['equal']]
    for check in unequal:
        print(f'NOT EQUAL: {check}', file=sys.stderr)
    return 1 if unequal else 0
