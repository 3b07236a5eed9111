"""How long and at which size to train, so that all of it is done in the minutes that are given."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_sparsemask.fit.configs import SUPERNET, Plan
from mmseg_sparsemask.fit.data import FolderData

#: Short sides of images that are tried, besides their own.
SIDES = (96, 128, 160, 192, 240, 320, 384, 480, 640, 768, 1024)

#: Iterations that a larger size has to leave; the fewest and the most that are trained.
WANTED, FEWEST, MOST = 250, Plan.iterations, 40_000

#: What two trainings side by side take longer than one after the other.
CONTENTION = 1.25

#: Networks that are trained beside the supernet, two of which are searched and half as long.
FULL, HALF = 4, 2

#: Tools that are started, each of which has to load the libraries first.
STARTS = 26

#: Part of the time that the search in the supernet may take, and the images that it scores on.
FRONT_SHARE, FRONT_IMAGES = 0.12, (8, 64)

#: Passes of a front by connections of the search space; what an image costs in a pass, as a part
#: of what it costs in an iteration.
FRONT_PASSES, FRONT_COST = 5, 0.25

#: What a whole image costs in a test, in iterations' cost of an image.
TEST_COST = 1.0


def sizes(image_size: tuple[int, int]) -> list[Plan]:
    """Plans for each size that images can be resized to, the smallest first.

    Args:
        image_size: (height, width) of the images in pixels.
    """
    short = min(image_size)
    plans = []
    for side in [*(s for s in SIDES if s < short), max(min(short, SIDES[-1]), 64)]:
        resized = [max(side, round(length * side / short)) for length in image_size]
        # Small images are trained on as they are.
        part = 1.0 if side <= 128 else 2 / 3
        height, width = (max(64, 16 * round(part * length / 16)) for length in resized)
        plans.append(Plan((max(resized), side), (height, width)))
    return plans


def choose_plan(
    data: FolderData,
    levels: int,
    seconds: float,
    start: float,
    cuda: bool,
    write: Callable[[Plan], Path],
) -> tuple[Plan, str]:
    """The largest size that leaves enough iterations, and as many of them as fit.

    Args:
        data: What was seen of the images.
        levels: Features of the encoder.
        seconds: All that is left.
        start: Seconds until a tool has loaded its libraries.
        cuda: Whether it trains on a GPU.
        write: Writes the configs of a plan, and returns their folder.

    Returns:
        The plan, and what people are told of it.
    """
    cores = os.cpu_count() or 1
    processes = 1 if cuda or cores < 2 else 2
    threads = max(1, cores // processes)
    workers = min(4, cores) if cuda else 0
    scored = data.counts['val'] + data.counts.get('test', 0)
    offered = [
        replace(plan, processes=processes, threads=threads, workers=workers)
        for plan in sizes(data.image_size)
    ]

    def with_length(plan: Plan, unet: float, supernet: float) -> Plan:
        share = CONTENTION if processes > 1 else 1.0
        whole = seconds * processes - STARTS * start
        front = FRONT_SHARE * whole
        tests = scored * (FULL + HALF) * TEST_COST * unet / plan.batch
        step = share * (FULL * unet + (HALF * unet + supernet) / 2)
        count = int(max(whole - front - tests, 0) / step)
        passes = FRONT_PASSES * levels * (levels + 1)
        images = int(front / (passes * FRONT_COST * share * supernet / plan.batch))
        held = min(max(images, FRONT_IMAGES[0]), FRONT_IMAGES[1], data.counts['train'] // 4)
        held = held if held >= 4 else 0
        return replace(plan, iterations=min(max(count, FEWEST), MOST), held_back=held)

    # What is measured at the smallest size says which one is worth measuring.
    plan = offered[0]
    times = _measured(write(plan), threads)
    area = _area(plan)
    for larger in offered[::-1]:
        factor = _area(larger) / area
        found = with_length(larger, *(factor * taken for taken in times))
        if larger is plan or found.iterations >= WANTED:
            break
    if larger is not plan:
        times = _measured(write(larger), threads)
        found = with_length(larger, *times)
    said = (
        f'{found.said} ({times[0]:.2f} s an iteration of U-Net, {times[1]:.2f} s of the supernet)'
    )
    if found.iterations == FEWEST:
        said += '; that is the least, and may take longer than asked'
    write(found)
    return found, said


def _area(plan: Plan) -> int:
    return plan.crop[0] * plan.crop[1]


def _measured(folder: Path, threads: int) -> tuple[float, float]:
    """Seconds of an iteration of U-Net and of the supernet, whose full pass is one in four."""
    torch.set_num_threads(threads)
    return _seconds(folder / 'unet.py', 2), _seconds(folder / f'{SUPERNET}.py', 4)


def _seconds(config: Path, count: int) -> float:
    """Mean seconds of some iterations after a first one."""
    cfg = Config.fromfile(config)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = MODELS.build(cfg.model).to(device, memory_format=torch.channels_last).train()
    optimiser = build_optim_wrapper(model, cfg.optim_wrapper)
    begun = time.perf_counter()
    for number, batch in enumerate(
        islice(Runner.build_dataloader(cfg.train_dataloader), count + 1)
    ):
        model.train_step(batch, optimiser)
        if device == 'cuda':
            torch.cuda.synchronize()
        if number == 0:
            begun = time.perf_counter()
    return (time.perf_counter() - begun) / count
