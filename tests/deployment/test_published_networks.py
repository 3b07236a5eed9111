"""Every kind of network that may be published comes back as it was, and without a network."""

import socket

import numpy as np
import pytest
import torch
from mmseg.apis import inference_model
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS, TRANSFORMS
from reference.configs import CONFIGS, load_as_it_is, name_of
from reference.small_networks import CONNECTIVITY, HEADS, LAST, PIPELINE, network

from mmseg_sparsemask.deployment import load_published
from mmseg_sparsemask.deployment.predictor import pipeline_steps
from mmseg_sparsemask.deployment.publish import publish, published_settings
from mmseg_sparsemask.deployment.published import WithoutValues, build, read_description
from mmseg_sparsemask.models import allowed

pytest.importorskip('safetensors')
IMAGE = np.random.default_rng(0).integers(0, 255, (60, 76, 3), dtype=np.uint8)

#: Settings of each backbone that are not its defaults.
BACKBONES = {
    'FeatureTaps': dict(backbone=dict(type='mmpretrain.VGG', depth=11), features=['features.2']),
    'HRNet': dict(
        extra={
            f'stage{count}': dict(
                num_modules=1,
                num_branches=count,
                block='BASIC' if count > 1 else 'BOTTLENECK',
                num_blocks=(1,) * count,
                num_channels=(4, 8, 16, 32)[:count],
            )
            for count in (1, 2, 3, 4)
        }
    ),
    'TIMMBackbone': dict(model_name='resnet10t', pretrained=False, out_indices=(0, 1)),
    'UNet': dict(base_channels=4, upsample_cfg=dict(type='InterpConv')),
    'MixVisionTransformer': dict(embed_dims=8, num_layers=[1, 1, 1, 1]),
    'mmpretrain.EfficientNet': dict(arch='b0', norm_cfg=dict(type='BN', eps=1e-3)),
    'mmpretrain.RegNet': dict(arch='regnetx_400mf'),
    'mmpretrain.TIMMBackbone': dict(model_name='tf_efficientnet_lite0'),
    'mmpretrain.VGG': dict(depth=11),
    **{name: dict(depth=50) for name in ('ResNeSt', 'ResNeXt')},
    **{name: dict(depth=18) for name in allowed.BACKBONES if 'ResNet' in name},
}


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f'the network was asked: {args}')

    for name in ('connect', 'connect_ex'):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)


@pytest.mark.parametrize('head', allowed.HEADS)
def test_every_head_is_published_and_loaded(head, tmp_path, offline):
    model = network(head)
    publish(model, tmp_path / 'net', 'net')
    predictor = load_published(tmp_path / 'net')
    with torch.no_grad():
        x = torch.randn(1, 3, 256, 320)
        assert torch.equal(predictor.model(x, mode='tensor'), model(x, mode='tensor'))
    model.cfg.test_pipeline = pipeline_steps(model.cfg)
    expected = inference_model(model, IMAGE).pred_sem_seg.data[0].numpy()
    assert np.array_equal(predictor(IMAGE), expected)
    text = (tmp_path / 'net/config.json').read_text()
    assert not [key for key in allowed.LEFT_OUT if f'"{key}"' in text]


def test_a_head_of_each_kind_is_tried():
    assert set(HEADS) == set(allowed.HEADS)


@pytest.mark.parametrize('name', allowed.BACKBONES)
def test_every_backbone_is_laid_out_without_values_and_offline(name, offline):
    head = dict(LAST, type='FCNHead', in_index=-1, num_classes=4)
    model = dict(
        type='EncoderDecoder',
        backbone=dict(type=name, **BACKBONES.get(name, {})),
        decode_head=head,
    )
    allowed.check_model(model, 'model')
    description = dict(model=model, test_pipeline=PIPELINE, dataset_meta={})
    shapes = {key: value.shape for key, value in build(description).state_dict().items()}
    with WithoutValues():
        laid_out = build(description).state_dict()
    assert {key: value.shape for key, value in laid_out.items()} == shapes
    assert all(value.is_meta for value in laid_out.values() if value.numel() > 10_000)


@pytest.mark.parametrize('other', [FCNHead, 'mmseg.FCNHead'])
def test_a_class_by_another_name_is_published_under_that_of_the_lists(other, tmp_path):
    model = network(
        pipeline=[
            PIPELINE[0],
            *({**step, 'type': f'mmseg.{step["type"]}'} for step in PIPELINE[1:]),
        ]
    )
    model.cfg.model.decode_head.type = other
    publish(model, tmp_path / 'net', 'net')
    content = read_description(tmp_path / 'net/config.json')
    assert content['model']['decode_head']['type'] == 'FCNHead'
    steps = [step['type'] for step in content['test_pipeline']]
    assert steps == ['LoadImageFromFile', 'Resize', 'PackSegInputs']


def test_networks_of_every_config_may_be_published():
    refused = {}
    for path in CONFIGS:
        cfg = load_as_it_is(name_of(path))
        if 'model' not in cfg:
            continue
        model = published_settings(cfg.model.to_dict(), MODELS)
        if 'connectivity' in model['decode_head']:
            model['decode_head']['connectivity'] = CONNECTIVITY  # as a trained one has it
        try:
            allowed.check_model(model, 'model')
            pipeline = published_settings(pipeline_steps(cfg), TRANSFORMS)
            allowed.check_pipeline(pipeline, 'test_pipeline')
        except ValueError as error:
            refused[path.name] = str(error)
    assert not refused
