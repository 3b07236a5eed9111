"""Files in float16 and int8: what they hold, what they compute, and what is refused."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_sparsemask.deployment.accuracy import images_of, labelled_test_set, self_labelled
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.loading import load_predictor
from mmseg_sparsemask.deployment.metadata import Metadata
from mmseg_sparsemask.deployment.precision import (
    Measured,
    accepted,
    measured,
    require_precision,
    write_half,
    write_int8,
)
from mmseg_sparsemask.deployment.predictor import ModelPredictor, metadata_of

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

ANY = Measured(1, 1.0, 50.0)


def half(model, path, kind, check=lambda path: ANY):
    return write_half(
        deployed_segmentor(model), path, kind, metadata_of(model), (64, 80), 32, check
    )


@pytest.mark.parametrize('kind, suffix', [('onnx', '.onnx'), ('torchscript', '.torchscript')])
def test_float16(kind, suffix, model, exported, tmp_path):
    path = tmp_path / f'net{suffix}'
    half(model, path, kind)
    images = np.random.default_rng(0).normal(size=(3, 3, 49, 70)).astype(np.float32)
    wanted, got = (load_predictor(file).logits(images) for file in (exported[kind].path, path))
    assert got.dtype == np.float32
    error = abs(got - wanted).max() / abs(wanted).max()
    assert 1e-6 < error < 1e-2  # rounded to half, and no more than that
    assert load_predictor(path).metadata == metadata_of(model)
    if kind == 'onnx':
        weights = onnx.load(path).graph.initializer
        large = [w for w in weights if np.prod(w.dims) > 64]
        assert large and {w.data_type for w in large} == {onnx.TensorProto.FLOAT16}


@pytest.fixture(scope='module')
def images(model):
    return images_of(model.cfg, 'train_dataloader', 4, spread=True)


def test_int8(model, exported, images, tmp_path):
    path = tmp_path / 'net.onnx'
    write_int8(exported['onnx'].path, path, images, lambda path: ANY)
    scores = [
        np.stack([load_predictor(file).scores(image) for image in images[:2]])
        for file in (exported['onnx'].path, path)
    ]
    error = abs(scores[1] - scores[0]).max() / abs(scores[0]).max()
    assert 1e-4 < error < 0.3  # tiny untrained networks round badly; another network is off by 1
    graph = onnx.load(path).graph
    weights = [w for w in graph.initializer if np.prod(w.dims) > 64]
    assert weights and {w.data_type for w in weights} == {onnx.TensorProto.INT8}
    # The checksum and the metadata are there: a predictor takes the file.
    predictor = load_predictor(path)
    assert predictor.metadata == metadata_of(model)
    assert b'mmseg' not in path.read_bytes()


def test_int8_ranges_are_those_after_the_activation(exported, images, tmp_path):
    path = tmp_path / 'net.onnx'
    odd = images[0][:48, :64]  # images need not have one size
    write_int8(exported['onnx'].path, path, [*images, odd], lambda path: ANY)

    def after_convolutions(path):
        graph = onnx.load(path).graph
        giver = {name: node for node in graph.node for name in node.output}
        pairs = [(giver[node.input[0]], node) for node in graph.node if node.input[0] in giver]
        return graph, {a.name: b for a, b in pairs if a.op_type == 'Conv'}

    _, users = after_convolutions(exported['onnx'].path)
    activated = {name for name, user in users.items() if user.op_type == 'Relu'}
    graph, users = after_convolutions(path)
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    # A range that starts at 0 has the zero point 0.
    zero_points = {name: int(weights[user.input[2]]) for name, user in users.items()}
    assert len(activated) > 2
    assert {name for name, zero in zero_points.items() if zero == 0} == activated


def test_what_falls_too_far_is_not_written(model, exported, images, tmp_path):
    def check(path):
        assert path.stat().st_size > 1000
        return accepted(ANY, 52.0, 1.0)

    for write in (
        lambda path: write_int8(exported['onnx'].path, path, images, check),
        lambda path: half(model, path, 'torchscript', check),
    ):
        with pytest.raises(ValueError, match=r'50.00 is 2.00 points below the 52.00 .*more than 1'):
            write(tmp_path / 'net')
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'found, wanted, message',
    [
        (49.0, 50.0, None),
        (4.9, 5.0, None),
        (48.9, 50.0, '1.10 points below'),
        (4.1, 5.0, '0.90 points below'),  # within a point, but a sixth of what there was
        (float('nan'), 50.0, 'points below'),
        (0.0, 0.0, 'of float32 is 0.00: that tells nothing'),
        (0.0, float('nan'), 'of float32 is nan'),
    ],
)
def test_what_a_smaller_file_may_lose(found, wanted, message):
    measurement = Measured(1, 1.0, found)
    if message is None:
        assert accepted(measurement, wanted) is measurement
    else:
        with pytest.raises(ValueError, match=message):
            accepted(measurement, wanted)


def test_refused(exported, tmp_path):
    with pytest.raises(ValueError, match='images to calibrate on, got none; give --images'):
        write_int8(exported['onnx'].path, tmp_path / 'net.onnx', [], lambda path: ANY)
    for kind in ('torchscript', 'torch_export'):
        with pytest.raises(ValueError, match=f'int8: expected the format onnx, got {kind}'):
            require_precision(kind, 'int8')
    with pytest.raises(ValueError, match='float16: expected the format onnx or torchscript, got'):
        require_precision('torch_export', 'float16')
    require_precision('onnx', 'int8')


def test_measuring(model, exported, images):
    path, image = exported['onnx'].path, torch.randn(1, 3, 64, 72)
    found = measured(path, self_labelled(ModelPredictor(model), images), image)
    assert found.size == path.stat().st_size and found.milliseconds > 0
    assert found.miou > 99.9  # the truth is what the network itself finds
    test_set = labelled_test_set(model.cfg, 2)
    assert test_set.title == '2 of 2 test images' and test_set.ignore_index == 255
    assert [truth.shape for truth in test_set.truths] == [(64, 72)] * 2
    assert measured(path, test_set, image).miou < 60


def test_data_sets_that_are_not_there(trained):
    cfg = Config.fromfile(trained[0])
    repeated = dict(type='RepeatDataset', times=2, dataset=dict(cfg.train_dataloader.dataset))
    cfg.train_dataloader = dict(dataset=repeated)
    assert len(images_of(cfg, 'train_dataloader', 2)) == 2
    cfg.train_dataloader = None
    with pytest.raises(ValueError, match='no train_dataloader; give images with --images'):
        images_of(cfg, 'train_dataloader', 2)


def test_strings_of_metadata_survive(exported, images, tmp_path):
    path = tmp_path / 'net.onnx'
    write_int8(exported['onnx'].path, path, images[:1], lambda path: ANY)
    strings = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert json.loads(strings.pop('format_version')) == 1
    assert set(strings) == {*Metadata.__dataclass_fields__, 'sha256'}
