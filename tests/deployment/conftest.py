"""A small segmentor with statistics of its own, as a config and a checkpoint."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference.tiny import ROOT

import mmseg_sparsemask  # noqa: F401

CONFIG = f"""
_base_ = [
    '{ROOT}/configs/_base_/default_runtime.py',
    '{ROOT}/configs/_base_/datasets/shapes.py',
    '{ROOT}/configs/_base_/models/segmentor.py',
]
test_dataloader = dict(batch_size=1, dataset=dict(size=(64, 72), length=2))
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(
            type='ResNet',
            depth=18,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(0, 1),
            stem_channels=8,
            base_channels=4,
        ),
        features=['relu', 'layer1', 'layer2'],
    ),
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(
            strides=[2, 4, 8],
            stages=dict(
                D3=['E3', 'G'], D2=['E2', 'E3', 'D3'], D1=['E1', 'E2', 'E3', 'D2', 'D3', 'G']
            ),
        ),
        in_channels=[8, 4, 8],
        in_index=[0, 1, 2],
        channels=8,
        num_classes=6,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
"""


def with_statistics(module, seed=0):
    """Give normalisations and classifiers values as training would, and not their initial ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() == 1 and name.endswith('weight'):
                parameter.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith('bias'):
                parameter.uniform_(-0.5, 0.5, generator=generator)
            elif 'conv_seg' in name:
                parameter.normal_(0, 0.3, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith('running_mean'):
                buffer.uniform_(-0.5, 0.5, generator=generator)
            elif name.endswith('running_var'):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return module


def build(cfg):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = with_statistics(MODELS.build(cfg)).eval()
    with torch.no_grad():
        # Or one class would have every pixel.
        logits = model(torch.randn(2, 3, 64, 64), mode='tensor')
        model.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
    return model


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """(config, checkpoint)."""
    folder = tmp_path_factory.mktemp('trained')
    config = folder / 'sparse.py'
    config.write_text(CONFIG)
    model = build(Config.fromfile(config).model)
    classes = ['sky', 'ground', 'disk', 'box', 'star', 'ring']
    palette = [[40 * label, 255 - 40 * label, 90] for label in range(6)]
    meta = dict(dataset_meta=dict(classes=classes, palette=palette))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'last.pth')
    return config, folder / 'last.pth'


@pytest.fixture(scope='session')
def model(trained):
    from mmseg_sparsemask.deployment import load_model

    return load_model(trained[0], str(trained[1]))


@pytest.fixture(scope='session')
def program(model):
    from mmseg_sparsemask.deployment.deployed import deployed_segmentor
    from mmseg_sparsemask.deployment.export import smallest_image, trace

    segmentor = deployed_segmentor(model)
    return trace(segmentor, (64, 80), smallest_image(segmentor))


@pytest.fixture(scope='session')
def exported(model, program, tmp_path_factory):
    """Every format's `Exported`."""
    from mmseg_sparsemask.deployment.export import SUFFIXES, export, random_inputs
    from mmseg_sparsemask.deployment.predictor import metadata_of

    pytest.importorskip('onnxruntime')
    folder = tmp_path_factory.mktemp('exported')
    inputs = random_inputs((64, 80), 32)
    return {
        kind: export(
            model, folder / f'net{suffix}', kind, metadata_of(model), inputs, program=program
        )
        for kind, suffix in SUFFIXES.items()
    }
