from mmseg_sparsemask.engine.hooks.prune_hook import PruneHook
from mmseg_sparsemask.engine.hooks.seed_hook import SeedHook

__all__ = ['PruneHook', 'SeedHook']
