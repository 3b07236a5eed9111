from mmseg_sparsemask.models.decode_heads.fdn_head import FDNHead
from mmseg_sparsemask.models.decode_heads.lraspp_head import GlobalLRASPPHead
from mmseg_sparsemask.models.decode_heads.sparsemask_head import SparseMaskHead

__all__ = ['FDNHead', 'GlobalLRASPPHead', 'SparseMaskHead']
