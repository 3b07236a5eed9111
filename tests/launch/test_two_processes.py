"""Two processes on the CPU: a search, its retraining, and statistics shared between them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from reference import tiny
from reference.processes import lives, waited_for

from mmseg_sparsemask.connectivity import Connectivity, load
from mmseg_sparsemask.launch import processes
from mmseg_sparsemask.search.derived import write_retrain
from mmseg_sparsemask.search.record import PruneSettings

KEEPER = """
import os
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class Keeper(Hook):
    priority = 'LOWEST'

    def before_train(self, runner):
        connections = getattr(runner.model.module.decode_head, 'connections', None)
        if connections is not None:
            connections.raw['D2'].data[:4] = 0.0
            connections.raw['D1'].data[:2] = 2.0

    def after_train(self, runner):
        rank = os.environ['RANK']
        model = runner.model.module
        torch.save(dict(
            parameters=dict(model.named_parameters()),
            buffers=dict(model.named_buffers()),
            history=runner.message_hub.get_info('connection_weight_history', None),
        ), f'{runner.cfg.keep_as}{rank}.pt')
"""
#: Some weights start at their bounds. A parameter without gradient would stop the second iteration.
MORE = """
custom_imports = dict(imports=['mmseg_sparsemask', 'keeper'])
custom_hooks[0].update(threshold=0.3)
custom_hooks.append(dict(type='Keeper'))
keep_as = 'search'
model['decode_head']['loss_connectivity'].update(loss_weight=2.0)
model['decode_head'].update(norm_cfg=dict(type='SyncBN'))
"""
RETRAIN_MORE = """
custom_imports = dict(imports=['mmseg_sparsemask', 'keeper'])
custom_hooks = [dict(type='Keeper')]
keep_as = 'retrain'
"""


def two(config, folder):
    script = tiny.ROOT / 'tools/dist_train.sh'
    return tiny.call('bash', script, config, 2, cwd=folder, PYTHONPATH=str(folder))


def ranks(folder, name):
    return [torch.load(folder / f'{name}{n}.pt', weights_only=True) for n in (0, 1)]


def assert_identical(first, second):
    assert first['parameters'].keys() == second['parameters'].keys()
    for name, value in first['parameters'].items():
        assert torch.equal(value, second['parameters'][name]), name
    running = [name for name in first['buffers'] if name.endswith('running_mean')]
    assert any(not torch.equal(first['buffers'][n], second['buffers'][n]) for n in running), (
        'both ranks saw the same images'
    )


@pytest.mark.slow
def test_search_and_retrain(tmp_path):
    (tmp_path / 'keeper.py').write_text(KEEPER)
    config = tiny.write_configs(tmp_path, 6, MORE)
    with (tmp_path / 'sparse.py').open('a') as file:
        file.write(RETRAIN_MORE)
    done = two(config, tmp_path)
    first, second = ranks(tmp_path, 'search')
    assert_identical(first, second)
    steps = [n for n in first['buffers'] if n.endswith('connections.step')]
    assert [first['buffers'][n].item() for n in steps] == [6]
    assert first['history'] == second['history']
    assert first['history']['steps'] == [0, 3, 6]

    work_dir = tmp_path / 'work_dirs/search'
    results = {'connectivity.json', 'connectivity.svg', 'connection_weights.svg', 'retrain.py'}
    results |= {'finetune.py', 'pruned.pth', 'report.html'}
    shown = {p.name for p in work_dir.iterdir() if p.is_file() and not p.name.startswith('.')}
    assert shown == results | {
        *('search.py', 'iter_4.pth', 'iter_6.pth', 'last_checkpoint'),
    }
    # One process wrote: one folder of logs, one file of events, one table.
    assert len(list(work_dir.rglob('events.out.tfevents*'))) == 1
    assert len(list(work_dir.rglob('connection_weights_*.png'))) == 1
    assert (done.stdout + done.stderr).count('or from scratch: ') == 1
    found = load(work_dir / 'connectivity.json')
    assert found.stages['D2'] == ('D3', 'D4', 'D5', 'G') and len(found) == 26

    two(work_dir / 'retrain.py', tmp_path)
    first, second = ranks(tmp_path, 'retrain')
    assert_identical(first, second)
    assert (work_dir / 'retrain/iter_3.pth').exists()


@pytest.mark.slow
def test_a_decoder_that_takes_nothing_from_the_encoders_end(tmp_path):
    """What a search writes trains on; what is written by hand is refused before it would stop."""
    tiny.write_configs(tmp_path)
    graph = Connectivity((2, 4, 8, 16, 32), {'D3': ('E3', 'E4'), 'D1': ('E1', 'D3')})
    settings = PruneSettings(retrain_config=str(tmp_path / 'sparse.py'))
    write_retrain(tmp_path / 'retrain.py', graph, settings)
    two(tmp_path / 'retrain.py', tmp_path)
    assert (tmp_path / 'retrain/iter_3.pth').exists()

    written = (tmp_path / 'retrain.py').read_text()
    (tmp_path / 'by_hand.py').write_text(
        written + "find_unused_parameters = False\nwork_dir = 'w'\n"
    )
    script = tiny.ROOT / 'tools/dist_train.sh'
    done = tiny.call('bash', script, 'by_hand.py', 2, cwd=tmp_path, check=False)
    assert done.returncode and 'error: model.decode_head takes nothing from' in done.stderr
    assert '--cfg-options find_unused_parameters=True' in done.stderr
    assert 'Expected to have finished reduction' not in done.stdout + done.stderr
    assert not list((tmp_path / 'w').glob('*.pth'))


#: Run by both ranks, and by one process on the joint batch.
STATISTICS = """
import os, sys
import torch
import torch.distributed as dist
from mmengine.model import convert_sync_batchnorm
from mmseg.registry import MODELS
import mmseg_sparsemask
from mmseg_sparsemask.models.decode_heads import fusion

out, world, rank, way = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
if world > 1:
    dist.init_process_group(
        'gloo', init_method=f'file://{out}.rendezvous_{way}', world_size=world, rank=rank)
random = torch.Generator().manual_seed(0)
seen = {}


def mine(joint):
    return joint.chunk(2)[rank].clone() if world > 1 else joint.clone()


def draw(*shape):
    return torch.randn(*shape, generator=random, dtype=torch.float64)


# The two ranks' halves have different means, which is what is easily forgotten.
joint = draw(12, 5) + 3 * torch.arange(12.0).double()[:, None]
for name in ('moments', 'statistics_of'):
    rows = mine(joint).requires_grad_()
    first, second, *unit = getattr(fusion, name)(rows, sync=world > 1)
    assert not unit or unit == [1]
    weight = draw(*first.shape), draw(*second.shape)
    # A loss of one process is half of the joint one, as in data-parallel training.
    loss = ((first.sin() * weight[0]).sum() + (second.sqrt() if name == 'statistics_of'
            else second.sin()).mul(weight[1]).sum()) / world
    loss.backward()
    seen[name] = [first.detach(), second.detach(), rows.grad]

# The whole supernet. SyncBN itself refuses CPUs, so the stages' normalisation is frozen: only the
# connections' statistics go over the batch.
torch.manual_seed(0)
strides, channels = (2, 4, 8), (4, 5, 40)
head = MODELS.build(dict(
    type='FDNHead', in_channels=channels, in_index=[0, 1, 2], strides=strides, channels=6,
    num_classes=3, connections=dict(noise_std=0.1))).double()
if way == 'norm_cfg':
    head.sync_statistics = True
else:
    head = convert_sync_batchnorm(head, 'torch')
head.train()
for norm in head.norms.values():
    norm.eval()
joint = [draw(4, c, 32 // s, 24 // s) + torch.arange(4.0).double()[:, None, None, None]
         for c, s in zip(channels, strides)]
features = [mine(f).requires_grad_() for f in joint]
seen['alone'] = sorted(head.sources_alone(features))
logits = head(features)
target = mine(draw(4, 3, 16, 12))
(logits * target).sum().backward()
gradients = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
if world > 1:
    for gradient in gradients.values():
        dist.all_reduce(gradient)
seen['logits'], seen['inputs'] = logits.detach(), [f.grad for f in features]
seen['gradients'] = gradients
seen['buffers'] = {n: b for n, b in head.named_buffers() if 'connection_norms' in n}
# A balanced start divides by the statistics of all ranks.
torch.manual_seed(1)
started = MODELS.build(dict(
    type='SparseMaskHead', connectivity='unet', in_channels=channels, in_index=[0, 1, 2],
    strides=strides, channels=6, num_classes=3)).double().train()
with torch.no_grad():
    started([f.detach() for f in features])
seen['started'] = started.convs.state_dict()
torch.save(seen, f'{out}{world}{rank}_{way}.pt')
if world > 1:
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.fixture(scope='module', params=['norm_cfg', 'sync_bn'])
def statistics(request, tmp_path_factory):
    """Results of one process on the joint batch, and of two on its halves.

    The head is built with SyncBN, or converted as a config's ``sync_bn='torch'`` does it.
    """
    way = request.param
    folder = tmp_path_factory.mktemp('statistics')
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', STATISTICS, folder / 's', str(world), str(rank), way],
            env=tiny.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for world, rank in ((1, 0), (2, 0), (2, 1))
    ]
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0, output
    return [torch.load(folder / f's{name}_{way}.pt') for name in ('10', '20', '21')]


def close(a, b):
    return torch.allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['moments', 'statistics_of'])
def test_statistics_of_two_processes_are_those_of_the_joint_batch(statistics, name):
    joint, *halves = (seen[name] for seen in statistics)
    for rank, half in enumerate(halves):
        for place in (0, 1):
            assert close(half[place], joint[place])
        assert close(half[2], joint[2].chunk(2)[rank])


@pytest.mark.slow
def test_supernet_with_synchronised_statistics(statistics):
    joint, *halves = statistics
    # Both ways to the statistics are in it, the same ones in all processes.
    assert joint['alone'] == halves[0]['alone'] == halves[1]['alone'] and len(joint['alone']) > 1
    for rank, half in enumerate(halves):
        assert close(half['logits'], joint['logits'].chunk(2)[rank])
        for mine, whole in zip(half['inputs'], joint['inputs']):
            assert close(mine, whole.chunk(2)[rank])
        assert half['gradients'].keys() == joint['gradients'].keys()
        for key, gradient in half['gradients'].items():
            assert close(gradient, joint['gradients'][key]), key
        for key, buffer in half['buffers'].items():
            assert close(buffer.double(), joint['buffers'][key].double()), key


@pytest.mark.slow
def test_a_balanced_start_is_that_of_the_joint_batch(statistics):
    joint, *halves = (seen['started'] for seen in statistics)
    encoder = [key for key in joint if 'E' in key]
    assert len(encoder) == 3
    for half in halves:
        for key in encoder:
            assert close(half[key], joint[key]), key


def children(pid):
    """Processes that a process has started."""
    return [int(n) for n in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='needs /proc')
def test_ranks_end_with_a_killed_launcher(tmp_path):
    config = tiny.write_configs(tmp_path, 100000)
    log = tmp_path / 'log'
    with log.open('w') as file:
        launcher = subprocess.Popen(
            ['bash', str(tiny.ROOT / 'tools/dist_train.sh'), str(config), '2'],
            cwd=tmp_path,
            env=tiny.environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        while 'Iter(train) [' not in log.read_text():
            assert launcher.poll() is None, log.read_text()
            time.sleep(0.2)
        started = children(launcher.pid)
        assert len(started) == 2 and all(map(lives, started))
    finally:
        launcher.kill()
        launcher.wait()
    waited_for(lambda: not any(map(lives, started)), 5 * processes.WATCH_INTERVAL)
    left = [pid for pid in started if lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
