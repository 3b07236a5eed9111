"""What a table of runs asks for: searches, trainings, and what each of them starts from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from mmseg_sparsemask.compare.comparisons import Design

#: What of a search a row can be about, and the config that the search leaves for it: two trainings,
#: and the search's own weights after pruning.
USES = {'finetune': 'finetune.py', 'retrain': 'retrain.py', 'pruned': 'finetune.py'}

#: What can take the place of what a search found: its weights are put in random places, always
#: those of the search with seed 0; or its supernet is cut to random connections of the same costs.
CONTROLS = ('permuted', 'random')


@dataclass(frozen=True)
class Search:
    """A search that rows start from.

    Attributes:
        config: Its config, with a `PruneHook` that names a retrain config.
        iterations: Iterations of the search.
        options: What overrides the config, by dotted key.
        front: What ``tools/front.py`` is told besides the points, if entries are about its front.
    """

    config: str
    iterations: int
    options: Mapping[str, Any] = field(default_factory=dict)
    front: Sequence[str] = ()


@dataclass(frozen=True)
class Entry:
    """A method of a table, with all its seeds.

    Attributes:
        name: Name of its folder.
        method: As the page names it.
        training: How it is trained, as the page says it.
        seeds: One run for each.
        iterations: Iterations of the training; 0 takes what the search left.
        config: Config of the training; none if it is the search that leaves it.
        search: Name of the search that it starts from.
        use: What of the search it trains: a key of `USES`.
        control: Of a search, what is taken in the place of what it found, both with the entry's
            seed: a key of `CONTROLS`.
        point: The most parameters of a point of the search's front, which is then what the search
            found. Controls of a point are all those of the search with seed 0.
        size_of: Name of a search. The entry's random decoder costs what that search found with the
            same seed, in parameters and multiply-adds.
        same_inputs: It also has as many inputs of ``D1``.
        setting: What it tries, where a table is to choose one setting for all methods.
        options: What overrides the config, by dotted key.
    """

    name: str
    method: str
    training: str
    seeds: tuple[int, ...]
    iterations: int
    config: str | None = None
    search: str | None = None
    use: str | None = None
    control: str | None = None
    point: int | None = None
    size_of: str | None = None
    same_inputs: bool = False
    setting: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A comparison whose runs share data, machine and number of threads.

    Attributes:
        name: Stem of its file; its results go to a CSV file of the same name beside it.
        data: Data set, and sizes of images and crops, for the page.
        encoder: Encoder, and the weights it starts from, for the page.
        image_size: (height, width) of what the network sees, for multiply-adds and time.
        threads: Threads of every run.
        val_options: What makes tools/test.py score the validation images; None if there are none.
        searches: By name.
        entries: In the order in which they run.
        options: What overrides the configs of all of them, by dotted key.
        primary: Names of two entries, under ``entry`` and ``control``: the one comparison whose
            p-value is not corrected. It is named before the table runs.
        controls: Names of the entries that others of their size are compared with; by default those
            of the method `CONTROL`.
    """

    name: str
    data: str
    encoder: str
    image_size: tuple[int, int]
    threads: int
    val_options: Mapping[str, Any] | None
    searches: Mapping[str, Search]
    entries: tuple[Entry, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    primary: Mapping[str, str] | None = None
    controls: tuple[str, ...] | None = None

    @property
    def design(self) -> Design:
        """What the page compares."""
        keys = {entry.name: Run(entry, entry.seeds[0]).group(self) for entry in self.entries}
        primary, controls = None, None
        if self.primary is not None:
            primary = (keys[self.primary['entry']], keys[self.primary['control']])
        if self.controls is not None:
            controls = frozenset(keys[name] for name in self.controls)
        settings = {keys[e.name]: e.setting for e in self.entries if e.setting}
        return Design(primary, controls, settings)


@dataclass(frozen=True)
class Run:
    """One row of results: an entry with one of its seeds."""

    entry: Entry
    seed: int

    @property
    def search_seed(self) -> int:
        """Seed of the search that the run starts from."""
        entry = self.entry
        of_first = entry.control == 'permuted' or (entry.point and (entry.control or entry.size_of))
        return 0 if of_first else self.seed

    @property
    def search(self) -> str | None:
        """Name of the search that has to be there first, with its front if it is about a point."""
        return self.entry.search or self.entry.size_of

    def work_dir(self, root: Path) -> Path:
        """Its work directory below that of the table."""
        own = root / self.entry.name / f'seed{self.seed}'
        if self.entry.control:
            return own / 'trained'
        if self.entry.search:
            return root / self.entry.search / f'seed{self.search_seed}' / self.entry.name
        return own

    def search_iterations(self, table: Table) -> int:
        """Iterations of the search whose weights or connections it goes on with."""
        return table.searches[self.entry.search].iterations if self.entry.search else 0

    def group(self, table: Table) -> tuple[str, str, int, int]:
        """What its row has in common with those of other seeds; see `results.Result.group`."""
        entry = self.entry
        return entry.method, entry.training, self.search_iterations(table), entry.iterations


def read_table(path: str | Path, check_configs: bool = True) -> Table:
    """A table from its YAML file.

    Args:
        path: The file.
        check_configs: Whether the configs must be there, as for a table that is to be run.

    Raises:
        ValueError: Not such a file; a key is unknown or missing; a config does not exist; an entry
            starts from a search that is not there.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror})') from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f'{path}: not a YAML file ({error})') from None
    try:
        return _to_table(path.stem, content, check_configs)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def _to_table(name: str, content: Any, check_configs: bool) -> Table:
    settings = _settings(Table, content, 'the table', given={'name': name})
    size = settings['image_size']
    if not isinstance(size, list) or len(size) != 2 or not all(_is_count(side) for side in size):
        raise ValueError(f'image_size: expected [height, width] in pixels, got {size!r}')
    if not _is_count(settings['threads']):
        raise ValueError(f'threads: expected at least 1, got {settings["threads"]!r}')
    if not isinstance(settings['searches'] or {}, Mapping):
        raise ValueError(f'searches: expected a mapping by name, got {settings["searches"]!r}')
    if not isinstance(settings['entries'], list):
        raise ValueError(f'entries: expected a list, got {settings["entries"]!r}')
    searches = {
        key: Search(**_settings(Search, value, f'search {key}'))
        for key, value in (settings['searches'] or {}).items()
    }
    entries = tuple(
        _to_entry(value, place, searches) for place, value in enumerate(settings['entries'], 1)
    )
    named = [(f'search {key}', search.config) for key, search in searches.items()]
    named += [(f'entry {entry.name}', entry.config) for entry in entries if entry.config]
    for where, config in named if check_configs else ():
        if not Path(config).is_file():
            raise ValueError(f'{where}: the config {config} does not exist; name it from the root')
    names = [entry.name for entry in entries] + list(searches)
    if len(set(names)) < len(names):
        raise ValueError(f'expected a name of its own for each entry and search, got {names}')
    rows: dict[tuple[Any, ...], str] = {}
    for entry in entries:
        # As a row is known by, see `Run.group`: the second would count as done.
        before = searches[entry.search].iterations if entry.search else 0
        row = (entry.method, entry.training, before, entry.iterations)
        if (other := rows.setdefault(row, entry.name)) != entry.name:
            raise ValueError(
                f'entries {other} and {entry.name} have one method, training and number of '
                'iterations, by which rows are told apart; give one another method or training'
            )
    for key, search in searches.items():
        _check_iterations(f'search {key}', search.iterations, least=1)
        if isinstance(search.front, str) or not all(isinstance(one, str) for one in search.front):
            raise ValueError(
                f"search {key}: front: expected a list of texts, such as ['--rerank', '100'], got "
                f'{search.front!r}'
            )
    values = {**settings, 'image_size': tuple(size), 'searches': searches, 'entries': entries}
    for key, used in _used_entries(settings).items():
        unknown = [name for name in used if name not in [entry.name for entry in entries]]
        if unknown:
            raise ValueError(f'{key}: no entries {unknown}; there are {", ".join(names)}')
    if settings.get('controls') is not None:
        values['controls'] = tuple(settings['controls'])
    return Table(**values)


def _used_entries(settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The entries that `primary` and `controls` name."""
    primary, controls = settings.get('primary'), settings.get('controls')
    if primary is not None and (
        not isinstance(primary, Mapping) or set(primary) != {'entry', 'control'}
    ):
        raise ValueError(
            f'primary: expected two entries, {{entry: NAME, control: NAME}}, got {primary!r}'
        )
    if controls is not None and not isinstance(controls, list):
        raise ValueError(f'controls: expected a list of entries, got {controls!r}')
    return {'primary': list((primary or {}).values()), 'controls': controls or []}


def _to_entry(value: Any, place: int, searches: Mapping[str, Search]) -> Entry:
    settings = _settings(Entry, value, f'entry {place}')
    where = f'entry {settings["name"]}'
    seeds = settings['seeds']
    numbers = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not numbers or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f'{where}: seeds: expected a list of different numbers, got {seeds!r}')
    entry = Entry(**{**settings, 'seeds': tuple(seeds)})
    if (entry.config is None) == (entry.search is None):
        raise ValueError(f'{where}: expected either a config or a search, got both or none')
    for name in filter(None, (entry.search, entry.size_of)):
        if name not in searches:
            raise ValueError(f'{where}: no search {name!r}; there are {", ".join(searches)}')
    if entry.search is not None and entry.use not in USES:
        raise ValueError(f'{where}: use: expected one of {", ".join(USES)}, got {entry.use!r}')
    if entry.search is None and (entry.use or entry.control):
        raise ValueError(f'{where}: use and control are about a search; name one')
    if entry.control not in (None, *CONTROLS):
        raise ValueError(
            f'{where}: control: expected one of {", ".join(CONTROLS)}, got {entry.control!r}'
        )
    if entry.same_inputs and entry.size_of is None:
        raise ValueError(f'{where}: same_inputs is about size_of; name a search')
    if entry.point is not None:
        if not _is_count(entry.point):
            raise ValueError(f'{where}: point: expected parameters, got {entry.point!r}')
        if not (entry.search or entry.size_of):
            raise ValueError(f'{where}: point is about the front of a search; name one')
        if entry.control == 'permuted':
            raise ValueError(f'{where}: point: permuted weights have none')
    as_found = entry.use == 'pruned'
    _check_iterations(where, entry.iterations, least=0 if as_found else 1)
    if as_found and entry.iterations:
        raise ValueError(f'{where}: use: pruned trains nothing; expected iterations: 0')
    return entry


def _check_iterations(where: str, iterations: Any, least: int) -> None:
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < least:
        raise ValueError(f'{where}: iterations: expected at least {least}, got {iterations!r}')


def _settings(
    kind: Any, value: Any, where: str, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Keywords of a class from a mapping, none unknown and none missing, texts on one line."""
    if not isinstance(value, Mapping):
        raise ValueError(f'{where}: expected a mapping, got {value!r}')
    known = {item.name: item for item in fields(kind) if item.name not in (given or {})}
    unknown = sorted(map(str, set(value) - set(known)))
    missing = [
        name
        for name, item in known.items()
        if name not in value and item.default is MISSING and item.default_factory is MISSING
    ]
    if unknown or missing:
        raise ValueError(
            f'{where}: unknown keys {unknown}, missing keys {missing}; expected {", ".join(known)}'
        )
    for name, text in value.items():
        # A row holds it on one line without white space around it, or is not found again.
        plain = isinstance(text, str) and text.isprintable() and text == text.strip() != ''
        if str(known[name].type).startswith('str') and text is not None and not plain:
            raise ValueError(f'{where}: {name}: expected a line of text, got {text!r}')
    return {**value, **(given or {})}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def runs_of(table: Table, only: Sequence[str] = ()) -> list[Run]:
    """The runs of a table: all entries with their first seeds, then all with their second ones.

    So that a table compares its methods once a part of it has run.

    Args:
        table: The table.
        only: Names of entries; all of them by default.

    Raises:
        ValueError: No entry has such a name.
    """
    names = [entry.name for entry in table.entries]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise ValueError(f'no entries {unknown}; there are {", ".join(names)}')
    numbered = [
        (place, Run(entry, seed))
        for entry in table.entries
        if not only or entry.name in only
        for place, seed in enumerate(entry.seeds)
    ]
    return [run for _, run in sorted(numbered, key=lambda item: item[0])]


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as ``--cfg-options`` reads them: ``key=value``, lists without white space."""
    return [f'{key}={_as_text(value)}' for key, value in options.items()]


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        return str(value).replace(' ', '')
    # A folder may have any name; what begins as a list does is one.
    return repr(value) if re.search(r'[\s,]', value) and value[0] not in '[(' else value
