"""Resizing by products against the library's, and in an exported graph."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

from mmseg_sparsemask.deployment.resizing import Resizing


@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('size', [(40, 33), (64, 97)])
def test_sum(size, align_corners):
    maps = [torch.randn(3, 4, 5, 7), torch.randn(3, 4, 2, 4)]
    wanted = sum(F.interpolate(m, size, mode='bilinear', align_corners=align_corners) for m in maps)
    assert (Resizing(maps, size, align_corners).sum() - wanted).abs().max() < 1e-5


@given(st.integers(1, 90), st.data(), st.integers(1, 20), st.booleans())
def test_strips_are_parts_of_the_sum(height, data, strips, align_corners):
    rows = data.draw(st.lists(st.integers(1, height), min_size=1, max_size=2))
    maps = [torch.randn(2, 3, count, 4, dtype=torch.float64) for count in rows]
    resizing = Resizing(maps, (height, 9), align_corners)
    parts = [resizing.strip(place, strips) for place in range(strips)]
    assert (torch.cat(parts, 2) - resizing.sum()).abs().max() < 1e-12


class Stage(torch.nn.Module):
    def forward(self, fine, coarse):
        return fine + Resizing([coarse], fine.shape[-2:], True).sum()


def test_onnx_without_a_resize(tmp_path):
    onnx = pytest.importorskip('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    fine, coarse = torch.randn(2, 4, 32, 24), torch.randn(2, 4, 4, 3)
    sizes = [{0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}] * 2
    program = torch.export.export(Stage(), (fine, coarse), dynamic_shapes=tuple(sizes))
    torch.onnx.export(program, (), dynamo=True, verbose=False).save(tmp_path / 'stage.onnx')
    kinds = {node.op_type for node in onnx.load(tmp_path / 'stage.onnx').graph.node}
    assert 'Resize' not in kinds and 'MatMul' in kinds
    session = onnxruntime.InferenceSession(str(tmp_path / 'stage.onnx'))
    names = [item.name for item in session.get_inputs()]
    for batch, size, small in ((2, (32, 24), (4, 3)), (3, (65, 50), (9, 7))):
        inputs = torch.randn(batch, 4, *size), torch.randn(batch, 4, *small)
        got = session.run(None, {n: x.numpy() for n, x in zip(names, inputs)})[0]
        wanted = inputs[0] + F.interpolate(inputs[1], size, mode='bilinear', align_corners=True)
        assert (torch.from_numpy(got) - wanted).abs().max() < 1e-5
