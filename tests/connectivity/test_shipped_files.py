"""The connectivities that ship beside the configs."""

from pathlib import Path

import pytest

from mmseg_sparsemask.connectivity import load, preset

FOLDER = Path(__file__).parents[2] / 'configs/sparsemask/connectivities'
CONNECTIONS = {'mbv2_voc': 15, 'mbv2_camvid-96x128': 13}


def test_all_are_listed():
    assert {path.stem for path in FOLDER.glob('*.json')} == set(CONNECTIONS)


@pytest.mark.parametrize('name', CONNECTIONS)
def test_each_loads(name):
    assert len(load(FOLDER / f'{name}.json')) == CONNECTIONS[name]


def test_the_published_one_is_the_preset():
    assert load(FOLDER / 'mbv2_voc.json') == preset('sparsemask_mbv2_voc')
