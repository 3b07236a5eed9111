# What turns a pruned decoder into the supernet of a short search from pretrained weights: the
# sparse loss weighs ten times the paper's 0.01. A config gives the connection weights a learning
# rate of their own (connections_lr).
fdn_head = dict(
    type='FDNHead',
    connectivity='fdn',
    connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
    loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.1),
)
