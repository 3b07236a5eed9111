"""Preset `segformer` computes what the toolbox's SegFormer head does, where the two coincide."""

import torch
from mmseg.registry import MODELS
from reference.heads import relative

import mmseg_sparsemask  # noqa: F401

CHANNELS = (5, 6, 7, 9)
SIZES = ((16, 20), (8, 10), (4, 5), (2, 3))


def test_preset_segformer_is_the_toolboxs_head():
    torch.manual_seed(0)
    common = dict(channels=8, num_classes=3, norm_cfg=dict(type='BN'), align_corners=False)
    theirs = MODELS.build(
        dict(type='SegformerHead', in_channels=CHANNELS, in_index=[0, 1, 2, 3], **common)
    )
    # A first level of the same size, which nobody reads, gives the fusion a stage of its own.
    ours = MODELS.build(
        dict(
            type='SparseMaskHead',
            connectivity='segformer',
            strides=[4, 4, 8, 16, 32],
            in_channels=[2, *CHANNELS],
            in_index=[4, 0, 1, 2, 3],
            act_cfg=dict(type='ReLU'),
            act_encoder=False,
            **common,
        )
    )
    with torch.no_grad():
        for norm in [m for m in theirs.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)
        fusion = theirs.fusion_conv.conv.weight.chunk(4, 1)
        for place, conv in enumerate(theirs.convs):
            level = place + 2
            ours.convs[f'D{level}'][f'E{level}'].copy_(conv.conv.weight)
            ours.convs['D1'][f'D{level}'].copy_(fusion[place])
            ours.norms[f'D{level}'].load_state_dict(conv.bn.state_dict())
        ours.norms['D1'].load_state_dict(theirs.fusion_conv.bn.state_dict())
    ours.conv_seg.load_state_dict(theirs.conv_seg.state_dict())
    features = [torch.randn(2, c, *size).double() for c, size in zip(CHANNELS, SIZES)]
    unread = torch.randn(2, 2, *SIZES[0]).double()
    with torch.no_grad():
        expected = theirs.double().eval()(features)
        assert relative(ours.double().eval()([*features, unread]), expected) < 1e-10
