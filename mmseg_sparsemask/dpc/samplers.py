"""Which cell comes next: the samplers of the search."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.space import SearchSpace
from mmseg_sparsemask.utils.checks import check_keys, check_one_of, check_whole

#: What each sampler takes.
SAMPLERS: dict[str, set[str]] = {
    'local_search': {'explore', 'startup'},
    'random': set(),
    'tpe': {'startup'},
    'nsga2': {'population_size'},
}
#: How often an own sampler draws again to avoid a cell that was tried or is too costly.
DRAWS = 200

Allowed = Callable[[Cell], bool]
Constraints = Callable[[FrozenTrial], Sequence[float]]


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The decisions of a search space, as Optuna has them."""
    return {name: CategoricalDistribution(values) for name, values in space.choices().items()}


class CellSampler(BaseSampler):
    """Uniformly at random, mixed with points near the best so far (section 3.3 of the paper).

    The draw of a trial depends on the seed, its number and the finished trials alone, so no two
    workers, on one machine or many, draw alike. Cells that were tried, or are being tried, are
    drawn again.

    Args:
        space: The search space.
        explore: Share of uniform draws in [0, 1]; 1 is plain random search.
        startup: Uniform draws until this many trials have finished.
        seed: Any integer.
        allowed: Cells for which this is false are drawn again.
        constraints: Values above 0 are violations; what has any is no best so far.

    Raises:
        ValueError: A number out of range.
    """

    def __init__(
        self,
        space: SearchSpace,
        explore: float = 0.5,
        startup: int = 10,
        seed: int = 0,
        allowed: Allowed | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        if not 0 <= explore <= 1:
            raise ValueError(f'sampler.explore must lie in [0, 1], got {explore}')
        check_whole(0, **{'sampler.startup': startup})
        self.space = space
        self.explore = explore
        self.startup = startup
        self.seed = seed
        self.allowed = allowed or (lambda cell: True)
        self.constraints = constraints or (lambda trial: ())

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All decisions: a cell is drawn as a whole."""
        return distributions(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw a cell."""
        trials = study.get_trials(deepcopy=False)
        seen = {t.user_attrs['hash'] for t in trials if 'hash' in t.user_attrs}
        finished = [t for t in trials if t.state == TrialState.COMPLETE]
        rng = random.Random(f'{self.seed}:{trial.number}')
        best: list[Cell] = []
        if self.explore < 1 and len(finished) >= self.startup:
            keeping = optuna.create_study(directions=study.directions)
            kept = (t for t in finished if all(v <= 0 for v in self.constraints(t)))
            keeping.add_trials(kept)
            best = [self.space.from_params(t.params) for t in keeping.best_trials]
        for _ in range(DRAWS):
            if best and rng.random() >= self.explore:
                cell = self.space.mutate(rng.choice(best), rng)
            else:
                cell = self.space.sample(rng)
            if cell.hash not in seen and self.allowed(cell):
                break
        return self.space.to_params(cell)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One decision by itself, uniformly: for trials that were queued with a part of them."""
        assert isinstance(param_distribution, CategoricalDistribution)
        rng = random.Random(f'{self.seed}:{trial.number}:{param_name}')
        return rng.choice(param_distribution.choices)


def _asked(name: str) -> Any:
    return property(lambda self: getattr(self._sampler, name))


class NumberedSampler(BaseSampler):
    """One of Optuna's samplers, with a seed for each trial instead of a state.

    The draw of a trial depends on the seed, its number and the other trials alone, so no two
    workers draw alike, and a search with one worker repeats, also when it was stopped between.

    Args:
        kind: The class of the sampler.
        seed: Any integer.
        arguments: Arguments of ``kind``, beside the seed.
    """

    def __init__(self, kind: Callable[..., BaseSampler], seed: int, **arguments: Any) -> None:
        self._make = partial(kind, **arguments)
        self._seed = seed

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of this trial; Optuna asks for nothing before."""
        rng = random.Random(f'{self._seed}:{trial.number}')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
            self._sampler = self._make(seed=rng.randrange(2**31))
        self._sampler.before_trial(study, trial)

    infer_relative_search_space = _asked('infer_relative_search_space')
    sample_relative = _asked('sample_relative')
    sample_independent = _asked('sample_independent')
    after_trial = _asked('after_trial')  # such as noting how far bounds were missed


def build_sampler(
    config: Mapping[str, Any],
    space: SearchSpace,
    seed: int,
    allowed: Allowed | None = None,
    constraints: Constraints | None = None,
) -> BaseSampler:
    """A sampler from the ``sampler`` dict of a search config.

    Args:
        config: ``type`` is one of ``local_search`` (``explore``, ``startup``), ``random``, ``tpe``
            (``startup``) and ``nsga2`` (``population_size``); the rest are its arguments.
        space: The search space.
        seed: Seed of the draws. TPE and NSGA-II look at what other workers found, so that their
            draws repeat with one worker only.
        allowed: See `CellSampler`; for ``local_search`` and ``random``.
        constraints: Values above 0 are violations; not for ``random``.

    Raises:
        ValueError: An unknown sampler or argument.
    """
    config = dict(config)
    kind = config.pop('type', 'local_search')
    check_one_of('a sampler', kind, SAMPLERS)
    check_keys(config, SAMPLERS[kind], f'sampler {kind}')
    if kind == 'tpe':
        # Without the liar, two workers at a time are sent to the same place.
        given = dict(n_startup_trials=config.get('startup', 10), constant_liar=True)
        return NumberedSampler(TPESampler, seed, constraints_func=constraints, **given)
    if kind == 'nsga2':
        given = dict(population_size=config.get('population_size', 20))
        return NumberedSampler(NSGAIISampler, seed, constraints_func=constraints, **given)
    if kind == 'random':
        config = {'explore': 1.0}
    own = dict(seed=seed, allowed=allowed, constraints=constraints)
    return CellSampler(space, **own, **config)
