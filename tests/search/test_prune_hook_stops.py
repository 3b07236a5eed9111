"""When a search that PruneHook watches ends, whose weights count, and what a resumed one does."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import init_model
from mmseg.registry import MODELS
from reference import tiny
from reference.small_search import (
    CONFIGS,
    RESULTS,
    STAGES,
    STILL,
    WITHOUT_CONFIGS,
    files_of,
    log_of,
    make_runner,
    put_weights,
)

from mmseg_sparsemask.connectivity import load
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.search.finish import finish
from mmseg_sparsemask.search.prune_hook import PruneHook
from mmseg_sparsemask.search.saved_search import read_search
from mmseg_sparsemask.search.supernet import find_supernet


def test_averaged_weights_are_what_is_pruned(tmp_path):
    """With an EMAHook, the hook and the tool see the same weights: the averaged ones."""
    folder = tmp_path
    config = tiny.write_configs(folder, 6)
    cfg = tiny.load(config, folder / 'w', **STILL)
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.5))
    runner = Runner.from_cfg(cfg)
    put_weights(runner, STAGES, 0.0)
    runner.train()
    head = find_supernet(runner.model)
    found = load(folder / 'w/connectivity.json')
    search = read_search(folder / 'w/iter_6.pth', trust=True)
    assert search.prune() == found
    saved = torch.load(folder / 'w/pruned.pth', weights_only=True)['state_dict']
    averaged = search.state['decode_head.conv_seg.weight']
    assert torch.equal(saved['decode_head.conv_seg.weight'], averaged)
    assert not torch.equal(averaged, head.conv_seg.weight)


@pytest.mark.parametrize('first', ['PruneHook', 'EMAHook'])
def test_the_average_is_taken_before_it_is_read(tmp_path, first):
    """Whatever their order in the config: what is logged is what the checkpoint then holds."""
    still = {key: value for key, value in STILL.items() if not key.startswith('optim')}
    cfg = tiny.load(tiny.write_configs(tmp_path, 6), tmp_path / 'w', **still)
    cfg.default_hooks.checkpoint.interval = 3
    average = dict(type='EMAHook', momentum=0.5)
    hooks = list(cfg.custom_hooks)
    cfg.custom_hooks = [*hooks, average] if first == 'PruneHook' else [average, *hooks]
    runner = Runner.from_cfg(cfg)
    names = [type(hook).__name__ for hook in runner.hooks]
    order = ['EMAHook', 'PruneHook', 'LoggerHook', 'CheckpointHook']
    assert [name for name in names if name in order] == order
    runner.train()
    for step in (3, 6):
        search = read_search(tmp_path / f'w/iter_{step}.pth', trust=True)
        place = search.history.steps.index(step)
        assert search.history.weights[place] == list(search.head.connection_weights().values())
    assert search.history.weights[1] != search.history.weights[2]


def test_stops_when_converged(tmp_path):
    """Checks at 3, 6, 9: the first sets the number, the next two find it unchanged."""
    runner = make_runner(tmp_path, iterations=20, stop_after=2, retrain_config=None)
    runner.train()
    assert runner.iter == 9
    assert 'converged: 5 connections for 2 checks; stopping here' in log_of(tmp_path / 'w')
    assert files_of(tmp_path / 'w') == RESULTS - CONFIGS
    # What was found can be pruned again from a checkpoint of the same iteration.
    assert (tmp_path / 'w/last_checkpoint').read_text().endswith('iter_9.pth')
    assert read_search(tmp_path / 'w/iter_9.pth').meta['iteration'] == 9


def test_a_resumed_search_stops_where_it_would_have(tmp_path):
    """Checks at 3 and 6 count, although the process that made them is gone."""
    make_runner(tmp_path, iterations=8, stop_after=2).train()
    runner = make_runner(tmp_path, iterations=20, stop_after=2)
    runner._resume, runner._load_from = True, str(tmp_path / 'w/iter_8.pth')
    runner.train()
    assert runner.iter == 9


def test_a_stopped_search_stays_stopped(tmp_path):
    make_runner(tmp_path, iterations=20, stop_after=2).train()
    found = load(tmp_path / 'w/connectivity.json')
    for _ in range(2):
        runner = make_runner(tmp_path, iterations=20, stop_after=2)
        runner._resume, runner._load_from = True, str(tmp_path / 'w/iter_9.pth')
        runner.train()
        assert runner.iter == 9
        assert not (tmp_path / 'w/iter_12.pth').exists()
        assert load(tmp_path / 'w/connectivity.json') == found
    assert 'converged before: 5 connections' in log_of(tmp_path / 'w')
    assert not (tmp_path / 'w/earlier').exists()


def test_stops_after_the_epoch(tmp_path):
    """By epochs of 6 iterations: converged at 9, so the second epoch is the last."""
    tiny.write_configs(tmp_path)
    cfg = tiny.load(
        tmp_path / 'search.py', tmp_path / 'w', **STILL, **{'custom_hooks.0.stop_after': 2}
    )
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=9)
    cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=100)
    cfg.log_processor.by_epoch = True
    runner = Runner.from_cfg(cfg)
    put_weights(runner, STAGES, 0.0)
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 12)
    text = log_of(tmp_path / 'w')
    assert text.count('checks; stopping after this epoch') == 1
    assert read_search(tmp_path / 'w/epoch_2.pth', trust=True).meta['iteration'] == 12
    assert files_of(tmp_path / 'w') == RESULTS


@pytest.mark.parametrize(
    ('dropped', 'stages'),
    [
        pytest.param(0.002 * 0.9, STAGES, id='not converged below the threshold'),
        pytest.param(0.3, STAGES, id='not separated'),
        pytest.param(0.0, {'D5': ['E5', 'G']}, id='D1 cut off'),
    ],
)
def test_goes_on_until_then(tmp_path, dropped, stages):
    options = dict(stop_after=1, separation=1000.0, retrain_config=None)
    runner = make_runner(tmp_path, 7, stages, dropped, **options)
    if stages is STAGES:
        runner.train()
    else:
        with pytest.raises(ValueError, match='everything is pruned'):
            runner.train()
    assert runner.iter == 7 and 'stopping' not in log_of(tmp_path / 'w')


def test_everything_pruned_leaves_no_file(tmp_path):
    runner = make_runner(tmp_path, 4, stages={})
    with pytest.raises(ValueError, match='everything is pruned: .*lower the threshold.*smaller'):
        runner.train()
    assert files_of(tmp_path / 'w') == set()
    assert 'if pruned now: 0 of 30 connections' in log_of(tmp_path / 'w')
    # The search itself is not lost.
    assert read_search(tmp_path / 'w/iter_4.pth', trust=True).meta['iteration'] == 4


def test_a_validation_that_fails_loses_nothing(tmp_path, monkeypatch):
    """What was found is written all the same, and the failure is not hidden."""

    def fail(*arguments):
        raise RuntimeError('no image can be read')

    monkeypatch.setattr('mmseg_sparsemask.search.validation.validate', fail)
    still = {key: value for key, value in STILL.items() if not key.startswith('val_')}
    cfg = tiny.load(tiny.write_configs(tmp_path, 4), tmp_path / 'w', **still)
    cfg.train_cfg.val_begin = 100
    runner = Runner.from_cfg(cfg)
    put_weights(runner, STAGES, 0.0)
    with pytest.raises(RuntimeError, match='no image can be read'):
        runner.train()
    assert files_of(tmp_path / 'w') == RESULTS
    assert 'train further: ' in log_of(tmp_path / 'w')


def test_a_config_that_changed_during_the_search_loses_nothing(tmp_path):
    runner = make_runner(tmp_path, 4)
    hook = next(hook for hook in runner.hooks if isinstance(hook, PruneHook))
    original = hook.before_train

    def before_train(runner):
        original(runner)
        (tmp_path / 'sparse.py').write_text("_base_ = ['gone.py']\n")

    hook.before_train = before_train
    runner.train()
    assert files_of(tmp_path / 'w') == WITHOUT_CONFIGS
    text = log_of(tmp_path / 'w')
    assert 'retrain.py was not written' in text and 'train further' not in text


class Around(BaseModel):
    """A model that has the segmentor inside, as notebooks write them."""

    def __init__(self, segmentor):
        super().__init__(data_preprocessor=segmentor.data_preprocessor)
        self.segmentor = segmentor
        self.more = torch.nn.Linear(2, 2, bias=False)

    def forward(self, *arguments, **options):
        return self.segmentor(*arguments, **options)


@pytest.mark.parametrize('around', [False, True], ids=['built', 'inside another'])
def test_a_built_model(tmp_path, around):
    """A Runner without a config of its model: the search is described by what it is."""
    cfg = tiny.load(tiny.write_configs(tmp_path, 4), tmp_path / 'w', **STILL)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    names = ('train_dataloader', 'val_dataloader', 'val_cfg', 'val_evaluator', 'optim_wrapper')
    evaluated = Config.fromfile(tmp_path / 'search.py')
    runner = Runner(
        model=Around(model) if around else model,
        work_dir=str(tmp_path / 'w'),
        train_cfg=dict(by_epoch=False, max_iters=4, val_interval=4),
        custom_hooks=list(cfg.custom_hooks),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4)),
        default_scope='mmseg',
        experiment_name=f'built_{around}_{tmp_path.name}',
        **{name: evaluated[name] for name in names},
    )
    put_weights(runner, STAGES, 0.0)
    runner.train()
    assert files_of(tmp_path / 'w') == RESULTS
    assert 'mIoU' in log_of(tmp_path / 'w')
    found = init_model(tmp_path / 'w/finetune.py', str(tmp_path / 'w/pruned.pth'), device='cpu')
    images = torch.randn(2, 3, 64, 64)
    model.eval()
    with torch.no_grad():
        expected = model.decode_head(model.extract_feat(images))
        logits = found.decode_head(found.extract_feat(images))
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert isinstance(model.decode_head, FDNHead)
    search = read_search(tmp_path / 'w/iter_4.pth', trust=True)
    assert search.prune() == load(tmp_path / 'w/connectivity.json')
    finish(search, search.prune(), tmp_path)
    one, other = (torch.load(f / 'pruned.pth') for f in (tmp_path, tmp_path / 'w'))
    assert one['state_dict'].keys() == other['state_dict'].keys()
