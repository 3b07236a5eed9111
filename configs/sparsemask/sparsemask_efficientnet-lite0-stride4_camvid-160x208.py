# As sparsemask_efficientnet-lite0_camvid-160x208.py, on the seven features from stride 4 on: a
# decoder that ends there has a fourth of the positions.
_base_ = './sparsemask_efficientnet-lite0_camvid-160x208.py'
model = dict(
    decode_head=dict(
        connectivity='flat',
        in_channels=[24, 40, 80, 112, 192, 320, 1280],
        in_index=[2, 3, 4, 5, 6, 7, 8],
        strides=[4, 8, 16, 16, 32, 32, 32],
    )
)
