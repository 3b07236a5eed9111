from mmseg_sparsemask.launch.amp import CPUAmpOptimWrapper
from mmseg_sparsemask.launch.seeds import SeedHook

__all__ = ['CPUAmpOptimWrapper', 'SeedHook']
