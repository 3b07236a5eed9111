"""A fit that goes on: what it was asked for, and what it keeps of the run before."""

import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from reference.drawn_folder import SMALL_ENCODER, draw_folder
from reference.tiny import ROOT

from mmseg_sparsemask.compare.run_record import chosen_device
from mmseg_sparsemask.fit import job, outcome
from mmseg_sparsemask.fit.configs import Plan
from mmseg_sparsemask.fit.job import Asked, Limits, fit

NAMES = ['ground', 'disc', 'box', 'ring', 'bar', 'cross']


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begins a fit, or goes on with it, without training: what is asked can be changed."""
    images, masks = draw_folder(tmp_path, 8)
    (tmp_path / 'small.py').write_text(SMALL_ENCODER)
    done = []
    for name in ('Networks', 'collect', 'deliver'):
        monkeypatch.setattr(job, name, lambda *_: SimpleNamespace(run=lambda: None))
    monkeypatch.setattr(job, 'choose', lambda *_: (None, ''))
    monkeypatch.setattr(job, 'write_outcome', lambda *args: done.append(args[4]))

    def begin(resume=True, **more):
        plan = Plan((64, 64), (64, 64))
        settings = dict(images=images, masks=masks, encoder=str(tmp_path / 'small.py'))
        settings |= dict(weights=None, classes=None, minutes=1.0, limits=Limits(), plan=plan)
        fit(Asked(**settings | more), tmp_path / 'out', ROOT / 'tools', 'cpu', resume)
        return done[-1]

    return begin


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def test_a_refused_fit_leaves_the_folder_of_another_as_it_is(begin, tmp_path):
    begin(resume=False)
    before = files(tmp_path / 'out')
    images, masks = draw_folder(tmp_path / 'others', 12)
    with pytest.raises(ValueError, match='ask for the same, or choose another --out'):
        begin(images=images, masks=masks)
    assert files(tmp_path / 'out') == before


@pytest.mark.parametrize('twice', [False, True])
def test_labels_that_changed_are_another_run(begin, tmp_path, twice):
    table = tmp_path / 'classes.txt'
    table.write_text(''.join(f'{name},{n}\n' for n, name in enumerate(NAMES)))
    begin(resume=False, classes=str(table))
    if twice:
        begin(classes=str(table))
    # The same file, of which two lines name each other's number.
    table.write_text(
        ''.join(f'{name},{n}\n' for n, name in enumerate(['disc', 'ground', *NAMES[2:]]))
    )
    with pytest.raises(ValueError, match='holds a run with classes_seen = .*ask for the same'):
        begin(classes=str(table))


def test_the_encoder_is_what_it_was_at_the_start(begin, monkeypatch):
    assert 'from scratch' in begin(resume=False)[0]
    # Its weights may be found, or be out of reach, by now: the networks have begun without.
    monkeypatch.setattr(job, 'find_encoder', None)
    assert 'from scratch' in begin()[0]


def test_a_plan_of_before_goes_on(begin, tmp_path):
    begin(resume=False)
    path = tmp_path / 'out' / job.PLAN
    content = json.loads(path.read_text())
    del content['asked']['classes_seen'], content['encoder']
    path.write_text(json.dumps(content))
    assert 'small.py' in begin()[0]


def test_times_are_those_of_the_machine(tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(
        outcome, 'deployed_times', lambda *args: measured.append(args) or {'a': 2.0}
    )
    monkeypatch.setattr(outcome, 'machine', str)
    plan, devices = Plan((64, 64), (64, 64)), ('cpu', 'cuda')
    networks = {d: SimpleNamespace(device=d, out=tmp_path, plan=plan) for d in devices}
    for device, count in (('cpu', 1), ('cpu', 1), ('cuda', 2), ('cuda', 2)):
        assert outcome.times_of({'a': Path('a.py')}, networks[device]) == {'a': 2.0}
        assert len(measured) == count
    # As they were noted before: of whatever machine.
    (tmp_path / outcome.TIMES).write_text('{"a": 9.0}')
    assert outcome.times_of({'a': Path('a.py')}, networks['cpu']) == {'a': 2.0}


@pytest.mark.parametrize(
    'device, seen, left',
    [
        ('cpu', '2,3', ''),
        ('cuda', None, '0'),
        ('cuda:1', None, '1'),
        ('cuda', '2,3', '2'),  # what a cluster has given to this job
        ('cuda:1', '2,3', '3'),
        ('cuda:2', '2,3', None),
        ('cuda:x', None, None),
        ('gpu', None, None),
    ],
)
def test_trainings_see_a_gpu_that_this_process_may_use(device, seen, left, monkeypatch, tmp_path):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', seen or '')
    if seen is None:
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
    monkeypatch.setattr('mmseg_sparsemask.utils.commands.end_on_signals', lambda: None)
    asked = []
    monkeypatch.setattr(job, 'fit', lambda *args: asked.append(args))
    main = runpy.run_path(str(ROOT / 'tools/fit.py'))['main']
    arguments = ['images', 'masks', '--out', str(tmp_path / 'out'), '--device', device]
    if left is None:
        with pytest.raises(SystemExit):
            main(arguments)
        assert not asked
    else:
        main(arguments)
        assert os.environ['CUDA_VISIBLE_DEVICES'] == left
        assert asked[0][3] == device.partition(':')[0]


def test_the_quickstart_trains_on_the_cpu_whatever_is_there(monkeypatch, tmp_path):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    monkeypatch.setattr('mmseg_sparsemask.datasets.shapes.write_shapes', lambda *_: ('a', 'b'))
    monkeypatch.setattr(job, 'fit', lambda *args, **_: args[3])
    monkeypatch.setattr('mmseg_sparsemask.utils.commands.end_on_signals', lambda: None)
    runpy.run_path(str(ROOT / 'tools/quickstart.py'))['main'](['--out', str(tmp_path / 'out')])
    assert os.environ['CUDA_VISIBLE_DEVICES'] == ''


def test_a_gpu_that_is_not_there_is_said_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert chosen_device() == chosen_device('cpu') == 'cpu'
    with pytest.raises(
        ValueError, match='--device: expected cpu, torch sees no GPU here, got cuda'
    ):
        chosen_device('cuda:1')
