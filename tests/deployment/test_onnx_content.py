"""ONNX files of strangers: a checksum says nothing of who wrote one."""

from pathlib import Path

import pytest

from mmseg_sparsemask.deployment.metadata import with_checksum
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor

onnx = pytest.importorskip('onnx')


def elsewhere(tensor):
    """Let a tensor's numbers lie in a file of the working directory."""
    Path('numbers.bin').write_bytes(tensor.raw_data)
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='numbers.bin')


def weights(net):
    elsewhere(max(net.graph.initializer, key=lambda tensor: len(tensor.raw_data)))


def weights_of_a_branch(net):
    elsewhere(net.graph.node[0].attribute.add().g.node.add().attribute.add().t)


def weights_in_a_list(net):
    elsewhere(net.graph.node[0].attribute.add().tensors.add())


def sparse_weights(net):
    elsewhere(net.graph.sparse_initializer.add().values)


def operator(net):
    net.graph.node[0].domain = 'com.microsoft'


def function(net):
    net.functions.add(name='f')


@pytest.mark.parametrize(
    'change, message',
    [
        (weights, 'of a tensor'),
        (weights_of_a_branch, 'of a tensor'),
        (weights_in_a_list, 'of a tensor'),
        (sparse_weights, 'field 15 of a graph'),
        (operator, 'field 7 of a node'),
        (function, 'field 25 of a model'),
    ],
)
def test_what_no_exported_network_has(change, message, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = onnx.load(exported['onnx'].path)
    del net.metadata_props[-1]  # the checksum
    change(net)
    Path('bad.onnx').write_bytes(with_checksum(net.SerializeToString()))
    with pytest.raises(ValueError, match=f'bad.onnx: .*{message}'):
        OnnxPredictor('bad.onnx')


@pytest.mark.parametrize('rest', [b'', b'\x0a', b'\x0a\xff', b'\x80' * 20, b'\x09\0', b'\x14ORTM'])
def test_what_is_no_such_file(rest, tmp_path):
    (tmp_path / 'bad.onnx').write_bytes(with_checksum(rest))
    with pytest.raises(ValueError, match='bad.onnx'):
        OnnxPredictor(tmp_path / 'bad.onnx')


def test_the_own_format_of_onnxruntime(exported, tmp_path):
    """It would be taken for what it is, whatever follows."""
    onnxruntime = pytest.importorskip('onnxruntime')
    options, path = onnxruntime.SessionOptions(), tmp_path / 'bad.onnx'
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry('session.save_model_format', 'ORT')
    providers = ['CPUExecutionProvider']
    onnxruntime.InferenceSession(exported['onnx'].path.read_bytes(), options, providers=providers)
    path.write_bytes(with_checksum(path.read_bytes()))
    with pytest.raises(ValueError, match='bad.onnx: expected an ONNX file|bad.onnx: field'):
        OnnxPredictor(path)
