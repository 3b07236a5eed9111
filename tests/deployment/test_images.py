"""Images that are odd, images of a data set, and what is not fetched to label them."""

import runpy
import sys
import zlib

import cv2
import numpy as np
import pytest
from deployment.test_predictor import picture, with_steps
from mmengine.config import Config
from reference.tiny import ROOT, call

from mmseg_sparsemask.compare.sizes import build_segmentor
from mmseg_sparsemask.deployment.accuracy import images_of
from mmseg_sparsemask.deployment.metadata import Metadata
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor, read_image
from mmseg_sparsemask.deployment.predictor import ToolboxPredictor, load_model, metadata_of


def test_an_image_of_more_pixels_than_opencv_takes(tmp_path):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    size = (70_000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    parts = chunk(b'IHDR', size), chunk(b'IDAT', zlib.compress(b'')), chunk(b'IEND', b'')
    (tmp_path / 'huge.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))
    for channels in (1, 3, 4):
        with pytest.raises(ValueError, match='huge.png is not an image that OpenCV can read'):
            read_image(tmp_path / 'huge.png', channels)


def test_an_image_that_nothing_is_left_of_is_one_error_and_others_are_drawn(
    trained, exported, tmp_path
):
    size = dict(type='Resize', scale=(96, 96), keep_ratio=True)
    toolbox = ToolboxPredictor(with_steps(Config.fromfile(trained[0]), size), str(trained[1]))
    onnx = OnnxPredictor(exported['onnx'].path)
    onnx.metadata = Metadata.from_strings(metadata_of(toolbox.model).to_strings(), 'file')
    thin = picture(64, 8)[:1].repeat(500, 0)[:, :1]
    for predictor, message in ((toolbox, 'cannot label this image'), (onnx, 'is 500x1 for')):
        with pytest.raises(ValueError, match=message) as error:
            predictor(thin)
        assert '\n' not in str(error.value)
    config = tmp_path / 'sparse.py'
    with_steps(Config.fromfile(trained[0]), size).dump(config)
    cv2.imwrite(str(tmp_path / 'a.png'), thin)
    cv2.imwrite(str(tmp_path / 'b.png'), picture(64, 72))
    model = ['--config', config, '--checkpoint', trained[1]]
    images = [tmp_path / 'a.png', tmp_path / 'b.png']
    tool = ROOT / 'tools/inference.py'
    done = call(sys.executable, tool, *images, *model, '--out', 'shown', cwd=tmp_path, check=False)
    assert done.returncode == 1 and '1 of 2 overlays' in done.stdout
    assert [path.name for path in (tmp_path / 'shown').iterdir()] == ['b.png']


@pytest.mark.parametrize('told', [dict(pretrained=True), {}])  # the toolbox's default is true
@pytest.mark.parametrize('build', ['load', 'size', 'publish', 'test'])
def test_no_weights_are_fetched_for_a_network_that_has_its_own(
    build, told, trained, tmp_path, monkeypatch
):
    timm = pytest.importorskip('timm', reason='timm is not installed (extra pretrained)')
    asked = []

    def create(**options):
        asked.append(options['pretrained'])
        raise RuntimeError('seen')

    def run(cfg):
        create(**cfg.model.backbone.backbone)

    monkeypatch.setattr(timm, 'create_model', create)
    monkeypatch.setattr('mmseg_sparsemask.utils.runner.build_runner', run)
    config, checkpoint = tmp_path / 'timm.py', str(trained[1])
    cfg = Config.fromfile(trained[0])
    timms = dict(type='TIMMBackbone', model_name='resnet10t', features_only=True, **told)
    cfg.model.backbone.backbone = timms
    cfg.dump(config)
    given = ['test.py', str(config), checkpoint, '--work-dir', str(tmp_path / 'w')]
    monkeypatch.setattr(sys, 'argv', given)
    monkeypatch.setenv('LOCAL_RANK', '0')
    tools = ROOT / 'tools'
    with pytest.raises(RuntimeError, match='seen'):
        {
            'load': lambda: load_model(cfg, checkpoint),
            'size': lambda: build_segmentor(cfg),
            'publish': lambda: runpy.run_path(str(tools / 'publish.py'))['measure'](
                cfg, checkpoint, 'cpu'
            ),
            'test': lambda: runpy.run_path(str(tools / 'test.py'), run_name='__main__'),
        }[build]()
    assert asked == [False]


def test_images_are_spread_over_the_whole_data_set(trained):
    cfg = Config.fromfile(trained[0])
    cfg.test_dataloader.dataset.length = 7
    every = images_of(cfg, 'test_dataloader', 9)
    assert len(every) == 7
    some = images_of(cfg, 'test_dataloader', 4, spread=True)
    for image, place in zip(some, (0, 1, 3, 5)):
        assert np.array_equal(image, every[place])
