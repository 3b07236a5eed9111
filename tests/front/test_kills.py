"""What a front has scored outlives any kill, and the front that is found in the end is the same."""

import pytest
from reference.kill_front import run_kills


@pytest.mark.slow
def test_killed_fronts_equal_one_that_was_not(tmp_path):
    assert run_kills(4, tmp_path, seed=1) == (0, 0)
