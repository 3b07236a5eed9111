"""The page that a search leaves: what is in it is what the search recorded."""

import json
import re

import pytest
from mmengine.runner import Runner
from reference import tiny
from reference.small_search import STAGES, STILL, put_weights

from mmseg_sparsemask.connectivity import load
from mmseg_sparsemask.search.record import HISTORY_KEY, SCORES_KEY
from mmseg_sparsemask.search.supernet import find_supernet
from mmseg_sparsemask.search.validation import main_score


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp('search')
    config = tiny.write_configs(folder, 6)
    still = {key: value for key, value in STILL.items() if not key.startswith('val_')}
    still['train_cfg.val_interval'] = 3
    runner = Runner.from_cfg(tiny.load(config, folder / 'w', **still))
    put_weights(runner, STAGES, 0.0)
    runner.train()
    return folder / 'w', runner


def data_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    )


def test_page_holds_history_scores_and_costs(searched):
    work_dir, runner = searched
    page = (work_dir / 'report.html').read_text()
    data, hub = data_of(page), runner.message_hub
    history = hub.get_info(HISTORY_KEY)
    assert (data['steps'], data['weights']) == (history['steps'], history['weights'])
    assert [score[0] for score in data['scores']] == [3, 6]
    assert [score[1] for score in data['scores']] == [s[2] for s in hub.get_info(SCORES_KEY)]
    assert data['score_name'] == 'mIoU'
    head = find_supernet(runner.model)
    found = load(work_dir / 'connectivity.json')
    cost = head.shape.cost(found)
    assert f'{cost.parameters:,} decoder parameters' in page
    assert f'{cost.multiply_adds:,} multiply-adds' in page
    assert f'python tools/train.py {work_dir}/retrain.py' in page


def test_lines_of_the_log_hold_numbers_with_few_digits(searched):
    (log,) = searched[0].glob('*/*.log')
    lines = re.findall(r'Iter\((?:train|val|test)\).*', log.read_text())
    assert any('mIoU' in line for line in lines)
    assert [line for line in lines if re.search(r'\[\(|\.\d{8}', line)] == []


def test_main_score_prefers_miou_and_leaves_times_alone():
    assert main_score({'aAcc': 1.0, 'mIoU': 2.0}) == [('mIoU', 2.0)]
    assert main_score({'data_time': 1.0, 'time': 2.0, 'MAE': 0.5}) == [('MAE', 0.5)]
    assert main_score({'time': 2.0}) == []
