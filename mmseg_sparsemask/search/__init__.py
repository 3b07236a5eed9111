from mmseg_sparsemask.search.connections_optim import ConnectionsOptimWrapperConstructor
from mmseg_sparsemask.search.prune_hook import PruneHook

__all__ = ['ConnectionsOptimWrapperConstructor', 'PruneHook']
