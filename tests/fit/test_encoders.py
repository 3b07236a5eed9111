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


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
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


def test_what_timm_has(tmp_path, monkeypatch):
    timm = pytest.importorskip('timm')
    create, asked = timm.create_model, []

    def without_download(*args, pretrained=False, **kwargs):
        asked.append(pretrained)
        return create(*args, pretrained=False, **kwargs)

    monkeypatch.setattr(timm, 'create_model', without_download)
    monkeypatch.setattr(encoders, '_look_for_hub', lambda: None)
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
