"""pruned.pth and finetune.py."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import init_model
from mmseg.registry import MODELS
from reference import tiny
from reference.heads import make_head
from reference.small_search import record_of

from mmseg_sparsemask.connectivity import Connectivity, prune
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.derived import FINETUNE_ITERATIONS, write_finetune
from mmseg_sparsemask.search.pruned_file import largest_difference, write_pruned
from mmseg_sparsemask.search.record import PruneSettings

FOUND = Connectivity((2, 4, 8, 16, 32), {'D5': ['E5', 'G'], 'D1': ['E1', 'E3', 'D5']})

#: What finetune.py needs to know of the supernet.
HEAD = SimpleNamespace(act_encoder=True)


@pytest.fixture
def search(tmp_path):
    """Config and network of a search that has converged to `FOUND`."""
    cfg = Config.fromfile(tiny.write_configs(tmp_path))
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    head = model.decode_head
    with torch.no_grad():
        for norm in head.connection_norms.values():
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)
        for stage, sources in head.stages.items():
            for place, source in enumerate(sources):
                head.connections.raw[stage][place] = 1.5 * ((source, stage) in FOUND)
    return cfg, model


def test_pruned_network_is_the_supernet(search, tmp_path):
    _, model = search
    record = record_of(model.decode_head)
    record.state = model.state_dict()
    record.dataset_meta = {'classes': ['a', 'b'], 'palette': [[0, 0, 0], [1, 1, 1]]}
    write_pruned(tmp_path / 'pruned.pth', record, pruned_head(model.decode_head, FOUND), 0.0)
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['pruned.pth']
    settings = PruneSettings(retrain_config=str(tmp_path / 'sparse.py'))
    write_finetune(tmp_path / 'finetune.py', model.decode_head, FOUND, settings)
    pruned = init_model(tmp_path / 'finetune.py', str(tmp_path / 'pruned.pth'), device='cpu')
    assert pruned.dataset_meta == record.dataset_meta
    saved = torch.load(tmp_path / 'pruned.pth', weights_only=True)
    assert set(pruned.state_dict()) - set(saved['state_dict']) == {'decode_head.is_balanced'}
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = model.decode_head(model.extract_feat(images))
        found = pruned.decode_head(pruned.extract_feat(images))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_difference_is_that_of_the_logits(search):
    _, model = search
    head = model.decode_head
    pruned = pruned_head(head, FOUND)
    assert largest_difference(head, pruned) < 1e-5
    with torch.no_grad():
        pruned.conv_seg.bias += 0.5 * 3
    assert largest_difference(head, pruned) > 0.1


def test_difference_where_a_live_connection_is_dropped():
    head = make_head('FDNHead', 'odd', torch.float32).eval()
    connectivity = prune(head.connection_weights(), head.connectivity.strides, 0.4)
    assert largest_difference(head, pruned_head(head, connectivity)) > 1e-3


def test_finetune_config(tmp_path):
    tiny.write_configs(tmp_path)
    base = tmp_path / 'sparse.py'
    imagenet = dict(type='Pretrained', checkpoint='https://example.invalid/x.pth', prefix='b')
    with base.open('a') as file:
        file.write(f"\nmodel['backbone']['backbone']['init_cfg'] = {imagenet!r}\n")
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    write_finetune(folder / 'finetune.py', HEAD, FOUND, PruneSettings(retrain_config=str(base)))
    text = (folder / 'finetune.py').read_text()
    first = text.splitlines()[0]
    assert first.startswith('# The pruned decoder, to train further from pruned.pth')
    assert f'at {FINETUNE_ITERATIONS:g} of its iterations' in first
    cfg = Config.fromfile(folder / 'finetune.py')
    assert cfg.load_from == str(folder / 'pruned.pth') and cfg.work_dir == str(folder / 'finetune')
    assert cfg.model.backbone.backbone.init_cfg is None
    assert cfg.model.backbone.backbone.type == 'ResNet'
    assert cfg.model.decode_head.connectivity.stages == {
        k: list(v) for k, v in FOUND.stages.items()
    }
    assert cfg.train_cfg.max_iters == 2 and cfg.optim_wrapper.optimizer.lr < 0.02


def test_a_schedule_of_its_own(tmp_path):
    tiny.write_configs(tmp_path)
    own = tmp_path / 'own.py'
    own.write_text("_base_ = ['sparse.py']\ntrain_cfg = dict(max_iters=77)\n")
    settings = PruneSettings(retrain_config=str(tmp_path / 'sparse.py'), finetune_config=str(own))
    write_finetune(tmp_path / 'finetune.py', HEAD, FOUND, settings)
    cfg = Config.fromfile(tmp_path / 'finetune.py')
    assert cfg.train_cfg.max_iters == 77
    assert 'with the schedule of own.py.' in (tmp_path / 'finetune.py').read_text()
