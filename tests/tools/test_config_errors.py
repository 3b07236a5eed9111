"""A config that is no Python ends every tool that reads one with a line, and no traceback."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'
CALLS = {
    'describe_backbone.py': ['bad.py'],
    'dpc_rerank.py': ['bad.py'],
    'dpc_search.py': ['bad.py', '--workers', '1', '--trials', '1'],
    'latency_table.py': ['bad.py'],
    'overlap.py': ['bad.py', 'sparsemask.json', 'sparsemask.json'],
    'publish.py': ['bad.py', 'some.pth', '--out', 'out'],
    'deployment/export.py': ['bad.py', 'some.pth', '--out', 'out'],
    'train.py': ['bad.py'],
    'test.py': ['bad.py', 'some.pth'],
}


@pytest.mark.parametrize('tool', CALLS)
def test_a_config_that_is_no_python(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('bad.py').write_text('model = dict(\n')
    torch.save({'state_dict': {}}, 'some.pth')
    monkeypatch.setattr(sys, 'argv', [tool, *CALLS[tool]])
    with pytest.raises(SystemExit, match='bad.py: this config, .* is no Python: .*line 1'):
        runpy.run_path(str(TOOLS / tool), run_name='__main__')


@pytest.mark.parametrize('call', [['dpc_search.py', '--trials', '1'], ['dpc_rerank.py']])
def test_cells_without_the_data_set(call, tmp_path, monkeypatch):
    """As tools/train.py says it: with the key that sets the folder."""
    monkeypatch.chdir(tmp_path)
    config = TOOLS.parent / 'configs/dpc/search_mbv2_voc.py'
    monkeypatch.setattr(sys, 'argv', [call[0], str(config), *call[1:]])
    place = r'train_dataloader\.dataset\.datasets\.0\.data_root'
    with pytest.raises(SystemExit, match=rf'^error: {place} = .* does not exist'):
        runpy.run_path(str(TOOLS / call[0]), run_name='__main__')
    assert not list(tmp_path.iterdir())
