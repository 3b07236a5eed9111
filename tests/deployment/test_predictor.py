"""Label maps and their drawings, from both kinds of model."""

import copy
import json
import sys

import cv2
import numpy as np
import pytest
import torch
from mmcv import transforms
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference.tiny import ROOT, call

from mmseg_sparsemask.deployment.accuracy import images_of
from mmseg_sparsemask.deployment.export import export, random_inputs
from mmseg_sparsemask.deployment.loading import load_predictor
from mmseg_sparsemask.deployment.metadata import Metadata
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor, read_image
from mmseg_sparsemask.deployment.predictor import (
    ModelPredictor,
    ToolboxPredictor,
    load_model,
    metadata_of,
    network_input,
)


def picture(height, width, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(image, (width, height))


def agreement(a, b):
    assert a.shape == b.shape
    return (a == b).mean()


def test_both_predictors_agree(trained, exported):
    toolbox = ToolboxPredictor(trained[0], str(trained[1]))
    onnx = OnnxPredictor(exported['onnx'].path)
    assert toolbox.classes == onnx.classes and toolbox.palette == onnx.palette
    for size in ((64, 72), (90, 131)):
        image = picture(*size)
        labels = onnx(image)
        assert labels.shape == size and len(np.unique(labels)) > 1
        # Two nearly equal logits may fall either way.
        assert agreement(labels, toolbox(image)) > 0.999


def with_steps(cfg, *steps, loader=None):
    first, *rest = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [loader or first, *steps, *rest]
    return cfg


@pytest.mark.parametrize(
    'steps',
    [
        [dict(type='Resize', scale=(100, 80))],
        [dict(type=transforms.Resize, scale=(100, 80), keep_ratio=True)],
        [dict(type='mmcv.Resize', scale=96, keep_ratio=True, interpolation='area')],
        [dict(type='Resize', scale_factor=(0.5, 0.7), interpolation='nearest')],
        [dict(type='mmseg.Resize', scale_factor=1.5, keep_ratio=True, interpolation='bicubic')],
        [dict(type='Resize', scale=(90, 70)), dict(type='Resize', scale_factor=1.3)],
    ],
)
def test_resizes_of_the_test_pipeline(steps, trained, exported):
    toolbox = ToolboxPredictor(with_steps(Config.fromfile(trained[0]), *steps), str(trained[1]))
    onnx = OnnxPredictor(exported['onnx'].path)
    onnx.metadata = Metadata.from_strings(metadata_of(toolbox.model).to_strings(), 'file')
    image = picture(120, 136)
    wanted = network_input(toolbox.model, image).numpy()
    assert len(onnx.metadata.resize) == len(steps)
    assert wanted.shape == onnx.inputs(image).shape and wanted.shape[2:] != (120, 136)
    assert np.allclose(wanted, onnx.inputs(image), atol=1e-5)
    assert agreement(onnx(image), toolbox(image)) > 0.999


class OwnResize(transforms.Resize):
    def _resize_img(self, results):
        results['img'] = results['img'][::2, ::2]


@pytest.mark.parametrize(
    'step',
    [
        dict(type='Resize', scale=(100, 80), backend='pillow'),
        dict(type='ResizeToMultiple', size_divisor=32),
        dict(type='mmseg.ResizeShortestEdge', scale=128, max_size=512),
        dict(type=OwnResize, scale=(100, 80)),
        dict(type='Pad', size_divisor=32),
        dict(type=transforms.Normalize, mean=[1.0] * 3, std=[2.0] * 3),
        dict(type='RGB2Gray', out_channels=3),
        dict(type='RandomFlip', prob=1.0),
        dict(type='mmseg.RandomCrop', crop_size=(32, 32)),
        dict(type='AdjustGamma', gamma=2.0),
        dict(type='TestTimeAug', transforms=[[dict(type='Resize', scale=(100, 80))]]),
    ],
)
def test_what_a_file_cannot_do_is_refused_by_name(step, model):
    kind = step['type'] if isinstance(step['type'], str) else step['type'].__name__
    changed = copy.copy(model)
    changed.cfg = with_steps(copy.deepcopy(model.cfg), step)
    with pytest.raises(ValueError, match=rf'cannot do .*{kind.split(".")[-1]}\('):
        metadata_of(changed)


@pytest.mark.parametrize(
    'options, message',
    [
        ({'loader': dict(type='LoadImageFromFile', to_float32=True)}, 'to_float32=True'),
        ({'loader': dict(type='LoadImageFromFile', color_type='grayscale')}, 'grayscale'),
        ({'loader': dict(type='LoadImageFromFile', imdecode_backend='pillow')}, 'pillow'),
        ({'mode': 'slide'}, "mode='slide'.*model.test_cfg.mode=whole, in a config"),
        ({'padding': dict(size_divisor=32)}, 'data_preprocessor.test_cfg=None'),
    ],
)
def test_other_settings_that_a_file_cannot_do(options, message, model):
    changed = copy.deepcopy(model)
    changed.cfg = with_steps(copy.deepcopy(model.cfg), loader=options.get('loader'))
    changed.test_cfg.mode = options.get('mode', 'whole')
    changed.data_preprocessor.test_cfg = options.get('padding')
    with pytest.raises(ValueError, match=message):
        metadata_of(changed)


@pytest.mark.parametrize(
    'pipeline',
    [
        [dict(type='LoadImageFromFile')],
        [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(100, 80))],
        [
            dict(type='LoadImageFromFile'),
            dict(type='TestTimeAug', transforms=[[dict(type='PackSegInputs')]]),
        ],
    ],
    ids=['one step', 'not packed', 'TestTimeAug'],
)
def test_a_pipeline_that_does_not_give_one_image(pipeline, model):
    changed = copy.copy(model)
    changed.cfg = copy.deepcopy(model.cfg)
    changed.cfg.test_dataloader.dataset.pipeline = pipeline
    with pytest.raises(ValueError, match='expected one tensor; leave out TestTimeAug'):
        ModelPredictor(changed)(picture(64, 64))
    with pytest.raises(ValueError, match='cannot do what the config asks for'):
        metadata_of(changed)


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_other_channels(channels, trained, tmp_path):
    cfg = Config.fromfile(trained[0])
    cfg.model.backbone.backbone.in_channels = channels
    cfg.model.data_preprocessor.update(mean=[100.0], std=[50.0], bgr_to_rgb=False)
    colours = 'grayscale' if channels == 1 else 'unchanged'
    with_steps(cfg, loader=dict(type='LoadImageFromFile', color_type=colours))
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    model.cfg, model.dataset_meta = cfg, {}
    assert metadata_of(model).mean == (100.0,) * channels
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (70, 80, channels), np.uint8))
    done = export(
        model,
        tmp_path / 'net.torchscript',
        'torchscript',
        metadata_of(model),
        random_inputs((64, 80), 32, channels),
        image_size=(64, 80),
        images={'the file': path},
    )
    assert done.differences['the file'].logits > 0
    predictor = load_predictor(done.path)
    assert predictor(read_image(path, channels)).shape == (70, 80)
    with pytest.raises(ValueError, match=rf'\(H, W, {channels}\) of uint8'):
        predictor(np.zeros((70, 80, 3), np.uint8))


def test_one_channel_is_a_threshold(trained, exported, monkeypatch):
    onnx = OnnxPredictor(exported['onnx'].path)
    object.__setattr__(onnx.metadata, 'threshold', 0.7)
    logits = np.random.default_rng(0).normal(size=(1, 1, 64, 72)).astype(np.float32)
    monkeypatch.setattr(onnx, 'logits', lambda inputs: logits)
    wanted = 1 / (1 + np.exp(-logits[0, 0])) > 0.7
    assert np.array_equal(onnx(picture(64, 72)), wanted)


def test_errors(trained, exported, tmp_path):
    with pytest.raises(ValueError, match='nothing.onnx does not exist'):
        OnnxPredictor(tmp_path / 'nothing.onnx')
    (tmp_path / 'text.onnx').write_text('no graph')
    with pytest.raises(ValueError, match='text.onnx is damaged'):
        OnnxPredictor(tmp_path / 'text.onnx')
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='does not fit the model'):
        load_model(trained[0], str(tmp_path / 'empty.pth'))
    for name in ('text.onnx', 'missing.png'):
        with pytest.raises(ValueError, match=name):
            read_image(tmp_path / name)


def test_classes_come_from_the_data_set_if_the_checkpoint_has_none(trained, tmp_path):
    content = torch.load(trained[1])
    torch.save(dict(state_dict=content['state_dict']), tmp_path / 'bare.pth')
    model = load_model(trained[0], str(tmp_path / 'bare.pth'))
    from mmseg_sparsemask.datasets.shapes import ShapesDataset

    assert metadata_of(model).classes == tuple(ShapesDataset.METAINFO['classes'])
    # Chosen ones in an order of their own, each with its colour.
    cfg, known = Config.fromfile(trained[0]), ShapesDataset.METAINFO
    cfg.test_dataloader.dataset.metainfo = dict(classes=known['classes'][::-1])
    found = metadata_of(load_model(cfg, str(tmp_path / 'bare.pth')))
    assert found.classes == tuple(known['classes'][::-1])
    assert found.palette == tuple(map(tuple, known['palette'][::-1]))


def inference(*arguments, cwd, check=True):
    return call(sys.executable, ROOT / 'tools/inference.py', *arguments, cwd=cwd, check=check)


def test_the_tool(trained, exported, tmp_path):
    for name, size in (('a', (64, 72)), ('b', (80, 100))):
        cv2.imwrite(str(tmp_path / f'{name}.jpg'), picture(*size))
    (tmp_path / 'c.jpg').write_text('no image')
    images = [tmp_path / 'a.jpg', tmp_path / 'b.jpg']
    model = ['--config', trained[0], '--checkpoint', trained[1]]
    done = inference(*images, *model, '--out', tmp_path / 'one', cwd=tmp_path)
    assert '2 of 2 overlays' in done.stdout and '2/2' in done.stdout
    done = inference(
        *images,
        *[tmp_path / 'c.jpg', '--onnx', exported['onnx'].path, '--out', tmp_path / 'two'],
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert '2 of 3 overlays' in done.stdout and 'c.jpg is not an image' in done.stdout
    for name, size in (('a', (64, 72)), ('b', (80, 100))):
        drawn = [cv2.imread(str(tmp_path / folder / f'{name}.png')) for folder in ('one', 'two')]
        assert drawn[0].shape == drawn[1].shape
        assert drawn[0].shape[0] > size[0] and drawn[0].shape[1] >= size[1]
        assert (drawn[0] == drawn[1]).mean() > 0.99
    assert sorted(p.name for p in (tmp_path / 'two').iterdir()) == ['a.png', 'b.png']


def test_lists_of_images(exported):
    onnx = OnnxPredictor(exported['onnx'].path)
    images = [picture(64, 72), picture(80, 96, seed=1)]
    labels = onnx(images)
    assert isinstance(labels, list)
    for image, found in zip(images, labels):
        assert np.array_equal(found, onnx(image))
    assert onnx([]) == []
    with pytest.raises(ValueError, match=r'uint8, BGR, got float32'):
        onnx([images[0].astype(np.float32)])


def test_changed_files_are_refused(exported, tmp_path):
    """Bits flipped, bytes cut, removed and put in: one ValueError that names the file."""
    content = exported['onnx'].path.read_bytes()
    draw = np.random.default_rng(0)
    path = tmp_path / 'changed.onnx'
    for number in range(300):
        data = bytearray(content)
        place = int(draw.integers(len(data)))
        match number % 4:
            case 0:
                data[place] ^= 1 << int(draw.integers(8))
            case 1:
                del data[place:]
            case 2:
                del data[place : place + int(draw.integers(1, 9))]
            case 3:
                data[place:place] = draw.bytes(3)
        path.write_bytes(data)
        with pytest.raises(ValueError, match='changed.onnx is damaged'):
            OnnxPredictor(path)


@pytest.mark.parametrize(
    'key, value',
    [
        ('mean', '[1, 2]'),
        ('mean', '[]'),
        ('mean', '[1, 2, NaN]'),
        ('std', '[1, 0, 1]'),
        ('bgr_to_rgb', '1'),
        ('resize', '{"scale": [0, 5], "keep_ratio": true}'),
        ('resize', '[{"scale": [5, 5], "scale_factor": [1, 1], "keep_ratio": true}]'),
        ('resize', '[{"scale": [5, 5], "keep_ratio": true, "interpolation": ["area"]}]'),
        ('resize', '[{"keep_ratio": true}]'),
        ('classes', '"abcdef"'),
        ('palette', '[[0, 0, 256]]'),
        ('palette', '[[0, 0, 255]]'),
        ('threshold', '2'),
        ('align_corners', 'null'),
        ('format_version', 'true'),
        ('classes', '[' * 100000),
    ],
)
def test_values_of_metadata(key, value, exported):
    strings = OnnxPredictor(exported['onnx'].path).metadata.to_strings()
    with pytest.raises(ValueError, match='net.onnx.*' + key.split('_')[0]):
        Metadata.from_strings({**strings, key: value}, 'net.onnx')


@pytest.mark.parametrize(
    'before, now', [('null', ()), ('{"scale": [5, 6], "keep_ratio": true}', 1)]
)
def test_resize_of_earlier_files(before, now, exported):
    strings = OnnxPredictor(exported['onnx'].path).metadata.to_strings()
    found = Metadata.from_strings({**strings, 'resize': before}, 'net.onnx').resize
    assert found == (now and (json.loads(before),))


def test_threads_and_providers(exported):
    path = exported['onnx'].path
    predictor = OnnxPredictor(path, threads=2, providers=['CPUExecutionProvider'])
    assert predictor.session.get_session_options().intra_op_num_threads == 2
    assert predictor.session.get_providers() == ['CPUExecutionProvider']
    with pytest.raises(ValueError, match='no SomeExecutionProvider'):
        OnnxPredictor(path, providers=[('SomeExecutionProvider', {})])
    with pytest.raises(ValueError, match='threads: expected at least 1, got 0'):
        OnnxPredictor(path, threads=0)


@pytest.mark.parametrize('kind', ['onnx', 'torchscript', 'torch_export'])
def test_images_that_are_too_small_are_one_line(kind, exported):
    predictor = load_predictor(exported[kind].path)
    try:
        assert predictor(picture(8, 8)).shape == (8, 8)
    except ValueError as error:
        assert 'cannot label an image that is 8x8' in str(error) and '\n' not in str(error)
    else:
        assert kind != 'torch_export'


def test_a_missing_data_set_asks_for_images(trained, tmp_path):
    cfg = Config.fromfile(trained[0])
    nowhere = dict(data_root=str(tmp_path), ann_file='none.txt', data_prefix=dict(img_path='i'))
    cfg.test_dataloader.dataset = dict(
        type='BaseSegDataset', pipeline=[dict(type='LoadImageFromFile')], **nowhere
    )
    with pytest.raises(ValueError, match='give images with --images'):
        images_of(cfg, 'test_dataloader', 1)


@pytest.mark.parametrize('kind', ['onnx', 'torchscript', 'torch_export'])
def test_files_of_every_format(kind, exported):
    predictor = load_predictor(exported[kind].path)
    reference = OnnxPredictor(exported['onnx'].path)
    assert predictor.metadata == reference.metadata
    image = picture(64, 72)
    assert agreement(predictor(image), reference(image)) > 0.999


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r'net.pth: expected a file \*.onnx, \*.torchscript'):
        load_predictor(tmp_path / 'net.pth')
    for name in ('net.torchscript', 'net.pt2'):
        with pytest.raises(ValueError, match=f'{name} does not exist'):
            load_predictor(tmp_path / name)
        (tmp_path / name).write_text('no network')
        with pytest.raises(ValueError, match=f'cannot load .*{name}'):
            load_predictor(tmp_path / name)


@pytest.mark.parametrize(
    'meta',
    [
        *(3, 'abcdef', ['a'] * 6, torch.ones(2)),
        *({'classes': value} for value in (3, 'abcdef', [1, 2], [None], torch.ones(3))),
        *({'palette': value} for value in (3, 'x', [1], [[1, 2]], [['a'] * 3], torch.ones(0))),
    ],
)
def test_names_and_colours_of_another_kind_are_one_error(trained, tmp_path, meta):
    content = torch.load(trained[1])
    content['meta']['dataset_meta'] = meta
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='dataset_meta: expected a list of names'):
        ToolboxPredictor(trained[0], str(tmp_path / 'x.pth'))
