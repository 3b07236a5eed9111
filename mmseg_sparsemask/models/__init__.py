from mmseg_sparsemask.models import backbones, connections, decode_heads, losses

__all__ = ['backbones', 'connections', 'decode_heads', 'losses']
