# What turns a pruned decoder into the supernet of a long search from pretrained weights. As in the
# published search, scale and shift of every normalisation stay as they are, and statistics move
# slowly.
fdn_norm = dict(type='BN', momentum=3e-4, requires_grad=False)
fdn_head = dict(
    type='FDNHead',
    connectivity='fdn',
    channels=64,
    norm_cfg=fdn_norm,
    connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
    loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.01),
)
