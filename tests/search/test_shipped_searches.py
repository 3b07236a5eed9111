"""Every search in configs/ can end: its configs are read back, and checkpoints describe it."""

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import HOOKS, MODELS
from reference.tiny import ROOT

from mmseg_sparsemask.search.derived import check_configs
from mmseg_sparsemask.search.saved_search import describe_search, described_search


@pytest.mark.slow
def test_all_of_them(tmp_path):
    init_default_scope('mmseg')
    seen = 0
    for path in sorted(ROOT.glob('configs/[!_]*/*.py')):
        hooks = [h for h in Config.fromfile(path).get('custom_hooks') or () if 'Prune' in h.type]
        for hook in hooks:
            head = MODELS.build(Config.fromfile(path).model.decode_head)
            settings = HOOKS.build(hook).settings
            check_configs(head, settings, tmp_path)
            again, known = described_search(describe_search(head, settings))
            assert known == settings, path
            assert not again.load_state_dict(head.state_dict(), strict=False).missing_keys, path
            seen += 1
    assert seen > 30
