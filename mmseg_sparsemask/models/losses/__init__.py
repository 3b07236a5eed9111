from mmseg_sparsemask.models.losses.sparse_connectivity_loss import SparseConnectivityLoss

__all__ = ['SparseConnectivityLoss']
