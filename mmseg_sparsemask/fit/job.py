"""From folders of images and masks to a network that was chosen, its files and a page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from mmseg_sparsemask.compare.run_record import chosen_device
from mmseg_sparsemask.fit.choice import choose
from mmseg_sparsemask.fit.configs import Plan, write_configs
from mmseg_sparsemask.fit.data import FolderData, look
from mmseg_sparsemask.fit.delivery import deliver, missing_extras
from mmseg_sparsemask.fit.encoders import find_encoder
from mmseg_sparsemask.fit.networks import Limits, Networks
from mmseg_sparsemask.fit.outcome import collect, write_outcome
from mmseg_sparsemask.fit.schedule import choose_plan
from mmseg_sparsemask.utils.commands import clock
from mmseg_sparsemask.utils.extras import add_extras
from mmseg_sparsemask.utils.files import output_folder, read_json, write_json

#: What was asked for and planned, so that a run that was stopped goes on with it.
PLAN = 'plan.json'


@dataclass(frozen=True)
class Asked:
    """What a user asks for.

    Attributes:
        images: Folder of images.
        masks: Folder of their masks.
        encoder: See `find_encoder`.
        weights: File of the encoder's weights.
        classes: Names, joined by commas, or a file with one a line.
        minutes: All that may be spent.
        limits: What the chosen network may cost.
        plan: How networks are trained; None chooses what fits into the minutes.
    """

    images: Path
    masks: Path
    encoder: str
    weights: Path | None
    classes: str | None
    minutes: float
    limits: Limits
    plan: Plan | None = None


def fit(
    asked: Asked, out: Path, tools: Path, device: str | None = None, resume: bool = False
) -> str:
    """Do all of it; return what people are told at the end.

    Args:
        asked: What is asked for.
        out: Folder of all that is written.
        tools: Folder of the tools.
        device: Where networks are timed; a GPU if there is one.
        resume: Go on with what is in the folder.

    Raises:
        ImportError: A library that the encoder needs is missing.
        ValueError: Data that would train wrongly, an unknown encoder, a folder that holds another
            run, or a file that cannot be written.
        SystemExit: A step failed.
    """
    begun, start = time.perf_counter(), time.process_time()
    device = chosen_device(device)
    # Else the toolbox has a line for each feature and for each parameter's rate.
    MMLogger.get_current_instance().setLevel('WARNING')
    known = read_json(out / PLAN) if (out / PLAN).is_file() else {}
    if known and not resume:
        raise ValueError(f'{out}: holds a run; go on with --resume, or choose another --out')
    wanted: dict[str, Any] = {key: str(value) for key, value in vars(asked).items()}
    # Before the data are looked at, whose lists and labels are written.
    _check_same(known, wanted, out)
    data = look(asked.images, asked.masks, output_folder(out), asked.classes)
    print('\n'.join(data.lines()), flush=True)
    if data.counts['train'] < 4:
        raise ValueError(
            f'{asked.images}: expected at least 4 images to train on, got {data.counts["train"]}; '
            'give more images'
        )
    shares = [list(one) for one in zip(data.classes, data.class_shares)]
    wanted.update(counts=data.counts, classes_seen=shares)
    _check_same(known, wanted, out)
    if missing := ','.join(missing_extras()):
        print(f'files are left out: {add_extras(missing)} brings what they need')
    if not known:
        left = 60 * asked.minutes - (time.perf_counter() - begun)
        known = {'asked': wanted, **_planned(asked, data, left, start, device, out)}
        write_json(out / PLAN, known)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in known['plan'].items()}
    plan, said = Plan(**values), [known.get('encoder', asked.encoder), known['said']]
    print('encoder:', '\n'.join(said), flush=True)
    networks = Networks(out, data, asked.encoder, plan, asked.limits, tools, device)
    table = networks.run()
    found = collect(networks, table)
    chosen, why = choose(found, asked.limits)
    files = deliver(chosen, networks, out)
    took = clock(time.perf_counter() - begun)
    done = [*said, f'{took} in all' + (' since it went on' if resume else '')]
    return write_outcome(found, chosen, why, networks, done, files)


def _planned(
    asked: Asked, data: FolderData, seconds: float, start: float, device: str, out: Path
) -> dict[str, Any]:
    """Find the encoder, plan, and write the configs; what `PLAN` holds of it."""
    encoder = find_encoder(asked.encoder, asked.weights, out)
    configs = output_folder(out / 'configs')

    def write(plan: Plan) -> Path:
        write_configs(configs, data, encoder, plan)
        return configs

    if asked.plan:
        write(asked.plan)
        plan, said = asked.plan, asked.plan.said
    else:
        cuda = device.startswith('cuda')
        plan, said = choose_plan(data, len(encoder.strides), seconds, start, cuda, write)
    return {'plan': asdict(plan), 'said': said, 'encoder': encoder.said}


def _check_same(known: Mapping[str, Any], wanted: Mapping[str, Any], out: Path) -> None:
    """Make sure that a run that goes on was asked for the same.

    Raises:
        ValueError: It was asked for something else.
    """
    for key, value in wanted.items():
        # What began with an earlier version has noted less.
        before = known['asked'].get(key, value) if known else value
        if before != value:
            raise ValueError(
                f'--resume: {out} holds a run with {key} = {before!r}, now {value!r}; '
                'ask for the same, or choose another --out'
            )
