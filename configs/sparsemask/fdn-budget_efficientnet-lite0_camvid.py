# Search for a decoder of at most as many parameters as U-Net has on these features (168,779 with 64
# channels and eleven classes).
_base_ = './fdn_efficientnet-lite0_camvid.py'
model = dict(
    decode_head=dict(
        loss_connectivity=dict(
            _delete_=True,
            type='BudgetLoss',
            budget=dict(parameters=168779),
            ramp=(50, 250),
            controller=dict(eta=0.03),
        ),
    ),
)
