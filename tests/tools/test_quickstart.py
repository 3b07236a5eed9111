"""The one-command run of the main job, made tiny, and the parts of its output."""

import json
import sys
from collections import Counter
from pathlib import Path

import cv2
import pytest
from reference.tiny import ROOT, call

#: Four iterations on 64x64 pixels in each step.
TINY = [
    'train_cfg.max_iters=4',
    'train_cfg.val_interval=4',
    'train_dataloader.batch_size=2',
    'train_dataloader.dataset.size=(64,64)',
    'val_dataloader.dataset.size=(64,64)',
    'val_dataloader.dataset.length=2',
    'test_dataloader.dataset.size=(64,64)',
    'test_dataloader.dataset.length=2',
    'model.data_preprocessor.size=(64,64)',
    'default_hooks.logger.interval=2',
]


def quickstart(*arguments, cwd):
    return call(sys.executable, ROOT / 'tools/quickstart.py', *arguments, cwd=cwd, check=False)


@pytest.mark.slow
def test_runs_the_main_job_and_the_baseline(tmp_path):
    done = quickstart('--cfg-options', *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    work_dir = tmp_path / 'work_dirs/quickstart'
    commands = [line for line in out.splitlines() if line.startswith('$ python ')]
    # Two run at a time, the search and the baseline first.
    assert all(line.split()[2].endswith('tools/train.py') for line in commands[:2])
    assert Counter(line.split()[2].rpartition('/')[2] for line in commands) == {
        'train.py': 4,
        'test.py': 5,
        'results.py': 5,
    }
    for name in ('finetune.py', 'retrain.py'):
        assert sum(f'train.py work_dirs/quickstart/search/seed0/{name}' in c for c in commands) == 1
    assert out.count('iteration 4/4  eta 0:00  loss') == 4
    rows = {
        cells[0]: cells[1:]
        for line in out.splitlines()
        if line.startswith('| ')
        and (cells := [cell.strip() for cell in line.strip('|').split('|')])[0] != 'decoder'
    }
    # Four iterations prune nothing; FDN with six classes has the paper's 1,934,293 parameters less
    # fifteen classes.
    full = ['90', f'{1_934_293 - 15 * 65:,}']
    folders = {
        'supernet, searched': ('search/seed0/supernet', full),
        'pruned, not trained': ('search/seed0/pruned', full),
        'pruned, fine-tuned': ('search/seed0/finetune', full),
        'pruned, from scratch': ('search/seed0/retrain', full),
        'unet_mbv2_shapes': ('unet_mbv2_shapes/seed0', ['17', f'{164_821 - 15 * 65:,}']),
    }
    assert rows.keys() == folders.keys()
    for name, (folder, size) in folders.items():
        (result,) = (work_dir / folder / 'test').glob('*/*.json')
        score = json.loads(result.read_text())['mIoU']
        assert rows[name][:3] == [*size, f'{score:.1f}']
        assert (rows[name][3] == '-') == (name == 'pruned, not trained')
    # Nothing was dropped, so the pruned network is the supernet.
    assert rows['supernet, searched'][2] == rows['pruned, not trained'][2]
    figures = [line.strip() for line in out.partition('figures\n')[2].splitlines()[:-1]]
    assert {Path(name).name for name in figures} == {
        'connectivity.svg', 'connection_weights.svg', 'report.html',
        'sample_000000.png', 'sample_000001.png',
    }  # fmt: skip
    assert all((tmp_path / name).stat().st_size > 0 for name in figures)
    picture = cv2.imread(str(work_dir / 'sample_000001.png'))
    assert picture.shape == (4 * 64, 4 * (3 * 64 + 2 * 4), 3)
    # The same command again trains nothing.
    again = quickstart('--cfg-options', *TINY, cwd=tmp_path)
    assert again.returncode == 0 and '$ python' not in again.stdout
    assert {line for line in out.splitlines() if line.startswith('| ')} == {
        line for line in again.stdout.splitlines() if line.startswith('| ')
    }


def test_a_failing_step_ends_it_with_the_reason(tmp_path):
    config = tmp_path / 'bad.py'
    base = ROOT / 'configs/sparsemask/fdn_mbv2_shapes.py'
    config.write_text(
        f"_base_ = [{str(base)!r}]\nmodel = dict(decode_head=dict(channels='many'))\n"
    )
    done = quickstart('--config', config, cwd=tmp_path)
    assert done.returncode != 0
    assert 'TypeError' in done.stderr and 'search search, seed 0 failed' in done.stderr
    # The baseline, which had begun beside it, is ended.
    assert 'unet_mbv2_shapes, trained, seed 0: done' not in done.stdout
    assert 'tools/test.py' not in done.stdout
