from mmseg_sparsemask.models.losses.balanced_bce_loss import BalancedBCELoss
from mmseg_sparsemask.models.losses.binary_cross_entropy_loss import BinaryCrossEntropyLoss
from mmseg_sparsemask.models.losses.budget_loss import BudgetLoss
from mmseg_sparsemask.models.losses.l1_connectivity_loss import L1ConnectivityLoss
from mmseg_sparsemask.models.losses.sparse_connectivity_loss import SparseConnectivityLoss

__all__ = [
    'BalancedBCELoss',
    'BinaryCrossEntropyLoss',
    'BudgetLoss',
    'L1ConnectivityLoss',
    'SparseConnectivityLoss',
]
