# Search a cell for PASCAL-Person-Part on cached features of MobileNet-V2.
# tools/dpc_search.py configs/dpc/search_mbv2_person_part.py --workers 2 --trials 500
_base_ = './aspp_mbv2_person_part.py'
dpc_search = dict(
    sampler=dict(type='local_search', explore=0.5, startup=10),
    retrain='./dpc_mbv2_person_part.py',
    proxy=dict(
        max_iters=10000,
        val_interval=2000,
        batch_size=8,
        filters=64,
        passes=2,
        label_stride=4,
    ),
)
