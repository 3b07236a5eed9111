from mmseg_sparsemask.models import backbones, binary_tta, connections, decode_heads, losses

__all__ = ['backbones', 'binary_tta', 'connections', 'decode_heads', 'losses']
