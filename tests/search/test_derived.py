"""pruned.pth and finetune.py."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import PolyLR
from mmengine.registry import init_default_scope
from mmseg.apis import init_model
from mmseg.registry import MODELS
from reference import tiny
from reference.heads import make_head
from reference.small_search import record_of

from mmseg_sparsemask.connectivity import Connectivity, prune
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.derived import (
    FINETUNE_ITERATIONS,
    check_configs,
    write_finetune,
    write_retrain,
)
from mmseg_sparsemask.search.pruned_file import largest_difference, write_pruned
from mmseg_sparsemask.search.record import PruneSettings

FOUND = Connectivity((2, 4, 8, 16, 32), {'D5': ['E5', 'G'], 'D1': ['E1', 'E3', 'D5']})

#: What finetune.py needs to know of the supernet.
HEAD = SimpleNamespace(
    act_encoder=True,
    channels=8,
    align_corners=True,
    threshold=None,
    act_cfg=dict(type='ReLU6'),
    norm_cfg=dict(type='BN'),
)


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


def test_features_may_be_counted_from_the_end():
    options = dict(in_index=[-4, -3, 2, -1])
    head = make_head('FDNHead', 'odd', torch.float32, **options).eval()
    connectivity = prune(head.connection_weights(), head.connectivity.strides, 1e-6)
    assert largest_difference(head, pruned_head(head, connectivity)) < 1e-5


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
    first = ' '.join(line.removeprefix('# ') for line in text.split('\n\n')[0].splitlines())
    assert first.startswith('The pruned decoder, to train further from pruned.pth')
    assert f'at {FINETUNE_ITERATIONS:g} of its iterations' in first
    cfg = Config.fromfile(folder / 'finetune.py')
    assert cfg.load_from == str(folder / 'pruned.pth') and cfg.work_dir == str(folder / 'finetune')
    assert cfg.model.backbone.backbone.init_cfg is None
    assert cfg.model.backbone.backbone.type == 'ResNet'
    assert cfg.model.decode_head.connectivity.stages == {
        k: list(v) for k, v in FOUND.stages.items()
    }
    assert cfg.train_cfg.max_iters == 2 and cfg.optim_wrapper.optimizer.lr < 0.02


def test_no_weights_are_fetched_whatever_names_them(tmp_path):
    tiny.write_configs(tmp_path)
    base = tmp_path / 'sparse.py'
    named = "model.update(pretrained='https://example.invalid/x.pth', neck=dict(pretrained=True))"
    base.write_text(f'{base.read_text()}\n{named}\n')
    write_finetune(tmp_path / 'finetune.py', HEAD, FOUND, PruneSettings(retrain_config=str(base)))
    cfg = Config.fromfile(tmp_path / 'finetune.py')
    assert cfg.model.pretrained is None and cfg.model.neck.pretrained is False


def test_a_schedule_of_its_own(tmp_path):
    tiny.write_configs(tmp_path)
    own = tmp_path / 'own.py'
    own.write_text("_base_ = ['sparse.py']\ntrain_cfg = dict(max_iters=77)\n")
    settings = PruneSettings(retrain_config=str(tmp_path / 'sparse.py'), finetune_config=str(own))
    write_finetune(tmp_path / 'finetune.py', HEAD, FOUND, settings)
    cfg = Config.fromfile(tmp_path / 'finetune.py')
    assert cfg.train_cfg.max_iters == 77
    assert 'with the schedule of own.py.' in (tmp_path / 'finetune.py').read_text()


OWN = "_base_ = ['sparse.py']\nmodel = dict(decode_head=dict({}))\n"


def retrain(tmp_path, text):
    (tmp_path / 'retrain_base.py').write_text(text)
    return PruneSettings(retrain_config=str(tmp_path / 'retrain_base.py'))


@pytest.mark.parametrize(
    'text',
    [
        'align_corners=False',
        "act_cfg=dict(type='LeakyReLU', negative_slope=0.3)",
        "norm_cfg=dict(type='SyncBN', eps=0.1)",
        "align_corners=False, act_cfg=dict(type='GELU'), norm_cfg=dict(type='BN', eps=0.1)",
    ],
)
@pytest.mark.parametrize('searched', [{}, dict(act_cfg=dict(type='ELU', alpha=0.5))], ids=str)
def test_what_is_trained_further_computes_what_was_searched(tmp_path, text, searched):
    """Whatever the retrain config says that changes what the weights mean."""
    tiny.write_configs(tmp_path)
    settings = retrain(tmp_path, OWN.format(text))
    head = make_head('FDNHead', 'odd', torch.float32, act_encoder=False, **searched).eval()
    sizes = dict(in_channels=head.in_channels, in_index=head.in_index, num_classes=3)
    graph = prune(head.connection_weights(), head.connectivity.strides, 1e-6)
    write_finetune(tmp_path / 'finetune.py', head, graph, settings)
    given = dict(Config.fromfile(tmp_path / 'finetune.py').model.decode_head)
    given.update(sizes, strides=list(graph.strides))
    found = MODELS.build(given).eval()
    found.load_state_dict(pruned_head(head, graph).state_dict(), strict=False)
    assert largest_difference(head, found) < 1e-5


def test_a_run_that_resumes_by_its_config_starts_from_what_was_found(tmp_path):
    tiny.write_configs(tmp_path)
    settings = retrain(tmp_path, "_base_ = ['sparse.py']\nresume = True\n")
    write_finetune(tmp_path / 'finetune.py', HEAD, FOUND, settings)
    write_retrain(tmp_path / 'retrain.py', FOUND, settings)
    assert Config.fromfile(tmp_path / 'finetune.py').resume is False
    assert Config.fromfile(tmp_path / 'retrain.py').resume is True


PURE = """
from mmengine.config import read_base
from mmengine.optim import LinearLR, PolyLR
with read_base():
    from mmseg_sparsemask.configs.runtime import *
    from mmseg_sparsemask.configs.sparsemask_mobilenetv2 import *
    from mmseg_sparsemask.configs.drawn_shapes import *
    from mmseg_sparsemask.configs.adamw_400 import *
model['decode_head'].update(
    in_channels=[8, 8, 16, 32, 64], in_index=[0, 1, 2, 3, 4], strides=[2, 4, 8, 16, 32],
    channels=8, num_classes=8)
param_scheduler = [dict(type=LinearLR, start_factor=0.1, end=30, by_epoch=False),
                   dict(type=PolyLR, begin=30, end=400, by_epoch=False)]
"""


@pytest.mark.parametrize(
    ('folder', 'text'),
    [
        ('w', "_base_ = ['sparse.py']\n"),
        ('w', OWN.format('channels=16')),
        ('{{ fileDirname }}', "_base_ = ['sparse.py']\n"),
        ("it's {{ $HOME:x }}", "_base_ = ['sparse.py']\n"),
        ('w', PURE),
        ('a-b', PURE),
        ('w', OWN.format("_delete_=True, type='SparseMaskHead', in_channels=[8, 8, 16, 32, 64], "
                         'in_index=[0, 1, 2, 3, 4], strides=[2, 4, 8, 16, 32], channels=8, '
                         'num_classes=8')),
    ],
    ids=['text', 'wider', 'variable', 'quote', 'pure', 'pure, from a-b', 'no graph'],
)  # fmt: skip
def test_what_is_checked_can_be_written_and_read(search, tmp_path, folder, text):
    """Also where the head of the retrain config says nothing of a connectivity."""
    _, model = search
    settings, folder = retrain(tmp_path, text), tmp_path / folder
    folder.mkdir()
    check_configs(model.decode_head, settings, folder)
    assert not list(folder.iterdir())
    write_retrain(folder / 'retrain.py', FOUND, settings)
    write_finetune(folder / 'finetune.py', model.decode_head, FOUND, settings)
    for name in ('retrain', 'finetune'):
        cfg = Config.fromfile(folder / f'{name}.py')
        assert MODELS.build(cfg.model.decode_head).connectivity == FOUND
        assert cfg.work_dir == str(folder / name)
    assert cfg.load_from == str(folder / 'pruned.pth') and cfg.model.decode_head.channels == 8
    assert cfg.train_cfg.max_iters == (200 if text == PURE else 2)
    assert cfg.param_scheduler[-1].type in ('PolyLR', PolyLR)
    assert cfg.model.decode_head.act_encoder is model.decode_head.act_encoder
    cfg.dump(folder / 'dumped.py')  # as a run does


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ("_base_ = ['gone.py']\n", r'gone\.py'),
        ("_base_ = ['sparse.py']\noptim_wrapper = dict(optimizer=dict(_delete_=True, type='A'))\n",
         'an optimizer with lr.*finetune_config'),
        ("_base_ = ['sparse.py']\nparam_scheduler = [dict(type='Mine')]\n", 'got Mine.*shortened'),
        (OWN.format('in_channels=[8, 8, 16, 32, 65]'), 'another than .*finetune_config'),
        (OWN.format('num_classes=9'), r'another than that of the search.*\(conv_seg\.weight\)'),
        (OWN.format("type='FCNHead'"), 'unexpected keyword'),
        (OWN.format('strides=[2, 4, 8, 16, 64]'), 'strides'),
        ("_base_ = ['sparse.py']\nmodel = dict(decode_head=[1])\n", 'one decode_head'),
        ('model = 3\nraise RuntimeError("as it likes")\n', 'as it likes'),
        ('a = (\n', 'never closed'),
    ],
)  # fmt: skip
def test_what_could_not_be_used_at_the_end_is_said_before(search, tmp_path, text, words):
    _, model = search
    settings = retrain(tmp_path, text)
    with pytest.raises(ValueError, match=rf'retrain_base\.py cannot be used.*{words}') as error:
        check_configs(model.decode_head, settings, tmp_path)
    assert '\n' not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {
        'search.py', 'sparse.py', 'retrain_base.py'
    }  # fmt: skip


def test_a_pure_config_that_cannot_be_imported(search, tmp_path):
    _, model = search
    (tmp_path / 'my-configs').mkdir()
    settings = retrain(tmp_path / 'my-configs', PURE)
    with pytest.raises(ValueError, match="'my-configs' on the way to it is no name"):
        check_configs(model.decode_head, settings, tmp_path)


@pytest.mark.parametrize(
    ('stages', 'more', 'told'),
    [
        (dict(D3=['E3', 'E4'], D1=['E1', 'D3']), '', 'find_unused_parameters'),
        (dict(D1=['E1']), "model_wrapper_cfg = dict(type='X')\n", 'model_wrapper_cfg'),
        (dict(D1=['E1', 'G']), '', None),
        (dict(D1=['E1', 'E5']), '', None),
    ],
)
def test_several_processes_are_told_of_layers_without_gradient(
    search, tmp_path, stages, more, told
):
    settings = retrain(tmp_path, f"_base_ = ['sparse.py']\n{more}")
    graph = Connectivity(FOUND.strides, stages)
    write_retrain(tmp_path / 'retrain.py', graph, settings)
    write_finetune(tmp_path / 'finetune.py', HEAD, graph, settings)
    for name in ('retrain.py', 'finetune.py'):
        cfg = Config.fromfile(tmp_path / name)
        where = cfg.get('model_wrapper_cfg') or cfg
        assert where.get('find_unused_parameters', False) is (told is not None)
