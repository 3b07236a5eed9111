"""Times of decoders in the form that is deployed, and the table that is fitted to them."""

from __future__ import annotations

import ctypes
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmseg.models import EncoderDecoder
from torch import nn
from tqdm import tqdm

from mmseg_sparsemask.connectivity import Connectivity, DecoderShape
from mmseg_sparsemask.connectivity.cost import feature_size
from mmseg_sparsemask.connectivity.latency import LatencyTable, fit_costs, relative_errors
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.deployment.deployed import DeployedDecoder, deployed_segmentor
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
from mmseg_sparsemask.utils.timing import processor, repeated

# Parameters of glibc's mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_memory() -> bool:
    """Let this process keep what it frees, as runtimes with an allocator of their own do.

    Else the C library gives large maps back to the system and the next pass pays for every page
    again, or not, depending on what the process did before: the same decoder takes 39 or 55 ms.

    Returns:
        Whether it does: only glibc can be asked to. It holds until the process ends.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def draw_decoder(space: Connectivity, rng: random.Random) -> Connectivity:
    """A decoder of random size and shape from a search space.

    How many stages are there is drawn, and for each stage how many of its inputs: what a search
    finds has few stages of very different sizes.

    Args:
        space: The search space.
        rng: Where the numbers come from.
    """
    while True:
        present = rng.uniform(0.1, 1)
        shares = {
            stage: rng.uniform(0.05, 1) if stage == space.end or rng.random() < present else 0.0
            for stage in space.stages
        }
        some = (c for c in space if rng.random() < shares[c.stage])
        kept = drop_unreachable(some, space.end)
        if kept:
            return Connectivity.from_connections(space.strides, kept)


def time_decoder(
    connectivity: Connectivity,
    shape: DecoderShape,
    image_size: tuple[int, int],
    device: str = 'cpu',
    repeats: int = 15,
) -> float:
    """Milliseconds of one image through a deployed decoder: the quickest of several passes.

    What else a machine does makes a pass longer, never shorter. Time does not depend on the values
    of the weights: they are random. Memory is kept from pass to pass: see `keep_memory`.

    Args:
        connectivity: The decoder.
        shape: Channels and classes.
        image_size: (height, width) of the image in pixels.
        device: As torch names it.
        repeats: How many passes count.
    """
    keep_memory()
    levels = range(len(shape.strides))
    decoder = DeployedDecoder(
        connectivity, shape, levels, nn.ReLU6(), act_encoder=False, align_corners=True
    )
    decoder = decoder.to(device, memory_format=torch.channels_last).eval()
    features = [
        torch.rand(1, count, *feature_size(image_size, stride), device=device).contiguous(
            memory_format=torch.channels_last
        )
        for count, stride in zip(shape.in_channels, shape.strides)
    ]
    with torch.inference_mode():
        return 1000 * min(repeated(lambda: decoder(features), repeats, device))


def time_encoder(
    network: EncoderDecoder,
    image_size: tuple[int, int],
    device: str = 'cpu',
    threads: int = 1,
    repeats: int = 15,
) -> float:
    """Milliseconds of one image through the encoder of a segmentor, timed as decoders are.

    Args:
        network: Its encoder is timed in the deployed form, with its neck.
        image_size: (height, width) of the image in pixels.
        device: As torch names it.
        threads: Threads of the CPU.
        repeats: How many passes count.
    """
    keep_memory()
    encoder = deployed_segmentor(network).backbone.to(device, memory_format=torch.channels_last)
    image = torch.rand(1, image_channels(network.backbone), *image_size, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    with _threads(threads), torch.inference_mode():
        return 1000 * min(repeated(lambda: encoder(image), repeats, device))


def measure_table(
    head: FusionHead,
    image_size: tuple[int, int],
    device: str = 'cpu',
    threads: int = 1,
    decoders: int = 200,
    left_out: int = 30,
    seed: int = 0,
) -> LatencyTable:
    """Time random decoders of a search space, and fit the times of their parts to them.

    Args:
        head: The supernet, for its connectivity, channels and classes.
        image_size: (height, width) of the image in pixels.
        device: As torch names it.
        threads: Threads of the CPU.
        decoders: How many the fit sees.
        left_out: How many more tell its error.
        seed: Seed of the random decoders.

    Raises:
        ValueError: An argument out of its range.
    """
    if min(decoders, left_out, threads, *image_size) < 1:
        raise ValueError(
            'decoders, left_out, threads and image_size: expected at least 1, got '
            f'{decoders}, {left_out}, {threads}, {image_size}'
        )
    rng = random.Random(seed)
    space = head.connectivity
    drawn = [draw_decoder(space, rng) for _ in range(decoders + left_out)]
    with _threads(threads):
        times = [
            time_decoder(decoder, head.shape, image_size, device)
            for decoder in tqdm(drawn, desc='decoders')
        ]
    costs = fit_costs(space, drawn[:decoders], times[:decoders])
    errors = np.abs(relative_errors(costs, drawn[decoders:], times[decoders:]))
    meta = {
        'processor': processor(device),
        'precision': 'float32',
        'torch': torch.__version__,
        'python': platform.python_version(),
        'decoders': decoders,
        'left_out': left_out,
        'mean_error': round(float(errors.mean()), 4),
        'largest_error': round(float(errors.max()), 4),
        'seed': seed,
    }
    return LatencyTable(costs, head.shape, image_size, device, threads, meta)


def time_again(table: LatencyTable, connectivity: Connectivity) -> str:
    """Time a decoder as a table's decoders were timed, and say it in words.

    Args:
        table: Its device, threads and image size are used.
        connectivity: The decoder.
    """
    if torch.device(table.device).type == 'cuda' and not torch.cuda.is_available():
        return f'not measured: no {table.device} here'
    with _threads(table.threads):
        measured = time_decoder(connectivity, table.shape, table.image_size, table.device)
    error = table.costs.total(connectivity) / measured - 1
    words = f'{measured:.2f} ms measured (prediction {error:+.1%})'
    here, there = processor(table.device), table.meta.get('processor')
    return words if here == there else f'{words}; on {here}, the table is of {there}'


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
