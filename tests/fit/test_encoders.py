"""Encoders by name, their features, and where their weights come from."""

import os
import socket
from unittest.mock import Mock

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference.drawn_folder import SMALL_ENCODER

from mmseg_sparsemask.fit import encoders
from mmseg_sparsemask.fit.encoders import NAMED, find_encoder

STRIDES = dict.fromkeys(['resnet50', 'small'], [2, 4, 8, 16, 32])
NINE = [2, 2, 4, 8, 16, 16, 32, 32, 32]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    load = encoders.CheckpointLoader.load_checkpoint

    def refuse(name, *args, **kwargs):
        if '://' in name:
            raise OSError('no network here')
        return load(name, *args, **kwargs)

    def unreachable(address, **kwargs):
        raise OSError('no network here')

    monkeypatch.setattr(encoders.CheckpointLoader, 'load_checkpoint', refuse)
    monkeypatch.setattr(encoders.urllib.request, 'urlopen', unreachable)
    monkeypatch.setenv('HF_HUB_OFFLINE', '0')
    monkeypatch.chdir(tmp_path)  # no data/pretrained here


@pytest.mark.parametrize('name', NAMED)
def test_features_of_the_named(name, tmp_path, monkeypatch):
    def absent():
        raise ImportError('no such package')

    monkeypatch.setattr(encoders.pretrained, 'efficientnet_lite0_file', absent)
    found = find_encoder(name, None, tmp_path)
    assert list(found.strides) == STRIDES.get(name, NINE)
    assert found.rule == 'scratch' and 'from scratch' in found.said
    assert ('no weights' if name == 'small' else '--weights') in found.said
    # What the decoders are told is what the backbone gives.
    init_default_scope('mmseg')
    backbone = MODELS.build(found.parts['backbone']).eval()
    with torch.no_grad():
        given = backbone(torch.zeros(1, 3, 64, 64))
    assert [f.shape[1] for f in given] == list(found.in_channels)
    assert [64 // f.shape[2] for f in given] == list(found.strides)


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.backbone.'])
def test_weights_that_were_given_are_loaded(prefix, tmp_path):
    config = tmp_path / 'small.py'
    config.write_text(SMALL_ENCODER)
    inner = find_encoder(str(config), None, tmp_path).parts['backbone']['backbone']
    init_default_scope('mmseg')
    state = {f'{prefix}{k}': v + 1 for k, v in MODELS.build(inner).state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'weights.pth')
    found = find_encoder(str(config), tmp_path / 'weights.pth', tmp_path)
    assert found.rule == 'sgd' and 'weights.pth' in found.said
    backbone = MODELS.build(found.parts['backbone'])
    backbone.init_weights()
    loaded = backbone.backbone.state_dict()
    assert all(torch.equal(loaded[k], state[f'{prefix}{k}']) for k in loaded)


def test_timm_without_a_network_asks_nobody(tmp_path, monkeypatch):
    pytest.importorskip('timm')
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'empty'))
    connected = []
    monkeypatch.setattr(socket.socket, 'connect', lambda *args: connected.append(args))
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args, **kwargs: connected.append(args))
    found = find_encoder('timm:mobilenetv3_small_050', None, tmp_path)
    assert found.rule == 'scratch' and 'from scratch, no weights: ' in found.said
    assert '\n' not in found.said and not connected and os.environ['HF_HUB_OFFLINE'] == '1'
    # A server that says no is one that answers.
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    error = encoders.urllib.error.HTTPError('hub', 403, 'no', {}, None)
    monkeypatch.setattr(encoders.urllib.request, 'urlopen', Mock(side_effect=error))
    encoders._look_for_hub()
    assert constants.HF_HUB_OFFLINE is False


@pytest.fixture
def asked(monkeypatch):
    """Whether timm was asked for weights, model by model; it fetches none."""
    timm = pytest.importorskip('timm')
    create, asked = timm.create_model, []

    def without_download(*args, pretrained=False, **kwargs):
        asked.append(pretrained)
        return create(*args, pretrained=False, **kwargs)

    monkeypatch.setattr(timm, 'create_model', without_download)
    monkeypatch.setattr(encoders, '_look_for_hub', lambda: None)
    return asked


def test_what_timm_has(asked, tmp_path):
    found = find_encoder('timm:resnet18', None, tmp_path)
    assert list(found.strides) == [2, 4, 8, 16, 32] and True in asked
    assert found.rule == 'sgd' and found.parts['backbone']['pretrained'] is True


@pytest.mark.parametrize(
    'name, message',
    [
        (
            'mobilenet',
            'expected mobilenet_v2, efficientnet-lite0, resnet50, small, timm:NAME or a config',
        ),
        ('timm:resnet18x', 'timm has no such model; it has resnet18'),
        ('one.py', 'expected two or more features'),
        ('none.py', 'expected a config with model.backbone'),
    ],
)
def test_what_is_none(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = SMALL_ENCODER.replace("['relu', 'layer1', 'layer2', 'layer3', 'layer4']", "['layer4']")
    (tmp_path / 'one.py').write_text(one)
    (tmp_path / 'none.py').write_text('a = 1\n')
    with pytest.raises(ValueError, match=message):
        find_encoder(name, None, tmp_path)


def test_weights_of_another_encoder(tmp_path):
    (tmp_path / 'small.py').write_text(SMALL_ENCODER)
    torch.save({'state_dict': {'a': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match="expected weights of ResNet, such as 'stem.*got 'a'|got"):
        find_encoder(str(tmp_path / 'small.py'), tmp_path / 'other.pth', tmp_path)
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        find_encoder(str(tmp_path / 'small.py'), tmp_path / 'gone.pth', tmp_path)


def test_weights_of_another_width_or_depth(tmp_path):
    """Those of one name and another shape would stay as they were drawn, with a line in the log."""
    (tmp_path / 'small.py').write_text(SMALL_ENCODER)
    wider = SMALL_ENCODER.replace('channels=8', 'channels=16')
    (tmp_path / 'wider.py').write_text(wider)
    (tmp_path / 'deeper.py').write_text(SMALL_ENCODER.replace('depth=18', 'depth=34'))
    inner = find_encoder(str(tmp_path / 'small.py'), None, tmp_path).parts['backbone']['backbone']
    init_default_scope('mmseg')
    state = MODELS.build(inner).state_dict()
    weights = tmp_path / 'weights.pth'
    torch.save({'state_dict': state}, weights)
    wanted = r"of the shape \(16, 3, 7, 7\), got 'conv1.weight' of \(8, 3, 7, 7\); 60 of 60 param"
    with pytest.raises(ValueError, match=wanted):
        find_encoder(str(tmp_path / 'wider.py'), weights, tmp_path)
    said = find_encoder(str(tmp_path / 'deeper.py'), weights, tmp_path).said
    assert said.endswith('weights.pth, which lacks 48 of 108 parameters')


TIMM_CONFIG = """
model = dict(
    backbone=dict(
        type='mmpretrain.TIMMBackbone', model_name='resnet18', features_only=True, pretrained=True
    )
)
"""


@pytest.mark.parametrize('weights', [None, 'none', 'weights.pth'])
def test_a_flag_for_weights_in_a_config(asked, weights, tmp_path):
    """It counts where nobody says otherwise: with it, timm's models take no others."""
    (tmp_path / 'timm.py').write_text(TIMM_CONFIG)
    init_default_scope('mmseg')
    inner = dict(type='mmpretrain.TIMMBackbone', model_name='resnet18', features_only=True)
    state = {key: value + 1 for key, value in MODELS.build(inner).state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'weights.pth')
    found = find_encoder('timm.py', weights, tmp_path)
    assert (True in asked) == found.parts['backbone']['pretrained'] == (weights is None)
    assert (found.rule == 'scratch') == ('from scratch' in found.said) == (weights == 'none')
    if weights == 'weights.pth':
        backbone = MODELS.build(found.parts['backbone'])
        backbone.init_weights()
        assert all(torch.equal(v, state[k]) for k, v in backbone.state_dict().items())


@pytest.mark.parametrize('place', ['model', 'backbone'])
def test_weights_that_a_config_names_as_pretrained(place, tmp_path):
    """The toolbox's own configs name them at the segmentor, older ones at the backbone."""
    inner = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
    init_default_scope('mmseg')
    torch.save({'state_dict': MODELS.build(inner).state_dict()}, tmp_path / 'weights.pth')
    named = {'pretrained': 'weights.pth'}
    model = {'backbone': {**inner, **(named if place == 'backbone' else {})}}
    model |= named if place == 'model' else {}
    (tmp_path / 'named.py').write_text(f'model = {model}\n')
    found = find_encoder('named.py', None, tmp_path)
    assert found.rule == 'sgd' and found.said == 'named.py with its pretrained weights'
    assert found.parts['backbone']['init_cfg']['checkpoint'] == str(tmp_path / 'weights.pth')
    found = find_encoder('named.py', 'none', tmp_path)
    assert (
        found.rule == 'scratch' and not {'init_cfg', 'pretrained'} & found.parts['backbone'].keys()
    )


def test_how_weights_are_drawn_is_no_pretraining(tmp_path):
    drawn = "base_channels=8, init_cfg=dict(type='Kaiming', layer='Conv2d')"
    (tmp_path / 'drawn.py').write_text(SMALL_ENCODER.replace('base_channels=8', drawn))
    for weights in (None, 'none'):
        found = find_encoder('drawn.py', weights, tmp_path)
        assert found.rule == 'scratch' and 'from scratch' in found.said
        assert found.parts['backbone']['backbone']['init_cfg']['type'] == 'Kaiming'
