"""The page of all results: made from the CSV files and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from prettytable import PrettyTable, TableStyle

from mmseg_sparsemask.compare.results import CONTROL, Group, Result, group_results
from mmseg_sparsemask.compare.rows import MISSING
from mmseg_sparsemask.compare.scatter import Panel, draw_comparison

_INTRODUCTION = f"""# Leaderboard

`tools/results.py page` writes this page from the files in `results/`, which have one row a run;
nothing on it comes from elsewhere. `tools/run_table.py` trains and scores the runs of a table and
adds their rows.

- Scores are means ± sample standard deviations over the seeds; mIoU is in percent. Methods may be
  chosen by *val*, where a data set has such images; *test* was scored once for each run.
- *iterations* are those of the search and those of the training after it.
- *parameters* and *multiply-adds* are the decoder's, for one image of the size that the network
  sees; *ms* is the median time of the whole network for such an image. Where searches found
  different decoders, they are means.
- *against random* compares test scores with those of {CONTROL}: the relative difference of the
  means, and the p-value of a two-sided rank test (Mann and Whitney).
"""

_PANELS: tuple[Panel, ...] = (
    (
        'decoder parameters (M)',
        lambda row: None if row.decoder_parameters is None else row.decoder_parameters / 1e6,
    ),
    ('ms for one image', lambda row: None if row.fps is None else 1000 / row.fps),
)


def figure_name(stem: str) -> str:
    """File of a table's plot, in ``docs/images``."""
    return f'leaderboard_{stem}.svg'


def draw_results(results: Sequence[Result]) -> Figure:
    """Test scores against decoder parameters and against time."""
    return draw_comparison([group.row() for group in group_results(results)], _PANELS)


def page_text(tables: Mapping[str, Sequence[Result]]) -> str:
    """The page in Markdown.

    Args:
        tables: Results by the stem of their file.
    """
    parts = [_INTRODUCTION]
    parts += [_section(stem, results) for stem, results in sorted(tables.items()) if results]
    return '\n'.join(parts)


def _section(stem: str, results: Sequence[Result]) -> str:
    groups = group_results(results)
    conditions = [
        _listed('Data', results, 'data'),
        _listed('Encoder', results, 'encoder'),
        _listed('Image', results, 'image_size'),
        _listed('Threads', results, 'threads'),
        _listed('Machine', results, 'machine'),
        _listed('Timed on', results, 'timed_on'),
        _listed('Versions', results, 'versions'),
        _listed('Commits', results, 'commit'),
    ]
    image = f'images/{figure_name(stem)}'
    return '\n'.join(
        [
            f'## {stem}\n',
            '\n'.join(conditions),
            '',
            _table(groups),
            '',
            f'![{groups[0].first.metric} on test against decoder parameters and time]({image})',
            '',
            f'[Every run](../results/{stem}.csv), with its config, options and log.',
            '',
        ]
    )


def _listed(title: str, results: Sequence[Result], column: str) -> str:
    values = dict.fromkeys(str(getattr(result, column)) for result in results)
    return f'- {title}: {"; ".join(values)}'


def _table(groups: Sequence[Group]) -> str:
    metric = groups[0].first.metric
    table = PrettyTable(
        ['method', 'training', 'seeds', 'iterations', 'connections', 'parameters', 'multiply-adds']
        + ['ms', f'{metric} val', f'{metric} test', 'against random']
    )
    table.align = 'r'
    table.align['method'] = table.align['training'] = 'l'
    table.set_style(TableStyle.MARKDOWN)
    for group in groups:
        first = group.first
        counts = sorted(
            {str(run.connections) for run in group.runs}, key=lambda text: (len(text), text)
        )
        table.add_row(
            [
                first.method,
                first.training,
                len(group.runs),
                f'{first.search_iterations} + {first.training_iterations}',
                ', '.join(counts),
                f'{group.mean_of("decoder_parameters"):,.0f}',
                f'{group.mean_of("decoder_multiply_adds") / 1e6:,.1f}M',
                f'{group.mean_of("ms"):.1f}',
                _spread(group.val),
                _spread(group.test),
                _against(group),
            ]
        )
    return table.get_string()


def _spread(scores: Sequence[float]) -> str:
    if not scores:
        return MISSING
    digits = 2 if max(scores) > 1 else 3
    mean = f'{statistics.fmean(scores):.{digits}f}'
    return f'{mean} ± {statistics.stdev(scores):.{digits}f}' if len(scores) > 1 else mean


def _against(group: Group) -> str:
    improvement, p_value = group.improvement, group.p_value
    if improvement is None or p_value is None:
        return MISSING
    return f'{improvement:+.1f} %, p = {p_value:.3f}'
