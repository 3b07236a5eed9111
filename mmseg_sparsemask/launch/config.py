"""Reading a config as the toolbox's own tools do."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config

from mmseg_sparsemask.utils.read_config import override, read_config


def load_config(
    path: str,
    work_dir: str | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config as the toolbox's own tools do.

    Args:
        path: The config file.
        work_dir: Where logs and checkpoints go; None takes the config's, and if it has none,
            ``work_dirs/<name of the config file>``.
        cfg_options: Values to override, with dotted keys.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        The config, with ``work_dir`` and ``launcher`` set.

    Raises:
        ValueError: It is no Python, or has no place for an option; see `read_config`.
    """
    cfg = read_config(path)
    cfg.launcher = launcher
    override(cfg, cfg_options)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir', None) is None:
        cfg.work_dir = os.path.join('./work_dirs', Path(path).stem)
    return cfg
