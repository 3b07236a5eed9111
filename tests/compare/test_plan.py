"""Tables of runs: what they ask for, and what is wrong with some."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmseg_sparsemask.compare.comparisons import Design
from mmseg_sparsemask.compare.plan import (
    Run,
    as_arguments,
    read_table,
    runs_of,
)
from mmseg_sparsemask.compare.run_record import parse_options
from mmseg_sparsemask.compare.steps import schedule_options

ROOT = Path(__file__).parents[2]
TABLES = sorted((ROOT / 'results').glob('*.yaml'))
CONFIG = 'configs/sparsemask/unet_mbv2_shapes.py'
GOOD = dict(
    data='shapes',
    encoder='MobileNet-V2',
    image_size=[64, 64],
    threads=1,
    val_options={},
    searches=dict(
        search=dict(config='configs/sparsemask/fdn_mbv2_shapes.py', iterations=4),
    ),
    entries=[
        dict(name='unet', method='U-Net', training='t', seeds=[0, 1], iterations=8, config=CONFIG),
        dict(
            name='found',
            method='searched',
            training='t',
            seeds=[0],
            iterations=4,
            search='search',
            use='finetune',
        ),
    ],
)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def read(tmp_path, content):
    path = tmp_path / 'table.yaml'
    path.write_text(yaml.safe_dump(content))
    return read_table(path)


def changed(place, **change):
    """GOOD with other keys in one of its entries, or in itself."""
    content = {**GOOD, 'entries': [dict(entry) for entry in GOOD['entries']]}
    target = content if place is None else content['entries'][place]
    target.update(change)
    return content


def test_a_table_lists_its_runs_in_order(tmp_path):
    table = read(tmp_path, GOOD)
    unet, found = table.entries
    assert table.name == 'table' and table.image_size == (64, 64)
    assert runs_of(table) == [Run(unet, 0), Run(found, 0), Run(unet, 1)]
    assert runs_of(table, ['found']) == [Run(found, 0)]
    assert Run(found, 0).search == 'search' and Run(unet, 0).search is None


def test_controls_start_from_a_search(tmp_path):
    permuted = read(tmp_path, changed(1, control='permuted', seeds=[0, 1])).entries[1]
    assert [Run(permuted, seed).search_seed for seed in permuted.seeds] == [0, 0]
    sized = read(tmp_path, changed(0, size_of='search')).entries[0]
    assert (Run(sized, 1).search, Run(sized, 1).search_seed) == ('search', 1)


@pytest.mark.parametrize(
    'place, change, seed',
    [(1, {}, 1), (1, dict(control='random'), 0), (0, dict(size_of='search'), 0)],
)
def test_controls_of_a_point_are_those_of_one_search(tmp_path, place, change, seed):
    entry = read(tmp_path, changed(place, point=5000, seeds=[0, 1], **change)).entries[place]
    assert (Run(entry, 1).search, Run(entry, 1).search_seed) == ('search', seed)


def test_a_table_names_its_comparisons_before_it_runs(tmp_path):
    content = {**GOOD, 'primary': dict(entry='found', control='unet'), 'controls': ['unet']}
    unet, found = ('U-Net', 't', 0, 8), ('searched', 't', 4, 4)
    assert read(tmp_path, content).design == Design((found, unet), frozenset([unet]))
    assert read(tmp_path, GOOD).design == Design()


def test_a_page_needs_no_configs(tmp_path):
    path = tmp_path / 'table.yaml'
    path.write_text(yaml.safe_dump(changed(0, config='gone.py')))
    assert read_table(path, check_configs=False).entries[0].config == 'gone.py'


@pytest.mark.parametrize(
    'content, message',
    [
        ([], 'the table: expected a mapping'),
        ({**GOOD, 'extra': 1}, r"unknown keys \['extra'\]"),
        ({k: v for k, v in GOOD.items() if k != 'threads'}, r"missing keys \['threads'\]"),
        ({**GOOD, 'threads': 0}, 'threads: expected at least 1, got 0'),
        ({**GOOD, 'image_size': 64}, r'image_size: expected \[height, width\]'),
        (changed(0, config='none.py'), 'entry unet: the config none.py does not exist'),
        (changed(0, search='search'), 'entry unet: expected either a config or a search'),
        (changed(0, control='random'), 'entry unet: use and control are about a search'),
        # What a row would not hold as it is, so that it is never found again.
        (changed(0, training=400), 'entry 1: training: expected a line of text, got 400'),
        (changed(0, method='U-Net '), "entry 1: method: expected a line of text, got 'U-Net '"),
        ({**GOOD, 'data': 'a\nb'}, r"the table: data: expected a line of text, got 'a\\nb'"),
        (changed(0, seeds=[-1]), r'seeds: expected a list of different numbers, got \[-1\]'),
        (changed(0, seeds=[[0, 1]]), 'seeds: expected a list of different numbers'),
        (changed(0, iterations=0), 'entry unet: iterations: expected at least 1, got 0'),
        (changed(0, seeds=[1, 1]), 'seeds: expected a list of different numbers'),
        (changed(0, seed=1), r"entry 1: unknown keys \['seed'\]"),
        (changed(1, name='unet'), 'a name of its own for each'),
        (changed(1, search='x'), "no search 'x'; there are search"),
        (changed(0, same_inputs=True), 'entry unet: same_inputs is about size_of'),
        (
            {**GOOD, 'entries': [*GOOD['entries'], dict(GOOD['entries'][0], name='other')]},
            'entries unet and other have one method, training and number of iterations',
        ),
        (changed(0, point=5000), 'entry unet: point is about the front of a search'),
        (changed(1, point=0.5), 'entry found: point: expected parameters, got 0.5'),
        (changed(1, point=True), 'entry found: point: expected parameters, got True'),
        (changed(1, point=5000, control='permuted'), 'permuted weights have none'),
        (
            {**GOOD, 'primary': 'unet'},
            'primary: expected two entries',
        ),
        ({**GOOD, 'primary': dict(entry='unet', control='x')}, r"primary: no entries \['x'\]"),
        ({**GOOD, 'controls': 'unet'}, "controls: expected a list of entries, got 'unet'"),
        ({**GOOD, 'controls': [['y']]}, 'controls: no entries'),
        ({**GOOD, 'entries': None}, 'entries: expected a list, got None'),
        ({**GOOD, 'searches': ['a']}, r"searches: expected a mapping by name, got \['a'\]"),
        (
            {**GOOD, 'searches': {'search': {**GOOD['searches']['search'], 'front': '--rerank 9'}}},
            "search search: front: expected a list of texts, .*, got '--rerank 9'",
        ),
        ({**GOOD, 'controls': ['y']}, r"controls: no entries \['y'\]; there are unet, found"),
        (changed(1, use='all'), "use: expected one of .*retrain, pruned, got 'all'"),
        (changed(1, use='pruned'), 'use: pruned trains nothing; expected iterations: 0'),
        (changed(1, control='all'), "control: expected one of permuted, random, got 'all'"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf'table\.yaml: .*{message}'):
        read(tmp_path, content)


def test_unreadable_tables(tmp_path):
    with pytest.raises(ValueError, match=r'none\.yaml: cannot be read'):
        read_table(tmp_path / 'none.yaml')
    (tmp_path / 'bad.yaml').write_text('a: [1')
    with pytest.raises(ValueError, match=r'bad\.yaml: not a YAML file'):
        read_table(tmp_path / 'bad.yaml')


def test_unknown_entries_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no entries \['x'\]; there are unet, found"):
        runs_of(read(tmp_path, GOOD), ['x', 'unet'])


def test_options_are_read_back_as_they_were():
    options = {'a.b': 3, 'c': 'images/val', 'd': 0.05, 'e': [64, 64]}
    assert parse_options(as_arguments(options)) == options
    assert parse_options([]) == {}


@pytest.mark.parametrize('name', ['my images/a', 'a, b/(1', "it's mine", 'say "a b"', "'a b'"])
def test_folders_of_any_name_stay_what_they_are(name):
    options = {'test_evaluator.output_dir': name, 'e': [64, 64]}
    assert parse_options(as_arguments(options)) == options
    # As before, for whose shell keeps the quotes of a list.
    assert parse_options(["a='[1, 2]'", 'b=3,4']) == {'a': [1, 2], 'b': [3, 4]}


def test_schedules_keep_their_shape():
    cfg = Config.fromfile('configs/sparsemask/fdn_mbv2_shapes.py')
    options = schedule_options(cfg, 600)
    cfg.merge_from_dict(parse_options(as_arguments(options)))
    assert cfg.train_cfg.max_iters == 600 and cfg.train_cfg.val_interval > 600
    ends = [(scheduler.begin, scheduler.end) for scheduler in cfg.param_scheduler]
    assert ends == [(0, 60), (60, 600)]
    with pytest.raises(ValueError, match='expected a config that counts iterations'):
        schedule_options(Config.fromfile('configs/sparsemask/unet_mbv2_voc.py'), 600)


@pytest.mark.parametrize(
    ('schedules', 'scaled'),
    [
        ([dict(type='MultiStepLR', milestones=[60, 80])], [dict(milestones=[30, 40])]),
        (
            [dict(type='LinearLR', end=10), dict(type='CosineAnnealingLR', T_max=90, begin=10)],
            [dict(end=5), dict(T_max=45, begin=5)],
        ),
        (dict(type='StepLR', step_size=40, gamma=0.1), dict(step_size=20, gamma=0.1)),
    ],
)
def test_every_time_of_a_schedule_is_scaled(schedules, scaled):
    cfg = Config(dict(train_cfg=dict(max_iters=100), param_scheduler=schedules))
    cfg.merge_from_dict(parse_options(as_arguments(schedule_options(cfg, 50))))
    kept = [schedules, scaled] if isinstance(scaled, list) else [[schedules], [scaled]]
    wanted = [{**one, **times} for one, times in zip(*kept)]
    assert cfg.param_scheduler == (wanted if isinstance(scaled, list) else wanted[0])


@pytest.mark.parametrize('path', TABLES, ids=lambda path: path.stem)
def test_shipped_tables_compare_like_with_like(path):
    """Equal iterations, with the search's or, as in the paper, without."""
    table = read_table(path)
    totals = [
        {entry.iterations, run.search_iterations(table) + entry.iterations}
        for entry in table.entries
        if entry.use != 'pruned'
        for run in [Run(entry, entry.seeds[0])]
    ]
    assert not totals or set.intersection(*totals)
    seeds = {entry.name: len(entry.seeds) for entry in table.entries}
    # Boundaries and salient objects have baselines of their own.
    assert seeds.get('unet', 3) >= 3
    assert all(number >= 3 for name, number in seeds.items() if 'budget' in name)


def test_controls_of_the_comparison():
    table = read_table(ROOT / 'results/camvid-decoders_efficientnet-lite0.yaml')
    seeds = {entry.name: len(entry.seeds) for entry in table.entries}
    assert seeds['random'] >= 8 and seeds['random-inputs'] >= 4
