"""A small table from the first command to the page, stopped and gone on with."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mmseg_sparsemask.compare.results import CONTROL, NONE, read_results
from mmseg_sparsemask.utils.commands import clock

ROOT = Path(__file__).parents[2]
TINY = {
    'train_dataloader.batch_size': 2,
    'train_dataloader.dataset.size': [64, 64],
    'val_dataloader.dataset.size': [64, 64],
    'val_dataloader.dataset.length': 2,
    'test_dataloader.dataset.size': [64, 64],
    'test_dataloader.dataset.length': 2,
    'model.data_preprocessor.size': [64, 64],
    'default_hooks.logger.interval': 1,
}


def table(folder, names, val_options=None):
    """A table with some of the entries, which are one of each kind, and configs of its own."""
    configs = ROOT / 'configs/sparsemask'
    (folder / 'sized.py').write_text(
        f'_base_ = [{str(configs / "unet_mbv2_shapes.py")!r}]\n'
        'model = dict(decode_head=dict(connectivity=dict(\n'
        "    _delete_=True, source='random', seed=0, parameters=1)))\n"
    )
    trained = dict(training='trained', iterations=2, seeds=[0], options=TINY)
    started = dict(search='search', iterations=2, seeds=[0], options=TINY)
    content = dict(
        data='shapes',
        encoder='MobileNet-V2',
        image_size=[64, 64],
        threads=1,
        val_options=val_options,
        searches=dict(
            search=dict(config=str(configs / 'fdn_mbv2_shapes.py'), iterations=2, options=TINY)
        ),
        entries=[
            dict(trained, name='unet', method='U-Net', config=str(configs / 'unet_mbv2_shapes.py')),
            dict(started, name='tuned', method='searched', training='tuned', use='finetune'),
            dict(
                started,
                name='found',
                method='searched',
                training='as found',
                use='pruned',
                iterations=0,
            ),
            dict(
                started,
                name='permuted',
                method='permuted weights',
                training='tuned',
                use='finetune',
                control='permuted',
            ),
            dict(
                started,
                name='inherited',
                method='random connections',
                training='tuned',
                use='finetune',
                control='random',
            ),
            dict(
                trained,
                name='random',
                method=CONTROL,
                config=str(folder / 'sized.py'),
                size_of='search',
            ),
        ],
    )
    content['entries'] = [entry for entry in content['entries'] if entry['name'] in names]
    (folder / 'tiny.yaml').write_text(yaml.safe_dump(content))


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, ROOT / 'tools/run_table.py', folder / 'tiny.yaml', *arguments],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    out, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def call(folder, *arguments):
    return end(start(folder, *arguments))


def commands(done):
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('$ python ')]
    return [line.split()[2].rpartition('/')[2] for line in lines]


@pytest.mark.slow
def test_a_table_is_run_once(tmp_path):
    table(tmp_path, ['unet', 'tuned', 'permuted', 'inherited', 'random'])
    scored = ['test.py', 'results.py']
    first = call(tmp_path, '--only', 'unet')
    assert commands(first) == ['train.py', *scored]
    assert '0 of 1 rows done, eta not known yet (2 iterations)' in first.stdout
    # As if it had been stopped while it scored: the training is not done again.
    (tmp_path / 'tiny.csv').unlink()
    (result,) = (tmp_path / 'work_dirs/tiny/unet/seed0/test').glob('*/*.json')
    result.unlink()
    listed = call(tmp_path, '--list')
    assert 'unet, seed 0: 2 iterations' in listed.stdout
    assert '0 of 5 rows done, eta ' in listed.stdout and not commands(listed)

    whole = call(tmp_path)
    names = commands(whole)
    assert names == [
        *scored,
        *('train.py', 'train.py', *scored),
        *2 * ('prune.py', 'train.py', *scored),
        *('train.py', *scored),
    ]
    done = [json.loads(path.read_text()) for path in tmp_path.rglob('run.json')]
    done = [run for run in done if run.get('method') != CONTROL]
    pace = sum(run['seconds'] for run in done) / sum(run['iterations'] for run in done)
    assert len(done) == 5  # the search as well
    assert f'4 of 5 rows done, eta {clock(2 * pace)} (2 iterations)' in whole.stdout
    assert not commands(call(tmp_path))

    rows = {(row.method, row.training): row for row in read_results(tmp_path / 'tiny.csv')}
    assert len(rows) == 5
    unet, tuned = rows['U-Net', 'trained'], rows['searched', 'tuned']
    assert (unet.connections, unet.decoder_parameters) == (17, 164_821 - 15 * 65)
    assert unet.search_iterations == 0 and tuned.search_iterations == 2
    assert unet.log.startswith('seed0/') and unet.log.endswith('.log')
    assert 'randomness.seed=0' in unet.options and unet.threads == 1
    # Two iterations prune nothing.
    assert tuned.connections == 90 and tuned.score_val == NONE
    control, permuted = rows[CONTROL, 'trained'], rows['permuted weights', 'tuned']
    assert control.decoder_parameters == pytest.approx(tuned.decoder_parameters, rel=0.05)
    assert permuted.connections == 90 and 'prune.py --permute-seed 0' in permuted.config
    inherited = rows['random connections', 'tuned']
    assert inherited.decoder_parameters == pytest.approx(tuned.decoder_parameters, rel=0.05)
    assert 'random.json (seed 0)' in inherited.config and inherited.search_iterations == 2
    assert all(0 <= row.score_test <= 100 and row.ms > 0 for row in rows.values())

    # A table that asks for something else does not get what is there.
    path = tmp_path / 'tiny.yaml'
    path.write_text(path.read_text().replace('MobileNet-V2', 'another'))
    (tmp_path / 'tiny.csv').unlink()
    done = call(tmp_path, '--only', 'unet')
    assert done.returncode != 0
    assert "unet/seed0 holds a run with encoder = 'MobileNet-V2'" in done.stderr


@pytest.mark.slow
def test_two_processes_share_a_table(tmp_path):
    """Both want the search first, which is done once."""
    table(tmp_path, ['tuned', 'found'], {'test_dataloader.dataset.split': 'val'})
    processes = [start(tmp_path) for _ in range(2)]
    names = [name for process in processes for name in commands(end(process))]
    assert sorted(names) == sorted(['train.py'] * 2 + ['test.py'] * 4 + ['results.py'] * 2)
    rows = {row.training: row for row in read_results(tmp_path / 'tiny.csv')}
    assert set(rows) == {'tuned', 'as found'}
    assert rows['tuned'].connections == rows['as found'].connections == 90
    assert rows['as found'].training_iterations == 0
    for row in rows.values():
        assert 0 <= row.score_val <= 100 and 0 <= row.score_test <= 100 and row.ms > 0

    # As if it had been stopped between the scores: the one on val is not taken again.
    (tmp_path / 'tiny.csv').unlink()
    (result,) = (tmp_path / 'work_dirs/tiny/search/seed0/tuned/test').glob('*/*.json')
    result.unlink()
    assert commands(call(tmp_path, '--only', 'tuned')) == ['test.py', 'results.py']


def test_what_is_wrong_with_a_table_is_said(tmp_path):
    (tmp_path / 'tiny.yaml').write_text('data: shapes\n')
    done = call(tmp_path)
    assert done.returncode != 0 and 'missing keys' in done.stderr
    assert not (tmp_path / 'work_dirs').exists()


def test_a_work_directory_of_another_kind_has_no_row(tmp_path):
    tool = [sys.executable, ROOT / 'tools/results.py', 'add', tmp_path, '--csv', tmp_path / 'x.csv']
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(tool, env=env, capture_output=True, text=True)
    assert 'expected a run.json' in done.stderr and 'tools/run_table.py' in done.stderr
    (tmp_path / 'run.json').write_text(json.dumps({'method': 'U-Net'}))
    done = subprocess.run(tool, env=env, capture_output=True, text=True)
    assert done.returncode != 0 and "run.json lacks 'image_size'" in done.stderr
    assert not (tmp_path / 'x.csv').exists()


def test_the_page_of_ones_own_table_goes_beside_it(tmp_path, monkeypatch, capsys):
    """Without its file the next command would write this project's page."""
    table(tmp_path, ['unet'])
    monkeypatch.setattr('mmseg_sparsemask.compare.runner.TableRunner.run', lambda *_: None)
    monkeypatch.chdir(tmp_path)
    tool = runpy.run_path(str(ROOT / 'tools/run_table.py'))['main']
    tool(['tiny.yaml'])
    assert 'results page --csv tiny.csv --out tiny.md writes' in says(capsys)
    tool(['tiny.yaml', '--results', str(ROOT / 'results/tiny.csv')])
    assert 'results page writes' in says(capsys)


def says(capsys):
    return capsys.readouterr().out.replace('results.py', 'results')
