"""Small heads with everything in them random, and features for them."""

import torch
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401

# (strides, channels, image size): repeated, odd sizes, non-monotone.
CASES = {
    'mbv2-like': ((2, 2, 4, 8, 8, 16), (6, 4, 5, 7, 9, 80), (64, 96)),
    'odd': ((2, 4, 8, 16), (5, 6, 7, 30), (65, 97)),
    'non-monotone': ((4, 2, 8, 4), (5, 6, 7, 8), (48, 40)),
    'one-level': ((4,), (12,), (33, 20)),
    'ends-coarse': ((2, 4, 4, 8, 16), (4, 5, 6, 7, 30), (65, 96)),
}
STAGES = {
    'mbv2-like': {'D6': ['E6', 'G'], 'D4': ['E4', 'E5', 'G'], 'D1': ['E1', 'E2', 'E6', 'D6', 'D4']},
    'odd': {'D4': ['E4'], 'D3': ['E3', 'D4', 'G'], 'D2': ['E3', 'D3'], 'D1': ['E1', 'D2', 'G']},
    'non-monotone': {'D3': ['E3', 'E4'], 'D2': ['E2', 'D3', 'E4'], 'D1': ['D2', 'E4']},
    'one-level': {'D1': ['G']},
    'ends-coarse': {'D5': ['E5', 'G'], 'D4': ['E5', 'D5'], 'D3': ['E3', 'E4', 'D4', 'D5', 'G']},
}


def features_of(strides, channels, size, batch, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, c, -(-size[0] // s), -(-size[1] // s), generator=generator)
        .mul(2)
        .add(0.5)
        .to(dtype)
        .requires_grad_()
        for s, c in zip(strides, channels)
    ]


def make_head(kind, case, dtype, **kwargs):
    strides, channels, _ = CASES[case]
    torch.manual_seed(1)
    config = dict(
        in_channels=channels, in_index=list(range(len(channels))), channels=8, num_classes=3
    )
    if kind == 'FDNHead':
        config.update(type='FDNHead', strides=strides, connections=dict(noise_std=0.0))
        if case == 'ends-coarse':
            config['connectivity'] = dict(strides=list(strides), stages=STAGES[case])
    else:
        connectivity = dict(strides=list(strides), stages=STAGES[case])
        # As drawn, so that a copy that is made before the first pass is equal after it.
        config.update(type='SparseMaskHead', connectivity=connectivity, balanced=False)
    head = MODELS.build({**config, **kwargs}).to(dtype)
    with torch.no_grad():
        for norm in head.norms.values():
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)
        if kind == 'FDNHead':
            for raw in head.connections.raw.values():
                if raw.requires_grad:
                    raw.uniform_(0, 2)
            for norm in head.connection_norms.values():
                norm.running_mean.uniform_(-0.5, 0.5)
                norm.running_var.uniform_(0.5, 1.5)
    return head


def relative(a, b):
    # Gradients that vanish by symmetry (a constant before a normalisation) leave rounding only.
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-3)).item()
