"""Equations 1 and 4 of SparseMask (arXiv 1904.07642) as they are written, connection by connection.

Every connection activates its source, convolves, normalises (search only), resizes to the stage's
size and multiplies by its weight; the stage normalises the sum. Nothing is shared. This is the
oracle of the package's heads and the baseline of the benchmarks; it shares no code with them.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


def source_list(level, num_levels):
    names = [f'E{i}' for i in range(level, num_levels + 1)]
    names += [f'D{i}' for i in range(level + 1, num_levels + 1)]
    return names + ['G']


class NaiveDecoder(nn.Module):
    """The decoder with `stages` = {'D1': ['E1', 'G'], ...}.

    Args:
        stages: Sources of each stage.
        in_channels: Channels of E1 .. EL.
        channels: Channels of a stage.
        num_classes: Outputs.
        search: True for Equation 1 (per-connection normalisation, and forward takes weights),
            False for Equation 4.
        act_encoder: Whether encoder features and G are activated, as stages are.
    """

    def __init__(
        self,
        stages,
        in_channels,
        channels,
        num_classes,
        search,
        align_corners=True,
        act_encoder=False,
        **norm,
    ):
        super().__init__()
        self.stages = {s: list(stages[s]) for s in sorted(stages, key=lambda s: -int(s[1:]))}
        self.search = search
        self.align_corners = align_corners
        self.act_encoder = act_encoder
        self.convs = nn.ModuleDict()
        self.bns = nn.ModuleDict()
        self.stage_bns = nn.ModuleDict()
        for stage, sources in self.stages.items():
            for source in sources:
                if source == 'G':
                    inputs = in_channels[-1]
                elif source[0] == 'D':
                    inputs = channels
                else:
                    inputs = in_channels[int(source[1:]) - 1]
                key = f'{source}_{stage}'
                self.convs[key] = nn.Conv2d(inputs, channels, 1, bias=False)
                if search:
                    self.bns[key] = nn.BatchNorm2d(channels, affine=False, **norm)
            self.stage_bns[stage] = nn.BatchNorm2d(channels, **norm)
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features, weights=None):
        maps = {f'E{i}': feature for i, feature in enumerate(features, 1)}
        maps['G'] = features[-1].mean((2, 3), keepdim=True)
        for stage, sources in self.stages.items():
            size = features[int(stage[1:]) - 1].shape[2:]
            total = 0
            for place, source in enumerate(sources):
                key = f'{source}_{stage}'
                x = maps[source]
                if self.act_encoder or source[0] == 'D':
                    x = F.relu6(x)
                y = self.convs[key](x)
                if self.search:
                    y = self.bns[key](y)
                y = F.interpolate(y, size=size, mode='bilinear', align_corners=self.align_corners)
                if self.search:
                    y = weights[stage][place] * y
                total = total + y
            maps[stage] = self.stage_bns[stage](total)
        return self.classifier(F.relu6(maps[stage]))


def naive_copy(head):
    """A NaiveDecoder with the parameters and statistics of one of the package's heads."""
    search = hasattr(head, 'connection_norms')
    some = next(iter(head.norms.values()))
    naive = NaiveDecoder(
        head.connectivity.stages,
        list(head.in_channels),
        head.channels,
        head.num_classes,
        search,
        head.align_corners,
        head.act_encoder,
        eps=some.eps,
        momentum=some.momentum,
    ).to(head.conv_seg.weight.dtype)
    with torch.no_grad():
        for stage, sources in head.connectivity.stages.items():
            naive.stage_bns[stage].load_state_dict(head.norms[stage].state_dict())
            for source in sources:
                key = f'{source}_{stage}'
                naive.convs[key].weight.copy_(head.convs[stage][source])
                if search:
                    mean, variance = connection_statistics(head, source, stage)
                    naive.bns[key].running_mean.copy_(mean)
                    naive.bns[key].running_var.copy_(variance)
        naive.classifier.load_state_dict(head.conv_seg.state_dict())
    naive.train(head.training)
    return naive


def connection_statistics(head, source, stage):
    """Running mean and variance (K,) that a supernet keeps for one connection."""
    place = head.connectivity.users(source).index(stage)
    rows = slice(place * head.channels, (place + 1) * head.channels)
    norm = head.connection_norms[source]
    return norm.running_mean[rows], norm.running_var[rows]
