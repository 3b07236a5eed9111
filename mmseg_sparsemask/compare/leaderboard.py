"""The page of results: made from CSV files, and from what their tables named before they ran."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from matplotlib.figure import Figure

from mmseg_sparsemask.compare.comparisons import (
    Comparison,
    Design,
    choices,
    compare_groups,
    rank_settings,
)
from mmseg_sparsemask.compare.results import Group, Result, group_results
from mmseg_sparsemask.compare.rows import MISSING, decimals_of, markdown_table
from mmseg_sparsemask.compare.scatter import Panel, draw_comparison
from mmseg_sparsemask.utils.markup import plain_text

_INTRODUCTION = """# Leaderboard

`tools/results.py page` writes this page. Each number on it comes from a CSV file, which has one row
a run. `tools/run_table.py` trains and scores the runs of a table and adds their rows.

- Scores are means ± sample standard deviations over the seeds; mIoU is in percent. Methods may be
  chosen by *val*, where a data set has such images; *test* was scored once for each run.
- *iterations* are those of the search and those of the training after it.
- *parameters* and *multiply-adds* are the decoder's, for one image of the size that the network
  sees; *ms* is the median time of the whole network for such an image. Where searches found
  different decoders, they are means.
- *difference* is the median of all pairwise differences between the test scores of two methods
  (Hodges and Lehmann), *interval* its exact interval at 95 %, or at what so few runs allow.
- *p* is that of a two-sided rank test (Mann and Whitney), for three runs and more. The primary
  comparison was named before the table ran. The p-values of all others are corrected for their
  number (Holm).
- A method is compared with those runs of a control whose decoder has the parameters and the
  multiply-adds of one of its own, within 5 %.
- *setting* says what one setting for all methods is worth: *val* of each method with it, its mean
  rank among all settings over the methods that tried all, and its mean rank among the settings that
  every method tried.
- *best by val* says what repeated runs are worth: the expected test score of the best of so many
  runs, chosen by *val*. With random decoders that is a random search.
"""

_PANELS: tuple[Panel, ...] = (
    ('decoder parameters (M)', lambda row: (row.decoder_parameters or 0) / 1e6, True),
    ('decoder multiply-adds (M)', lambda row: (row.decoder_multiply_adds or 0) / 1e6, True),
    ('ms for one image', lambda row: None if row.fps is None else 1000 / row.fps, True),
)


def figure_name(stem: str) -> str:
    """File of a table's plot, in ``docs/images``."""
    return f'leaderboard_{stem}.svg'


def draw_results(results: Sequence[Result]) -> Figure:
    """Test scores against the decoder's costs and against time; numbers as in the page's table."""
    return draw_comparison([group.row() for group in group_results(results)], _PANELS)


def page_text(
    tables: Mapping[str, Sequence[Result]],
    designs: Mapping[str, Design] | None = None,
    places: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """The page in Markdown.

    Args:
        tables: Results by the stem of their file.
        designs: What tables named before they ran, by the same.
        places: Where plot and CSV file of each table lie, as the page names them; by default as in
            this repository.
    """
    parts = [_INTRODUCTION]
    for stem, results in sorted(tables.items()):
        known = (f'images/{figure_name(stem)}', f'../results/{stem}.csv')
        place, design = (places or {}).get(stem, known), (designs or {}).get(stem, Design())
        if results:
            parts.append(_section(stem, results, design, *place))
    return '\n'.join(parts)


def _section(stem: str, results: Sequence[Result], design: Design, image: str, csv: str) -> str:
    groups = group_results(results)
    metric = groups[0].first.metric
    columns = {
        'Data': 'data',
        'Encoder': 'encoder',
        'Image': 'image_size',
        'Threads': 'threads',
        'Machine': 'machine',
        'Timed on': 'timed_on',
        'Versions': 'versions',
        'Commits': 'commit',
    }
    lines = [
        f'## {plain_text(stem)}\n',
        *(_listed(title, results, column) for title, column in columns.items()),
        '',
        _methods(groups),
        '',
        f"![{metric} on test against the decoder's costs and time]({quote(image)})",
        '',
    ]
    found = compare_groups(groups, design)
    if found:
        lines += [_comparisons(groups, found), '']
    for more in (_choices(groups, design), _settings(groups, design)):
        lines += [more, ''] if more else []
    lines += [f'[Every run]({quote(csv)}), with its config, options and log.', '']
    return '\n'.join(lines)


def _listed(title: str, results: Sequence[Result], column: str) -> str:
    values = dict.fromkeys(str(getattr(result, column)) for result in results)
    return f'- {title}: {"; ".join(map(plain_text, values))}'


def _methods(groups: Sequence[Group]) -> str:
    metric = groups[0].first.metric
    rows: list[list[object]] = []
    for number, group in enumerate(groups, 1):
        first = group.first
        counts = sorted({str(run.connections) for run in group.runs}, key=lambda c: (len(c), c))
        rows.append(
            [
                number,
                plain_text(first.method),
                plain_text(first.training),
                len(group.runs),
                f'{first.search_iterations} + {first.training_iterations}',
                ', '.join(counts),
                f'{group.mean_of("decoder_parameters"):,.0f}',
                f'{group.mean_of("decoder_multiply_adds") / 1e6:,.1f}M',
                f'{group.mean_of("ms"):.1f}',
                _spread(group.val, metric),
                _spread(group.test, metric),
            ]
        )
    columns = ['#', 'method', 'training', 'seeds', 'iterations', 'connections', 'parameters']
    columns += ['multiply-adds', 'ms', f'{metric} val', f'{metric} test']
    return markdown_table(columns, ['method', 'training'], rows)


def _comparisons(groups: Sequence[Group], found: Sequence[Comparison]) -> str:
    numbers = {group.first.group: number for number, group in enumerate(groups, 1)}
    digits = decimals_of(groups[0].first.metric)

    def named(group: Group) -> str:
        return f'{numbers[group.first.group]} {plain_text(group.title)}'

    rows: list[list[object]] = []
    for one in found:
        moved, interval = one.shift, MISSING
        if moved.low is not None and moved.high is not None and moved.confidence is not None:
            interval = f'{moved.low:+.{digits}f} to {moved.high:+.{digits}f}'
            if moved.confidence < 0.95:
                interval += f' ({moved.confidence:.0%})'
        p_value = MISSING if one.p_value is None else f'{one.p_value:.3f}'
        p_value = '< 0.001' if p_value == '0.000' else p_value
        runs = f'{len(one.group.runs)}, {len(one.other.runs)}'
        difference = f'{moved.estimate:+.{digits}f}'
        kind = 'corrected' if one.p_value is not None else MISSING
        kind = 'primary' if one.primary else kind
        rows.append([named(one.group), named(one.other), runs, difference, interval, p_value, kind])
    columns = ['method', 'compared with', 'runs', 'difference', 'interval', 'p', 'kind']
    return markdown_table(columns, columns[:2], rows)


def _choices(groups: Sequence[Group], design: Design) -> str:
    found = choices(groups, design)
    if not found:
        return ''
    metric = groups[0].first.metric
    rows: list[list[object]] = [
        [
            plain_text(one.group.title),
            one.count,
            f'{one.iterations:,}',
            f'{one.test:.{decimals_of(metric)}f}',
        ]
        for one in found
    ]
    return markdown_table(
        ['best by val', 'runs', 'iterations in all', f'{metric} test'], ['best by val'], rows
    )


def _settings(groups: Sequence[Group], design: Design) -> str:
    found = rank_settings(groups, design)
    if not found:
        return ''
    digits = decimals_of(groups[0].first.metric)
    methods = list(dict.fromkeys(method for one in found for method in one.val))

    def row(numbers: Sequence[float | None], digits: int) -> list[object]:
        return [MISSING if number is None else f'{number:.{digits}f}' for number in numbers]

    rows = [
        [
            plain_text(one.name),
            *row([one.val.get(method) for method in methods], digits),
            *row([one.rank, one.final], 2),
        ]
        for one in found
    ]
    columns = ['setting', *map(plain_text, methods), 'rank', 'rank of those that all tried']
    return markdown_table(columns, ['setting'], rows)


def _spread(scores: Sequence[float], metric: str) -> str:
    if not scores:
        return MISSING
    digits = decimals_of(metric)
    mean = f'{statistics.fmean(scores):.{digits}f}'
    return f'{mean} ± {statistics.stdev(scores):.{digits}f}' if len(scores) > 1 else mean
