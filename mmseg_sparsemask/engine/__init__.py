from mmseg_sparsemask.engine.hooks import PruneHook
from mmseg_sparsemask.engine.optim_wrapper import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'PruneHook']
