# Baseline: MaskConnect, exactly k inputs a stage (SparseMask, Table 1).
_base_ = './fdn_mbv2_voc-animals-161.py'
model = dict(
    decode_head=dict(
        connections=dict(_delete_=True, type='TopKConnections', k=3),
        loss_connectivity=None,
    )
)
