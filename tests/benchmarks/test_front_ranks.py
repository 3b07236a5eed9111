"""Trainings on kept features: none is taken for that of another way to train."""

import runpy
from argparse import Namespace
from types import SimpleNamespace

from reference import tiny


def test_scores_of_another_training_are_not_taken(tmp_path):
    trained_file = runpy.run_path(str(tiny.ROOT / 'benchmarks/front_ranks.py'))['trained_file']
    tiny.write_configs(tmp_path)

    def path(notes='scores_1.jsonl', **more):
        settings = SimpleNamespace(retrain_config=str(tmp_path / 'sparse.py'))
        search, scorer = SimpleNamespace(settings=settings), SimpleNamespace(notes=tmp_path / notes)
        asked = {'iterations': 400, 'views': 2, 'val': 101, **more}
        supernet = SimpleNamespace(search=search, scorer=scorer)
        return trained_file(supernet, Namespace(out=tmp_path, **asked))

    others = [path(notes='scores_2.jsonl'), path(iterations=300), path(views=1), path(val=50)]
    with (tmp_path / 'sparse.py').open('a') as config:
        config.write('\noptim_wrapper = dict(optimizer=dict(lr=0.5))\n')
    assert len({*others, path()}) == 5 and path() == path()
