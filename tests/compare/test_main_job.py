"""The table of the main job."""

from pathlib import Path

import pytest

from mmseg_sparsemask.compare.main_job import main_job

CONFIGS = Path(__file__).parents[2] / 'configs/sparsemask'
SEARCH, UNET = (str(CONFIGS / f'{name}_mbv2_shapes.py') for name in ('fdn', 'unet'))


def lengths(table):
    return {entry.name: entry.iterations for entry in table.entries}


def test_lengths_are_those_of_the_configs():
    table = main_job(SEARCH, UNET, {'randomness.seed': 3})
    assert table.searches['search'].iterations == 300 and table.image_size == (96, 96)
    trained = dict(unet_mbv2_shapes=400, retrain=400, finetune=200)
    assert lengths(table) == dict(trained, supernet=0, pruned=0)
    assert table.options == {'randomness.seed': 3}
    # Runs that need no search come before those that wait for it, the longest first.
    assert list(lengths(table)).index('retrain') < list(lengths(table)).index('finetune')


def test_a_length_that_is_given_is_that_of_every_training():
    table = main_job(SEARCH, None, {'train_cfg.max_iters': 4})
    assert table.searches['search'].iterations == 4 and table.options == {}
    assert lengths(table) == dict(supernet=0, pruned=0, retrain=4, finetune=4)


@pytest.mark.parametrize(
    'config, message',
    [
        (UNET, 'expected a PruneHook with a retrain_config'),
        (str(CONFIGS / 'fdn_mbv2_voc.py'), 'expected a config that counts iterations'),
    ],
)
def test_a_config_of_another_kind(config, message):
    with pytest.raises(ValueError, match=message):
        main_job(config, None, {})
