from mmseg_sparsemask.models.connections.connection_rule import ConnectionRule
from mmseg_sparsemask.models.connections.relaxed_connections import RelaxedConnections
from mmseg_sparsemask.models.connections.sampled_connections import SampledConnections
from mmseg_sparsemask.models.connections.topk_connections import TopKConnections

__all__ = ['ConnectionRule', 'RelaxedConnections', 'SampledConnections', 'TopKConnections']
