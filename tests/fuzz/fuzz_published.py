"""Damage and forge config.json of published networks, as often as one wants.

A damaged one may only be refused with a ValueError, or give the labels that the whole one gives. A
forged one comes under a checksum that fits, as somebody with bad intentions would write it: it may
only be refused with a ValueError, or give some label to each pixel. While either is read, no file
outside the folder is opened, nothing is connected to, run, or imported from elsewhere.
"""

import argparse
import copy
import json
import random
import resource
import sys
import sysconfig
import tempfile
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from fuzz.fuzz_files import damage
from reference.small_networks import PIPELINE, network

from mmseg_sparsemask.deployment import load_published
from mmseg_sparsemask.deployment.publish import publish
from mmseg_sparsemask.deployment.published import checksum
from mmseg_sparsemask.models import allowed

ROOT = Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).integers(0, 255, (60, 76, 3), dtype=np.uint8)

#: Address space of a process, in bytes: forged sizes end here and not with the machine.
MEMORY = 20 * 2**30

SLIDE = dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, pad_val=0)
TAPS = dict(
    type='FeatureTaps',
    backbone=dict(type='TIMMBackbone', model_name='resnet10t', pretrained=False),
    features=['timm_model.layer1', 'timm_model.layer2'],
    image_size=(64, 64),
)
STEPS = [
    PIPELINE[0],
    dict(type='ResizeShortestEdge', scale=64, max_size=90),
    dict(type='Normalize', mean=[1.0] * 3, std=[2.0] * 3),
    dict(type='Pad', size_divisor=16, pad_val=dict(img=0, seg=255)),
    dict(type='PackSegInputs'),
]

#: (head, backbone, pipeline) of the networks that are changed.
SEEDS = [
    ('SparseMaskHead', None, PIPELINE),
    ('UPerHead', None, STEPS),
    ('FDNHead', None, STEPS),
    ('HEDHead', None, PIPELINE),
    ('FCNHead', TAPS, STEPS),
]

PLAIN = [None, True, False, -1, 0, 1, 2, 3, 7, 64, 0.5, -2.5, 2**40, 1e308, float('nan'), '', 'BN']
WORDS = ['x', '../../etc/passwd', 'x.npy', 'w.pkl', 'os.system', 'http://127.0.0.1:9/w.pkl', 'G']
NESTED = [
    *([], {}, [[]], [1, 2], ['E1', 'G'], {'__tuple__': 1}, {'__tuple__': [1, 2]}, {'type': None}),
    *({'type': ['a']}, {'type': 'Linear'}, {'type': 'os.system', 'command': 'true'}, {'a': {}}),
]
KEYS = [*allowed.KINDS, *allowed.LEFT_OUT, '_scope_', 'type', '__tuple__', 'custom_imports']


class Watch:
    """Counts what a process opens, connects to, runs and imports while it is on."""

    def __init__(self, folder):
        self.on, self.seen = False, []
        libraries = {sysconfig.get_paths()[name] for name in ('stdlib', 'platstdlib', 'purelib')}
        self.allowed = (str(folder), *libraries, str(ROOT), sys.prefix, sys.base_prefix, '/proc/')
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if not self.on:
            return
        if event == 'open':
            path = str(arguments[0])
            if not isinstance(arguments[0], int) and not path.startswith(self.allowed):
                self.seen.append(f'open {path}')
        elif event.startswith(('socket.connect', 'socket.getaddrinfo', 'subprocess.', 'os.system')):
            self.seen.append(f'{event} {arguments}')
        elif event in ('os.exec', 'os.posix_spawn', 'os.fork', 'pickle.find_class'):
            self.seen.append(f'{event} {arguments}')


def places(node, place=()):
    """Where values stand in a JSON document."""
    yield place
    children = enumerate(node) if isinstance(node, list) else ()
    for key, child in node.items() if isinstance(node, dict) else children:
        yield from places(child, (*place, key))


def forge(content, draw):
    """A copy with one to three values replaced, added, dropped or moved, and a new checksum."""
    content = copy.deepcopy(content)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        every = [place for place in places(content) if place]
        *parents, key = draw.choice(every)
        node = content
        for parent in parents:
            node = node[parent]
        value = copy.deepcopy(draw.choice(draw.choice([PLAIN, WORDS, NESTED])))
        kind = draw.randrange(6)
        if kind == 0:
            del node[key]
        elif kind == 1 and isinstance(node, dict):
            node[draw.choice(KEYS)] = value
        elif kind == 2:
            other = content
            for step in draw.choice(every):
                other = other[step] if isinstance(other, (dict, list)) else other
            node[key] = copy.deepcopy(other)
        elif kind < 5 and isinstance(node[key], (int, float)):
            # To another number of its type, which many lists allow.
            factor, shift = draw.choice([-1, 1, 1, 2, 3]), draw.choice([-1, 0, 1, 2])
            node[key] = type(node[key])(node[key] * factor + shift)
        else:
            node[key] = value
    if isinstance(content, dict):
        content['checksum'] = checksum(content)
    return content


def outcome(folder, expected):
    """How reading and predicting ends, in a word or two."""
    try:
        labels = load_published(folder)(IMAGE)
    except ValueError as error:
        return 'refused' if '\n' not in str(error)[:200] else 'refused in several lines'
    except BaseException as error:
        print(''.join(traceback.format_exception(error)[-3:]), file=sys.stderr)
        return type(error).__name__
    if labels.shape != IMAGE.shape[:2]:
        return f'labels of shape {labels.shape}'
    return 'same labels' if np.array_equal(labels, expected) else 'other labels'


def fuzz(count, seed, folder, forged):
    """Try so many changed copies of config.json.

    Returns:
        How often each outcome came; files of unwelcome ones stay in the folder.
    """
    draw, results, watch = random.Random(f'{seed} {forged}'), Counter(), Watch(folder)
    welcome = {'refused', 'same labels', 'other labels' if forged else ''}
    nets = []
    for place, (head, backbone, pipeline) in enumerate(SEEDS):
        net = folder / f'{seed}.{forged}.{place}'
        more = dict(in_channels=128, in_index=1) if backbone else {}
        publish(network(head, backbone, pipeline, **more), net, 'net')
        nets.append((net, (net / 'config.json').read_bytes(), load_published(net)(IMAGE)))
    for index in range(count):
        net, whole, expected = draw.choice(nets)
        changed = (
            json.dumps(forge(json.loads(whole), draw)).encode() if forged else damage(whole, draw)
        )
        (net / 'config.json').write_bytes(changed)
        watch.seen, watch.on = [], True
        result = outcome(net, expected)
        watch.on = False
        result = watch.seen[0] if watch.seen else result
        results[result] += 1
        if result not in welcome:
            (folder / f'{seed}.{forged}.{index}.json').write_bytes(changed)
            print(f'{index}: {result}', file=sys.stderr, flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--count', type=int, default=1000, help='changed files of each kind')
    parser.add_argument('--seed', type=int, default=0, help='of the changes')
    parser.add_argument('--folder', type=Path, help='where files with unwelcome ends are kept')
    args = parser.parse_args()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    folder = args.folder or Path(tempfile.mkdtemp(prefix='fuzz.'))
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for forged in (False, True):
        results = fuzz(args.count, args.seed, folder, forged)
        failed |= bool(set(results) - {'refused', 'same labels', 'other labels' * forged})
        print(
            f'{"forged" if forged else "damaged"}: {args.count} files, {dict(results)}', flush=True
        )
    if failed:
        sys.exit(f'error: files with unwelcome ends are in {folder}')


if __name__ == '__main__':
    main()
