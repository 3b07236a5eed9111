"""Table 1: every method is there for every data set, and trains."""

import pytest
import torch
from mmseg.registry import MODELS
from reference.configs import batch, load, load_as_it_is

CLASSES = {'voc': 21, 'camvid': 11, 'camvid-96x128': 11, 'shapes': 6}
# Head, number of connections, loss on connections, module with the connections.
METHODS = {
    'fcn': ('FCNHead', None, None, None),
    'deeplabv3': ('ASPPHead', None, None, None),
    'unet': ('SparseMaskHead', 17, None, None),
    'sparseacn': ('SparseMaskHead', 34, None, None),
    'full': ('SparseMaskHead', 90, None, None),
    'sparsemask': ('SparseMaskHead', 15, None, None),
    'fdn': ('FDNHead', 90, 'SparseConnectivityLoss', 'RelaxedConnections'),
    'l1': ('FDNHead', 90, 'L1ConnectivityLoss', 'RelaxedConnections'),
    'maskconnect': ('FDNHead', 90, None, 'TopKConnections'),
}
# Methods that are one option of another's config, where they have none of their own.
OPTIONS = {
    'unet': ('sparsemask', {'model.decode_head.connectivity': 'unet'}),
    'sparseacn': ('sparsemask', {'model.decode_head.connectivity': 'sparse_acn'}),
    'full': ('sparsemask', {'model.decode_head.connectivity': 'fdn'}),
    'l1': ('fdn', {'model.decode_head.loss_connectivity.type': 'L1ConnectivityLoss'}),
}


def config_of(method, data):
    method, options = OPTIONS.get(method, (method, {})) if data == 'camvid' else (method, {})
    cfg = load_as_it_is(f'sparsemask/{method}_mbv2_{data}')
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize('method', METHODS)
def test_all_data_sets(method):
    head_type, count, loss, connections = METHODS[method]
    for data, classes in CLASSES.items():
        cfg = config_of(method, data)
        fcn = load_as_it_is(f'sparsemask/fcn_mbv2_{data}')
        assert cfg.optim_wrapper.optimizer == fcn.optim_wrapper.optimizer
        keys = ['train_dataloader', 'test_evaluator']
        # The search on shapes is shorter than what trains a method.
        if not (head_type == 'FDNHead' and data == 'shapes'):
            keys += ['train_cfg', 'param_scheduler']
        for key in keys:
            assert cfg[key] == fcn[key], 'methods differ in the decoder alone'
        # A search from pretrained weights keeps their normalisation as it is.
        encoder = {k: v for k, v in cfg.model.backbone.backbone.items() if k != 'norm_cfg'}
        assert encoder == fcn.model.backbone.backbone
        head = MODELS.build(cfg.model.decode_head)
        assert type(head).__name__ == head_type and head.num_classes == classes
        connectivity = getattr(head, 'connectivity', None)
        assert (connectivity and len(connectivity)) == count
        loss_module = getattr(head, 'loss_connectivity', None)
        assert (loss_module and type(loss_module).__name__) == loss
        module = getattr(head, 'connections', None)
        assert (module and type(module).__name__) == connections
        hooks = [hook['type'] for hook in cfg.get('custom_hooks', [])]
        assert ('PruneHook' in hooks) == (head_type == 'FDNHead')
        if method == 'maskconnect':
            assert module.k == 3
        if method == 'l1':
            searched = load_as_it_is(f'sparsemask/fdn_mbv2_{data}').model.decode_head
            weight = searched.loss_connectivity.loss_weight
            assert loss_module.loss_weight == weight


@pytest.mark.parametrize('method', METHODS)
def test_a_training_step(method):
    cfg = load(f'sparsemask/{method}_mbv2_shapes')
    cfg.model.data_preprocessor.size = (32, 32)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.train()
    data = model.data_preprocessor(batch((32, 32), classes=6), training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing, 'a parameter without gradient stops a run of several processes'
