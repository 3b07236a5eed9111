"""Options of the command line count like a config's own lines."""

import sys

from mmseg_sparsemask.utils.read_config import read_config


def test_modules_that_options_name_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'own_parts_of_a_user.py').write_text('')
    (tmp_path / 'config.py').write_text('model = dict()\n')
    monkeypatch.syspath_prepend(tmp_path)
    read_config(tmp_path / 'config.py', {'custom_imports.imports': ['own_parts_of_a_user']})
    assert sys.modules.pop('own_parts_of_a_user')
