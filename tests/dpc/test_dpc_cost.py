import pytest

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cost import cell_cost
from mmseg_sparsemask.dpc.presets import PRESETS

SIZE = (65, 129)  # a 1025 x 2049 image at stride 16


def test_published_cell_on_mobilenet():
    cost = cell_cost(PRESETS['dpc_cityscapes'](), 320, SIZE)
    assert cost.parameters == 356_160
    assert cost.parameters_projected == 683_840
    assert cost.multiply_adds == 356_160 * 65 * 129
    assert f'{cost.multiply_adds / 1e9:.3f}' == '2.986'
    assert f'{cost.multiply_adds_normed / 1e9:.3f}' == '2.997'


def test_published_cell_on_xception():
    cost = cell_cost(PRESETS['dpc_cityscapes'](), 2048, SIZE)
    assert cost.parameters == 814_080
    assert cost.parameters_projected == 1_141_760
    assert f'{cost.multiply_adds_normed / 1e9:.3f}' == '6.837'


def test_aspp_on_mobilenet():
    cost = cell_cost(PRESETS['aspp_no_pooling'](), 320, SIZE)
    assert f'{cost.multiply_adds / 1e9:.3f}' == '2.820'


def test_by_hand_with_pooling():
    cell = Cell.from_string('-1:conv1x1 0:pool_2x4 1:sep3x3_3x1')
    cost = cell_cost(cell, 3, (8, 8), filters=2, channels=5)
    assert cost.parameters == 3 * 2 + 2 * 2 + (9 * 2 + 2 * 2)
    assert cost.parameters_projected == cost.parameters + 3 * 2 * 5
    assert cost.multiply_adds == 6 * 64 + 4 * 8 + 22 * 64
    assert cost.multiply_adds_normed == cost.multiply_adds + 2 * 64 + 2 * 8 + 2 * 64
    assert cost.multiply_adds_projected == cost.multiply_adds + 30 * 64
    window = cell_cost(cell, 3, (8, 8), filters=2, channels=5, pooling='window')
    assert window.multiply_adds == 6 * 64 + 4 * (8 - 4 + 1) * (8 - 2 + 1) + 22 * 64
    assert window.parameters == cost.parameters


def test_lines_name_both_conventions():
    text = '\n'.join(cell_cost(PRESETS['dpc_cityscapes'](), 320, SIZE).lines())
    for number in ('356,160', '683,840', '2.986 G', '2.997 G'):
        assert number in text


@pytest.mark.parametrize('change', [dict(in_channels=0), dict(size=(0, 3)), dict(pooling='max')])
def test_bad_arguments(change):
    with pytest.raises(ValueError):
        cell_cost(**{**dict(cell=PRESETS['aspp'](), in_channels=3, size=(2, 2)), **change})
