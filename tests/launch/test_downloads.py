"""Weights that cannot be fetched: one error with the address, the file, and the way without."""

import sys
from urllib.error import URLError

import pytest
import torch
from mmengine.config import Config
from reference import tiny

from mmseg_sparsemask.launch.downloads import addresses, cached_file, explained_downloads

ADDRESS = 'http://127.0.0.1:9/weights/net-1234.pth?v=1'
MODEL = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=ADDRESS)),
    ),
    neck=dict(init_cfg=[dict(type='Constant')]),
    decode_head=[dict(init_cfg=dict(type='Pretrained', checkpoint='data/here.pth'))],
)


def test_addresses_in_a_config():
    assert list(addresses(MODEL, 'model')) == [('model.backbone.backbone.init_cfg', ADDRESS)]


def test_weights_named_as_in_the_configs_of_the_toolbox(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    named = dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c')
    model = dict(pretrained='open-mmlab://resnet50_v1c', backbone=dict(init_cfg=named))
    found = dict(addresses(model, 'model'))
    assert sorted(found) == ['model.backbone.init_cfg', 'model.pretrained']
    assert all(a.startswith('https://') and a.endswith('.pth') for a in found.values())
    assert 'resnet50_v1c' in found['model.pretrained']
    with pytest.raises(ConnectionError) as error, explained_downloads(Config(dict(model=model))):
        raise URLError('no route')
    file = cached_file(found['model.backbone.init_cfg'])
    assert f'at {file}' in str(error.value) and 'model.pretrained=None' in str(error.value)
    assert not dict(addresses(dict(pretrained='open-mmlab://none'), 'model'))
    assert not dict(addresses(dict(pretrained='here.pth', init_cfg=None), 'model'))


def test_the_message_and_a_file_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    path = tmp_path / 'checkpoints/net-1234.pth'
    assert cached_file(ADDRESS) == str(path)
    cfg = Config(dict(model=MODEL))

    def message():
        with pytest.raises(ConnectionError) as error, explained_downloads(cfg):
            raise URLError('no route')
        return str(error.value)

    text = message()
    assert '(no route)' in text and f'put {ADDRESS} at {path}' in text
    assert '--cfg-options model.backbone.backbone.init_cfg=None' in text
    path.parent.mkdir()
    path.touch()
    assert ADDRESS not in message()
    # Other errors pass as they are.
    with pytest.raises(ValueError, match='^other$'), explained_downloads(cfg):
        raise ValueError('other')


@pytest.mark.slow
def test_training_without_a_network(tmp_path):
    """Nobody listens at the address, which is what a machine without a network sees."""
    start = dict(type='Pretrained', checkpoint=ADDRESS)
    config = tiny.write_configs(tmp_path, 2, f"\nmodel['backbone']['init_cfg'] = {start!r}\n")
    tool = tiny.ROOT / 'tools/train.py'
    done = tiny.call(sys.executable, tool, config, cwd=tmp_path, check=False)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith('error: pretrained weights cannot be downloaded')
    assert ADDRESS in lines[-1] and 'Traceback' not in done.stderr
