"""Rows from configs and from what their runs left in the work directories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mmseg_sparsemask.compare.rows import Row, one_line
from mmseg_sparsemask.compare.scores import Score, find_tests, find_validations
from mmseg_sparsemask.compare.sizes import build_segmentor, fill_sizes
from mmseg_sparsemask.utils.read_config import has_supernet

#: Ways in which what a search found is trained, and the config and folder of each.
TRAININGS = {'fine-tuned': 'finetune', 'from scratch': 'retrain'}

#: What a search leaves of its own weights, whichever config tests it.
PRUNED = 'pruned.pth'


@dataclass
class Method:
    """A row and the model it is about; None when it could not be built.

    Attributes:
        row: What is printed.
        model: The network.
        runs: The work directories that the row is about.
    """

    row: Row
    model: nn.Module | None = None
    runs: frozenset[Path] = frozenset()


def collect_methods(
    configs: Iterable[str | Path], work_roots: Sequence[str | Path], image_size: tuple[int, int]
) -> list[Method]:
    """The rows of several configs, each once.

    A search and the configs that it wrote name the same trainings: the row that has most of their
    runs stays.

    Args:
        configs: Paths.
        work_roots: See `collect`.
        image_size: (height, width) for the multiply-adds.
    """
    found = [row for config in configs for row in collect(config, work_roots, image_size)]
    return [
        method
        for place, method in enumerate(found)
        if not any(
            method.row.method == other.row.method
            and (method.runs < other.runs or (method.runs == other.runs and number < place))
            for number, other in enumerate(found)
        )
    ]


def collect(
    config: str | Path, work_roots: Sequence[str | Path], image_size: tuple[int, int]
) -> list[Method]:
    """The rows of a config.

    A search (its head is an ``FDNHead``) stands for what it found: for each of ``finetune.py`` and
    ``retrain.py`` in its work directory there is a row with the model and the results of that
    training; before them one with tests of ``pruned.pth``, if there are any. These two configs
    themselves have the rows of their trainings. Everything else is one row.

    Args:
        config: Path of the config.
        work_roots: Folders with a work directory named as the config in each, one for each run;
            mean and spread go over those that hold a result. A config that sets ``work_dir``
            itself has that one only.
        image_size: (height, width) for the multiply-adds.

    Returns:
        What is known; what went wrong is in a row's notes.
    """
    config = Path(config)
    for way, stem in TRAININGS.items():
        if config.stem == stem:
            return _of_search({way: [config.absolute().parent]}, image_size)
    row = Row(config.stem)
    # A row that fails must not take the table with it, whatever its config is.
    try:
        cfg = Config.fromfile(str(config))
        work_dirs = [Path(root) / config.stem for root in work_roots]
        if cfg.get('work_dir'):
            work_dirs = [Path(cfg.work_dir)]
        if not has_supernet(cfg.model):
            return [_method(row, cfg, work_dirs, image_size)]
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'cannot be built: {one_line(error)}')
        return [Method(row)]
    found = {
        way: [path for path in work_dirs if (path / f'{stem}.py').is_file()]
        for way, stem in TRAININGS.items()
    }
    if any(found.values()):
        return _of_search({way: paths for way, paths in found.items() if paths}, image_size)
    searched = ', '.join(map(str, work_dirs))
    row.notes.append(f'the supernet is shown: no retrain.py in {searched}, train and prune first')
    return [_method(row, cfg, work_dirs, image_size)]


def _of_search(searches: dict[str, list[Path]], image_size: tuple[int, int]) -> list[Method]:
    """Rows of the work directories of a search, which have the config of each way of training."""
    trained = [_trained(way, TRAININGS[way], found, image_size) for way, found in searches.items()]
    pruned = _pruned(trained[0], searches)
    return [pruned, *trained] if pruned.row.scores else trained


def _trained(way: str, folder: str, found: Sequence[Path], image_size: tuple[int, int]) -> Method:
    """A row of what several runs of a search found, trained in one way."""
    row, config = Row(f'{found[0].name}, {way}'), found[0] / f'{folder}.py'
    if len(found) > 1:
        row.notes.append(f'the size is that of the decoder in {found[0]}')
    row.notes.append(f'searched, then trained with {config}')
    try:
        cfg = _training_config(config)
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'cannot be built: {one_line(error)}')
        return Method(row)
    return _method(row, cfg, [search / folder for search in found], image_size, own=True)


def _pruned(like: Method, searches: dict[str, list[Path]]) -> Method:
    """The row of a search's own weights, from tests with either of its configs."""
    scores: dict[Path, Score] = {}
    for way, found in searches.items():
        for search in found:
            tests = find_tests(search / TRAININGS[way])
            scores.update((search, test) for test in tests if _is_pruned(test))
    row = replace(like.row, method=like.row.method.rpartition(', ')[0] + ', pruned', notes=[])
    _fill_scores(row, list(scores.values()))
    return Method(row, like.model, frozenset(map(Path.resolve, scores)))


def _is_pruned(score: Score) -> bool:
    return Path(score.checkpoint).name == PRUNED


def _training_config(config: Path) -> Config:
    """A ``finetune.py`` or ``retrain.py``; moved away from its base, the training's own copy."""
    try:
        return Config.fromfile(str(config))
    except FileNotFoundError:
        copied = config.parent / config.stem / config.name
        if not copied.is_file():
            raise
        return Config.fromfile(str(copied))


def _method(
    row: Row,
    cfg: Config,
    work_dirs: Sequence[Path],
    image_size: tuple[int, int],
    own: bool = False,
) -> Method:
    """A row of one network and its runs; `own` leaves out tests of what others trained."""
    try:
        model = build_segmentor(cfg)
        fill_sizes(model, row, image_size)
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'cannot be built: {one_line(error)}')
        return Method(row)
    scores = []
    for folder in work_dirs:
        tests = [test for test in find_tests(folder) if not own or _is_of(folder, test)]
        scores += (tests or find_validations(folder))[-1:]
    _fill_scores(row, scores)
    if not scores:
        row.notes.append(f'no result in {", ".join(map(str, work_dirs))}')
    return Method(row, model, frozenset(folder.resolve() for folder in work_dirs))


def _is_of(folder: Path, test: Score) -> bool:
    """Whether a test measured what was trained in a folder, which may have been moved since."""
    checkpoint = Path(test.checkpoint)
    if checkpoint.is_file():
        return checkpoint.resolve().parent == folder.resolve()
    return not test.checkpoint or checkpoint.parent.name == folder.name


def _fill_scores(row: Row, scores: Sequence[Score]) -> None:
    row.metric = scores[-1].metric if scores else row.metric
    scores = [score for score in scores if score.metric == row.metric]
    row.scores = [score.value for score in scores]
    row.score_source = ', '.join(sorted({score.title for score in scores}))
