# Baseline: MaskConnect, exactly k inputs a stage (SparseMask, Table 1).
# Three inputs come nearest to the decoder of the paper's 0.39 M parameters (docs/baselines.md).
_base_ = './fdn_mbv2_camvid-96x128.py'
model = dict(
    decode_head=dict(
        connections=dict(_delete_=True, type='TopKConnections', k=3),
        loss_connectivity=None,
    )
)
