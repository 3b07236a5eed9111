"""Times of decoders on this machine: the order of sizes, the table, the tool."""

import platform
import random
import re
import runpy
import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference import tiny
from torch import nn

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import DecoderShape, preset
from mmseg_sparsemask.connectivity.latency import LatencyTable
from mmseg_sparsemask.deployment.latency import (
    draw_decoder,
    measure_table,
    time_again,
    time_decoder,
    time_encoder,
)

STRIDES = [2, 4, 8]


def make_head():
    return MODELS.build(
        dict(
            type='FDNHead',
            in_channels=[8, 16, 32],
            in_index=[0, 1, 2],
            strides=STRIDES,
            channels=8,
            num_classes=2,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        )
    )


def test_more_work_takes_longer():
    small = preset('unet', STRIDES)
    shape = DecoderShape(STRIDES, [64, 64, 64], 64, 2)
    little = time_decoder(small, shape, (32, 32))
    much = time_decoder(small, shape, (256, 256))
    assert 0 < little < much


def test_an_encoder_is_timed_as_it_is_deployed(tmp_path, monkeypatch):
    """Its normalisations are folded, as in the network that the times are for."""
    init_default_scope('mmseg')
    network = MODELS.build(Config.fromfile(tiny.write_configs(tmp_path)).model)

    def watched(run, *_):
        with monkeypatch.context() as patch:
            patch.setattr(nn.BatchNorm2d, 'forward', lambda *_: pytest.fail('not folded'))
            run()
        return [0.5]

    monkeypatch.setattr('mmseg_sparsemask.deployment.latency.repeated', watched)
    assert time_encoder(network, (32, 32)) == 500


def test_random_decoders_are_of_all_sizes_and_repeatable():
    space = preset('fdn', STRIDES)
    rng = random.Random(0)
    sizes = {len(draw_decoder(space, rng)) for _ in range(500)}
    assert min(sizes) == 1 and max(sizes) == len(space)
    assert len(sizes) > len(space) / 2
    assert draw_decoder(space, random.Random(5)) == draw_decoder(space, random.Random(5))


def test_table_says_how_it_was_measured():
    table = measure_table(make_head(), (32, 48), decoders=12, left_out=3)
    shape = DecoderShape(STRIDES, (8, 16, 32), 8, 2)
    assert table.shape == shape
    assert (table.image_size, table.device, table.threads) == ((32, 48), 'cpu', 1)
    assert {'processor', 'precision', 'torch', 'mean_error', 'decoders'} <= set(table.meta)
    space, least = preset('fdn', STRIDES), 1e9  # so few decoders say little
    table.check(space, shape, least, image_size=(32, 48), device='cpu', threads=1)
    words = time_again(table, preset('unet', STRIDES))
    assert 'ms measured (prediction' in words and 'the table is of' not in words


@pytest.mark.parametrize('argument', ['decoders', 'left_out', 'threads'])
def test_bad_numbers(argument):
    with pytest.raises(ValueError, match='expected at least 1, got'):
        measure_table(make_head(), (32, 48), **{argument: 0})


@pytest.mark.slow
def test_tool(tmp_path):
    config = tiny.write_configs(tmp_path)
    command = [sys.executable, tiny.ROOT / 'tools/latency_table.py', config, '--shape', '32', '48']
    command += ['--decoders', '6', '--left-out', '2', '--out', 'table.json']
    done = subprocess.run(
        command, cwd=tmp_path, env=tiny.environment(), capture_output=True, text=True
    )
    said = r'written: table.json; error on 2 decoders that the fit has not seen: ([\d.]+)% on'
    error = float(re.match(said, done.stdout)[1])
    # So small a decoder on a busy machine may have a table that is far off; then it says so.
    assert ('not fit for use' in done.stderr) == bool(done.returncode) == (error > 20), done
    assert LatencyTable.load(tmp_path / 'table.json').image_size == (32, 48)
    command[2] = tmp_path / 'sparse.py'
    done = subprocess.run(
        command, cwd=tmp_path, env=tiny.environment(), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "expected the config of a search, with a decode_head of type 'FDNHead'" in done.stderr


def test_a_search_may_name_its_head_by_the_class(tmp_path, monkeypatch):
    """As configs in pure Python do."""
    config = tiny.write_pure_search(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['latency_table.py', str(config), '--decoders', '0'])
    with pytest.raises(SystemExit, match='decoders, .*: expected at least 1, got 0'):
        runpy.run_path(str(tiny.ROOT / 'tools/latency_table.py'), run_name='__main__')


PURE = """
from mmseg_sparsemask.models.decode_heads import FDNHead

sizes = dict(in_channels=[8, 16, 32], in_index=[0, 1, 2], strides=[2, 4, 8], channels=8)
resnet = dict(type='ResNet', depth=18, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
model = dict(
    type='EncoderDecoder',
    pretrained='open-mmlab://resnet18',
    backbone=resnet,
    decode_head=dict(type=FDNHead, num_classes=2, **sizes),
)
"""


@pytest.mark.parametrize(
    'options, error, message',
    [
        ([], SystemError, 'measuring'),
        (['--out', '.'], SystemExit, 'expected a file, got the folder'),
        (['--cfg-options', 'model.backbone.type=Nothing'], KeyError, 'Nothing'),
    ],
)
def test_what_can_fail_comes_before_what_takes_minutes(
    options, error, message, tmp_path, monkeypatch
):
    def measure(*arguments):
        raise SystemError('measuring')

    (tmp_path / 'search.py').write_text(PURE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmseg_sparsemask.deployment.latency.measure_table', measure)
    monkeypatch.setattr(sys, 'argv', ['latency_table.py', 'search.py', *options])
    with pytest.raises(error, match=message):
        runpy.run_path(str(tiny.ROOT / 'tools/latency_table.py'), run_name='__main__')


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc can keep memory')
def test_passes_pay_for_no_page_again():
    """In a process of its own, since it holds until the end."""
    script = """
import resource
import torch
from mmseg_sparsemask.deployment.latency import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(2**24) + 1  # two maps of 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
assert keep_memory()
faults()
print(given_back, faults())
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    given_back, kept = map(int, done.stdout.split())
    assert given_back > 1000 and kept < given_back / 10
