import importlib.util
import json
import os
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reference import tiny
from reference.naive import NaiveDecoder
from torch import nn

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare import measure as measure_module
from mmseg_sparsemask.compare.methods import Method, collect, collect_methods
from mmseg_sparsemask.compare.rows import Row
from mmseg_sparsemask.compare.scores import Score, find_score
from mmseg_sparsemask.compare.sizes import multiply_adds

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs' / 'sparsemask'

# Table 1 of the paper, in millions.
PAPER = {
    'fcn': (2.22, 0.03),
    'unet': (2.22, 0.16),
    'sparseacn': (2.22, 0.72),
    'full': (2.22, 1.93),
    'fdn': (2.22, 1.93),
    'sparsemask': (2.22, 0.56),
}


def rows(config, roots):
    return [method.row for method in collect(config, roots, (64, 64))]


@pytest.mark.parametrize('name', [*PAPER, 'deeplabv3', 'l1', 'maskconnect'])
def test_parameters_of_table_1(name, tmp_path):
    (row,) = rows(CONFIGS / f'{name}_mbv2_voc.py', [tmp_path])
    encoder, decoder = PAPER.get(name, (2.22, {'deeplabv3': 0.63}.get(name, 1.93)))
    assert round(row.encoder_parameters / 1e6, 2) == encoder
    assert round(row.decoder_parameters / 1e6, 2) == decoder
    assert row.encoder_parameters == 2_223_872
    assert row.fps is None and row.score is None
    assert any('no result in' in note for note in row.notes)
    searched = name in ('fdn', 'l1', 'maskconnect')
    assert searched == any('the supernet is shown: no retrain.py' in note for note in row.notes)


def convolution_multiply_adds(module, *inputs):
    """Outputs of every convolution times the weights of one output position."""
    total = 0

    def count(conv, _, output):
        nonlocal total
        total += output.numel() * conv.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    module.eval()
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return total


def test_multiply_adds_against_other_counts():
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(CONFIGS / 'sparsemask_mbv2_voc.py').model)
    size = (65, 97)
    encoder, decoder = multiply_adds(model, size)
    assert encoder == convolution_multiply_adds(model.backbone, torch.rand(1, 3, *size))
    head = model.decode_head
    stages = head.connectivity.stages
    naive = NaiveDecoder(stages, head.in_channels, head.channels, head.num_classes, search=False)
    with torch.no_grad():
        features = model.extract_feat(torch.rand(1, 3, *size))
    assert decoder == convolution_multiply_adds(naive, features)
    model = MODELS.build(Config.fromfile(CONFIGS / 'fcn_mbv2_voc.py').model)
    assert multiply_adds(model, (512, 512))[1] == 1280 * 21 * 16 * 16


def test_several_heads_in_a_row_are_one_decoder(tmp_path):
    common = dict(in_channels=1280, in_index=0, num_classes=6, norm_cfg=dict(type='BN'))
    heads = [
        dict(type='FCNHead', channels=16, num_convs=1, **common),
        dict(type='OCRHead', channels=24, ocr_channels=8, **common),
    ]
    several = dict(type='CascadeEncoderDecoder', num_stages=2)
    config = tmp_path / 'ocr.py'
    text = (CONFIGS / 'fcn_mbv2_shapes.py').read_text().replace('../', f'{CONFIGS.parent}/')
    config.write_text(f'{text}\nmodel.update({several}, decode_head={heads})\n')
    row = collect(config, [tmp_path], (64, 96))[0].row
    model = MODELS.build(Config.fromfile(config).model)
    image = torch.rand(1, 3, 64, 96)
    convolutions = convolution_multiply_adds(model, image)
    encoder = convolution_multiply_adds(model.backbone, image)
    # OCRNet gathers 24 channels by class, and weighs 8 by class at each position, in two products.
    products = 2 * 3 * 6 * (24 + 8 + 8)
    assert (row.encoder_multiply_adds, row.decoder_multiply_adds) == (
        encoder,
        convolutions - encoder + products,
    )
    assert row.decoder_parameters == sum(p.numel() for p in model.decode_head.parameters())


def log(folder, name, *records):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    path.write_text('\n'.join(lines) + '\n')


def test_scores_in_a_work_directory(tmp_path):
    assert find_score(tmp_path / 'missing') is None and find_score(tmp_path) is None
    scalars = [{'loss': 1.0, 'step': 1}, {'mIoU': 41.0, 'step': 200}, {'mIoU': 42.5, 'step': 400}]
    log(tmp_path, '20260101_000000/vis_data/scalars.json', *scalars, '{"mIoU": 4')
    assert find_score(tmp_path) == Score(42.5, 'val at 400')
    log(tmp_path, '20260102_000000/20260102_000000.json', {'mIoU': 50.0, 'aAcc': 80.0})
    assert find_score(tmp_path) == Score(50.0, 'test')
    log(tmp_path, '20260104_000000/20260104_000000.json', {'mIoU': 51.0})
    log(tmp_path, '20260103_000000/20260103_000000.json', {'mIoU': 52.0})
    log(tmp_path, '20260105_000000/20260105_000000.json', '{"mIoU": NaN}')
    assert find_score(tmp_path) == Score(51.0, 'test')
    # As `tools/test.py --work-dir WORK_DIR/test` leaves it.
    log(tmp_path, 'test/20260104_120000/20260104_120000.json', {'mIoU': 53.0})
    assert find_score(tmp_path) == Score(53.0, 'test')


def test_scores_of_edges_and_saliency(tmp_path):
    log(tmp_path / 'e', 'a/a.json', {'edge/ODS': 0.71, 'edge/OIS': 0.73})
    log(tmp_path / 's', 'a/vis_data/scalars.json', {'saliency/mae': 0.1, 'saliency/max_f': 0.8})
    assert find_score(tmp_path / 'e') == Score(0.71, 'test', 'ODS')
    assert find_score(tmp_path / 's') == Score(0.8, 'val', 'max F')


def test_several_seeds(tmp_path):
    for seed, score in enumerate((50.0, 54.0)):
        log(tmp_path / f's{seed}' / 'fcn_mbv2_voc', 'a/a.json', {'mIoU': score})
    roots = [tmp_path / f's{seed}' for seed in range(3)]
    (row,) = rows(CONFIGS / 'fcn_mbv2_voc.py', roots)
    assert row.scores == [50.0, 54.0] and row.score_source == 'test' and row.notes == []


def log_test(folder, name, checkpoint, score):
    """What a test leaves: the score, and beside it the config with the checkpoint."""
    log(folder, f'{name}/{name}.json', {'mIoU': score})
    (folder / name / 'vis_data').mkdir()
    (folder / name / 'vis_data/config.py').write_text(f'x = 1\nload_from = {str(checkpoint)!r}\n')


def write_found(work_dir, name, more=''):
    (work_dir / f'{name}.py').write_text(
        f'_base_ = [{str(CONFIGS / "sparsemask_mbv2_shapes.py")!r}]\n'
        f"work_dir = '{{{{ fileDirname }}}}/{name}'\n"
        'model = dict(decode_head=dict(connectivity=dict(_delete_=True,\n'
        "    strides=[2, 2, 4, 8, 16, 16, 32, 32, 32], stages=dict(D1=['E1', 'E9']))))\n" + more
    )


def test_a_search_stands_for_what_it_found(tmp_path):
    work_dir = tmp_path / 'fdn_mbv2_shapes'
    log(work_dir, 'a/vis_data/scalars.json', {'mIoU': 10.0, 'step': 600})
    log(work_dir / 'retrain', 'b/b.json', {'mIoU': 60.0})
    write_found(work_dir, 'retrain')
    (row,) = rows(CONFIGS / 'fdn_mbv2_shapes.py', [tmp_path])
    assert (row.method, row.connections, row.scores) == ('fdn_mbv2_shapes, from scratch', 2, [60.0])
    # E1 and E9 to D1, its normalisation, the classifier.
    classes = Config.fromfile(CONFIGS / 'sparsemask_mbv2_shapes.py').model.decode_head.num_classes
    assert row.decoder_parameters == (32 + 1280) * 64 + 2 * 64 + 65 * classes
    assert f'searched, then trained with {work_dir / "retrain.py"}' in row.notes[0]
    # The written config is a row of its own as well, under the same name.
    (row,) = rows(work_dir / 'retrain.py', ['elsewhere'])
    assert (row.method, row.connections) == ('fdn_mbv2_shapes, from scratch', 2)
    assert row.scores == [60.0]


def test_a_moved_work_directory_has_its_row(tmp_path):
    work_dir = tmp_path / 'fdn_mbv2_shapes'
    log(work_dir / 'retrain', 'b/b.json', {'mIoU': 60.0})
    write_found(work_dir, 'retrain')
    whole = Config.fromfile(work_dir / 'retrain.py')
    (work_dir / 'retrain.py').write_text("_base_ = ['../../configs/no_more.py']\n")
    (row,) = rows(CONFIGS / 'fdn_mbv2_shapes.py', [tmp_path])
    assert row.scores == [] and 'cannot be built: FileNotFoundError' in row.notes[1]
    whole.dump(work_dir / 'retrain' / 'retrain.py')
    (row,) = rows(CONFIGS / 'fdn_mbv2_shapes.py', [tmp_path])
    assert (row.connections, row.scores) == (2, [60.0])


def test_both_ways_of_training_are_rows(tmp_path):
    for seed, score in enumerate((70.0, 72.0)):
        work_dir = tmp_path / f's{seed}' / 'fdn_mbv2_shapes'
        log(work_dir / 'finetune', 'b/b.json', {'mIoU': score})
        log(work_dir / 'retrain', 'b/b.json', {'mIoU': score - 10})
        write_found(work_dir, 'finetune', 'train_cfg = dict(max_iters=7)\n')
        write_found(work_dir, 'retrain')
    found = rows(CONFIGS / 'fdn_mbv2_shapes.py', [tmp_path / 's0', tmp_path / 's1'])
    assert [(row.method, row.scores) for row in found] == [
        ('fdn_mbv2_shapes, fine-tuned', [70.0, 72.0]),
        ('fdn_mbv2_shapes, from scratch', [60.0, 62.0]),
    ]
    assert all('the size is that of the decoder in' in row.notes[0] for row in found)


def test_a_row_says_which_checkpoint_it_measured(tmp_path):
    """README's own commands: the search is tested as it is, then trained further and tested."""
    work_dir = tmp_path / 'fdn_mbv2_shapes'
    tuned = work_dir / 'finetune'
    tuned.mkdir(parents=True)
    write_found(work_dir, 'finetune')
    write_found(work_dir, 'retrain')
    log_test(tuned, '20260102', work_dir / 'pruned.pth', 48.82)
    config = CONFIGS / 'fdn_mbv2_shapes.py'
    pruned, fine, scratch = rows(config, [tmp_path])
    assert (pruned.method, pruned.scores) == ('fdn_mbv2_shapes, pruned', [48.82])
    assert (pruned.score_source, pruned.connections) == ('test of pruned.pth', 2)
    assert fine.scores == scratch.scores == [] and 'no result' in fine.notes[-1]
    # The test of what was trained may be older than that of what was found, and come from a folder
    # that was moved since; another run's checkpoint is none of its own.
    log_test(tuned, '20260101', 'old/fdn_mbv2_shapes/finetune/iter_7.pth', 59.46)
    other = tmp_path / 'other/finetune/iter_9.pth'
    other.parent.mkdir(parents=True)
    other.write_text('')
    log_test(tuned, '20260103', other, 12.0)
    pruned, fine, _ = rows(config, [tmp_path])
    assert (pruned.scores, fine.scores) == ([48.82], [59.46])
    assert fine.score_source == 'test of iter_7.pth'

    # Search and written configs name the same runs: each row is there once.
    configs = [work_dir / 'retrain.py', config, work_dir / 'finetune.py', config]
    found = [method.row for method in collect_methods(configs, [tmp_path], (64, 64))]
    assert sorted((row.method.rpartition(', ')[2], *row.scores) for row in found) == [
        ('fine-tuned', 59.46), ('from scratch',), ('pruned', 48.82),
    ]  # fmt: skip


def test_a_search_may_name_its_head_by_the_class(tmp_path):
    """As configs in pure Python do."""
    config = tiny.write_pure_search(tmp_path)
    (row,) = rows(config, [tmp_path])
    assert row.notes[0].startswith('the supernet is shown: no retrain.py in')


def test_a_search_of_several_seeds_has_the_rows_of_each_of_them(tmp_path):
    for seed in range(2):
        work_dir = tmp_path / f's{seed}/fdn_mbv2_shapes'
        log_test(work_dir / 'finetune', 'a', work_dir / 'finetune/iter_7.pth', 50.0 + seed)
        write_found(work_dir, 'finetune')
    configs = [tmp_path / 's1/fdn_mbv2_shapes/finetune.py', CONFIGS / 'fdn_mbv2_shapes.py']
    (both,) = collect_methods(configs, [tmp_path / 's0', tmp_path / 's1'], (64, 64))
    assert both.row.scores == [50.0, 51.0]
    assert len(collect_methods(configs, [tmp_path / 's0'], (64, 64))) == 2


def test_a_training_that_cannot_be_read_is_a_row_with_a_reason(tmp_path):
    work_dir = tmp_path / 'fdn_mbv2_shapes'
    work_dir.mkdir()
    (work_dir / 'finetune.py').write_text('model = 1 +')
    write_found(work_dir, 'retrain')
    fine, scratch = rows(CONFIGS / 'fdn_mbv2_shapes.py', [tmp_path])
    assert 'cannot be built: SyntaxError' in fine.notes[1] and fine.connections is None
    assert scratch.connections == 2


@pytest.mark.parametrize(
    'text, message',
    [
        (None, 'cannot be built: FileNotFoundError'),
        ("model = dict(type='NoSuchModel')", 'cannot be built: KeyError.*NoSuchModel'),
        ('model = 1 +', 'cannot be built: .*Error'),
        ('x = 1', 'cannot be built'),
    ],
)
def test_a_row_that_fails_says_why(tmp_path, text, message):
    import re

    path = tmp_path / 'broken.py'
    if text is not None:
        path.write_text(text)
    (method,) = collect(path, [tmp_path], (64, 64))
    assert method.model is None and method.row.parameters is None
    assert len(method.row.notes) == 1 and re.match(message, method.row.notes[0])


class Sleeper(nn.Module):
    align_corners = False
    backbone = nn.Identity()

    def __init__(self, name, calls, fail=False):
        super().__init__()
        self.name, self.calls, self.fail = name, calls, fail

    def forward(self, image, mode):
        assert mode == 'tensor' and not torch.is_grad_enabled()
        self.calls.append(self.name)
        if self.fail:
            raise RuntimeError('first\nno such kernel')
        return image


def test_models_take_turns(monkeypatch):
    calls, ticks = [], []
    methods = [
        Method(Row('a'), Sleeper('a', calls)),
        Method(Row('b'), Sleeper('b', calls, fail=True)),
        Method(Row('none')),
        Method(Row('c'), Sleeper('c', calls)),
    ]
    clock = iter(range(1000))
    monkeypatch.setattr(time, 'perf_counter', lambda: next(clock))
    measure_module.measure(methods, (8, 8), 'cpu', rounds=3, warmup=1, tick=lambda: ticks.append(1))
    assert calls == ['a', 'b', 'c', 'a', 'c', 'c', 'a', 'c', 'a']
    assert len(ticks) == 4 * 3
    assert [m.row.fps for m in methods] == [1.0, None, None, 1.0]
    assert methods[1].row.notes == ['cannot be measured: RuntimeError: no such kernel']
    assert methods[0].row.memory is None


def tool():
    path = ROOT / 'tools' / 'compare.py'
    spec = importlib.util.spec_from_file_location('tool_compare', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_tool(tmp_path, capsys):
    log(tmp_path / 'fcn_mbv2_shapes', 'a/a.json', {'mIoU': 30.0})
    configs = [str(CONFIGS / f'{name}_mbv2_shapes.py') for name in ('fcn', 'sparsemask')]
    arguments = [*configs, 'missing.py', '--work-dirs', str(tmp_path), '--shape', '64']
    tool()(
        [*arguments, '--measure', '--rounds', '2', '--device', 'cpu', '--out', str(tmp_path / 'o')]
    )
    text = capsys.readouterr().out
    assert '| fcn_mbv2_shapes        | -           | 30.00 (test) |' in text
    assert 'One 64x64 image at a time, float32, CPU' in text and 'threads' in text
    assert '- missing: cannot be built: FileNotFoundError' in text
    assert sorted(os.listdir(tmp_path / 'o')) == [
        f'compare.{kind}' for kind in ('csv', 'json', 'md', 'svg')
    ]
    lines = (tmp_path / 'o' / 'compare.csv').read_text().splitlines()
    assert len(lines) == 4 and float(lines[2].split(',')[11]) > 0


@pytest.mark.parametrize('extra', [['--shape', '0'], ['--shape', '1', '2', '3'], ['--rounds', '0']])
def test_tool_bad_arguments(extra):
    with pytest.raises(SystemExit):
        tool()(['x.py', *extra])
