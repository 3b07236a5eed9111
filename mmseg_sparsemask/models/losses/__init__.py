from mmseg_sparsemask.models.losses.budget_loss import BudgetLoss
from mmseg_sparsemask.models.losses.l1_connectivity_loss import L1ConnectivityLoss
from mmseg_sparsemask.models.losses.sparse_connectivity_loss import SparseConnectivityLoss

__all__ = [
    'BudgetLoss',
    'L1ConnectivityLoss',
    'SparseConnectivityLoss',
]
