from torch import nn

from mmseg_sparsemask.utils.registered import replace_sync_bn


def test_names_and_classes_of_synchronised_norms_are_replaced():
    settings = [dict(norm_cfg=dict(type=kind)) for kind in ('SyncBN', 'MMSyncBN', nn.SyncBatchNorm)]
    model = dict(backbone=settings, neck=dict(norm_cfg=dict(type='GN')))
    assert replace_sync_bn(model) == 3
    assert all(part['norm_cfg'] == dict(type='BN') for part in settings)
    assert model['neck']['norm_cfg'] == dict(type='GN')
