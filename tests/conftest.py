"""What holds for all tests: a run finds what the run before it found."""

import os
import random

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


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
