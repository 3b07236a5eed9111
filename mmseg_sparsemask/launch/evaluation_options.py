"""Options of tools/test.py as changes of a config."""

from __future__ import annotations

import os

from mmengine.config import Config

from mmseg_sparsemask.launch.checks import datasets_of
from mmseg_sparsemask.utils.read_config import heads_of
from mmseg_sparsemask.utils.registered import type_name


def enable_drawing(
    cfg: Config, show: bool = False, show_dir: str | None = None, wait_time: float = 2.0
) -> None:
    """Draw the predictions of a test run.

    Args:
        cfg: The whole config.
        show: Open a window for each image.
        show_dir: Folder for the drawings; they end up in its ``vis_data/vis_image``.
        wait_time: Seconds a window stays.

    Raises:
        ValueError: When the config has no visualisation hook.
    """
    hooks = cfg.get('default_hooks', {})
    if 'visualization' not in hooks:
        raise ValueError(
            '--show and --show-dir need the visualisation hook; add '
            "default_hooks = dict(visualization=dict(type='SegVisualizationHook')) to the config"
        )
    hooks['visualization']['draw'] = True
    if show:
        hooks['visualization']['show'] = True
        hooks['visualization']['wait_time'] = wait_time
    if show_dir is not None:
        cfg.visualizer['save_dir'] = show_dir


def enable_tta(cfg: Config) -> None:
    """Test with the config's ``tta_pipeline`` and ``tta_model``: several scales, and flipped.

    Raises:
        ValueError: When the config lacks either of the two.
    """
    for key in ('tta_model', 'tta_pipeline'):
        if cfg.get(key, None) is None:
            raise ValueError(f'--tta needs {key} in the config; configs/_base_ has examples')
    # The copies of one image are not stacked, so each batch holds one image.
    cfg.test_dataloader.batch_size = 1
    for _, dataset in datasets_of(cfg, ['test_dataloader']):
        # What repeats or joins others has no pipeline of its own.
        if not {'dataset', 'datasets'} & dataset.keys():
            dataset['pipeline'] = cfg.tta_pipeline
    heads = [head for name, head in heads_of(cfg.model) if name.startswith('model.decode_head')]
    outputs = [head.get('out_channels') or head.get('num_classes') for head in heads]
    if outputs[-1:] == [1] and type_name(cfg.tta_model).rpartition('.')[2] == 'SegTTAModel':
        # The toolbox's takes the sigmoid of what is a probability: all would be foreground.
        cfg.tta_model.type = 'BinaryTTAModel'
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def write_predictions_to(cfg: Config, folder: str | os.PathLike[str]) -> None:
    """Let every test metric write the predicted label maps to a folder as PNG."""
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        evaluator['output_dir'] = str(folder)  # a config holds plain values
