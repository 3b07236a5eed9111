from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity.presets import (
    ARCHITECTURES,
    MBV2_CHANNELS,
    MBV2_STRIDES,
    PRESETS,
    preset,
)

ROOT = Path(__file__).parents[2]
FIVE = (2, 4, 8, 16, 32)


def test_features_of_mobilenet_v2():
    """Of the real backbone, tapped as the configs do it."""
    init_default_scope('mmseg')
    config = Config.fromfile(ROOT / 'configs/_base_/models/mbv2_features.py').model.backbone
    config.backbone.init_cfg = None
    taps = MODELS.build(config)
    assert tuple(taps.strides) == MBV2_STRIDES == (2, 2, 4, 8, 16, 16, 32, 32, 32)
    assert tuple(taps.channels) == MBV2_CHANNELS == (32, 16, 24, 32, 64, 96, 160, 320, 1280)


def test_full():
    assert len(preset('fdn', MBV2_STRIDES)) == 90
    assert str(preset('fdn', (2, 4))) == 'D2: E2 G · D1: E1 E2 D2 G'


def test_unet():
    assert str(preset('unet', FIVE)) == ('D5: E5 · D4: E4 D5 · D3: E3 D4 · D2: E2 D3 · D1: E1 D2')
    assert len(preset('unet', MBV2_STRIDES)) == 17


def test_sparse_acn():
    # By hand: E1 E2 E3 E4 E5 G D5 D4 D3 D2 D1; 1, 2, 4, 8 places before, where FDN has it.
    assert str(preset('sparse_acn', FIVE)) == (
        'D5: E5 G · D4: E4 D5 G · D3: E5 D4 D5 · D2: E2 D3 D4 G · D1: E3 D2 D3 D5'
    )


def test_practitioners_graphs():
    """On nine features; where E1 is one of the four; where E1 has the stride of the finest."""
    wide, four, five = MBV2_STRIDES, (4, 8, 16, 32), (4, 4, 8, 16, 32)
    assert str(preset('flat', wide)) == 'D1: E1 E2 E3 E4 E5 E6 E7 E8 E9'
    assert str(preset('segformer', wide)) == 'D8: E8 · D6: E6 · D4: E4 · D3: E3 · D1: D3 D4 D6 D8'
    assert str(preset('segformer', four)) == 'D4: E4 · D3: E3 · D2: E2 · D1: E1 D2 D3 D4'
    assert str(preset('segformer', five)) == 'D5: E5 · D4: E4 · D3: E3 · D2: E2 · D1: D2 D3 D4 D5'
    assert str(preset('fpn', wide)) == (
        'D8: E8 · D6: E6 D8 · D4: E4 D6 · D3: E3 D4 · D1: D3 D4 D6 D8'
    )
    assert str(preset('fpn', four)) == 'D4: E4 · D3: E3 D4 · D2: E2 D3 · D1: E1 D2 D3 D4'


def test_published_architecture():
    found = preset('sparsemask_mbv2_voc')
    assert len(found) == 15 and found.strides == MBV2_STRIDES
    assert str(found) == ('D8: E9 G · D7: E7 G · D6: E6 G · D1: E1 E6 E7 E8 E9 D6 D7 D8 G')
    # It has strides of its own; those of the data it meets are checked by io.resolve.
    assert preset('sparsemask_mbv2_voc', FIVE) == found
    assert set(ARCHITECTURES) == {'sparsemask_mbv2_voc'}


@pytest.mark.parametrize('name', PRESETS)
@pytest.mark.parametrize('strides', [(4,), (4, 2), (32, 8, 8), FIVE, tuple(range(1, 13))])
def test_any_strides(name, strides):
    assert preset(name, strides).strides == strides
