"""Several processes that work on one job."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import distributed

from mmseg_sparsemask.utils.child import end_after
from mmseg_sparsemask.utils.registered import replace_sync_bn

#: Seconds between two looks whether the launcher is still there.
WATCH_INTERVAL = 2.0


def is_first_process() -> bool:
    """Whether this is the only process, or the first of a launcher's; known before they meet."""
    names = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
    return next((os.environ[name] for name in names if name in os.environ), '0') == '0'


def end_with_parent() -> None:
    """End this process once the one that started it has: a killed launcher leaves no ranks."""
    parent = os.getppid()

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_INTERVAL)

    end_after(wait, 'the launcher is gone: this process ends')


@contextmanager
def process_group(cfg: Config) -> Iterator[None]:
    """Context in which the processes of a launcher work on one job.

    On GPUs the Runner sets everything up. On CPUs it would select a GPU all the same, so the group
    is made here, with gloo, and the config gets a model wrapper without device numbers and BN for
    SyncBN. On the way out all processes wait for each other, so that none takes the group down
    while another still writes; after an error they do not, since one would wait for ever.

    Args:
        cfg: The whole config; ``launcher`` as `load_config` left it.

    Raises:
        ValueError: When there is no GPU and the launcher is neither ``'none'`` nor ``'pytorch'``.
    """
    if cfg.launcher == 'pytorch':
        end_with_parent()
    if cfg.launcher != 'none' and get_device() == 'cpu':
        _prepare_cpu_processes(cfg)
    yield
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def end_rank(launcher: str) -> None:
    """End a launcher's process in which all went well; does nothing without a launcher.

    What is registered for the end runs, but Python is not taken down. Threads of gloo and of
    autograd outlive the group (DDP leaves references to it) and may still hold the last tensors;
    one that frees a tensor while Python is taken down aborts the process, whose work is then
    reported as failed (PyTorch issue 190489).

    Args:
        launcher: As on the command line; ``'none'`` is no launcher.
    """
    if launcher == 'none':
        return
    # As multiprocessing ends its children.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _prepare_cpu_processes(cfg: Config) -> None:
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'the launcher {cfg.launcher!r} needs GPUs and there is none; '
            'on CPUs use tools/dist_train.sh or tools/dist_test.sh (launcher pytorch)'
        )
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        'device_ids': None,
    }
    replaced = replace_sync_bn(cfg.model)
    if replaced:
        print_log(f'no GPU: BN instead of SyncBN in {replaced} places', logger='current')
    distributed.init_process_group(backend='gloo')
