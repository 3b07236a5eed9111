import importlib.util
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_sparsemask.connectivity import Feature
from mmseg_sparsemask.models.describe import (
    Description,
    config_lines,
    describe_backbone,
    feature_table,
    head_mismatch,
)

ROOT = Path(__file__).parents[2]
RESNET = dict(
    type='FeatureTaps',
    backbone=dict(type='ResNet', depth=18),
    features=['relu', 'layer1', 'layer2', 'layer3', 'layer4'],
)
FPN = dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=8, num_outs=4)


def test_against_real_tensors():
    description = describe_backbone(dict(backbone=RESNET), (65, 97))
    features = description.features
    backbone = MODELS.build(RESNET).eval()
    outputs = backbone(torch.zeros(1, 3, 65, 97))
    assert len(features) == len(outputs) == 5
    for feature, output in zip(features, outputs):
        assert output.shape[1] == feature.channels
    assert description.sizes == tuple(tuple(output.shape[2:]) for output in outputs)
    # Not round(65 / 3), as the coarsest of this size would say.
    assert [f.stride for f in features] == [2, 4, 8, 16, 32]
    assert [f.module for f in features] == RESNET['features']
    assert [f.name for f in features] == ['E1', 'E2', 'E3', 'E4', 'E5']


def test_a_neck_counts():
    model = dict(backbone=dict(type='ResNet', depth=18), neck=FPN)
    features = describe_backbone(model, (128, 128)).features
    assert [(f.channels, f.stride) for f in features] == [(8, 4), (8, 8), (8, 16), (8, 32)]


def test_config_is_not_changed():
    model = dict(backbone=dict(type='ResNet', depth=18), neck=FPN)
    describe_backbone(model, (64, 64))
    assert model == dict(backbone=dict(type='ResNet', depth=18), neck=FPN)


FEATURES = (Feature('E1', 16, 4, 'layer1'), Feature('E2', 320, 32, 'layer4.1'))


def test_text():
    description = Description((513, 65), FEATURES, ((129, 17), (17, 3)))
    assert feature_table(description).splitlines() == [
        'feature  module    channels  stride  size at 513x65',
        'E1       layer1    16        4       129x17',
        'E2       layer4.1  320       32      17x3',
    ]
    lines = config_lines(FEATURES)
    assert eval(f'dict({lines})') == dict(in_channels=[16, 320], in_index=[0, 1], strides=[4, 32])


@pytest.mark.parametrize(
    'head, expected',
    [
        (dict(in_channels=[16, 320], in_index=[0, 1], strides=[4, 32]), None),
        (dict(in_channels=[320, 16], in_index=[-1, 0]), None),
        (dict(in_channels=320, in_index=1), None),
        ({}, None),
        (dict(in_channels=[16, 321], in_index=[0, 1]), 'in_channels=[16, 321], but the backbone'),
        (dict(in_index=[0, 1], strides=[4, 16]), 'strides=[4, 16], but the backbone gives [4, 32]'),
        (dict(in_index=[0, 2]), 'in_index=[0, 2], but the backbone gives 2 features'),
    ],
)
def test_mismatch(head, expected):
    found = head_mismatch(head, FEATURES)
    assert found is None if expected is None else expected in found


BAD = {
    'no backbone': (dict(type='EncoderDecoder'), 'expected a config with model=dict'),
    'no model': (None, 'expected a config with model=dict'),
    'no maps': (
        dict(backbone=dict(type='mmpretrain.ConvNeXt', arch='atto', out_indices=[3])),
        r'expected maps \(N, C, h, w\): set its out_indices, or tap modules with FeatureTaps',
    ),
    'unknown module': (dict(backbone={**RESNET, 'features': ['layer9']}), 'layer9'),
    'neck that does not fit': (
        dict(backbone=RESNET, neck={**FPN, 'in_channels': [1, 2, 3, 4, 5], 'num_outs': 5}),
        'cannot take an image of 64x64 pixels',
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name):
    model, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        describe_backbone(model, (64, 64))


def tool():
    path = ROOT / 'tools' / 'describe_backbone.py'
    spec = importlib.util.spec_from_file_location('tool_describe_backbone', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_tool(capsys, tmp_path):
    config = str(ROOT / 'configs' / 'sparsemask' / 'fcn_mbv2_voc.py')
    tool()(
        [config, '--shape', '64', '96', '--cfg-options', 'model.backbone.features=[conv1,conv2]']
    )
    text = capsys.readouterr().out
    assert 'size at 64x96' in text and 'in_channels=[32, 1280],' in text
    assert 'strides=[2, 32],' in text and 'does not fit' not in text
    other = tmp_path / 'other.py'
    other.write_text(
        "model = dict(backbone=dict(type='ResNet', depth=18),\n"
        'decode_head=dict(in_index=[0, 1], in_channels=[64, 64]))'
    )
    tool()([str(other), '--shape', '64'])
    text = capsys.readouterr().out
    assert 'does not fit: in_channels=[64, 64], but the backbone gives [64, 128]' in text
    other.write_text('x = 1')
    with pytest.raises(SystemExit, match='^error: expected a config with model'):
        tool()([str(other)])
    with pytest.raises(SystemExit):
        tool()([str(other), '--shape', '0'])
