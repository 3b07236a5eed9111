from mmseg_sparsemask.engine.hooks.prune_hook import PruneHook

__all__ = ['PruneHook']
