"""Every backbone: numbers against real tensors, a step of a search and of a transferred decoder."""

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from reference.configs import batch, load, load_as_it_is

from mmseg_sparsemask.models.describe import describe_backbone, head_mismatch

# What the published architecture becomes on strides 2 to 32 and on 4 to 32.
FIVE = 'D5: E5 G · D4: E4 G · D1: E1 E4 E5 D4 D5 G'
FOUR = 'D4: E4 G · D3: E3 G · D1: E3 E4 D3 D4 G'
BACKBONES = {
    'resnet50': FIVE,
    'resnet101': FIVE,
    'vgg16': FIVE,
    'convnext-tiny': FOUR,
    'swin-tiny': FOUR,
    'mit-b2': FOUR,
    'hrnet-w18': FOUR,
    'mobilenetv3': FIVE,
    'efficientnet-b0': FIVE,
}


def without_norm(config):
    if not isinstance(config, dict):
        return config
    return {k: without_norm(v) for k, v in config.items() if k != 'norm_cfg'}


def step(head, features, size):
    samples = batch(size, head.num_classes, len(features[0]))['data_samples']
    losses = head.loss(features, samples, None)
    total = sum(value for key, value in losses.items() if 'loss' in key)
    assert torch.isfinite(total)
    total.backward()
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
    return losses


@pytest.mark.parametrize('backbone', BACKBONES)
def test_backbone(backbone):
    if backbone == 'efficientnet-b0':
        pytest.importorskip('timm', reason="needs timm: pip install 'mmseg-sparsemask[timm]'")
    search = load(f'sparsemask/fdn_{backbone}_voc')
    found = load(f'sparsemask/sparsemask_{backbone}_voc')
    # A search keeps the pretrained normalisation as it is; nothing else differs.
    frozen = backbone in ('resnet50', 'resnet101', 'hrnet-w18', 'mobilenetv3')
    plain = [without_norm(config.model.backbone) for config in (search, found)]
    assert plain[0] == plain[1]
    assert frozen == ("'requires_grad': False" in str(search.model.backbone))
    assert Path(search.custom_hooks[0].retrain_config).resolve() == Path(found.filename).resolve()

    features = describe_backbone(search.model, (513, 513)).features
    assert head_mismatch(search.model.decode_head, features) is None
    assert head_mismatch(found.model.decode_head, features) is None

    # No multiple of any stride, as a crop of 513 is none.
    size = (65, 97)
    encoder = MODELS.build(search.model.backbone)
    encoder.eval()
    with torch.no_grad():
        tensors = encoder(torch.rand(2, 3, *size))
    assert [t.shape[1] for t in tensors] == [f.channels for f in features]

    supernet = MODELS.build(search.model.decode_head)
    losses = step(supernet, tensors, size)
    assert losses['loss_connectivity'] > 0
    learned = sum(p.numel() for n, p in supernet.named_parameters() if 'connections.' not in n)
    connectivity = supernet.connectivity
    assert learned == supernet.shape.cost(connectivity).parameters
    assert len(connectivity) == len(features) * (len(features) + 1)

    decoder = MODELS.build(found.model.decode_head)
    step(decoder, tensors, size)
    assert str(decoder.connectivity) == BACKBONES[backbone]
    parameters = sum(p.numel() for p in decoder.parameters())
    cost = decoder.shape.cost(decoder.connectivity)
    assert parameters == cost.parameters


def test_the_papers_resnet_101_decoder_has_about_seven_million_parameters():
    config = load_as_it_is('sparsemask/sparsemask_resnet101_voc')
    decoder = MODELS.build(config.model.decode_head)
    assert sum(p.numel() for p in decoder.parameters()) == 6_862_357


def test_what_does_not_fit_is_told_in_pasteable_terms():
    config = load_as_it_is('sparsemask/sparsemask_mobilenetv3_voc')
    decoder = MODELS.build(config.model.decode_head)
    tensors = [
        torch.rand(1, c, 64 // s, 64 // s) for c, s in zip((8, 24, 40, 112, 960), (2, 4, 8, 16, 32))
    ]
    with pytest.raises(ValueError, match=r'expects features of \[16.*gives \[8.*describe_backbone'):
        decoder(tensors)
    config.model.decode_head.connectivity = dict(source='sparsemask_mbv2_voc', strides=[64, 128])
    with pytest.raises(ValueError, match='nothing is left of the decoder'):
        MODELS.build(config.model.decode_head)
