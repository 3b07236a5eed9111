"""Features that are kept: whose they are is told by all that they were computed with."""

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference import tiny

from mmseg_sparsemask.front.images import Network, held_back_images

NECK = dict(type='FPN', in_channels=[8, 8, 16, 32, 64], out_channels=8, num_outs=5)


def network(folder, in_index=(0, 1, 2), **model):
    cfg = tiny.load(tiny.write_configs(folder), folder / 'w')
    cfg.model.update(model)
    cfg.train_dataloader.dataset.indices = 20
    torch.manual_seed(0)
    return Network(cfg, MODELS.build(cfg.model).eval(), in_index)


def test_features_of_another_encoder_are_not_taken(tmp_path):
    """Of one folder: other features of one encoder, and a neck whose weights changed."""
    init_default_scope('mmseg')
    with_neck, changed = (network(tmp_path, neck=NECK) for _ in range(2))
    with torch.no_grad():
        next(changed.model.neck.parameters()).add_(1.0)
    networks = [network(tmp_path), network(tmp_path, (2, 1, 0)), with_neck, changed]
    found = [held_back_images(n, 4, tmp_path) for n in networks]
    assert len({images.key for images in found}) == len(list(tmp_path.glob('*.pt'))) == 4
    assert torch.equal(found[0].features[0], found[1].features[2])
    assert not torch.equal(found[2].features[0], found[3].features[0])
    again = held_back_images(network(tmp_path), 4, tmp_path)
    assert again.key == found[0].key and len(list(tmp_path.glob('*.pt'))) == 4
