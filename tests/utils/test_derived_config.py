"""Configs that the package writes load, wherever they lie."""

import pytest
from mmengine.config import Config

from mmseg_sparsemask.utils.derived_config import Beside, write_derived_config

NAMES = ['plain', 'two words', "it's", 'a"b', 'back\\slash', "'+open('run', 'w').name+'", '{{ x }}']


@pytest.mark.parametrize('name', NAMES)
def test_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'base.py').write_text('a = 1\n')
    folder = tmp_path / name
    folder.mkdir()
    path = folder / 'derived.py'
    settings = {'work_dir': Beside('retrain')}
    write_derived_config(path, tmp_path / 'base.py', settings, 'Made here. ' + 'And more. ' * 20)
    cfg = Config.fromfile(path)
    assert cfg.a == 1 and cfg.work_dir == str(folder / 'retrain')
    assert not (tmp_path / 'run').exists()
    first, second, third, *_ = path.read_text().splitlines()
    assert first.startswith('# Made here. And') and second.startswith('# ')
    assert max(map(len, (first, second, third))) <= 100


def test_moves_with_its_project(tmp_path, monkeypatch):
    project = tmp_path / 'project'
    (project / 'work').mkdir(parents=True)
    monkeypatch.chdir(project)
    (project / 'base.py').write_text('a = 1\n')
    path = project / 'work' / 'derived.py'
    write_derived_config(path, 'base.py', {'w': Beside('x')}, 'Made here.')
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / 'moved')
    cfg = Config.fromfile(tmp_path / 'moved' / 'work' / 'derived.py')
    assert cfg.a == 1 and cfg.w == str(tmp_path / 'moved' / 'work' / 'x')


def test_settings_are_written_out(tmp_path):
    (tmp_path / 'base.py').write_text("model = dict(a=dict(b=1, c='old'))\nsteps = [1]\n")
    settings = {
        'model': {'a': {'c': None}, 'd': {}},
        'steps': [{'type': 'X', 'end': 3}],
        'name': "it's",
    }
    path = tmp_path / 'derived.py'
    write_derived_config(path, tmp_path / 'base.py', settings, 'Made here.')
    cfg = Config.fromfile(path)
    assert cfg.model.to_dict() == {'a': {'b': 1, 'c': None}, 'd': {}}
    assert cfg.steps == [{'type': 'X', 'end': 3}] and cfg.name == "it's"
    assert path.read_text().splitlines()[2:6] == [
        'model = dict(', '    a=dict(', '        c=None,', '    ),',
    ]  # fmt: skip


def test_keys_that_are_no_names(tmp_path):
    with pytest.raises(ValueError, match=r"keys that can be keywords, got \['a b'\]"):
        write_derived_config(tmp_path / 'x.py', 'base.py', {'m': {'a b': 1}}, 'Made here.')
