"""A small network of every kind that can be published, as `deployment.load_model` gives it."""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401

RESNET = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
CHANNELS = [8, 16, 32, 64]
STAGES = dict(D3=['E3', 'G'], D2=['E2', 'D3'], D1=['E1', 'D2', 'E4'])
CONNECTIVITY = dict(strides=[4, 8, 16, 32], stages=STAGES)
ALL = dict(in_channels=CHANNELS, in_index=[0, 1, 2, 3])
LAST = dict(in_channels=64, in_index=3, channels=8)
LRASPP = dict(
    in_channels=(8, 16, 32),
    in_index=(0, 1, 2),
    channels=8,
    input_transform='multiple_select',
    branch_channels=(4, 4),
)

#: Settings of each head on the four features of a small ResNet.
HEADS = dict(
    ASPPHead=dict(LAST, dilations=(1, 2), norm_cfg=dict(type='BN')),
    DPCHead=dict(LAST, cell='aspp', output_stride=32),
    DSSHead=dict(
        ALL,
        side_channels=[4] * 4,
        side_kernels=[3] * 4,
        short_connections=[[2], [3], [], []],
        average_with=[1],
    ),
    DepthwiseSeparableASPPHead=dict(LAST, dilations=(1, 2), c1_in_channels=8, c1_channels=4),
    FCNHead=dict(LAST, num_convs=1, concat_input=False, act_cfg=dict(type='LeakyReLU')),
    FDNHead=dict(
        ALL,
        strides=[4, 8, 16, 32],
        channels=8,
        connections=dict(type='TopKConnections', k=2),
        loss_connectivity=dict(type='BudgetLoss', budget=dict(parameters=9000), ramp=(0, 9)),
    ),
    FPNHead=dict(
        in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, feature_strides=[4, 8, 16, 32]
    ),
    HEDHead=dict(ALL),
    LRASPPHead=LRASPP,
    GlobalLRASPPHead=LRASPP,
    PSPHead=dict(LAST, pool_scales=(1, 2)),
    SegformerHead=dict(ALL, channels=8),
    SparseMaskHead=dict(ALL, connectivity=CONNECTIVITY, channels=8),
    UPerHead=dict(ALL, channels=8, pool_scales=(1, 2), norm_cfg=dict(type='SyncBN')),
)
#: Its pooling takes 49 positions.
BACKBONES = dict(LRASPPHead=dict(RESNET, strides=(1, 1, 1, 1)))
NECKS = dict(
    FPNHead=dict(type='FPN', in_channels=CHANNELS, out_channels=8, num_outs=4),
    HEDHead=dict(
        type='DPCNeck', in_channels=CHANNELS, channels=64, cell='dpc_cityscapes', output_stride=32
    ),
)
PIPELINE = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(320, 256), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs', meta_keys=('img_path', 'img_shape', 'ori_shape')),
]


def network(head='FCNHead', backbone=None, pipeline=None, **head_settings):
    """A network with random weights, in evaluation mode, with ``cfg`` and ``dataset_meta``."""
    settings = dict(
        num_classes=4, loss_decode=dict(type='CrossEntropyLoss', class_weight=[1.0] * 4)
    )
    if head in ('DSSHead', 'HEDHead'):
        settings = dict(loss_decode=dict(type='BalancedBCELoss'))
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True
        ),
        backbone=backbone or BACKBONES.get(head, RESNET),
        neck=NECKS.get(head),
        decode_head=dict(type=head, **{**settings, **HEADS[head], **head_settings}),
        auxiliary_head=dict(type='FCNHead', num_classes=4, in_channels=16, channels=4, in_index=1),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    if backbone is not None:
        del model['auxiliary_head']
    init_default_scope('mmseg')
    torch.manual_seed(0)
    built = MODELS.build(Config(dict(model=model)).model)
    built.eval()
    with torch.no_grad():
        for name, value in built.state_dict().items():
            if name.endswith(('running_mean', 'bias')):
                value.uniform_(-0.5, 0.5)
        # Or one class would have every pixel.
        logits = built(torch.randn(2, 3, 256, 256), mode='tensor')
        built.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
    built.cfg = Config(dict(model=model, test_pipeline=pipeline or PIPELINE))
    built.dataset_meta = dict(classes=list('abcd')[: built.num_classes], palette=None)
    return built
