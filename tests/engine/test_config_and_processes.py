import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from reference.tiny import free_port

from mmseg_sparsemask.engine import amp, checks, processes, test_options
from mmseg_sparsemask.engine import config as configs
from mmseg_sparsemask.utils.files import check_work_dir

ROOT = Path(__file__).parents[2]


def dataset(root, **kwargs):
    return dict(type='CamVidDataset', data_root=str(root), **kwargs)


def config(**kwargs):
    return Config(dict(launcher='none', model=dict(type='EncoderDecoder'), **kwargs))


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(amp, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(processes, 'get_device', lambda: 'cpu')


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(amp, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(processes, 'get_device', lambda: 'cuda')


def test_load_config_follows_the_toolbox(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text("a = dict(b=1)\nc = 'x'\n")
    cfg = configs.load_config(str(path))
    assert (cfg.work_dir, cfg.launcher) == ('./work_dirs/small', 'none')
    cfg = configs.load_config(str(path), cfg_options={'a.b': 2, 'work_dir': 'w'}, launcher='slurm')
    assert (cfg.a.b, cfg.c, cfg.work_dir, cfg.launcher) == (2, 'x', 'w', 'slurm')
    assert configs.load_config(str(path), 'v', {'work_dir': 'w'}).work_dir == 'v'


def test_work_dir_is_made_and_left_empty(tmp_path):
    check_work_dir(tmp_path / 'a/b')
    assert list((tmp_path / 'a/b').iterdir()) == []


def test_work_dir_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match=r'cannot write to .*file/w.*choose another .*--work-dir'):
        check_work_dir(tmp_path / 'file/w')


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root writes anywhere')
def test_work_dir_without_permission(tmp_path):
    (tmp_path / 'w').mkdir(mode=0o500)
    with pytest.raises(ValueError, match='cannot write to the work directory'):
        check_work_dir(tmp_path / 'w')


def test_checkpoint(tmp_path):
    checks.check_checkpoint('https://example.com/a.pth')
    (tmp_path / 'a.pth').write_text('')
    checks.check_checkpoint(str(tmp_path / 'a.pth'))
    with pytest.raises(FileNotFoundError, match=r'b\.pth does not exist'):
        checks.check_checkpoint(str(tmp_path / 'b.pth'))


@pytest.mark.parametrize(
    ('make', 'key'),
    [
        (lambda d: d, 'dataset.data_root'),
        (lambda d: dict(type='RepeatDataset', times=2, dataset=d), 'dataset.dataset.data_root'),
        (
            lambda d: dict(type='ConcatDataset', datasets=[dict(type='ShapesDataset'), d]),
            'dataset.datasets.1.data_root',
        ),
    ],
)
def test_missing_data_root_is_named_with_its_key(tmp_path, make, key):
    cfg = config(train_dataloader=dict(dataset=make(dataset(tmp_path / 'none'))))
    with pytest.raises(FileNotFoundError, match=rf'^train_dataloader\.{key} = .*docs/data\.md'):
        checks.check_data_roots(cfg, ['train_dataloader'])
    checks.check_data_roots(cfg, ['val_dataloader'])


def test_missing_folder_or_list_below_the_root(tmp_path):
    for place in (dict(data_prefix=dict(img_path='images/val')), dict(ann_file='val.txt')):
        cfg = config(val_dataloader=dict(dataset=dataset(tmp_path, **place)))
        with pytest.raises(FileNotFoundError, match=f'there is no {tmp_path}/'):
            checks.check_data_roots(cfg, ['val_dataloader'])
    (tmp_path / 'images/val').mkdir(parents=True)
    (tmp_path / 'val.txt').write_text('')
    place = dict(data_prefix=dict(img_path='images/val', seg_map_path=''), ann_file='val.txt')
    cfg = config(val_dataloader=dict(dataset=dataset(tmp_path, **place)))
    checks.check_data_roots(cfg, ['val_dataloader'])


def test_what_cannot_be_checked_passes():
    cfg = config(
        train_dataloader=dict(dataset=dict(type='ShapesDataset', length=3)),
        val_dataloader=dict(dataset=dataset('s3://bucket/camvid', ann_file='val.txt')),
        test_dataloader=None,
    )
    checks.check_data_roots(cfg, ['train_dataloader', 'val_dataloader', 'test_dataloader'])


def test_amp_takes_the_device_into_account(on_cpu):
    cfg = config(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1)))
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'CPUAmpOptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'CPUAmpOptimWrapper'


def test_amp_on_a_gpu_is_the_toolboxs(on_gpu):
    cfg = config(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)))
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_amp_config_made_on_a_gpu_runs_on_a_cpu(on_cpu):
    cfg = config(optim_wrapper=dict(type='AmpOptimWrapper', loss_scale=512.0, dtype='float16'))
    amp.enable_amp(cfg)
    assert cfg.optim_wrapper == dict(type='CPUAmpOptimWrapper')


def test_amp_refuses_other_wrappers(on_cpu):
    cfg = config(optim_wrapper=dict(type='OptimWrapperDict'))
    with pytest.raises(ValueError, match='the config has OptimWrapperDict; leave out --amp'):
        amp.enable_amp(cfg)


def test_no_launcher_changes_nothing(on_cpu):
    cfg = config()
    before = cfg.to_dict()
    with processes.process_group(cfg):
        assert cfg.to_dict() == before


def test_gpus_are_left_to_the_runner(on_gpu):
    cfg = config(norm_cfg=dict(type='SyncBN'))
    cfg.launcher = 'pytorch'
    before = cfg.to_dict()
    with processes.process_group(cfg):
        assert cfg.to_dict() == before


def test_other_launchers_need_gpus(on_cpu):
    cfg = config()
    cfg.launcher = 'slurm'
    with pytest.raises(ValueError, match="'slurm' needs GPUs.*dist_train.sh"):
        with processes.process_group(cfg):
            pass


def test_a_group_of_one_on_the_cpu(tmp_path):
    """In a process of its own, since the group is the process's."""
    code = """
import json
from mmengine.config import Config
from torch import distributed
from mmseg_sparsemask.engine import processes
processes.get_device = lambda: 'cpu'
bn = dict(type='SyncBN', requires_grad=True)
cfg = Config(dict(
    launcher='pytorch', find_unused_parameters=True,
    model=dict(backbone=dict(norm_cfg=bn), heads=[dict(norm_cfg=bn)], other=dict(type='A')),
    model_wrapper_cfg=dict(static_graph=True)))
with processes.process_group(cfg):
    inside = distributed.get_backend()
print(json.dumps(dict(inside=inside, after=distributed.is_initialized(), **cfg.to_dict())))
"""
    env = dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        RANK='0',
        WORLD_SIZE='1',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(free_port()),
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    assert (seen['inside'], seen['after']) == ('gloo', False)
    bn = dict(type='BN', requires_grad=True)
    assert seen['model']['backbone']['norm_cfg'] == seen['model']['heads'][0]['norm_cfg'] == bn
    assert seen['model_wrapper_cfg'] == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=True,
        static_graph=True,
        device_ids=None,
    )


def test_drawing():
    cfg = config(default_hooks=dict(visualization=dict(type='V')), visualizer=dict(type='S'))
    test_options.enable_drawing(cfg, show_dir='d')
    assert cfg.default_hooks.visualization == dict(type='V', draw=True)
    assert cfg.visualizer.save_dir == 'd'
    test_options.enable_drawing(cfg, show=True, wait_time=3.0)
    assert cfg.default_hooks.visualization == dict(type='V', draw=True, show=True, wait_time=3.0)
    with pytest.raises(ValueError, match='need the visualisation hook'):
        test_options.enable_drawing(config(), show=True)


def test_tta():
    loader = dict(batch_size=4, dataset=dict(pipeline=[1]))
    cfg = config(test_dataloader=loader, tta_model=dict(type='T'), tta_pipeline=[2])
    test_options.enable_tta(cfg)
    assert cfg.model == dict(type='T', module=dict(type='EncoderDecoder'))
    assert cfg.test_dataloader == dict(batch_size=1, dataset=dict(pipeline=[2]))
    with pytest.raises(ValueError, match='--tta needs tta_pipeline in the config'):
        test_options.enable_tta(config(test_dataloader=loader, tta_model=dict(type='T')))


def test_predictions_are_written_by_every_metric():
    one = config(test_evaluator=dict(type='IoUMetric'))
    test_options.write_predictions_to(one, 'p')
    assert one.test_evaluator.output_dir == 'p'
    two = config(test_evaluator=[dict(type='A'), dict(type='B')])
    test_options.write_predictions_to(two, 'p')
    assert [e.output_dir for e in two.test_evaluator] == ['p', 'p']
