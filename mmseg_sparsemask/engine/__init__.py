from mmseg_sparsemask.engine.amp import CPUAmpOptimWrapper
from mmseg_sparsemask.engine.connections_optim import ConnectionsOptimWrapperConstructor
from mmseg_sparsemask.engine.hooks import PruneHook, SeedHook

__all__ = [
    'CPUAmpOptimWrapper',
    'ConnectionsOptimWrapperConstructor',
    'PruneHook',
    'SeedHook',
]
