import pytest
from mmengine.config import Config

from mmseg_sparsemask.launch.evaluation_options import (
    enable_drawing,
    enable_tta,
    write_predictions_to,
)


def config(**kwargs):
    return Config(dict(launcher='none', model=dict(type='EncoderDecoder'), **kwargs))


def test_drawing():
    cfg = config(default_hooks=dict(visualization=dict(type='V')), visualizer=dict(type='S'))
    enable_drawing(cfg, show_dir='d')
    assert cfg.default_hooks.visualization == dict(type='V', draw=True)
    assert cfg.visualizer.save_dir == 'd'
    enable_drawing(cfg, show=True, wait_time=3.0)
    assert cfg.default_hooks.visualization == dict(type='V', draw=True, show=True, wait_time=3.0)
    with pytest.raises(ValueError, match='need the visualisation hook'):
        enable_drawing(config(), show=True)


def test_tta():
    loader = dict(batch_size=4, dataset=dict(pipeline=[1]))
    cfg = config(test_dataloader=loader, tta_model=dict(type='T'), tta_pipeline=[2])
    enable_tta(cfg)
    assert cfg.model == dict(type='T', module=dict(type='EncoderDecoder'))
    assert cfg.test_dataloader == dict(batch_size=1, dataset=dict(pipeline=[2]))
    with pytest.raises(ValueError, match='--tta needs tta_pipeline in the config'):
        enable_tta(config(test_dataloader=loader, tta_model=dict(type='T')))


@pytest.mark.parametrize(
    'head, merged',
    [
        (dict(num_classes=2, out_channels=1), 'BinaryTTAModel'),
        (dict(num_classes=1), 'BinaryTTAModel'),
        (dict(num_classes=2), 'SegTTAModel'),
    ],
)
def test_one_output_has_a_merging_of_its_own(head, merged):
    """The toolbox's takes the sigmoid twice, which makes every pixel foreground."""
    loader = dict(batch_size=1, dataset=dict(pipeline=[1]))
    cfg = config(test_dataloader=loader, tta_model=dict(type='SegTTAModel'), tta_pipeline=[2])
    cfg.model.decode_head = head
    enable_tta(cfg)
    assert cfg.model.type == merged


def test_tta_of_data_sets_inside_others():
    parts = [dict(type='A', pipeline=[1]), dict(type='B', dataset=dict(type='A'), times=2)]
    loader = dict(batch_size=4, dataset=dict(type='ConcatDataset', datasets=parts))
    cfg = config(test_dataloader=loader, tta_model=dict(type='T'), tta_pipeline=[2])
    enable_tta(cfg)
    one = dict(type='A', pipeline=[2])
    assert cfg.test_dataloader.dataset == dict(
        type='ConcatDataset', datasets=[one, dict(type='B', dataset=one, times=2)]
    )


def test_predictions_are_written_by_every_metric():
    one = config(test_evaluator=dict(type='IoUMetric'))
    write_predictions_to(one, 'p')
    assert one.test_evaluator.output_dir == 'p'
    two = config(test_evaluator=[dict(type='A'), dict(type='B')])
    write_predictions_to(two, 'p')
    assert [e.output_dir for e in two.test_evaluator] == ['p', 'p']
