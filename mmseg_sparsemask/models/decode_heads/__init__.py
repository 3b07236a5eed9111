from mmseg_sparsemask.models.decode_heads.dss_head import DSSHead
from mmseg_sparsemask.models.decode_heads.fdn_head import FDNHead
from mmseg_sparsemask.models.decode_heads.hed_head import HEDHead
from mmseg_sparsemask.models.decode_heads.sparsemask_head import SparseMaskHead

__all__ = ['DSSHead', 'FDNHead', 'HEDHead', 'SparseMaskHead']
