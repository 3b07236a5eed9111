# Search on the embedded data set for a decoder of at most so many parameters: minutes on a CPU.
# Another budget: --cfg-options model.decode_head.loss_connectivity.budget.parameters=150000
_base_ = ['./fdn_mbv2_shapes.py']
model = dict(
    decode_head=dict(
        loss_connectivity=dict(
            _delete_=True,
            type='BudgetLoss',
            budget=dict(parameters=300000),
            # The target comes down over a fifth of the search, once it has begun to learn.
            ramp=(30, 90),
            controller=dict(eta=0.03),
        ),
    ),
)
