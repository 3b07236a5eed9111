"""What every test of configs needs: names are looked up as MMSegmentation's runner does it."""

import pytest
from mmengine.registry import init_default_scope

import mmseg_sparsemask  # noqa: F401


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')
