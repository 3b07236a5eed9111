import torch
from torch import nn

from mmseg_sparsemask.launch import ChannelsLastHook


class _Runner:
    def __init__(self, model: nn.Module) -> None:
        self.model = model


def test_the_model_is_changed_in_place_and_gives_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    parameters = list(model.parameters())
    images = torch.rand(2, 3, 9, 11)
    expected = model(images)
    ChannelsLastHook().before_train(_Runner(model))
    assert all(now is before for now, before in zip(model.parameters(), parameters))
    got = model(images)
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, expected)
