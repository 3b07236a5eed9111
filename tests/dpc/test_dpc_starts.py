"""What a search of cells makes sure of before it starts."""

from dataclasses import replace

import pytest
from mmengine.config import Config

from mmseg_sparsemask.dpc import worker
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.report import check_retrain, write_best
from mmseg_sparsemask.dpc.search import run_search
from mmseg_sparsemask.dpc.settings import ProxySettings, SearchSettings
from mmseg_sparsemask.dpc.storage import open_storage
from mmseg_sparsemask.dpc.study import check_fingerprint, open_study


@pytest.mark.parametrize(
    'change', [dict(objectives=('miou', 'latency')), dict(constraints=dict(latency=5.0))]
)
def test_times_of_another_processor_do_not_compare(tiny, tmp_path, monkeypatch, change):
    settings = SearchSettings.from_config(tiny)

    def found(**changes):
        model = tiny.to_dict()['model']
        return worker.settings_fingerprint(replace(settings, **changes), ProxySettings(), model, {})

    storage = open_storage(str(tmp_path / 'study.db'))
    timed = open_study(storage, 'timed', settings.directions, found(**change))
    monkeypatch.setattr(worker, 'processor', lambda device: 'another')
    with pytest.raises(ValueError, match=r'with latency=on .*, this is latency=on another; '):
        check_fingerprint(timed, found(**change))
    assert 'latency' not in found()  # no score depends on it


def test_a_training_config_in_pure_python(tiny, tmp_path):
    """What inherits it has to be one, too."""
    (tmp_path / 'pure.py').write_text(
        'from mmengine.config import read_base\n\nwith read_base():\n    from .tiny import *\n'
    )
    check_retrain(str(tmp_path / 'pure.py'), tmp_path / 'out')
    text = '-1:conv1x1 0:sep3x3_1x2'
    cell = write_best(text, {}, str(tmp_path / 'pure.py'), tmp_path / 'out')
    config = Config.fromfile(tmp_path / 'out/retrain.py')
    assert Cell.from_published(config.model.decode_head.cell) == cell
    assert config.work_dir == str(tmp_path / 'out/retrain')


def test_a_training_config_without_a_cell_is_refused_before_the_search(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_sparsemask.dpc.search.prepare_task', lambda cfg: pytest.fail('ran'))
    (tmp_path / 'fcn.py').write_text("model = dict(decode_head=dict(type='FCNHead'))\n")
    tiny.dpc_search.retrain = './fcn.py'
    with pytest.raises(ValueError, match=r"retrain: .*fcn\.py cannot .* 'DPCHead', got 'FCNHead'"):
        run_search(tiny, str(tmp_path / 'study.db'), 's', 1, 2, tmp_path / 'work')
    assert not list((tmp_path / 'work').glob('.check*'))
