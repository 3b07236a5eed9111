# Search a cell for CamVid in crops of half its size, on a CPU and without a pretrained backbone.
# tools/dpc_search.py configs/dpc/search_mbv2_camvid-180x240.py --workers 2 --trials 40
_base_ = './aspp_mbv2_camvid-180x240.py'
dpc_search = dict(
    sampler=dict(type='local_search', explore=0.5, startup=10),
    retrain='./dpc_mbv2_camvid-180x240.py',
    proxy=dict(
        pretrain_iters=600,
        max_iters=400,
        val_interval=100,
        batch_size=8,
        filters=64,
        passes=2,
        label_stride=4,
    ),
)
