"""Settings that the toolbox refuses late or in words that name no key."""

import pytest
import torch
from mmengine.config import Config
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS
from reference.tiny import ROOT

from mmseg_sparsemask.launch import checks
from mmseg_sparsemask.launch.setting_checks import check_settings
from mmseg_sparsemask.utils.one_output import check_one_output


@pytest.mark.parametrize(
    'options, message',
    [
        ({'train_cfg.max_iter': 4}, r'^train_cfg\.max_iter: .* did you mean max_iters\?'),
        ({'val_cfg.x': 4}, r'^val_cfg\.x: ValLoop has no such setting; known are'),
        ({'custom_hooks': ["dict(type='PruneHook')"]}, r'^custom_hooks\.0: .* cannot write a dict'),
        ({'custom_hooks': 'PruneHook'}, '^custom_hooks: expected a list'),
        ({'custom_hooks.0.intervall': 4}, 'did you mean interval'),
        ({'default_hooks.logger': dict(interval=3)}, r'^default_hooks\.logger: expected a class'),
        ({'model.decode_head': dict(num_classes=6)}, r'model\.decode_head\.type=CLASS'),
        ({'model.decode_head.num_class': 6}, 'did you mean num_classes'),
        ({'model.decode_head.type': 'FDNhead'}, r'^model\.decode_head\.type: .* mean FDNHead\?'),
        ({'model.decode_head.type': 'Own'}, r'^model\.decode_head\.type: .* custom_imports'),
        ({'model.decod_head': 6}, r'^model\.decod_head: .* did you mean decode_head'),
        ({'model.decode_head': None}, '^model: EncoderDecoder needs decode_head as well'),
        ({'train_cfg': dict(type='IterBasedTrainLoop')}, '^train_cfg: .* needs max_iters as well'),
        ({'model.backbone': [1]}, r'^model\.backbone\.0: expected settings'),
        ({'model.data_preprocessor.sizes': 6}, 'did you mean size'),
        (
            {'model.decode_head.num_classes': 1},
            r'^model\.decode_head\.loss_decode: .*use_sigmoid=True',
        ),
    ],
)
def test_one_line_that_names_the_key(options, message):
    cfg = Config.fromfile(ROOT / 'configs/sparsemask/fdn_mbv2_shapes.py')
    check_settings(cfg)
    for key, value in options.items():
        parent, _, name = key.rpartition('.')
        holder = cfg[parent] if parent in cfg else cfg
        if value is None:
            del holder[name]
        elif isinstance(value, dict):
            holder[name] = value
        else:
            cfg.merge_from_dict({key: value})
    with pytest.raises(ValueError, match=message):
        check_settings(cfg)


def test_what_takes_any_setting_is_left_to_itself():
    cfg = Config.fromfile(ROOT / 'configs/sparsemask/fdn_mbv2_shapes.py')
    cfg.model.backbone = dict(type='mmpretrain.TIMMBackbone', model_name='x', in_chans=4)
    cfg.custom_hooks.append(dict(type='EMAHook', priority='HIGH', momentum=0.1))
    check_settings(cfg)


@pytest.mark.parametrize(
    'loss, refused',
    [
        (dict(type='CrossEntropyLoss'), True),
        (dict(type='CrossEntropyLoss', use_sigmoid=True), False),
        (dict(type='TverskyLoss'), True),
        (dict(type='BinaryCrossEntropyLoss'), False),
        (dict(type='BalancedBCELoss'), False),
        (dict(type='LovaszLoss', loss_type='binary', reduction='none'), False),
    ],
)
def test_losses_of_one_output(loss, refused):
    loss = MODELS.build(loss)
    if not refused:
        return check_one_output(loss)
    with pytest.raises(ValueError, match='takes a softmax'):
        check_one_output(loss)


def test_void_that_a_metric_scores(monkeypatch):
    said = []
    monkeypatch.setattr(checks, 'print_log', lambda text, **_: said.append(text))
    cfg = Config.fromfile(ROOT / 'configs/sparsemask/fdn_mbv2_shapes.py')
    check_settings(cfg)
    assert not said
    cfg.model.decode_head.ignore_index = 254
    check_settings(cfg)
    assert [text.partition(':')[0] for text in said] == ['val_evaluator', 'test_evaluator']
    assert 'val_evaluator.ignore_index=254' in said[0]
    cfg.merge_from_dict({'val_evaluator.ignore_index': 254, 'test_evaluator.ignore_index': 254})
    check_settings(cfg)
    assert len(said) == 2
    # A class that is scored and not learned.
    cfg.model.decode_head.ignore_index = 0
    check_settings(cfg)
    assert len(said) == 2


def test_what_a_metric_makes_of_void():
    """The reason of the check: a perfect prediction, and void that the metric does not know."""
    label, found = torch.tensor([[0, 1, 254]]), torch.tensor([[0, 1, 1]])
    areas = [
        IoUMetric.intersect_and_union(found, label, num_classes=2, ignore_index=ignored)
        for ignored in (254, 255)
    ]
    ious = [(common / union).tolist() for common, union, *_ in areas]
    assert ious == [[1, 1], [1, 0.5]]
