from mmseg_sparsemask.launch.amp import CPUAmpOptimWrapper
from mmseg_sparsemask.launch.memory_format import ChannelsLastHook
from mmseg_sparsemask.launch.seeds import SeedHook

__all__ = ['CPUAmpOptimWrapper', 'ChannelsLastHook', 'SeedHook']
