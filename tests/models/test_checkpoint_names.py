"""Names of parameters and buffers: what a checkpoint is read by.

They are part of the format of checkpoints. When this test fails because a name, shape or stacking
changed on purpose, old checkpoints have to load all the same: give the module a
``_register_load_state_dict_pre_hook`` that rewrites the old names and says so in the log, keep the
list below as a second test of that hook, write the new list here, and add a line to CHANGELOG.md.
"""

import pytest
import torch
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401

STAGES = {'D2': ['E2', 'G'], 'D1': ['E1', 'E2', 'D2']}
NORM = {'weight': (4,), 'bias': (4,), 'running_mean': (4,), 'running_var': (4,)}

#: In both heads: a convolution by stage and source, a normalisation by stage, the classifier.
SHARED = {
    'conv_seg.weight': (3, 4, 1, 1),
    'conv_seg.bias': (3,),
    'convs.D2.E2': (4, 7, 1, 1),
    'convs.D2.G': (4, 7, 1, 1),
    'convs.D1.E1': (4, 5, 1, 1),
    'convs.D1.E2': (4, 7, 1, 1),
    'convs.D1.D2': (4, 4, 1, 1),
    **{f'norms.{stage}.{key}': shape for stage in STAGES for key, shape in NORM.items()},
    'norms.D2.num_batches_tracked': (),
    'norms.D1.num_batches_tracked': (),
    'encoder_activated': (),
}

#: The supernet's own: statistics by source, stacked over its stages from coarse to fine, and the
#: raw connection weights of each stage in the order of Connectivity.stages.
SEARCH = {
    'connection_norms.E1.running_mean': (4,),
    'connection_norms.E1.running_var': (4,),
    'connection_norms.E1.num_batches_tracked': (),
    'connection_norms.E2.running_mean': (8,),
    'connection_norms.E2.running_var': (8,),
    'connection_norms.E2.num_batches_tracked': (),
    'connection_norms.D2.running_mean': (4,),
    'connection_norms.D2.running_var': (4,),
    'connection_norms.D2.num_batches_tracked': (),
    'connection_norms.G.running_mean': (4,),
    'connection_norms.G.running_var': (4,),
    'connection_norms.G.num_batches_tracked': (),
    'connections.raw.D2': (2,),
    'connections.raw.D1': (3,),
    'connections.step': (),
}


@pytest.mark.parametrize(
    'kind, names',
    [('SparseMaskHead', {**SHARED, 'is_balanced': ()}), ('FDNHead', {**SHARED, **SEARCH})],
)
def test_names_and_shapes(kind, names):
    config = dict(
        type=kind,
        connectivity=dict(strides=[2, 4], stages=STAGES),
        strides=[2, 4],
        in_channels=[5, 7],
        in_index=[0, 1],
        channels=4,
        num_classes=3,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    head = MODELS.build(config)
    assert {name: tuple(value.shape) for name, value in head.state_dict().items()} == names
    if kind == 'FDNHead':
        assert head.connectivity.users('E2') == ('D2', 'D1')
        assert head.connections.step.dtype == torch.int64
