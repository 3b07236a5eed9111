"""Configs that `fit` writes: data, encoder, schedule, and one for each network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_sparsemask.connectivity.presets import pyramid_levels
from mmseg_sparsemask.fit.data import FolderData
from mmseg_sparsemask.fit.encoders import Encoder
from mmseg_sparsemask.report.page import templates_beside
from mmseg_sparsemask.utils.derived_config import Beside, as_python
from mmseg_sparsemask.utils.files import write_atomically

#: What a network is called on the page, by the stem of its config; U-Net's is what searched ones
#: inherit.
TITLES = {'fcn': 'FCN', 'flat': 'plain sum', 'unet': 'U-Net', 'lraspp': 'LR-ASPP'}

#: The config of the supernet.
SUPERNET = 'supernet'


@dataclass(frozen=True)
class Plan:
    """How networks are trained.

    Attributes:
        scale: Long and short side that images are resized to, in pixels.
        crop: (height, width) of what is trained on.
        batch: Images of an iteration.
        iterations: Iterations that the weights of each network have behind them in the end.
        held_back: Training images that the supernet does not see.
        workers: Processes that load images.
        processes: Trainings at a time.
        threads: Threads of each.
    """

    scale: tuple[int, int]
    crop: tuple[int, int]
    batch: int = 8
    iterations: int = 20
    held_back: int = 0
    workers: int = 0
    processes: int = 1
    threads: int = 1

    @property
    def search_iterations(self) -> int:
        """Iterations of the supernet; what it hands on is trained for the rest."""
        return max(1, self.iterations // 2)

    @property
    def said(self) -> str:
        """What people are told of it."""
        (long, short), (height, width) = self.scale, self.crop
        return (
            f'plan: images at {long}x{short}, crops of {width}x{height}, batch {self.batch}, '
            f'{self.iterations} iterations for each network, {self.processes} at a time'
        )

    @property
    def tested(self) -> tuple[int, int]:
        """(height, width) that images of the usual form are tested at."""
        long, short = self.scale
        return (long, short) if self.crop[0] > self.crop[1] else (short, long)


def write_configs(folder: Path, data: FolderData, encoder: Encoder, plan: Plan) -> None:
    """Write ``data.py``, ``encoder.py``, ``schedule.py`` and the networks' configs.

    Args:
        folder: An existing folder.
        data: What was seen of the images.
        encoder: Their encoder.
        plan: How they are trained.

    Raises:
        ValueError: A file cannot be written.
    """
    here = str(folder.absolute())
    templates = templates_beside(__file__, keep_trailing_newline=True)
    templates.filters['warmup'] = lambda iterations: min(30, max(1, iterations // 10))
    templates.filters['config'] = lambda value, indent=0: as_python(
        value, here, False, ' ' * indent
    )
    common = dict(plan=plan, data=data, encoder=encoder)

    def write(name: str, template: str, /, **values: Any) -> None:
        text = templates.get_template(f'{template}.py.jinja').render(common, **values)
        write_atomically(folder / f'{name}.py', text)

    test = data.dataset('test') if 'test' in data.counts else None
    write('data', 'data', train=data.dataset('train'), val=data.dataset('val'), test=test)
    preprocessor = {**encoder.parts['data_preprocessor'], 'size': plan.crop}
    # The toolbox pads by one of the two alone.
    preprocessor.pop('size_divisor', None)
    write('encoder', 'encoder', parts={**encoder.parts, 'data_preprocessor': preprocessor})
    write('schedule', 'schedule')
    write('fcn', 'fcn')
    levels = pyramid_levels(encoder.strides)
    (folder / 'lraspp.py').unlink(missing_ok=True)  # of another encoder, if a start was stopped
    if len(levels) > 2:
        write('lraspp', 'lraspp', places=[level - 1 for level in (*levels[:2], levels[-1])])
    for name in ('flat', 'unet', SUPERNET):
        retrain = as_python(Beside('unet.py'), here, False)
        write(name, 'decoder', name=name, retrain_config=retrain)


def names_of(folder: Path) -> list[str]:
    """Names of the networks that are compared with what is searched, the longest training first."""
    return [name for name in ('unet', 'flat', 'lraspp', 'fcn') if (folder / f'{name}.py').is_file()]
