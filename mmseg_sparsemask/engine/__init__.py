from mmseg_sparsemask.engine.connections_optim import ConnectionsOptimWrapperConstructor
from mmseg_sparsemask.engine.hooks import PruneHook
from mmseg_sparsemask.engine.optim_wrapper import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'ConnectionsOptimWrapperConstructor', 'PruneHook']
