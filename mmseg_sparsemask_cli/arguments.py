"""Options that several tools have: each means one thing and is written once.

A tool lists those it takes as ``parents`` of its parser.
"""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path
from typing import Any

#: Units that a cost may have, and what one of it is worth.
UNITS = {'': 1, 'k': 1e3, 'm': 1e6, 'g': 1e9, 'ms': 1}


def cost(text: str) -> float:
    """A number above 0 with its unit, such as ``150k``, ``1.2G`` or ``30ms``."""
    plain = text.lower().replace(',', '').replace('_', '')
    match = re.fullmatch(r'([0-9]*\.?[0-9]+|[0-9]+\.)\s*(|k|m|g|ms)', plain)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(
            f'expected a number above 0 such as 150k, 1.2G or 30ms, got {text!r}'
        )
    return float(match[1]) * UNITS[match[2]]


def _parent(*names: str, **settings: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(*names, **settings)
    return parser


# A text as Python writes it, and not a list, whose quotes some shells and launchers keep.
_QUOTED = r"""(['"])(?![\[(])((?!\1)[^\\\n]|\\.)*\1"""


class _CfgOptions(argparse.Action):
    """MMEngine's `DictAction`, imported when the option is given.

    That removes white space, and splits at each comma: a text with one of them in quotes that reach
    the tool, such as ``key='my folder/x'``, is taken as it is.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        from mmengine.config import DictAction

        texts = {}
        for value in values:
            key, _, text = value.partition('=')
            if re.search(r'[\s,]', text) and re.fullmatch(_QUOTED, text):
                texts[key] = ast.literal_eval(text)
        rest = [value for value in values if value.partition('=')[0] not in texts]
        action = DictAction(self.option_strings, self.dest, nargs='+')
        try:
            action(parser, namespace, rest)
        except (AssertionError, ValueError):  # brackets that are not closed, no sign =
            parser.error(
                '--cfg-options: expected KEY=VALUE, without white space and with brackets in '
                f'pairs, got {" ".join(values)}'
            )
        getattr(namespace, self.dest).update(texts)


def cfg_options(of: str = 'the config') -> argparse.ArgumentParser:
    """``--cfg-options``: a dict of dotted keys, or None."""
    return _parent(
        '--cfg-options',
        nargs='+',
        action=_CfgOptions,
        metavar='KEY=VALUE',
        help=f'override settings of {of}; a list is key="[a,b]" or key=a,b, nested ones are '
        'key="[(a,b),(c,d)]", without white space',
    )


class _Shape(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if len(values) > 2 or min(values) < 1:
            parser.error(f'--shape: expected one or two positive numbers, got {values}')
        setattr(namespace, self.dest, (values[0], values[-1]))


def shape(
    default: tuple[int, int] | None = (512, 512), said: str = '512'
) -> argparse.ArgumentParser:
    """``--shape``: (height, width) in pixels of what the network sees."""
    return _parent(
        '--shape',
        type=int,
        nargs='+',
        action=_Shape,
        default=default,
        metavar='N',
        help=f'size of the images in pixels, one number or height and width (default: {said})',
    )


def work_dir(default: str) -> argparse.ArgumentParser:
    """``--work-dir``: the folder of a run, with its logs and checkpoints; a path, or None."""
    return _parent(
        '--work-dir', metavar='DIR', help=f'folder for all files of the run (default: {default})'
    )


def trust_checkpoint() -> argparse.ArgumentParser:
    """``--trust-checkpoint``."""
    return _parent(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint that may run code, itself or through a config that it names',
    )


def device(default: str | None = None) -> argparse.ArgumentParser:
    """``--device``: where networks run; None stands for a GPU if there is one."""
    said = default or 'cuda if there is one, else cpu'
    return _parent('--device', default=default, help=f'cpu, cuda or cuda:N (default: {said})')


def out_file(default: str | Path | None, said: str | None = None) -> argparse.ArgumentParser:
    """``--out`` of a tool that writes one file: its path."""
    return _parent(
        '--out',
        type=Path,
        default=default and Path(default),
        metavar='FILE',
        help=f'file to write (default: {said or default})',
    )


def out_folder(
    default: str | Path | None = None, said: str | None = None, required: bool = False
) -> argparse.ArgumentParser:
    """``--out`` of a tool that writes several files: their folder."""
    said = said or (str(default) if default else None)
    return _parent(
        '--out',
        type=Path,
        default=default and Path(default),
        required=required,
        metavar='DIR',
        help='folder to write' + (f' (default: {said})' if said else ''),
    )


def study(default: str) -> argparse.ArgumentParser:
    """``--storage`` and ``--study-name`` of a search for cells; each None if not given."""
    parser = _parent(
        '--storage',
        help='database URL, or the path of a SQLite file (default: $SPARSEMASK_STORAGE, which '
        f'hides a password from the list of processes, else {default})',
    )
    parser.add_argument('--study-name', help='name of the study (default: the config name)')
    return parser


def launcher() -> argparse.ArgumentParser:
    """``--launcher`` and the ``--local_rank`` that launchers give."""
    parser = _parent(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def parser_of(
    text: str | None, *parents: argparse.ArgumentParser, epilog: str | None = None
) -> argparse.ArgumentParser:
    """The parser of a tool: the first line of its docstring, and the options it shares."""
    first = (text or '').partition('\n')[0]
    return argparse.ArgumentParser(description=first, parents=parents, epilog=epilog)
