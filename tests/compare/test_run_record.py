"""Times of a table's networks, measured again together."""

import json
import runpy
import subprocess
from dataclasses import replace

import pytest
from compare.test_results import ROOT, UNET

from mmseg_sparsemask.compare import run_record
from mmseg_sparsemask.compare.results import append_results, read_results
from mmseg_sparsemask.compare.run_record import PASSES, network_of, surroundings, time_together
from mmseg_sparsemask.connectivity import Connectivity, DecoderShape

CONFIGS = 'configs/sparsemask'


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    # Rows may name modules of `benchmarks`.
    monkeypatch.syspath_prepend(ROOT)


def row(method, config, connectivity, parameters, options='-'):
    return replace(
        UNET,
        method=method,
        config=f'{CONFIGS}/{config}',
        options=options,
        connectivity=connectivity,
        connections=connectivity.count(' ') - 2 * connectivity.count(' · ') or '-',
        decoder_parameters=parameters,
        seed=1,
        ms=1e6,
        threads=1,
        image_size='32 x 64',
    )


def found(connectivity, strides=(2, 2, 4, 8, 16, 16, 32, 32, 32)):
    """A row of a decoder that a search found, with its parameters by the closed form."""
    stages = dict(stage.split(': ') for stage in connectivity.split(' · '))
    graph = Connectivity(strides, {stage: sources.split() for stage, sources in stages.items()})
    channels = [32, 16, 24, 32, 64, 96, 160, 320, 1280]
    parameters = DecoderShape(strides, channels, 64, 6).cost(graph).parameters
    return row('searched', 'fdn_mbv2_shapes.py > retrain.py', str(graph), parameters)


#: A network of a config, and one that a search found; its options are those of a training.
ROWS = [
    row('FCN', 'fcn_mbv2_shapes.py', '-', 7_686, 'train_cfg.max_iters=1400 randomness.seed=1'),
    found('D6: E6 E7 · D1: E1 E2 D6 G'),
]


def test_a_head_that_nobody_registered_is_no_key_that_a_file_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(run_record, '_scores', lambda folder: {})
    texts = 'method training data encoder machine versions commit log described'.split()
    numbers = 'seed search_iterations training_iterations threads'.split()
    run = {
        **dict.fromkeys(texts, 'x'),
        **dict.fromkeys(numbers, 1),
        'image_size': [32, 64],
        'config': f'{CONFIGS}/fcn_mbv2_shapes.py',
        'options': ['model.decode_head.type=OwnHead'],
    }
    (tmp_path / 'run.json').write_text(json.dumps(run))
    with pytest.raises(ValueError) as caught:
        run_record.result_of(tmp_path)
    assert 'OwnHead is not in the' in str(caught.value) and 'lacks' not in str(caught.value)


def test_times_are_replaced_and_nothing_else(tmp_path, capsys):
    path = tmp_path / 'x.csv'
    append_results(path, ROWS)
    main = runpy.run_path(str(ROOT / 'tools/results.py'))['main']
    main(['time', str(path)])
    timed = read_results(path)
    assert all(0 < result.ms < 1e5 for result in timed)
    assert {result.timed_on for result in timed} == {surroundings()['machine']}
    assert [replace(result, ms=1e6, timed_on=UNET.timed_on) for result in timed] == ROWS
    assert 'FCN, from ImageNet weights, seed 1: 1000000.0 -> ' in capsys.readouterr().out


def test_each_pass_is_told():
    told = []
    time_together(ROWS, lambda: told.append('pass'))
    assert len(told) == PASSES * len(ROWS)


@pytest.mark.parametrize(
    'result, message',
    [
        (row('FCN', 'fcn_mbv2_shapes.py', '-', 9), 'expected 9 decoder parameters .* got 7,686'),
        (row('U-Net', 'unet_mbv2_shapes.py', 'D1: E1', 9), 'connections D1: E1, got .*D9: E9'),
        (row('FCN', 'gone.py', '-', 9), 'gone.py cannot be built: '),
        (row('x', 'fdn_mbv2_shapes.py > retrain.py', 'D1: D2', 9), 'built: .*D2'),
    ],
)
def test_a_network_that_is_another_one_by_now(result, message):
    with pytest.raises(ValueError, match=f'{result.method}, .*, seed 1: .*{message}'):
        time_together([result])


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'results').glob('*.csv')), ids=lambda path: path.stem
)
def test_networks_of_the_page_can_be_built_again(path):
    one_a_config = {result.config: result for result in read_results(path)}
    assert one_a_config
    for result in one_a_config.values():
        if 'efficientnet-lite0' in result.config:
            pytest.importorskip('timm', reason='timm is not installed (extra timm)')
        network_of(result)


@pytest.mark.parametrize('other', [dict(image_size='64 x 64', threads=2), dict(threads=2)])
def test_rows_of_several_conditions_are_not_timed_as_one(other):
    with pytest.raises(ValueError, match='expected rows of one image size .* with 2 threads'):
        time_together([ROWS[0], replace(ROWS[0], seed=2, **other)])


def test_a_commit_of_another_repository_is_not_ours(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(['git', '-C', str(tmp_path), *arguments], check=True, capture_output=True)

    git('init')
    git('-c', 'user.name=a', '-c', 'user.email=a@b.c', 'commit', '--allow-empty', '-m', 'theirs')
    installed = tmp_path / 'env/site-packages'
    (installed / 'mmseg_sparsemask/compare').mkdir(parents=True)
    for root, known in ((tmp_path, True), (installed, False)):
        (root / 'mmseg_sparsemask/compare').mkdir(parents=True, exist_ok=True)
        file = root / 'mmseg_sparsemask/compare/run_record.py'
        monkeypatch.setattr(run_record, '__file__', str(file))
        assert (run_record.commit() != 'unknown') == known


def test_no_rows():
    with pytest.raises(ValueError, match='expected at least one row'):
        time_together([])


def test_a_network_of_a_module_that_options_import(tmp_path, monkeypatch):
    (tmp_path / 'own_segmentor_of_a_row.py').write_text(
        'from mmseg.models import EncoderDecoder\n'
        'from mmseg.registry import MODELS\n'
        'MODELS.register_module()(type("SegmentorOfARow", (EncoderDecoder,), {}))\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    options = (
        'custom_imports.imports=[mmseg_sparsemask,own_segmentor_of_a_row] '
        'model.type=SegmentorOfARow randomness.seed=1'
    )
    method = network_of(row('FCN', 'fcn_mbv2_shapes.py', '-', 7_686, options))
    assert type(method.model).__name__ == 'SegmentorOfARow'
