# As sgd_50e.py, with the optimiser that transformers and ConvNeXt need: MMSegmentation's settings
# for them, the decoder at ten times the encoder's learning rate.
_base_ = './sgd_50e.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
            'pos_block': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0),
        }
    ),
)
