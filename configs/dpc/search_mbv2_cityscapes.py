# Search a cell for Cityscapes, 769x769 crops on cached features of MobileNet-V2.
# tools/dpc_search.py configs/dpc/search_mbv2_cityscapes.py --workers 2 --trials 1000
_base_ = './aspp_mbv2_cityscapes.py'
dpc_search = dict(
    sampler=dict(type='local_search', explore=0.5, startup=10),
    retrain='./dpc_mbv2_cityscapes.py',
    proxy=dict(
        # One random crop per image and pass.
        max_iters=30000,
        val_interval=5000,
        batch_size=8,
        filters=64,
        passes=2,
        label_stride=4,
    ),
)
