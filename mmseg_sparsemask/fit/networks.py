"""Training of all networks: those that are compared, the supernet, and what its front gives."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from pathlib import Path
from threading import Event

import torch
from mmengine.config import Config

from mmseg_sparsemask.compare.plan import Entry, Run, Search, Table, runs_of
from mmseg_sparsemask.compare.runner import TableRunner
from mmseg_sparsemask.compare.sizes import build_segmentor, encoder_parameters
from mmseg_sparsemask.compare.steps import Steps, last_checkpoint
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.latency import keep_memory
from mmseg_sparsemask.fit.configs import SUPERNET, TITLES, Plan, names_of
from mmseg_sparsemask.fit.data import FolderData
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.search.front_table import Point, read_points
from mmseg_sparsemask.utils.commands import side_by_side
from mmseg_sparsemask.utils.files import read_json, write_json
from mmseg_sparsemask.utils.timing import timed_in_turns

#: Names of what is searched, the one of least loss first.
SEARCHED = ('searched', 'searched-small')

#: Points of the front, and swaps that are scored for each.
POINTS, SWAPS = 6, 5

#: Which points of the front are trained further.
PICKED = 'picked.json'


@dataclass(frozen=True)
class Limits:
    """What the network that is chosen may cost.

    Attributes:
        milliseconds: For one image, in the deployed form.
        parameters: Of the whole network.
    """

    milliseconds: float = inf
    parameters: float = inf

    def allow(self, milliseconds: float, parameters: float) -> bool:
        """Whether a network is within both."""
        return milliseconds <= self.milliseconds and parameters <= self.parameters

    def __str__(self) -> str:
        time, size = f'{self.milliseconds:g} ms', f'{self.parameters:,.0f} parameters'
        both = ((time, self.milliseconds), (size, self.parameters))
        return ' and '.join(text for text, limit in both if limit < inf)


@dataclass(frozen=True)
class Networks:
    """The runs of one `fit`; what was stopped goes on.

    Attributes:
        out: Folder of all that is written, with the configs in ``configs``.
        data: What was seen of the images.
        encoder: Name of the encoder, for the rows.
        plan: How networks are trained.
        limits: What the searched ones are picked for.
        tools: Folder of the tools.
        device: Where their time is measured.
    """

    out: Path
    data: FolderData
    encoder: str
    plan: Plan
    limits: Limits
    tools: Path
    device: str

    @cached_property
    def table(self) -> Table:
        """The networks that are compared with what is searched."""
        plan, configs = self.plan, self.out / 'configs'
        # What lets a test score the validation images, where test images are others.
        val_options = {'test_dataloader.dataset.ann_file': self.data.dataset('val')['ann_file']}
        supernet = Search(str(configs / f'{SUPERNET}.py'), plan.search_iterations)
        return Table(
            name='fit',
            data='own images',
            encoder=self.encoder,
            image_size=plan.tested,
            threads=plan.threads,
            val_options=val_options if 'test' in self.data.counts else None,
            searches={SUPERNET: supernet},
            entries=tuple(
                self._entry(name, 'trained', configs / f'{name}.py', plan.iterations)
                for name in names_of(configs)
            ),
        )

    @property
    def root(self) -> Path:
        """Folder of all work directories."""
        return self.out / 'networks'

    @property
    def results(self) -> Path:
        """File of the rows."""
        return self.out / 'fit.csv'

    @property
    def front(self) -> Path:
        """Folder of the supernet's front."""
        return self.root / SUPERNET / 'seed0/front'

    def run(self) -> Table:
        """Train and score all; return the table with what was searched.

        Raises:
            SystemExit: A step failed; the others are ended, too.
        """
        stop = Event()

        def run(table: Table) -> None:
            runner = TableRunner(table, runs_of(table), self.root, self.results, self.tools)
            runner.stop = stop
            runner.run()

        self.root.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1) as pool:
            whole = pool.submit(self._searched, stop)

            def after_search() -> None:
                run(whole.result())

            def compare() -> None:
                run(self.table)
                run(whole.result())

            side_by_side([after_search, compare][: self.plan.processes], stop)
        return whole.result()

    def _searched(self, stop: Event) -> Table:
        """The table with entries for what the front of the supernet gives."""
        steps = Steps(self.table, self.root, self.tools, stop)
        with suppress(FileNotFoundError):
            return self._with_entries(read_json(self.front / PICKED))
        steps.search(SUPERNET, 0)
        if not (self.front / 'front.csv').is_file():
            steps.call(
                'front of the supernet',
                'front.py',
                *(steps.search_dir(SUPERNET, 0), '--trust-checkpoint'),
                *('--cost', 'parameters' if self.limits.parameters < inf else 'multiply_adds'),
                *('--held-back', str(self.plan.held_back or 16)),
                *('--count', str(POINTS), '--swaps', str(SWAPS)),
            )
        points, times, encoder = read_points(self.front), {}, 0
        if self.limits.milliseconds < inf:
            configs = {p.folder: self.front / p.folder / 'finetune.py' for p in points}
            times = deployed_times(configs, self.plan.tested, self.device, rounds=3)
        if self.limits.parameters < inf:
            unet = build_segmentor(Config.fromfile(self.out / 'configs/unet.py'))
            encoder = encoder_parameters(unet)
        names = [point.folder for point in picked(points, self.limits, times, encoder)]
        write_json(self.front / PICKED, names)
        return self._with_entries(names)

    def _with_entries(self, folders: Sequence[str]) -> Table:
        rest = self.plan.iterations - self.plan.search_iterations
        found = [
            self._entry(name, 'fine-tuned', self.front / folder / 'finetune.py', rest)
            for name, folder in zip(SEARCHED, folders)
        ]
        # What waits for nothing comes first only for who has not searched.
        return replace(self.table, entries=(*found, *self.table.entries))

    def _entry(self, name: str, training: str, config: Path, iterations: int) -> Entry:
        options, title = {'test_evaluator.output_dir': str(self.maps(name))}, TITLES.get(name, name)
        return Entry(name, title, training, (0,), iterations, str(config), options=options)

    def maps(self, name: str) -> Path:
        """Folder of the label maps that a network gives."""
        return self.root / name / 'seed0/maps'

    def files(self, run: Run) -> tuple[Path, Path]:
        """Config and last checkpoint of a run."""
        return Path(run.entry.config or ''), last_checkpoint(run.work_dir(self.root))


def picked(
    points: Sequence[Point], limits: Limits, milliseconds: Mapping[str, float], encoder: int
) -> list[Point]:
    """The point of least loss within the limits, and the best within half of its multiply-adds.

    Args:
        points: Of the front.
        limits: If no point is within them, the cheapest is taken.
        milliseconds: Of the whole networks, by the points' folders, if time is limited.
        encoder: Parameters of the encoder, if parameters are limited.
    """
    fits = [
        p for p in points if limits.allow(milliseconds.get(p.folder, 0.0), p.parameters + encoder)
    ]
    cheapest = min(points, key=lambda point: point.multiply_adds)
    best = min(fits or [cheapest], key=lambda point: point.loss)
    small = [point for point in fits if point.multiply_adds <= best.multiply_adds / 2]
    return [best, *sorted(small, key=lambda point: point.loss)[:1]]


def deployed_times(
    configs: Mapping[str, Path], image_size: tuple[int, int], device: str, rounds: int = 20
) -> dict[str, float]:
    """Median milliseconds of one image, from the normalised image to the logits at its size.

    The networks take turns. Their time does not depend on their weights, which are random.

    Args:
        configs: By what names them in the result.
        image_size: (height, width) in pixels.
        device: As torch names it; a CPU works with all of its cores.
        rounds: Turns that count.
    """
    keep_memory()
    torch.set_num_threads(os.cpu_count() or 1)
    models = {}
    for name, config in configs.items():
        model = build_segmentor(Config.fromfile(config))
        channels = image_channels(model.backbone)
        models[name] = deployed_segmentor(model).to(device, memory_format=torch.channels_last)
    image = torch.rand(1, channels, *image_size).to(device, memory_format=torch.channels_last)
    calls = {name: partial(model, image) for name, model in models.items()}
    with torch.inference_mode():
        times = timed_in_turns(calls, rounds, device)
    return {name: 1000 * statistics.median(taken) for name, taken in times.items()}
