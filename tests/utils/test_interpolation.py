"""The matrix of a bilinear resize, against the library."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmseg_sparsemask.utils.interpolation import interpolation_matrix

sides = st.integers(1, 70)


@pytest.mark.parametrize('library', [np, torch])
@given(sides, sides, st.booleans())
def test_matrix_is_what_the_library_does(library, inputs, outputs, align_corners):
    def arange(count):
        return library.arange(count, dtype=library.float64)

    matrix = torch.as_tensor(interpolation_matrix(inputs, outputs, align_corners, arange))
    unit = torch.eye(inputs, dtype=torch.float64)[None, None]
    wanted = F.interpolate(unit, (inputs, outputs), mode='bilinear', align_corners=align_corners)
    assert torch.allclose(matrix, wanted[0, 0].t(), atol=1e-12)
