"""PruneHook in real runs: its log, scalars, pictures and files, and what stops it."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import init_model
from reference import tiny
from reference.small_search import (
    CONFIGS,
    RESULTS,
    STAGES,
    STILL,
    files_of,
    log_of,
    make_runner,
    put_weights,
    record_of,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmseg_sparsemask.connectivity import Connection, DecoderShape, load
from mmseg_sparsemask.search import prune_hook, validation
from mmseg_sparsemask.search.finish import finish
from mmseg_sparsemask.search.prune_hook import PruneHook
from mmseg_sparsemask.search.record import HISTORY_KEY
from mmseg_sparsemask.search.saved_search import SEARCH_KEY, read_search
from mmseg_sparsemask.search.supernet import find_supernet
from mmseg_sparsemask.search.validation import validate


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    """Folder and runner of a finished search of 7 iterations, checked every 3, drawn every 6."""
    folder = tmp_path_factory.mktemp('search')
    torch.set_num_threads(1)
    runner = make_runner(folder)
    runner.train()
    return folder / 'w', runner


def test_log(searched):
    text = log_of(searched[0])
    found = load(searched[0] / 'connectivity.json')
    cost = DecoderShape(found.strides, [8, 8, 16, 32, 64], 8, 8).cost(found)
    checks = re.findall(
        r'if pruned now: (\d+) of (\d+) connections, largest dropped weight (\S+), '
        r'smallest kept (\S+), (\S+) decoder parameters',
        text,
    )
    assert len(checks) == 2
    for live, total, dropped, kept, parameters in checks:
        assert (live, total, parameters) == ('5', '30', f'{cost.parameters:,}')
        assert float(dropped) < 1e-3 and float(kept) == 0.75
    # The toolbox's own line of the iteration shows them too.
    (line,) = re.findall(r'Iter\(train\) \[3/7\].*', text)
    assert 'connections: 5' in line and f'decoder_parameters: {cost.parameters}' in line


def test_summary_table(searched):
    text = log_of(searched[0])
    table = text[text.index('pruned\n') :]
    assert re.search(r'\| D5 +\| 32 +\| E5 \(0\.75\) G \(0\.75\)', table)
    assert re.search(r'\| D1 +\| 2 +\| E1 \(0\.75\) E3 \(0\.75\) D5 \(0\.75\)', table)
    assert '5 of 30 connections, 1,384 decoder parameters (supernet: 7,512)' in table
    assert (
        f'as it is: python tools/test.py {searched[0]}/finetune.py {searched[0]}/pruned.pth'
        in table
    )
    assert f'train further: python tools/train.py {searched[0]}/finetune.py' in table
    assert f'or from scratch: python tools/train.py {searched[0]}/retrain.py' in table


def test_message_hub(searched):
    hub = searched[1].message_hub
    assert hub.get_scalar('train/connections').data[0].tolist() == [5, 5]
    assert hub.get_scalar('train/smallest_kept').current() == pytest.approx(0.75, abs=1e-3)
    assert hub.get_scalar('train/largest_dropped').current() < 1e-3
    assert hub.get_scalar('train/decoder_parameters').current() == 1384
    history = hub.get_info(HISTORY_KEY)
    assert history['steps'] == [0, 3, 6]
    assert [len(record) for record in history['weights']] == [30] * 3
    connections = list(find_supernet(searched[1].model).connection_weights())
    first = dict(zip(connections, history['weights'][0]))
    assert first[Connection('E3', 'D1')] == 0.75 and first[Connection('E2', 'D1')] == 0


def test_files(searched):
    work_dir, runner = searched
    found = load(work_dir / 'connectivity.json')
    assert {s: list(v) for s, v in found.stages.items()} == STAGES
    assert found.strides == (2, 4, 8, 16, 32)
    assert found.meta['threshold'] == 1e-3 and found.meta['merge'] is False
    assert found.meta['iteration'] == 7
    assert found.meta['experiment'] == runner.experiment_name
    for name in ('connectivity.svg', 'connection_weights.svg'):
        assert ElementTree.parse(work_dir / name).getroot().tag.endswith('svg')
    # Nothing temporary stays.
    assert not [path for path in work_dir.iterdir() if path.name.startswith('.')]


def test_heat_map_reaches_every_backend(searched):
    vis = next(searched[0].glob('*/vis_data'))
    pictures = sorted(path.name for path in (vis / 'vis_image').iterdir())
    assert pictures == ['connection_weights_6.png']
    (events,) = vis.glob('events.out.tfevents*')
    board = EventAccumulator(str(events), size_guidance={'images': 0, 'scalars': 0})
    board.Reload()
    (image,) = board.Images('connection_weights')
    assert image.step == 6 and image.width > 100 and image.height > 50
    assert [(e.step, e.value) for e in board.Scalars('connections')][:2] == [(3, 5.0), (4, 5.0)]
    assert {'largest_dropped', 'smallest_kept', 'decoder_parameters'} <= set(
        board.Tags()['scalars']
    )


def test_retrain_config_trains(searched):
    cfg = tiny.load(searched[0] / 'retrain.py', searched[0] / 'retrain', **{'val_cfg': None})
    assert Config.fromfile(searched[0] / 'retrain.py').work_dir == str(searched[0] / 'retrain')
    cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_cfg.max_iters = 1
    runner = Runner.from_cfg(cfg)
    head = runner.model.decode_head
    assert type(head).__name__ == 'SparseMaskHead'
    assert str(head.connectivity) == str(load(searched[0] / 'connectivity.json'))
    assert sum(p.numel() for p in head.parameters()) == 1384
    before = {name: p.clone() for name, p in head.named_parameters()}
    runner.train()
    moved = [name for name, p in head.named_parameters() if not torch.equal(p, before[name])]
    assert len(moved) == len(before)


def test_retrain_config_moves_with_its_project(searched, tmp_path, monkeypatch):
    """Below the working directory, the base config is named relative to retrain.py."""
    project = tmp_path / 'project'
    (project / 'configs').mkdir(parents=True)
    (project / 'work').mkdir()
    tiny.write_configs(project / 'configs')
    monkeypatch.chdir(project)
    head = find_supernet(searched[1].model)
    search = record_of(head, retrain_config='configs/sparse.py')
    assert 'retrain.py, finetune.py' in finish(search, search.prune(), 'work')
    assert "_base_ = ['../configs/sparse.py']" in (project / 'work/retrain.py').read_text()
    project.rename(tmp_path / 'elsewhere')
    cfg = Config.fromfile(tmp_path / 'elsewhere/work/retrain.py')
    assert cfg.model.decode_head.connectivity.stages == STAGES
    assert cfg.work_dir == str(tmp_path / 'elsewhere/work/retrain')


def test_the_same_later_from_the_checkpoint(searched, tmp_path):
    search = read_search(searched[0] / 'iter_7.pth', trust=True)
    assert search.settings.threshold == 1e-3 and search.meta['iteration'] == 7
    history = searched[1].message_hub.get_info(HISTORY_KEY)
    assert search.history.steps == [*history['steps'], 7]
    assert search.history.weights[:-1] == history['weights']
    assert search.prune() == load(searched[0] / 'connectivity.json')


def test_pruned_network_is_saved_whole(searched):
    work_dir, runner = searched
    saved = torch.load(work_dir / 'pruned.pth', weights_only=True)
    assert (
        saved['meta']['dataset_meta']['classes']
        == runner.train_dataloader.dataset.metainfo['classes']
    )
    assert saved['meta']['iteration'] == 7 and saved['meta']['largest_difference'] < 1e-5
    pruned = init_model(work_dir / 'finetune.py', str(work_dir / 'pruned.pth'), device='cpu')
    model = runner.model.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.decode_head(model.extract_feat(images))
        found = pruned.decode_head(pruned.extract_feat(images))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert set(pruned.state_dict()) - set(saved['state_dict']) == {'decode_head.is_balanced'}


def test_the_tool_writes_the_same_network(searched, tmp_path):
    """Without data, from a checkpoint of the same iteration."""
    command = [sys.executable, tiny.ROOT / 'tools/prune.py', searched[0] / 'iter_7.pth']
    command += ['--retrain-config', searched[0] / '../sparse.py']
    done = subprocess.run(
        [*map(str, command), '--out', str(tmp_path)],
        capture_output=True,
        text=True,
        env=tiny.environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert files_of(tmp_path) == RESULTS
    one, other = (torch.load(f / 'pruned.pth', weights_only=True) for f in (searched[0], tmp_path))
    assert one['meta']['dataset_meta'] == other['meta']['dataset_meta']
    assert one['state_dict'].keys() == other['state_dict'].keys()
    for name, value in one['state_dict'].items():
        assert torch.equal(value, other['state_dict'][name]), name
    assert re.search(r'\| supernet .*\| +30 \|', done.stdout)
    assert 'differ by at most' in done.stdout and 'not equal' not in done.stdout


def validated_runner(folder, iterations, **options):
    folder.mkdir(exist_ok=True)
    config = tiny.write_configs(folder, iterations)
    still = {key: value for key, value in STILL.items() if not key.startswith('val_')}
    options = {f'custom_hooks.0.{k}': v for k, v in options.items()}
    runner = Runner.from_cfg(tiny.load(config, folder / 'w', **still, **options))
    put_weights(runner, STAGES, 0.0)
    return runner


@pytest.mark.parametrize(
    ('begin', 'titles'),
    [
        (1, ['validating the pruned network']),
        (100, ['validating the supernet', 'validating the pruned network']),
    ],
    ids=['just validated', 'never validated'],
)
def test_scores_side_by_side(tmp_path, monkeypatch, begin, titles):
    ran = []

    def counted(runner, model, title):
        ran.append(title)
        return validate(runner, model, title)

    monkeypatch.setattr(validation, 'validate', counted)
    runner = validated_runner(tmp_path, 5)
    runner.train_loop.val_begin = begin
    runner.train()
    assert ran == titles
    text = log_of(tmp_path / 'w')
    table = text[text.index('pruned\n') :]
    rows = {
        name: re.search(rf'\| {name} +\| +(\d+) \| +([\d,]+) \|(.*)\|', table).groups()
        for name in ('supernet', 'pruned')
    }
    assert [row[:2] for row in rows.values()] == [('30', '7,512'), ('5', '1,384')]
    # Nothing but zeros was dropped: to the two digits shown they are equal.
    assert rows['supernet'][2] == rows['pruned'][2]
    assert 'mIoU' in table
    head = runner.model.decode_head
    assert type(head).__name__ == 'FDNHead'


def test_a_pruned_network_that_differs_says_so(tmp_path):
    runner = validated_runner(tmp_path, 5, threshold=0.8)
    with torch.no_grad():
        find_supernet(runner.model).connections.raw['D1'][0] = 1.9
    runner.train()
    text = log_of(tmp_path / 'w')
    assert 'weights above 0 were dropped or stages merged, so the decoders are not equal' in text


def test_what_a_head_beside_the_supernet_scores_is_not_shown(tmp_path):
    """A validation scores the decode head; the supernet is an auxiliary one here."""
    cfg = tiny.load(tiny.write_configs(tmp_path, 3), tmp_path / 'w')
    head = cfg.model.decode_head
    cfg.model.auxiliary_head = [head]
    common = dict(num_convs=1, num_classes=head.num_classes)
    cfg.model.decode_head = dict(type='FCNHead', in_channels=64, in_index=4, channels=8, **common)
    Runner.from_cfg(cfg).train()
    text = log_of(tmp_path / 'w')
    assert 'mIoU' in text and 'mIoU' not in text[text.index('pruned\n') :]
    # The tool finds it by the config, too.
    assert read_search(tmp_path / 'w/iter_3.pth', str(tmp_path / 'w/search.py')).prefix == (
        'auxiliary_head.0.'
    )


def test_validation_can_be_switched_off(tmp_path):
    validated_runner(tmp_path, 3, validate=False).train()
    text = log_of(tmp_path / 'w')
    assert 'mIoU' not in text[text.index('pruned\n') :]
    assert files_of(tmp_path / 'w') == RESULTS


def test_resume_keeps_the_history(searched, tmp_path):
    runner = make_runner(tmp_path, iterations=9)
    runner._resume, runner._load_from = True, str(searched[0] / 'iter_7.pth')
    runner.train()
    history = runner.message_hub.get_info(HISTORY_KEY)
    assert history['steps'] == [0, 3, 6, 9]
    earlier = searched[1].message_hub.get_info(HISTORY_KEY)['weights']
    assert history['weights'][:3] == earlier[:3]
    assert json.loads((tmp_path / 'w/connectivity.json').read_text())['meta']['iteration'] == 9


def test_results_of_an_earlier_search_are_kept(searched, tmp_path):
    make_runner(tmp_path, 3).train()
    before = {name: (tmp_path / 'w' / name).read_bytes() for name in RESULTS}
    make_runner(tmp_path, 4, {'D1': ['E1', 'E2']}).train()
    kept = tmp_path / 'w/earlier/1'
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert files_of(tmp_path / 'w') == RESULTS
    assert 'the results of an earlier search were moved to' in log_of(tmp_path / 'w')


def test_the_front_of_an_earlier_search_is_none_of_a_new_one(tmp_path):
    table = tmp_path / 'w/front/front.csv'
    table.parent.mkdir(parents=True)
    table.write_text('of the earlier search')
    make_runner(tmp_path, 1, retrain_config=None).train()
    assert not table.parent.exists()
    assert (tmp_path / 'w/earlier/1/front/front.csv').read_text() == 'of the earlier search'


def test_infinite_weights_are_reported(tmp_path):
    runner = make_runner(tmp_path, 3)
    head = find_supernet(runner.model)
    with torch.no_grad():
        head.connections.raw['D1'][0] = float('inf')
    with pytest.raises(ValueError, match=r'expected finite numbers, got .*inf.* in raw\.D1'):
        head.connection_weights()


def test_a_checkpoint_runs_nothing(searched, tmp_path):
    """Neither its config nor the names in its description of the search."""
    made = tmp_path / 'made'
    whole = torch.load(searched[0] / 'iter_7.pth', weights_only=False)
    whole['meta']['cfg'] = f'open({str(made)!r}, "w")\n'
    path = tmp_path / 'a.pth'
    torch.save(whole, path)
    assert read_search(path, retrain_config=None).prune() == load(searched[0] / 'connectivity.json')
    whole['meta'][SEARCH_KEY]['head']['connections'] = dict(
        type='subprocess.run', args=['touch', str(made)]
    )
    torch.save(whole, path)
    with pytest.raises(ValueError, match="registered ConnectionRule, got 'subprocess.run'"):
        read_search(path)
    del whole['meta'][SEARCH_KEY]
    torch.save(whole, path)
    with pytest.raises(ValueError, match=r'does not describe its search; .*--config'):
        read_search(path)
    assert read_search(path, str(searched[0] / '../search.py')).settings.threshold == 1e-3
    assert not made.exists()


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(prune_hook, 'is_main_process', lambda: False)
    runner = make_runner(tmp_path, 6)
    runner.train()
    assert files_of(tmp_path / 'w') == set()
    assert not list((tmp_path / 'w').glob('*/vis_data/vis_image/*'))
    # They still know the history, which each rank's checkpoint state must agree on.
    assert runner.message_hub.get_info(HISTORY_KEY)['steps'] == [0, 3, 6]


def test_merging(tmp_path):
    """D4 and D5 have equal inputs: one is left."""
    stages = {'D5': ['E5', 'G'], 'D4': ['E5', 'G'], 'D1': ['E1', 'D4', 'D5']}
    runner = make_runner(tmp_path, 3, stages, merge=True, image_interval=0)
    runner.train()
    found = load(tmp_path / 'w/connectivity.json')
    assert str(found) == 'D5: E5 G · D1: E1 D5' and found.meta['merge'] is True
    assert 'if pruned now: 4 of 30' in log_of(tmp_path / 'w')
    assert not list((tmp_path / 'w').glob('*/vis_data/vis_image/*'))


def test_pictures_can_be_switched_off_without_a_visualiser_backend(tmp_path):
    runner = make_runner(tmp_path, 3, image_interval=0, retrain_config=None)
    runner.train()
    assert files_of(tmp_path / 'w') == RESULTS - CONFIGS


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(threshold=0.0), r'threshold: expected a number in \(0, 1\), got 0'),
        (dict(threshold=1.0), r'threshold: expected a number in \(0, 1\), got 1'),
        (dict(interval=0), 'interval: expected at least 1 iteration, got 0'),
        (dict(image_interval=-1), 'image_interval: expected 0 .none. or more .*got -1'),
        (dict(stop_after=0), 'stop_after: expected None or at least 1 check, got 0'),
        (dict(separation=0.5), 'separation: expected a factor of at least 1, got 0.5'),
    ],
)
def test_bad_arguments(kwargs, words):
    with pytest.raises(ValueError, match=words):
        PruneHook(**kwargs)
