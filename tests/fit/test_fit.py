"""The whole: drawn images in, a page, a choice and files out; killed, it goes on."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from reference.drawn_folder import SMALL_ENCODER, draw_folder
from reference.tiny import ROOT, call, environment

from mmseg_sparsemask.deployment import ModelPredictor, load_model, load_predictor

TITLES = {'FCN', 'plain sum', 'U-Net', 'LR-ASPP', 'searched'}


#: More than any network here takes: no choice depends on the machine.
LIMIT = ('--latency', '1000ms')


def command(*more):
    """The shortest there is: twenty iterations of each network."""
    places = ('shapes/images', 'shapes/masks', '--encoder', 'small.py', '--device', 'cpu')
    return [sys.executable, str(ROOT / 'tools/fit.py'), *places, '--minutes', '0.1', *more]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fit')
    draw_folder(folder / 'shapes')
    (folder / 'small.py').write_text(SMALL_ENCODER)
    return folder


@pytest.fixture(scope='module')
def whole(folder):
    """A run that nothing stopped."""
    return call(*command(*LIMIT, '--out', 'whole'), cwd=folder, check=False)


@pytest.mark.slow
def test_from_images_to_files(folder, whole):
    done, out = whole, folder / 'whole'
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((out / 'fit.csv').open()))
    assert {row['method'] for row in rows} >= TITLES
    page = (out / 'fit.html').read_text()
    assert all(title in page for title in TITLES) and not re.search(r'(src|href)="http', page)
    (chosen,) = re.findall(r'^([^:\n]+): mIoU ([0-9.]+) at', done.stdout, re.M)
    best = max(rows, key=lambda row: float(row['score_test']))
    assert float(chosen[1]) == pytest.approx(float(best['score_test']), abs=0.06)
    # The file gives the labels of what was trained.
    plan = json.loads((out / 'plan.json').read_text())['plan']
    assert plan['iterations'] == 20
    name = {'FCN': 'fcn', 'plain sum': 'flat', 'U-Net': 'unet', 'LR-ASPP': 'lraspp'}
    name = name.get(chosen[0], chosen[0])
    (config,) = (out / 'networks' / name / 'seed0').glob('*.py')
    checkpoint = config.parent / (config.parent / 'last_checkpoint').read_text().split('/')[-1]
    model = ModelPredictor(load_model(config, str(checkpoint)))
    file = load_predictor(out / 'chosen/model.onnx')
    for path in sorted((folder / 'shapes/images').iterdir())[:3]:
        image = cv2.imread(str(path))
        assert np.mean(file(image) != model(image)) < 1e-3
    assert (out / 'chosen/published/config.json').is_file()
    # The same command again needs --resume, which trains nothing.
    again = call(*command(*LIMIT, '--out', 'whole'), cwd=folder, check=False)
    assert again.returncode and '--resume' in again.stderr
    again = call(*command(*LIMIT, '--out', 'whole', '--resume'), cwd=folder)
    assert 'tools/train.py' not in again.stdout and chosen[0] in again.stdout
    other = call(*command('--out', 'whole', '--resume'), cwd=folder, check=False)
    assert other.returncode and 'ask for the same' in other.stderr


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_end(folder, whole):
    assert 'fit.html' in whole.stdout
    goes_on = command(*LIMIT, '--out', 'killed', '--resume')
    # At the measuring, in the first trainings, in the front, at the last ones.
    marks = ['plan:', 'iteration', '== front', 'searched, fine-tuned', '== hand over']
    for mark in marks:
        process = subprocess.Popen(
            goes_on,
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in process.stdout:
            if mark in line:
                break
        else:
            pytest.fail(f'no {mark!r}')
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    call(*goes_on, cwd=folder)

    def ends(name):
        rows = csv.DictReader((folder / name / 'fit.csv').open())
        kept = ('method', 'connectivity', 'score_test', 'training_iterations')
        return sorted(tuple(row[key] for key in kept) for row in rows)

    assert ends('killed') == ends('whole')


@pytest.mark.parametrize(
    'more, message',
    [
        (['--encoder', 'mobilenet'], 'expected mobilenet_v2'),
        (['--latency', 'fast'], 'expected a number above 0'),
        (['--minutes', '0'], 'expected a number above 0'),
        (['--weights', 'gone.pth'], 'gone.pth: does not exist'),
    ],
)
def test_what_is_asked_wrongly(folder, more, message):
    done = call(*command(*more), cwd=folder, check=False)
    assert done.returncode and message in done.stderr and 'Traceback' not in done.stderr
    assert not (folder / 'work_dirs/fit/networks').exists()
