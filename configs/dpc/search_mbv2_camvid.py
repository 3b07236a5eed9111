# Search a cell for CamVid on cached features of MobileNet-V2.
# tools/dpc_search.py configs/dpc/search_mbv2_camvid.py --workers 2 --trials 50
_base_ = './aspp_mbv2_camvid.py'
dpc_search = dict(
    sampler=dict(type='local_search', explore=0.5, startup=10),
    retrain='./dpc_mbv2_camvid.py',
    proxy=dict(
        max_iters=1000,
        val_interval=250,
        batch_size=8,
        filters=64,
        passes=2,
        label_stride=4,
    ),
)
