from mmseg_sparsemask.models.connections.relaxed_connections import RelaxedConnections

__all__ = ['RelaxedConnections']
