"""EfficientNet-Lite0 of a Python package, under timm's names."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.models import pretrained
from mmseg_sparsemask.models.describe import describe_backbone, head_mismatch

timm = pytest.importorskip('timm', reason='timm is not installed (extra pretrained)')

ROOT = Path(__file__).parents[2]
#: How the package calls the layers of a block, in the order in which they run.
LAYERS = ['_expand_conv', '_bn0', '_depthwise_conv', '_bn1', '_project_conv', '_bn2']


def layers_of_the_package():
    """Names of all layers of the package's file, in the order in which they run."""
    first = [f'_blocks.0.{name}' for name in LAYERS[2:]]
    others = [f'_blocks.{block}.{name}' for block in range(1, 16) for name in LAYERS]
    return ['_conv_stem', '_bn0', *first, *others, '_conv_head', '_bn1', '_fc']


@pytest.fixture(scope='module')
def model():
    return timm.create_model(pretrained.EFFICIENTNET_LITE0).eval()


@pytest.fixture
def fake(model):
    """timm's weights under the package's names, in no order: layer n of one is n of the other."""
    names = dict.fromkeys(name.rpartition('.')[0] for name in model.state_dict())
    assert len(names) == len(layers_of_the_package())
    package = dict(zip(names, layers_of_the_package()))
    state = {}
    for name, value in model.state_dict().items():
        layer, _, kind = name.rpartition('.')
        state[f'{package[layer]}.{kind}'] = value
    items = list(state.items())
    random.shuffle(items)
    return dict(items)


def test_names_are_mapped_whatever_the_order(fake, model):
    converted = pretrained.to_timm(fake, model.state_dict())
    assert list(converted) == list(model.state_dict())
    assert all(converted[name] is value for name, value in fake_pairs(fake, model))


def fake_pairs(fake, model):
    """(timm's name, tensor) of a fake state, by the tensor's memory."""
    places = {value.data_ptr(): name for name, value in model.state_dict().items()}
    return [(places[value.data_ptr()], value) for value in fake.values()]


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda s: s.pop('_blocks.3._bn1.weight'), r'got 295: .*blocks.2.0.bn2.weight.* missing'),
        (lambda s: s.update({'layer1.weight': torch.ones(1)}), "'layer1.weight' has no place"),
        (lambda s: s.update({'_blocks.16._bn1.bias': torch.ones(1)}), 'has no place'),
        (lambda s: s.update({'_blocks.0._bn0.bias': torch.ones(1)}), 'has no place'),
        (lambda s: s.update({'_fc.bias': torch.ones(7)}), r'shape \(7,\), expected \(1000,\)'),
        (lambda s: s.update({'_fc.bias': 'no tensor'}), 'has no place'),
    ],
)
def test_another_architecture_is_refused(fake, model, change, message):
    change(fake)
    with pytest.raises(ValueError, match=message) as error:
        pretrained.to_timm(fake, model.state_dict())
    assert pretrained.PACKAGE in str(error.value)


def test_a_file_of_another_architecture_is_named(tmp_path):
    torch.save({'state_dict': {'w': torch.ones(2)}}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth: expected EfficientNet-Lite0'):
        pretrained.read_efficientnet_lite0(tmp_path / 'other.pth')


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(pretrained, 'PACKAGE', 'no_such_package')
    with pytest.raises(ImportError, match=r'no_such_package.*\[pretrained\]'):
        pretrained.efficientnet_lite0_file()


def test_settings_without_weights_are_the_same_otherwise():
    """Tuples stay tuples: heads of the toolbox ask for them."""
    settings = dict(a=[dict(pretrained=True)], channels=(1, 2), init_cfg=dict(type='Pretrained'))
    expected = dict(a=[dict(pretrained=False)], channels=(1, 2), init_cfg=None)
    assert pretrained.without_weights(settings) == expected


RESNET = dict(type='ResNetV1c', depth=18, num_stages=4, out_indices=(0, 1, 2, 3))
HEAD = dict(type='FCNHead', in_channels=512, channels=8, num_classes=3)
MODEL = dict(type='EncoderDecoder', backbone=RESNET, decode_head=HEAD)


@pytest.mark.parametrize('weights', ['open-mmlab://resnet18_v1c', None])
def test_settings_without_weights_are_built(weights):
    """A path in one class is a flag in another."""
    init_default_scope('mmseg')
    for settings in (dict(RESNET, pretrained=weights), dict(MODEL, pretrained=weights)):
        MODELS.build(pretrained.without_weights(settings))


def test_nothing_is_fetched_without_being_told_not_to(monkeypatch):
    init_default_scope('mmseg')
    asked = []
    create = timm.create_model
    monkeypatch.setattr(
        timm,
        'create_model',
        lambda pretrained=False, checkpoint_path='', **kwargs: (
            asked.append((bool(pretrained), bool(checkpoint_path))) or create(**kwargs)
        ),
    )
    # The toolbox's wrapper of timm's models fetches by default.
    settings = dict(type='TIMMBackbone', model_name='resnet10t', features_only=True)
    for more in ({}, {'pretrained': True}, {'checkpoint_path': 'no/such/file'}):
        MODELS.build(pretrained.without_weights({**settings, **more}))
        describe_backbone(dict(backbone={**settings, **more}), (64, 64))
    assert asked == [(False, False)] * 6


@pytest.mark.parametrize('value', [None, 'open-mmlab://resnet18'])
@pytest.mark.parametrize('place', ['model', 'backbone'])
def test_what_may_name_weights_is_none_where_the_toolbox_takes_no_switch(place, value):
    resnet = dict(type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1))
    head = dict(type='FCNHead', in_channels=128, in_index=1, channels=8, num_classes=3)
    model = dict(
        type='EncoderDecoder',
        backbone=dict(resnet, out_indices=(0, 1)),
        decode_head=head,
        test_cfg=dict(mode='whole'),
    )
    (model if place == 'model' else model['backbone'])['pretrained'] = value
    init_default_scope('mmseg')
    built = MODELS.build(pretrained.without_weights(Config(dict(model=model)).model))
    assert built.test_cfg.mode == 'whole' and built.backbone.init_cfg[0]['type'] == 'Kaiming'


@pytest.mark.parametrize('name', ['TIMMBackbone', 'mmpretrain.TIMMBackbone'])
def test_timms_switch_is_off_where_nothing_is_said(name):
    assert pretrained.without_weights(dict(type=name))['pretrained'] is False


def test_the_nine_features_of_the_configs():
    init_default_scope('mmseg')
    path = ROOT / 'configs/sparsemask/sparsemask_efficientnet-lite0_camvid-160x208.py'
    cfg = Config.fromfile(path)
    cfg.model.backbone.backbone.init_cfg = None
    features = describe_backbone(cfg.model, (160, 208)).features
    assert [f.channels for f in features] == [32, 16, 24, 40, 80, 112, 192, 320, 1280]
    assert [f.stride for f in features] == [2, 2, 4, 8, 16, 16, 32, 32, 32]
    assert head_mismatch(cfg.model.decode_head, features) is None


def test_features_are_those_of_the_converted_network(fake, model, tmp_path):
    """Through the tool's file, the config's taps and MMEngine's loading: timm's own maps."""
    init_default_scope('mmseg')
    state = pretrained.to_timm(fake, model.state_dict())
    path = tmp_path / 'lite0.pth'
    pretrained.write_backbone(path, state, 'a test')
    base = Config.fromfile(ROOT / 'configs/_base_/models/efficientnet-lite0_features.py')
    base.model.backbone.backbone.init_cfg.checkpoint = str(path)
    backbone = MODELS.build(base.model.backbone)
    backbone.init_weights()
    backbone.eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        found = backbone(images)
        stem = model.bn1(model.conv_stem(images))
        maps = [stem]
        for stage in model.blocks:
            maps.append(stage(maps[-1]))
        last = model.bn2(model.conv_head(maps[-1]))
    torch.testing.assert_close(found[0].clamp(0, 6), maps[0])
    for one, other in zip(found[1:-1], maps[1:]):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(found[-1].clamp(0, 6), last)
    assert found[0].min() < 0, 'tapped before its activation'


def photographs():
    """Folder of BSDS500's images, where there is one."""
    for folder in (ROOT / 'data/BSDS500', ROOT.parent / 'shared/data/BSDS500'):
        if (folder / 'images').is_dir():
            return folder / 'images'
    return None


@pytest.mark.parametrize(
    'name, label, probability',
    [('108005', 292, 0.81), ('100007', 296, 0.80), ('105053', 291, 0.95)],
    ids=['tiger', 'polar bear', 'lion'],
)
def test_the_published_weights_name_animals(model, name, label, probability):
    folder = photographs()
    if folder is None:
        pytest.skip('needs the photographs of BSDS500 in data/BSDS500 (docs/data.md)')
    pytest.importorskip(pretrained.PACKAGE, reason='needs the weights (extra pretrained)')
    (path,) = folder.rglob(f'{name}.jpg')
    state = pretrained.read_efficientnet_lite0(pretrained.efficientnet_lite0_file())
    network = timm.create_model(pretrained.EFFICIENTNET_LITE0).eval()
    network.load_state_dict(state)
    with torch.no_grad():
        probabilities = network(middle_square(path)).softmax(1)[0]
    assert int(probabilities.argmax()) == label
    assert float(probabilities.max()) == pytest.approx(probability, abs=0.03)


def middle_square(path, side=224):
    """The middle of a photograph, normalised with ImageNet's mean and deviation: (1, 3, 224, 224).

    The shorter side becomes 224: of objects that are larger than it was trained on the network is
    less certain.
    """
    image = Image.open(path).convert('RGB')
    scale = side / min(image.size)
    width, height = (round(length * scale) for length in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    image = image.crop((left, top, left + side, top + side))
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    return (pixels - mean[:, None, None]) / std[:, None, None]
