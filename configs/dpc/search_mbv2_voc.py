# Search a cell for PASCAL VOC 2012 on cached features of MobileNet-V2.
# tools/dpc_search.py configs/dpc/search_mbv2_voc.py --workers 2 --trials 500
_base_ = './aspp_mbv2_voc.py'
dpc_search = dict(
    sampler=dict(type='local_search', explore=0.5, startup=10),
    retrain='./dpc_mbv2_voc.py',
    proxy=dict(
        max_iters=20000,
        val_interval=4000,
        batch_size=8,
        filters=64,
        label_stride=4,
    ),
)
