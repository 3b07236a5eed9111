"""Searches that PruneHook watches, with weights put where a test wants them."""

import torch
from mmengine.runner import Runner
from reference import tiny

from mmseg_sparsemask.search.record import PruneSettings, Search, WeightHistory
from mmseg_sparsemask.search.supernet import find_supernet

STAGES = {'D5': ['E5', 'G'], 'D1': ['E1', 'E3', 'D5']}
FIGURES = {'connectivity.json', 'connectivity.svg', 'connection_weights.svg'}
CONFIGS = {'retrain.py', 'finetune.py'}
WITHOUT_CONFIGS = {*FIGURES, 'pruned.pth', 'report.html'}
RESULTS = {*WITHOUT_CONFIGS, *CONFIGS}

#: Weights stay where a test puts them, but for the small steps of the optimiser.
STILL = {
    'model.decode_head.connections.noise_std': 0.0,
    'model.decode_head.loss_connectivity': None,
    'optim_wrapper.optimizer.lr': 1e-6,
    'val_cfg': None,
    'val_dataloader': None,
    'val_evaluator': None,
}


def put_weights(runner, stages, dropped):
    head = find_supernet(runner.model)
    with torch.no_grad():
        for stage, sources in head.connectivity.stages.items():
            for place, source in enumerate(sources):
                kept = source in stages.get(stage, [])
                head.connections.raw[stage][place] = 1.5 if kept else dropped


def make_runner(folder, iterations=7, stages=STAGES, dropped=0.0, **options):
    """A search whose raw weights are 1.5 on the connections of `stages` and `dropped` elsewhere."""
    folder.mkdir(exist_ok=True)
    config = tiny.write_configs(folder, iterations)
    options = {f'custom_hooks.0.{k}': v for k, v in options.items()}
    runner = Runner.from_cfg(tiny.load(config, folder / 'w', **STILL, **options))
    put_weights(runner, stages, dropped)
    return runner


def record_of(head, iteration=0, **settings):
    """The record of a search that ended with this head, without anything around it."""
    meta = {'iteration': iteration}
    state = {f'decode_head.{name}': value for name, value in head.state_dict().items()}
    parts = (head, state, 'decode_head.', 'a test', meta, None, WeightHistory(), [])
    return Search(*parts, PruneSettings(**settings))


def log_of(work_dir):
    return '\n'.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def files_of(folder):
    return {path.name for path in folder.iterdir()} & RESULTS
