"""The tool against the function it prints, and its errors."""

import re
import runpy
import sys

import pytest
from reference.tiny import ROOT

from mmseg_sparsemask.connectivity import Connectivity, DecoderShape, controls, preset, save
from mmseg_sparsemask.connectivity.controls import overlap
from mmseg_sparsemask.connectivity.presets import MBV2_CHANNELS, MBV2_STRIDES

CONFIG = str(ROOT / 'configs/sparsemask/sparsemask_mbv2_shapes.py')


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['overlap.py', *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools/overlap.py'), run_name='__main__')


def test_prints_what_is_shared_and_what_chance_shares(monkeypatch, tmp_path, capsys):
    decoders = [preset(name, MBV2_STRIDES) for name in ('sparsemask_mbv2_voc', 'fdn')]
    paths = [tmp_path / f'{place}.json' for place in range(2)]
    for decoder, path in zip(decoders, paths):
        save(decoder, path)
    run(monkeypatch, CONFIG, *paths, '--draws', 3)
    out = capsys.readouterr().out
    assert f'overlap {overlap(decoders):.2f}' in out
    # Near the full network, chance has to take nearly everything.
    assert re.search(r'random decoders of these sizes 0\.\d\d ± 0\.\d\d', out)
    assert f'{paths[1]}: 90 connections, {1_934_293 - 15 * 65:,} parameters' in out


def test_chance_is_asked_of_decoders_with_the_same_end(monkeypatch, tmp_path, capsys):
    """And of the same size: one output for two classes is counted as one."""
    stages = {'D8': ['E8', 'E9', 'G'], 'D4': ['E4', 'E6', 'D8', 'G']}
    path = tmp_path / 'coarse.json'
    save(Connectivity(MBV2_STRIDES, stages), path)
    drawn = []
    monkeypatch.setattr(
        controls,
        'random_decoder',
        lambda *arguments, draw=controls.random_decoder: (
            drawn.append(draw(*arguments)) or drawn[-1]
        ),
    )
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {CONFIG!r}\nmodel = dict(decode_head=dict(num_classes=2, out_channels=1))\n'
    )
    run(monkeypatch, config, path, path, '--draws', 2)
    assert [decoder.end for decoder in drawn] == ['D4'] * 4
    shape = DecoderShape(MBV2_STRIDES, MBV2_CHANNELS, 64, 1)
    parameters = shape.cost(Connectivity(MBV2_STRIDES, stages)).parameters
    assert f'7 connections, {parameters:,} parameters' in capsys.readouterr().out


def test_errors_are_one_line(monkeypatch, tmp_path):
    path = tmp_path / 'one.json'
    save(preset('unet', MBV2_STRIDES), path)
    with pytest.raises(SystemExit, match='error: overlap: expected at least two decoders, got 1'):
        run(monkeypatch, CONFIG, path)
    with pytest.raises(SystemExit, match='error: --draws: expected at least 2, got 1'):
        run(monkeypatch, CONFIG, path, path, '--draws', 1)
    with pytest.raises(SystemExit, match='error: .*nothing.json'):
        run(monkeypatch, CONFIG, path, tmp_path / 'nothing.json')
