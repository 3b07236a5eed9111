"""What is handed over, also where a part of it fails."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg_sparsemask.fit import delivery
from mmseg_sparsemask.fit.delivery import deliver, usage


@pytest.fixture
def chosen(tmp_path):
    (tmp_path / 'run/test/now').mkdir(parents=True)
    (tmp_path / 'run/test/now/now.json').write_text('{}')
    return SimpleNamespace(name='fcn', config=Path('fcn.py'), checkpoint=tmp_path / 'run/last.pth')


def delivered(chosen, out, monkeypatch, effects, missing=()):
    """What is returned and the tools that were called, which do what `effects` says."""
    called = []

    def call(self, title, name, *arguments):
        called.append(name)
        effects[name](Path(arguments[arguments.index('--out') + 1]))

    monkeypatch.setattr(delivery.Steps, 'call', call)
    monkeypatch.setattr(delivery, 'missing_extras', lambda: list(missing))
    table = SimpleNamespace(threads=1, encoder='small.py', data='own images')
    networks = SimpleNamespace(table=table, root=out, tools=out)
    files = deliver(chosen, networks, out)
    return [path.name for path in files], called


def fail(path):
    raise SystemExit('it failed')


def write_both(path):
    path.touch()
    path.with_name('model.int8.onnx').touch()


def without_int8(path):
    path.touch()
    raise SystemExit('it lost too much')


GOOD = {'deployment/export.py': write_both, 'publish.py': Path.mkdir}


def test_all_of_it_once(chosen, tmp_path, monkeypatch):
    files, called = delivered(chosen, tmp_path, monkeypatch, GOOD)
    assert files == ['model.onnx', 'model.int8.onnx', 'published'] and called == list(GOOD)
    assert delivered(chosen, tmp_path, monkeypatch, GOOD) == (files, [])


def test_what_another_network_left_is_not_handed_over(chosen, tmp_path, monkeypatch):
    files, _ = delivered(chosen, tmp_path, monkeypatch, GOOD)
    (tmp_path / 'chosen/mine.txt').touch()
    chosen.name = 'unet'
    assert delivered(chosen, tmp_path, monkeypatch, GOOD) == (files, list(GOOD))
    assert delivered(chosen, tmp_path, monkeypatch, GOOD) == (files, [])
    assert (tmp_path / 'chosen/mine.txt').is_file()


@pytest.mark.parametrize(
    'changed, files',
    [
        ({'deployment/export.py': without_int8}, ['model.onnx', 'published']),
        ({'deployment/export.py': fail}, ['published']),
        ({'publish.py': fail}, ['model.onnx', 'model.int8.onnx']),
    ],
)
def test_what_fails_is_left_out(chosen, tmp_path, monkeypatch, changed, files):
    assert delivered(chosen, tmp_path, monkeypatch, {**GOOD, **changed})[0] == files


def test_a_signal_ends_it(chosen, tmp_path, monkeypatch):
    def signalled(path):
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        delivered(chosen, tmp_path, monkeypatch, {**GOOD, 'deployment/export.py': signalled})


def test_extras_that_are_missing(chosen, tmp_path, monkeypatch):
    assert delivered(chosen, tmp_path, monkeypatch, {}, ['deploy', 'hub']) == ([], [])


@pytest.mark.parametrize('files, words', [([], 'load_model'), (['model.onnx'], 'load_predictor')])
def test_five_lines_of_python(chosen, files, words):
    code = usage(chosen, [Path(name) for name in files])
    assert len(code.splitlines()) == 5 and words in code
    compile(code, 'usage', 'exec')
