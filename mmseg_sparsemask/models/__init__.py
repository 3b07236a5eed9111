from mmseg_sparsemask.connectivity import prune
from mmseg_sparsemask.models import backbones, connections, decode_heads, losses
from mmseg_sparsemask.models.decode_heads import FDNHead, SparseMaskHead
from mmseg_sparsemask.models.inheritance import inherited_state, pruned_head

__all__ = [
    'FDNHead',
    'SparseMaskHead',
    'backbones',
    'connections',
    'decode_heads',
    'inherited_state',
    'losses',
    'prune',
    'pruned_head',
]
