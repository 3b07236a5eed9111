"""A folder to hand on: what is written, read back, and refused."""

import ast
import copy
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from reference.hub import serving

from mmseg_sparsemask.connectivity import load, save
from mmseg_sparsemask.deployment import OnnxPredictor, ToolboxPredictor, load_published
from mmseg_sparsemask.deployment.publish import Scores, publish
from mmseg_sparsemask.deployment.published import (
    WithoutValues,
    build,
    checksum,
    decode,
    encode,
    read_description,
)
from mmseg_sparsemask.report.page import Step, render
from mmseg_sparsemask.utils.extras import requirement

pytest.importorskip('safetensors')
ROOT = Path(__file__).parents[2]
#: Settings of a head with more than a million million weights.
SIZES = dict(in_channels=2**16, in_index=2, channels=2**16, kernel_size=25, num_classes=6)
LARGE = dict(type='FCNHead', **SIZES)
SCORES = Scores({'mIoU': 61.25, 'aAcc': 90.5}, 'shapes | (test)', 'python tools/test.py c.py w.pth')


@pytest.fixture(scope='module')
def folder(model, tmp_path_factory):
    top = tmp_path_factory.mktemp('published')
    search = top / 'search'
    search.mkdir()
    save(model.decode_head.connectivity, search / 'connectivity.json')
    (search / 'report.html').write_text('<html></html>')
    (search / 'other.txt').write_text('not for others')
    publish(model, top / 'net', 'a net', SCORES, search, licence='apache-2.0')
    return top / 'net'


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (60, 76, 3), dtype=np.uint8)


def changed(folder, to, change):
    """A copy of a folder with another config.json, under a checksum that fits."""
    shutil.copytree(folder, to)
    content = json.loads((to / 'config.json').read_text())
    change(content)
    content['checksum'] = checksum(content)
    (to / 'config.json').write_text(json.dumps(content))
    return to


def sealed(net):
    """A copy of a folder under a checksum that fits its weights."""
    digest = hashlib.sha256((net / 'model.safetensors').read_bytes()).hexdigest()
    return changed(net, net.with_name('sealed'), lambda content: content.update(weights=digest))


def at(content, place):
    """The part of a config.json where a dotted name leads, and the last key."""
    *parents, last = place.split('.')
    for key in parents:
        content = content[int(key) if key.isdecimal() else key]
    return content, last


def test_what_is_written(folder, model):
    assert {path.name for path in folder.iterdir()} == {
        *('README.md', 'config.json', 'connectivity.json', 'connectivity.svg'),
        *('model.safetensors', 'report.html', 'scores.json'),
    }
    assert load(folder / 'connectivity.json') == model.decode_head.connectivity
    assert json.loads((folder / 'scores.json').read_text()) == vars(SCORES)
    text = (folder / 'config.json').read_text()
    assert 'work_dir' not in text and str(ROOT) not in text
    content = (folder / 'model.safetensors').read_bytes()
    names = set(json.loads(content[8 : 8 + int.from_bytes(content[:8], 'little')]))
    assert names - {'__metadata__'} == set(model.state_dict())


def test_two_lines_load_it_with_the_same_labels(folder, trained, image):
    predictor = load_published(folder)
    assert (predictor(image) == ToolboxPredictor(trained[0], str(trained[1]))(image)).all()
    assert len(np.unique(predictor(image))) > 1
    assert predictor.classes[2] == 'disk' and predictor.palette[1] == (40, 215, 90)


def test_model_card_is_what_the_hub_reads(folder):
    hub = pytest.importorskip('huggingface_hub')
    card = hub.ModelCard.load(folder / 'README.md')
    assert card.data.pipeline_tag == 'image-segmentation'
    assert card.data.license == 'apache-2.0'
    results = {r.metric_name: r for r in card.data.eval_results}
    assert results['mIoU'].metric_value == 61.25 and results['mIoU'].metric_type == 'mean_iou'
    assert results['aAcc'].dataset_name == 'shapes | (test)'
    assert r'| shapes \| (test) | 61.25 | 90.5 |' in card.text
    assert SCORES.command in card.text
    assert f"pip install '{requirement('onedl', 'hub')}'" in card.text
    assert '0 sky, 1 ground' in card.text
    for path in folder.iterdir():
        assert path.name == 'README.md' or f'[{path.name}]({path.name})' in card.text


def test_card_without_scores_says_so(model, tmp_path):
    publish(model, tmp_path / 'net', 'x: [y]\n# z')
    text = (tmp_path / 'net/README.md').read_text()
    assert 'Not evaluated' in text
    assert 'model-index' not in yaml.safe_load(text.split('---')[1])
    assert '# x: \\[y\\] # z\n' in text
    assert not (tmp_path / 'net/scores.json').exists()


def test_nothing_in_a_card_is_markup_but_its_own(model, tmp_path):
    markdown = pytest.importorskip('markdown_it').MarkdownIt('commonmark', {'html': True})
    words = [
        *('<script>alert(1)</script>', '![x](http://e.example/p.png)', '[y](javascript:f())'),
        *(
            'a | b `c` ~~d~~ <b>',
            '&lt;i&gt; $x$ http://e.example __e__',
            'f\n\n# g\n---\nlicense: mit',
        ),
    ]
    evil = copy.copy(model)
    evil.dataset_meta = dict(classes=words, palette=[[0, 0, 0]] * 6)
    name, licence, out = words[0] + words[1] + words[5], 'mit\n---\n# z', tmp_path / "n'); evil('"
    command = "python tools/test.py 'a | b' `c`\n```\n<script>"
    publish(
        evil, out, name, Scores({w: 1.0 for w in words[:5]}, words[3], command), licence=licence
    )
    _, metadata, text = (out / 'README.md').read_text().split('---\n', 2)
    metadata = yaml.safe_load(metadata)
    assert metadata['license'] == 'mit --- # z' and len(metadata) == 5
    tokens = markdown.enable(['table', 'strikethrough']).parse(text)
    blocks = {token.info: token.content for token in tokens if token.type == 'fence'}
    assert blocks['bash'] == "python tools/test.py 'a | b' `c` ``` <script>\n"
    (call,) = [node for node in ast.walk(ast.parse(blocks['python'])) if is_call(node)]
    assert call.args[0].value == out.name
    inline = [child for token in tokens for child in token.children or []]
    assert {t.type for t in [*tokens, *inline]} & {'html_block', 'html_inline', 's_open'} == set()
    assert [t.attrs['src'] for t in inline if t.type == 'image'] == ['connectivity.svg']
    links = {t.attrs['href'] for t in inline if t.type == 'link_open'}
    assert links == {'https://arxiv.org/abs/1904.07642'} | {
        path.name for path in out.iterdir() if path.name != 'README.md'
    }
    shown = ''.join(t.content for t in inline)
    assert all(' '.join(word.split()) in shown for word in words)
    assert sum(t.type == 'heading_open' for t in tokens) == 5


def is_call(node):
    return isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'load_published'


def test_no_folder_of_this_machine_is_named(model, tmp_path):
    search, folders = tmp_path / 'search', f'{tmp_path}/work dir/x'
    search.mkdir()
    save(model.decode_head.connectivity, search / 'connectivity.json')
    record = SimpleNamespace(name='x', commands=[Step(f"python '{folders}/retrain.py'", 'train')])
    (search / 'report.html').write_text(render('base.html.jinja', {}, record=record))
    assert folders in (search / 'report.html').read_text()
    publish(model, tmp_path / 'net', 'net', SCORES, search)
    for path in (tmp_path / 'net').iterdir():
        content = path.read_bytes()
        assert str(tmp_path).encode() not in content and str(ROOT).encode() not in content
    assert '</main>' in (tmp_path / 'net/report.html').read_text()


def test_onnx(model, tmp_path, image):
    pytest.importorskip('onnxruntime')
    publish(model, tmp_path / 'net', 'net', onnx=True, image_size=(64, 80))
    path = tmp_path / 'net/model.onnx'
    assert not any(str(f).encode() in path.read_bytes() for f in (ROOT, tmp_path, sys.prefix))
    labels = OnnxPredictor(path)(image)
    assert (labels == load_published(tmp_path / 'net')(image)).mean() > 0.999


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('model.type', 'os.system', 'expected one of EncoderDecoder'),
        ('model.type', None, 'expected one of EncoderDecoder'),
        ('model.backbone.backbone.type', 'subprocess.check_output', 'expected one of'),
        ('model.backbone.backbone.type', 'mmpretrain.HuggingFaceModel', 'expected one of'),
        ('model.backbone.backbone.type', ['ResNet'], 'expected one of'),
        ('model.backbone.backbone._scope_', 'evil', 'is none of the settings'),
        ('model.backbone._scope_', 'evil', 'is none of the settings'),
        ('model.decode_head.loss_decode', {'type': 'CrossEntropyLoss'}, 'is none of'),
        ('model.decode_head.sampler', {'type': 'OHEMPixelSampler'}, 'is none of'),
        ('model.auxiliary_head', {'type': 'FCNHead'}, 'is none of the settings'),
        ('model.train_cfg', {}, 'is none of the settings'),
        ('model.pretrained', 'torchvision://resnet18', 'expected false'),
        ('model.backbone.init_cfg', {'type': 'Pretrained'}, 'is none of the settings'),
        ('model.decode_head.connectivity', 'x.json', 'expected an object'),
        ('model.decode_head.connectivity.source', 'x.npy', 'is none of the settings'),
        ('model.decode_head.norm_cfg', {'type': 'evil.Norm'}, 'expected one of BN'),
        ('model.decode_head.channels', float('nan'), 'expected a whole number'),
        ('model.data_preprocessor.type', 'ClsDataPreprocessor', 'expected one of'),
        ('model.data_preprocessor.mean', [float('inf')] * 3, 'expected a number'),
        ('test_pipeline', [{'type': 'os.system', 'command': 'true'}], 'expected one of'),
        ('test_pipeline', [{'type': 'PackSegInputs'}], 'LoadImageFromFile first'),
        ('test_pipeline.0.backend_args', {'backend': 'petrel'}, 'is none of the settings'),
        ('dataset_meta.palette', 'x.npy', 'expected a list'),
        ('dataset_meta.classes', ['x'] * 5, 'expected a list of names as classes'),
        ('custom_imports', {'imports': ['evil']}, 'custom_imports: expected the keys'),
        ('training', {}, 'training: expected the keys'),
    ],
)
def test_what_is_not_in_the_lists_is_refused_by_its_name(folder, tmp_path, place, value, message):
    def change(content):
        part, key = at(content, place)
        part[key] = value

    with pytest.raises(ValueError, match=message) as refused:
        load_published(changed(folder, tmp_path / 'evil', change))
    assert place.split('.')[-1] in str(refused.value) and '\n' not in str(refused.value)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda c: c.update(version=1), 'expected version 2, got 1; publish it again'),
        (lambda c: c.update(format='other'), 'expected the format'),
        (lambda c: c.pop('model'), 'model: expected the keys'),
        (lambda c: c['model']['decode_head'].update(num_classes=9), 'do not fit'),
        (lambda c: c['model']['decode_head'].update(size=9), 'do not fit.*size'),
        (lambda c: c['model']['decode_head'].update(channels=65536), 'do not fit.*65536'),
    ],
)
def test_files_that_do_not_fit_are_errors(folder, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load_published(changed(folder, tmp_path / 'net', change))


def test_a_network_larger_than_its_weights_takes_no_memory(folder, tmp_path):
    net = changed(folder, tmp_path / 'net', lambda c: c['model'].update(decode_head=LARGE))
    with pytest.raises(ValueError, match='do not fit: .*size mismatch for decode_head.conv_seg'):
        load_published(net)
    # As an ordinary one it would ask for more than a machine has, which is an error of its own.
    description = read_description(net / 'config.json')
    with WithoutValues():
        sizes = [value.numel() for value in build(description).state_dict().values()]
    assert sum(sizes) > 10**12


def test_damaged_and_missing_files_are_errors(folder, tmp_path):
    def refused(message):
        with pytest.raises(ValueError, match=message) as error:
            load_published(net)
        assert str(net) in str(error.value) and '\n' not in str(error.value)

    net = changed(folder, tmp_path / 'net', lambda content: None)
    weights, config = net / 'model.safetensors', net / 'config.json'
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused('model.safetensors: is damaged, or not that of config.json')
    weights.write_bytes(b'\x80\x04pickled')
    refused('cannot be read')
    for make in (lambda: None, weights.mkdir, lambda: os.mkfifo(weights)):
        weights.rmdir() if weights.is_dir() else weights.unlink(missing_ok=True)
        make()
        refused('model.safetensors: cannot be read; expected a file')
    weights.unlink()
    weights.symlink_to(folder / 'model.safetensors')
    refused('model.safetensors: is a link that leads out of its folder')
    text = config.read_text()
    config.write_text(json.dumps(json.loads(text), indent=7))
    refused('model.safetensors: is a link')  # another layout says the same
    config.write_text(text.replace('"sky"', '"sly"'))
    refused('is damaged or was changed: its checksum does not fit')
    config.write_text('{"format"')
    refused('not a JSON file')
    config.unlink()
    os.mkfifo(config)
    refused('config.json: cannot be read; expected a file that python tools/publish.py wrote')
    with pytest.raises(ValueError, match='no such folder'):
        load_published(tmp_path / 'nowhere')


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_weights_that_are_not_numbers_are_neither_read_nor_published(
    folder, model, tmp_path, value
):
    from safetensors.torch import load_file, save_file

    net = changed(folder, tmp_path / 'net', lambda content: None)
    weights, name = net / 'model.safetensors', 'decode_head.norms.D1.running_var'
    state = load_file(weights)
    state[name][3] = value
    save_file(state, weights)
    with pytest.raises(ValueError, match=f'{name}: expected finite numbers'):
        load_published(sealed(net))
    broken = copy.deepcopy(model)
    broken.state_dict()[name][3] = value
    with pytest.raises(ValueError, match=f'{name}: expected finite numbers'):
        publish(broken, tmp_path / 'out', 'net')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', 'bool float16 float32 float64 float8_e4m3fn int32 int64'.split())
def test_weights_are_of_the_kinds_that_are_published(folder, image, tmp_path, kind):
    from safetensors.torch import load_file, save_file

    net = changed(folder, tmp_path / 'net', lambda content: None)
    weights, name = net / 'model.safetensors', 'decode_head.conv_seg.weight'
    state = load_file(weights)
    # As float32, one of them is infinite, and the other hardly a number.
    value = torch.full_like(state[name], 1e-42).double() if kind == 'float32' else 1e300
    state[name] = (torch.zeros_like(state[name]).double() + value).to(getattr(torch, kind))
    save_file(state, weights)
    if kind == 'float32':
        return load_published(sealed(net))(image)
    with pytest.raises(ValueError, match='expected float32 numbers|do not fit'):
        load_published(sealed(net))


@pytest.mark.parametrize('kind, bits', [('F4', 4), ('F6_E2M3', 6), ('F8_E8M0', 8), ('C64', 64)])
def test_weights_of_kinds_that_torch_may_lack(folder, tmp_path, kind, bits):
    """The header says that a tensor's bytes are something else."""
    net = changed(folder, tmp_path / 'net', lambda content: None)
    weights = net / 'model.safetensors'
    content = weights.read_bytes()
    end = 8 + int.from_bytes(content[:8], 'little')
    header = json.loads(content[8:end])
    begin, stop = header['decode_head.conv_seg.weight']['data_offsets']
    header['decode_head.conv_seg.weight'].update(dtype=kind, shape=[(stop - begin) * 8 // bits])
    text = json.dumps(header).encode()
    weights.write_bytes(len(text).to_bytes(8, 'little') + text + content[end:])
    with pytest.raises(ValueError, match=r'model\.safetensors'):
        load_published(sealed(net))


def test_nothing_half_written_and_nothing_overwritten(model, tmp_path, monkeypatch):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/mine.txt').write_text('mine')
    with pytest.raises(ValueError, match='is not empty'):
        publish(model, tmp_path / 'full', 'net')
    odd = Config(model.cfg.to_dict())
    odd.model.backbone.backbone.plugins = [dict(cfg=dict(type='ContextBlock'))]
    monkeypatch.setattr(model, 'cfg', odd)
    message = r'cannot be published: model.backbone.backbone.plugins: is none of the settings'
    with pytest.raises(ValueError, match=message):
        publish(model, tmp_path / 'net', 'net')
    assert [path.name for path in tmp_path.iterdir()] == ['full']


def test_encoding_tells_tuples_from_lists():
    value = {'scale': (2, [3, (4,)]), 'none': None, 'text': 'x', 'number': 0.5, 'yes': True}
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    pytest.importorskip('huggingface_hub')
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    with serving(folder) as endpoint_and_paths:
        yield endpoint_and_paths


def test_from_the_hub_by_repository_name(hub, folder, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endpoint, asked = hub
    predictor = load_published('someone/net', endpoint=endpoint)
    assert (predictor(image) == load_published(folder)(image)).all()
    # Nothing but the two files that are read.
    assert {path.rsplit('/', 1)[1] for path in asked} == {'config.json', 'model.safetensors'}
    with pytest.raises(ValueError, match='the hub does not give it'):
        load_published('someone/other', endpoint=endpoint)


def test_a_folder_of_that_name_comes_first(hub, folder, tmp_path, monkeypatch):
    endpoint, asked = hub
    (tmp_path / 'someone').mkdir()
    (tmp_path / 'someone/net').symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    load_published('someone/net', endpoint=endpoint)
    assert asked == []
