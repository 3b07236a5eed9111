"""What holds for all tests: a run finds what the run before it found."""

import os
import random
from collections import Counter

# Before torch: tests run side by side, and the programs that they start do as well.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import pytest
import torch
from hypothesis import settings

# The same examples in every run: a change that breaks a property fails at once, not in the run
# after next. `pytest --hypothesis-profile default` looks for new ones.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')


def pytest_configure(config):
    # pytest-xdist would start the files with the most tests first.
    if hasattr(config.option, 'loadscopereorder'):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Files with the most slow tests first, so that no process waits for one of them at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker('slow'))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
