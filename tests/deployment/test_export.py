"""Exported files: what is in them, that they compute what the model computes, and how they fail."""

import copy
import json
import runpy
import sys
import zipfile
from collections import Counter

import pytest
import torch
from mmseg.registry import MODELS
from reference.tiny import ROOT, call

from mmseg_sparsemask.connectivity.graph import resolution_groups
from mmseg_sparsemask.deployment import export as package_export
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.export import (
    SUFFIXES,
    Difference,
    decoder_convs,
    difference_from,
    export,
    random_inputs,
    trace,
)
from mmseg_sparsemask.deployment.loading import load_predictor
from mmseg_sparsemask.deployment.metadata import Metadata
from mmseg_sparsemask.deployment.predictor import metadata_of

writers = sys.modules['mmseg_sparsemask.deployment.export'].WRITERS

#: Of the decoder in conftest.py, without the classifier.
CONVS = [
    *[('D3', 's8'), ('D3', 'G'), ('D2', 's4'), ('D2', 's8')],
    *[('D1', 's2'), ('D1', 's4'), ('D1', 's8'), ('D1', 'G')],
]
TRACED = (64, 80)


def contents(path):
    """Everything in a file, also inside an archive."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b''.join(name.encode() + archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize('kind', SUFFIXES)
def test_names_nothing_of_this_package(kind, exported):
    data = contents(exported[kind].path)
    for word in (b'mmseg', b'mmcv', b'mmengine', b'FeatureTaps', b'DeployedDecoder', b'SparseMask'):
        assert word not in data, word
    assert str(ROOT).encode() not in data


def test_the_program_has_one_conv_for_each_stage_and_resolution(model, program):
    assert decoder_convs(program) == Counter(CONVS)
    graph = model.decode_head.connectivity
    groups = {stage: resolution_groups(graph, stage) for stage in graph.stages}
    assert [(stage, g.name) for stage in groups for g in groups[stage]] == CONVS


def test_the_onnx_graph_has_one_conv_for_each_stage_and_resolution(exported):
    onnx = pytest.importorskip('onnx')
    graph = onnx.load(exported['onnx'].path).graph
    convs = [node.input[0] for node in graph.node if node.op_type in ('MatMul', 'Gemm')]
    decoder = Counter(name.split('.', 1)[1] for name in convs if name.startswith('decoder.'))
    # What has D1's own size, and the classifier, once for each strip.
    strips = dict.fromkeys(('convs.D1.s2.weight', 'classifier.weight'), 4)  # 8 / 2, the strides
    once = {f'convs.{stage}.{group}.weight': 1 for stage, group in CONVS}
    assert decoder == {**once, **strips}
    # The backbone's last activation is that of the head, and stands once.
    clips = {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'Clip'}
    assert clips and not any(source in clips for source in clips.values())
    # Nothing is left of normalisations, connection weights, or one resize for each connection.
    kinds = Counter(node.op_type for node in graph.node)
    assert 'BatchNormalization' not in kinds
    assert kinds['Resize'] == 1 + 2 + 1  # D2 from s8, D1 from s4 and s8, the logits


def test_onnx_takes_any_batch_and_size(exported):
    onnxruntime = pytest.importorskip('onnxruntime')
    session = onnxruntime.InferenceSession(str(exported['onnx'].path))
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape) == ('image', ['batch', 3, 'height', 'width'])
    assert (logits.name, logits.shape) == ('logits', ['batch', 6, 'height', 'width'])
    assert exported['onnx'].opset >= 18


@pytest.mark.parametrize('shape', [(2, 3, *TRACED), (1, 3, 97, 50), (3, 3, 33, 70)])
@pytest.mark.parametrize('kind', SUFFIXES)
def test_equals_the_toolbox(kind, shape, exported, model):
    predictor = load_predictor(exported[kind].path)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    difference = difference_from(model, predictor.logits, images)
    assert difference.logits > 0.5
    assert difference.largest < 1e-5 * difference.logits


@pytest.mark.parametrize('kind', SUFFIXES)
def test_metadata(kind, exported, model):
    path = exported[kind].path
    if kind == 'onnx':
        onnx = pytest.importorskip('onnx')
        strings = {item.key: item.value for item in onnx.load(path).metadata_props}
    else:
        files = {'metadata.json': ''}
        load = torch.jit.load if kind == 'torchscript' else torch.export.load
        key = '_extra_files' if kind == 'torchscript' else 'extra_files'
        load(str(path), **{key: files})
        strings = json.loads(files['metadata.json'])
    meta = Metadata.from_strings(strings, 'file')
    assert meta == metadata_of(model)
    assert meta.mean == pytest.approx((123.675, 116.28, 103.53))
    assert meta.bgr_to_rgb and meta.resize == () and meta.threshold is None
    assert meta.classes[2] == 'disk' and meta.palette[2] == (80, 175, 90)
    with pytest.raises(ValueError, match='has no metadata classes'):
        Metadata.from_strings({k: v for k, v in strings.items() if k != 'classes'}, 'file')
    with pytest.raises(ValueError, match='format version 99'):
        Metadata.from_strings({**strings, 'format_version': '99'}, 'file')


def spoil(program, value):
    """One weight of a program's decoder, changed."""
    state = program.state_dict
    name = next(name for name in state if name.startswith('decoder.convs.D3'))
    wrong = state[name].clone()
    wrong.view(-1)[0] = value
    return {name: torch.nn.Parameter(wrong, requires_grad=False)}


@pytest.mark.parametrize('value', [3.0, float('nan')])
@pytest.mark.parametrize('kind', ['torchscript', 'torch_export'])
def test_a_wrong_file_is_not_left_behind(kind, value, model, program, tmp_path, monkeypatch):
    right = writers[kind]

    def wrong(program, path, metadata):
        before = dict(program.state_dict)
        program.state_dict.update(spoil(program, value))
        try:
            return right(program, path, metadata)
        finally:
            program.state_dict.update(before)

    monkeypatch.setitem(writers, kind, wrong)
    path = tmp_path / f'net{SUFFIXES[kind]}'
    path.write_text('what was here')
    with pytest.raises(ValueError, match=r'logits on noise .* differ by .* was not written'):
        export(model, path, kind, metadata_of(model), random_inputs(TRACED, 32), program)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == 'what was here'


def test_a_writer_that_fails_leaves_nothing(model, program, tmp_path, monkeypatch):
    def fail(program, path, metadata):
        path.write_bytes(b'half')
        raise RuntimeError('no words for this')

    monkeypatch.setitem(writers, 'onnx', fail)
    with pytest.raises(RuntimeError, match='no words'):
        export(
            model,
            tmp_path / 'a.onnx',
            'onnx',
            metadata_of(model),
            random_inputs(TRACED, 32),
            program,
        )
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_tracing_leaves_the_segmentor_as_it_is(model):
    segmentor = deployed_segmentor(model)
    image = torch.randn(1, 3, 64, 64)
    wanted = segmentor(image)
    trace(segmentor, TRACED, 32)
    assert torch.equal(segmentor(image), wanted)


def test_a_program_overwrites_no_map(program):
    targets = [str(node.target) for node in program.graph.nodes]
    assert 'aten.hardtanh.default' in targets
    assert not [name for name in targets if name.startswith('aten.hardtanh_')]


def test_differences():
    assert Difference(9e-5, 0.5).within(1e-4) and not Difference(2e-4, 0.5).within(1e-4)
    assert Difference(2e-4, 5.0).within(1e-4) and not Difference(6e-4, 5.0).within(1e-4)
    assert not Difference(float('nan'), 1.0).within(1e-4)


def test_bad_arguments(model, tmp_path):
    arguments = dict(metadata=metadata_of(model), inputs=random_inputs(TRACED, 32))
    with pytest.raises(ValueError, match="one of .*, got 'caffe'"):
        export(model, tmp_path / 'net', 'caffe', **arguments)
    with pytest.raises(ValueError, match='at least one input'):
        export(model, tmp_path / 'net.onnx', 'onnx', arguments['metadata'], {})
    with pytest.raises(ValueError, match=r'net-0.5: expected a file \*.onnx'):
        export(model, tmp_path / 'net-0.5', 'onnx', **arguments)
    with pytest.raises(ValueError, match='at least 16x16 .* got 8x80'):
        trace(model, (8, 80), 16)
    assert not list(tmp_path.iterdir())


def test_missing_libraries_name_the_extra(model, tmp_path, monkeypatch):
    find = package_export.__globals__['require_extra'].__globals__['importlib'].util.find_spec
    monkeypatch.setattr(
        'importlib.util.find_spec',
        lambda name, *more: None if name == 'onnxscript' else find(name, *more),
    )
    with pytest.raises(ImportError, match=r'onnxscript.*\[deploy\]'):
        export(model, tmp_path / 'net.onnx', 'onnx', metadata_of(model), random_inputs(TRACED, 32))


def tool(*arguments, cwd, check=True):
    return call(
        sys.executable, ROOT / 'tools/deployment/export.py', *arguments, cwd=cwd, check=check
    )


def test_the_tool(trained, tmp_path):
    config, checkpoint = trained
    out = tmp_path / 'made' / 'net.onnx'
    done = tool(config, checkpoint, '--format', 'onnx', 'torchscript', '--out', out, cwd=tmp_path)
    assert 'convolutions of the decoder: 8, and the classifier' in done.stdout
    assert 'D1  s2: 1, s4: 1, s8: 1, G: 1' in done.stdout
    assert done.stdout.count('largest difference on test image 1') == 2
    assert done.stdout.count('done: ') == 2
    assert sorted(p.name for p in out.parent.iterdir()) == ['net.onnx', 'net.torchscript']


def main_of_tool(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['export.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / 'tools/deployment/export.py'), run_name='__main__')
    return stop.value.code


@pytest.mark.parametrize(
    'out, name',
    [
        ('net-0.5', 'net-0.5.onnx'),
        ('net.onnx', 'net.onnx'),
        ('v1.2.torchscript', 'v1.2.onnx'),
        ('a.b/net', 'a.b/net.onnx'),
        (None, 'iter_0.5.onnx'),
        ('there/', 'there/iter_0.5.onnx'),
        ('there', 'there/iter_0.5.onnx'),
        ('.', 'iter_0.5.onnx'),
        ('new/', 'new.onnx'),
    ],
)
def test_only_known_suffixes_are_replaced(out, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').mkdir()
    tool = runpy.run_path(str(ROOT / 'tools/deployment/export.py'))
    options = ['--out', out] if out else []
    args = tool['parse_args'](['config.py', 'iter_0.5.pth', *options])
    assert str(tool['out_path'](args, '.onnx')) == name


@pytest.mark.parametrize('option', ['--tolerance', '--miou-tolerance', '--miou-share'])
def test_tolerances_are_numbers(option, capsys):
    tool = runpy.run_path(str(ROOT / 'tools/deployment/export.py'))
    with pytest.raises(SystemExit):
        tool['parse_args'](['config.py', 'iter.pth', option, 'nan'])
    assert f'{option}: expected a number, got nan' in capsys.readouterr().err


def test_the_tool_fails_without_leaving_a_file(trained, tmp_path, monkeypatch, capsys):
    config, checkpoint = trained
    out = tmp_path / 'net.torchscript'
    common = [config, checkpoint, '--format', 'torchscript', '--out', out]
    message = main_of_tool(monkeypatch, *common, '--tolerance', '1e-12')
    assert message.startswith('error: torchscript: logits on noise') and 'not written' in message
    assert not list(tmp_path.iterdir())
    (tmp_path / 'a.jpg').write_text('no image')
    message = main_of_tool(monkeypatch, *common, '--images', tmp_path / 'a.jpg')
    assert 'a.jpg is not an image' in message
    message = main_of_tool(monkeypatch, *common, '--cfg-options', 'model.decode_head.channels=4')
    assert 'does not fit the model of the config' in message
    assert not out.exists()


def test_the_tool_writes_smaller_files(trained, tmp_path):
    config, checkpoint = trained
    out = tmp_path / 'net.onnx'
    smaller = [
        '--dtype',
        'float16',
        '--quantize',
        'int8',
        '--miou-tolerance',
        '100',
        '--miou-share',
        '1',
    ]
    done = tool(config, checkpoint, '--out', out, *smaller, cwd=tmp_path)
    assert 'measuring on 2 of 2 test images' in done.stdout
    for precision in ('float32', 'float16', 'int8'):
        line = next(x for x in done.stdout.splitlines() if x.startswith(f'{precision}: '))
        assert 'MiB' in line and 'ms an image' in line and 'mean IoU' in line
        assert ('points' in line) == (precision != 'float32')
    names = ['net.float16.onnx', 'net.int8.onnx', 'net.onnx']
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_smaller_files_that_are_refused(trained, tmp_path, monkeypatch):
    config, checkpoint = trained
    out = tmp_path / 'made' / 'net.onnx'
    common = [config, checkpoint, '--out', out]
    message = main_of_tool(monkeypatch, *common, '--format', 'torch_export', '--quantize', 'int8')
    assert message.startswith('error: int8: expected the format onnx')
    assert not out.exists()
    message = main_of_tool(monkeypatch, *common, '--quantize', 'int8', '--miou-tolerance', '-100')
    assert 'points below' in message and '--miou-tolerance' in message
    assert [p.name for p in out.parent.iterdir()] == ['net.onnx']


COARSE = dict(
    type='SparseMaskHead',
    connectivity=dict(
        strides=[1, 8, 16],
        stages=dict(D3=['E3', 'G'], D1=['E1', 'E2', 'E3', 'D3', 'G']),
    ),
    in_channels=[4, 6, 8],
    in_index=[0, 1, 2],
    channels=8,
    num_classes=5,
    loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
)
#: A decoder whose logits are eight times coarser than the image.
ENDS_AT_D2 = dict(strides=[1, 8, 16], stages=dict(D3=['E3', 'G'], D2=['E2', 'D3']))
ENDS_AT_D3 = dict(strides=[1, 8, 16], stages=dict(D3=['E3', 'G']))


class Pyramid(torch.nn.Module):
    """Features of strides 1, 8 and 16."""

    def __init__(self):
        super().__init__()
        self.convs = torch.nn.ModuleList(
            torch.nn.Conv2d(3, channels, 3, stride, 1)
            for channels, stride in zip((4, 6, 8), (1, 8, 16))
        )

    def forward(self, image):
        return tuple(conv(image) for conv in self.convs)


@pytest.mark.parametrize(
    ('graph', 'resizes'), [(COARSE['connectivity'], 1), (ENDS_AT_D2, 2), (ENDS_AT_D3, 1)]
)
@torch.no_grad()
def test_maps_eight_times_coarser_and_more_are_resized_by_products(model, tmp_path, graph, resizes):
    """Images may be small wherever a decoder ends."""
    onnx = pytest.importorskip('onnx')
    torch.manual_seed(0)
    whole = copy.deepcopy(model)
    whole.backbone = Pyramid()
    whole.decode_head = MODELS.build({**COARSE, 'connectivity': graph})
    torch.nn.init.normal_(whole.decode_head.conv_seg.weight)
    whole.eval()
    images = {
        f'{batch} of {height}x{width}': torch.randn(batch, 3, height, width)
        for batch, height, width in ((1, 33, 47), (2, 64, 40), (3, 51, 130))
    }
    path = tmp_path / 'net.onnx'
    done = export(whole, path, 'onnx', metadata_of(model), images, image_size=(48, 80))
    assert all(d.logits > 0.1 and d.within(1e-5) for d in done.differences.values())
    graph = onnx.load(path).graph
    # No more than the logits' own resize to the image's size, and D3's by two.
    assert sum(node.op_type == 'Resize' for node in graph.node) <= resizes
