"""What a stranger's description may say: every setting of every allowed class, one by one."""

import inspect
import itertools

import mmpretrain.models  # noqa: F401
import pytest
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_sparsemask.models import allowed
from mmseg_sparsemask.utils.registered import registered_class

CLASSES = {
    name: registered_class(name, TRANSFORMS if name in allowed.TRANSFORMS else MODELS)
    or registered_class(f'mmpretrain.{name}', MODELS)
    for name in allowed.NAMES
}

#: Paths, addresses, modules, pickles; classes by name and by themselves; numbers beyond bounds.
HOSTILE = [
    *('/etc/passwd', '../x', './x.npy', 'a/b', '~/x', 'C:\\x', '{{ x }}', 'x y', 'a\nb', ''),
    *('http://127.0.0.1/w.pkl', 'file:x', 'hf-hub:owner/net', 'local-dir:x', 'open-mmlab://x'),
    *(object(), print, b'x', {'_scope_': 'os'}, {'type': 'os.system'}, {'type': print}),
    *({'type': 'CrossEntropyLoss'}, {'init_cfg': None}, {'x': 1}, [['x/y']], [[[[1]]]]),
    *(float('nan'), float('inf'), 2**40, -(2**40), [0] * 10_001),
]
#: Settings that may be words of any kind, and what they are looked up in.
WORDS = {
    'arch': 'the table of the class',
    'model_name': "timm's models",
    'features': "the encoder's modules",
}
FILES = ['weights.pth', 'x.npy', 'connectivity.json', 'os.system', 'registry.py']


def settings_of(cls):
    """Parameters of a class, with those that it passes on to its bases, and their defaults."""
    found = {}
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base is object:
            continue
        kinds = inspect.signature(base.__init__).parameters.values()
        for parameter in kinds:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter.default)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in kinds):
            break
    found.pop('self')
    return found


def check(name, settings):
    needed = {'pretrained': False} if name in allowed.FETCHING else {}
    allowed.part(name)({'type': name, **needed, **settings}, 'x')


@pytest.mark.parametrize('name', CLASSES)
def test_no_setting_of_a_class_takes_what_is_not_plain(name):
    settings = settings_of(CLASSES[name])
    for key, value in itertools.product(settings, HOSTILE):
        with pytest.raises(ValueError, match=r'^x\.' + key):
            check(name, {key: value})
    for key, value in itertools.product(set(settings) - set(WORDS), FILES):
        with pytest.raises(ValueError, match=r'^x\.' + key):
            check(name, {key: value})
    # What a later version adds is refused until it is in the lists.
    with pytest.raises(ValueError, match=r'^x.new_setting: is none of the settings'):
        check(name, {'new_setting': 1})


@pytest.mark.parametrize('name', CLASSES)
def test_classes_that_fetch_weights_by_themselves_are_told_not_to(name):
    default = settings_of(CLASSES[name]).get('pretrained')
    assert bool(default) is (name in allowed.FETCHING)
    if default:
        for settings in ({}, {'pretrained': None}, {'pretrained': True}, {'pretrained': 'x.pth'}):
            with pytest.raises(ValueError, match='x.pretrained: expected false'):
                allowed.part(name)({'type': name, **settings}, 'x')


def test_every_setting_of_this_package_is_in_the_lists():
    own = {n: c for n, c in CLASSES.items() if c.__module__.startswith('mmseg_sparsemask.')}
    unknown = {(n, key) for n, c in own.items() for key in settings_of(c)}
    unknown = {(n, key) for n, key in unknown if key not in allowed.KINDS.keys() | allowed.LEFT_OUT}
    # What a subclass fixes for its base.
    assert {key for name, key in unknown} <= {'kwargs'}, unknown


def test_the_lists_hold_nothing_that_is_not_used():
    own = {key for name in CLASSES for key in settings_of(CLASSES[name])}
    # Of objects without a type: cells, connectivities, stages of HRNet, sizes; arguments of timm's
    # models, of torch's normalisations, activations and interpolation.
    inner = set(
        'act_encoder balanced block branches classes format grid img input mode num_blocks '
        'num_branches num_channels num_modules op output_stride palette rate seg stage1 stage2 '
        'stage3 stage4 stages version momentum num_groups negative_slope align_corners '
        'requires_grad crop_size'.split()
    )
    assert set(allowed.KINDS) - own <= inner
    assert not set(allowed.KINDS) & allowed.LEFT_OUT - {'pretrained'}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'type': 'SparseMaskHead'}, 'x.type: expected the name of a registered ConnectionRule'),
        ({'type': 'os.system'}, 'x.type: expected the name of a registered ConnectionRule'),
        ({'type': ['RelaxedConnections']}, 'x.type: expected the name'),
        ({'type': 'TopKConnections', 'k': 'x.pkl'}, 'x.k: expected a number'),
        ({'type': 'TopKConnections', 'max_weight': 1.0}, 'x.max_weight: is no setting'),
        ({'type': 'TopKConnections', 'connectivity': 'x.json'}, 'x.connectivity: is no setting'),
        ({'seed': {'type': 'CrossEntropyLoss'}}, 'x.seed: expected a number'),
        ('RelaxedConnections', 'x: expected an object'),
    ],
)
def test_connections_are_rules_with_numbers(settings, message):
    with pytest.raises(ValueError, match=message):
        allowed.check_connections(settings, 'x')
    allowed.check_connections({'type': 'RelaxedConnections', 'noise_std': 0.1, 'seed': 3})
    allowed.check_connections({'max_weight': 2.0})
