# Search a cell for the embedded shapes: minutes on a CPU, nothing to download.
# tools/dpc_search.py configs/dpc/search_mbv2_shapes.py --workers 2 --trials 30
_base_ = './aspp_mbv2_shapes.py'
dpc_search = dict(
    # The features have 12x12 positions: larger rates and grids would all be alike.
    space=dict(branches=5, rates=(1, 2, 3, 4, 6), grids=(1, 2, 4)),
    # Thirty trials: ten uniform draws, then neighbours of the best alone.
    sampler=dict(type='local_search', explore=0.0, startup=10),
    retrain='./dpc_mbv2_shapes.py',
    proxy=dict(
        # No pretrained backbone: train this config end to end for a while first.
        pretrain_iters=300,
        max_iters=200,
        val_interval=100,
        batch_size=16,
        filters=32,
        train_images=800,
        label_stride=2,
    ),
)
