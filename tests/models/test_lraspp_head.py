"""LR-ASPP: MMSegmentation's own where that can run, and smaller features."""

import torch
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401

CONFIG = dict(
    in_channels=[3, 4, 5],
    in_index=[0, 1, 2],
    channels=8,
    num_classes=2,
    input_transform='multiple_select',
    branch_channels=(2, 3),
    norm_cfg=dict(type='BN'),
    loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
)


def features(side):
    torch.manual_seed(0)
    return [torch.randn(2, c, side * s, side * s) for c, s in ((3, 4), (4, 2), (5, 1))]


def test_is_the_toolbox_head_where_that_averages_everything():
    ours = MODELS.build(dict(type='GlobalLRASPPHead', **CONFIG)).eval()
    theirs = MODELS.build(dict(type='LRASPPHead', **CONFIG)).eval()
    theirs.load_state_dict(ours.state_dict())
    assert torch.allclose(ours(features(49)), theirs(features(49)), atol=1e-6)


def test_small_features():
    head = MODELS.build(dict(type='GlobalLRASPPHead', **CONFIG)).eval()
    assert head(features(5)).shape == (2, 2, 20, 20)
