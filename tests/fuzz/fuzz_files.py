"""Damage valid files at random and see that each reader gives its one documented error.

    python tests/fuzz/fuzz_files.py bsds.mat --count 100000

`FORMATS` has a row for each format: a function that makes a few valid files, and one that reads a
path. Whatever a reader raises but ValueError and FileNotFoundError is printed with the damaged
file, which is kept; so is one that takes longer than `SLOW` seconds. A reader that ends the
process, or takes more memory than `MEMORY`, ends this one too: the file is then the last in the
folder.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')

import cv2
import numpy as np
import onnx
from scipy.io import savemat

from mmseg_sparsemask.connectivity import from_npy, load, preset, save, to_npy
from mmseg_sparsemask.datasets import coco_voc
from mmseg_sparsemask.datasets.camvid import _read_labels
from mmseg_sparsemask.datasets.pascal_person_part import person_labels
from mmseg_sparsemask.deployment.metadata import Metadata, with_checksum
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.presets import dpc_cityscapes
from mmseg_sparsemask.edges.files import read_annotations, read_prediction
from mmseg_sparsemask.saliency.transforms import LoadSaliencyMask

#: What reading one small file may take: seconds, and bytes of address space on top of the start's.
SLOW, MEMORY = 5.0, 3 * 2**30

STRIDES = [2, 2, 4, 8, 16, 16, 32, 32, 32]
ALLOWED = (ValueError, FileNotFoundError)


@dataclass(frozen=True)
class Format:
    """A row of `FORMATS`."""

    name: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]


def mat(content: dict) -> list[bytes]:
    files = []
    for packed in (False, True):
        file = io.BytesIO()
        savemat(file, content, do_compression=packed)
        files.append(file.getvalue())
    return files


def bsds() -> list[bytes]:
    cells = np.empty((1, 2), dtype=object)
    for index in range(2):
        boundary = np.eye(5, 7, index, dtype=np.uint8)
        cells[0, index] = {'Segmentation': boundary.astype(np.uint16), 'Boundaries': boundary}
    return mat({'groundTruth': cells})


def person_part() -> list[bytes]:
    parts = np.zeros(2, dtype=[('part_name', object), ('mask', object)])
    parts[0], parts[1] = ('hair', np.eye(4, 6)), ('torso', np.eye(4, 6, 1))
    objects = np.zeros(2, dtype=[('class', object), ('parts', object)])
    objects[0], objects[1] = ('person', parts), ('dog', parts)
    return mat({'anno': {'objects': objects}})


def npy() -> list[bytes]:
    file = io.BytesIO()
    np.save(file, to_npy(preset('fdn', STRIDES)))
    return [file.getvalue()]


def png() -> list[bytes]:
    grey = (np.arange(48, dtype=np.uint8).reshape(6, 8) % 2) * 255
    images = [grey, grey.astype(np.uint16) * 257, np.dstack([grey] * 3), grey // 255]
    return [cv2.imencode('.png', image)[1].tobytes() for image in images]


def connectivity() -> list[bytes]:
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'x.json'
        for name in ('unet', 'sparse_acn'):
            save(preset(name, STRIDES), path)
            files.append(path.read_bytes())
    return files


def coco() -> list[bytes]:
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 6, 'width': 10}],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(coco_voc.COCO_NAMES)],
        'annotations': [
            {'image_id': 1, 'category_id': 3, 'area': 12.5, 'segmentation': segmentation}
            for segmentation in (
                [[1.5, 1, 8.25, 1, 8, 4.75, 2, 5]],
                {'counts': [6, 6, 48], 'size': [6, 10]},
            )
        ],
    }
    return [json.dumps(content).encode()]


def cell() -> list[bytes]:
    found = dpc_cityscapes()
    return [json.dumps(form).encode() for form in (found.to_dict(), found.to_published())]


def network() -> list[bytes]:
    metadata = Metadata(
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
        resize={'scale': [64, 48], 'keep_ratio': True},
        classes=('sky', 'road', 'car'),
        palette=((0, 0, 0), (128, 64, 0), (0, 0, 255)),
        threshold=None,
        align_corners=False,
    )
    maps = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['n', 3, 'h', 'w'])
        for name in ('image', 'logits')
    ]
    node = onnx.helper.make_node('Identity', ['image'], ['logits'])
    graph = onnx.helper.make_graph([node], 'graph', maps[:1], maps[1:])
    model = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid('', 18)]
    )
    onnx.helper.set_model_props(model, metadata.to_strings())
    return [with_checksum(model.SerializeToString())]


def convert(path: Path) -> None:
    # A progress bar for each file is too many.
    quiet = mock.patch.object(coco_voc, 'track_iter_progress', iter)
    with quiet, tempfile.TemporaryDirectory() as target:
        coco_voc.convert_coco(path, target, 'train', min_pixels=1)


#: Every format that comes from elsewhere.
FORMATS = [
    Format('bsds.mat', bsds, read_annotations),
    Format('prediction.mat', lambda: mat({'map': np.full((5, 7), 0.5)}), read_prediction),
    Format('person_part.mat', person_part, person_labels),
    Format('mask.npy', npy, lambda path: from_npy(path, STRIDES)),
    Format('prediction.png', png, read_prediction),
    Format('annotation.png', png, read_annotations),
    Format('labels.png', lambda: png()[3:], lambda path: _read_labels(path, path)),
    Format(
        'saliency.png',
        lambda: [*png()[:1], *png()[2:]],
        lambda path: LoadSaliencyMask()(dict(seg_map_path=str(path), seg_fields=[])),
    ),
    Format('connectivity.json', connectivity, load),
    Format('coco.json', coco, convert),
    Format('cell.json', cell, Cell.load),
    Format('network.onnx', network, OnnxPredictor),
]

#: What stands in files where it does harm: counts, sizes, names and marks.
TOKENS = [
    *(value.to_bytes(4, 'little') for value in (0, 1, 8, 14, 15, 2**16, 2**31 - 1, 2**32 - 1)),
    *(value.to_bytes(4, 'big') for value in (1, 2**16, 2**31 - 1)),
    *(b'true', b'null', b'-1', b'1e999', b'NaN', b'9' * 30, b'""', b'[]', b'{}', b'[[', b'}]'),
    *(b'\xff\xfe', b'\\u0000', b'..', b'/', b'\n', b"'", b'(' * 40, b'[' * 3000, b'"a":'),
]


def damage(data: bytes, draw: random.Random) -> bytes:
    """A copy with one to four random changes."""
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        place = draw.randrange(len(changed) + 1)
        kind = draw.randrange(7)
        if kind == 0:
            del changed[place:]
        elif kind == 1:
            del changed[place : place + draw.randrange(1, 9)]
        elif kind == 2:
            changed[place:place] = draw.choice(TOKENS)
        elif kind == 3:
            token = draw.choice(TOKENS)
            changed[place : place + len(token)] = token
        elif kind == 4:
            other = draw.randrange(len(changed) + 1)
            changed[place:place] = changed[other : other + draw.randrange(1, 65)]
        elif place < len(changed):
            changed[place] = draw.randrange(256) if kind == 5 else changed[place] ^ 1 << place % 8
    return bytes(changed)


def seal(data: bytes) -> bytes:
    """Mend the checksums of a PNG, without which damage ends at the first of them."""
    changed, place = bytearray(data), 8
    while place + 12 <= len(changed):
        end = place + 8 + int.from_bytes(changed[place : place + 4], 'big')
        if end + 4 > len(changed):
            break
        checksum = zlib.crc32(changed[place + 4 : end])
        changed[end : end + 4] = checksum.to_bytes(4, 'big')
        place = end + 4
    return bytes(changed)


def unpacked(data: bytes, draw: random.Random) -> bytes:
    """Damage what stands in the packed variable of a MATLAB file, and pack it again."""
    inside = damage(zlib.decompress(data[136:]), draw)
    packed = zlib.compress(inside)
    return data[:128] + (15).to_bytes(4, 'little') + len(packed).to_bytes(4, 'little') + packed


def relabelled(data: bytes, draw: random.Random) -> bytes:
    """Damage one value of an ONNX file's metadata, under a checksum that fits."""
    model = onnx.load_model_from_string(data)
    # The last is the checksum, which is written anew.
    del model.metadata_props[-1]
    item = draw.choice(model.metadata_props)
    item.value = damage(item.value.encode(), draw).decode('utf-8', 'replace')
    return with_checksum(model.SerializeToString())


def mutations(row: Format, seed: int) -> Iterator[bytes]:
    draw, seeds = random.Random(f'{row.name} {seed}'), row.seeds()
    while True:
        data = draw.choice(seeds)
        if row.name.endswith('.mat') and data[128:132] == b'\x0f\0\0\0' and draw.random() < 0.7:
            yield unpacked(data, draw)
        elif row.name.endswith('.png') and draw.random() < 0.7:
            yield seal(damage(data, draw))
        elif row.name.endswith('.onnx') and draw.random() < 0.7:
            yield relabelled(data, draw)
        else:
            yield damage(data, draw)


def fuzz(row: Format, count: int, seed: int, folder: Path) -> Counter[str]:
    """Read damaged files.

    Returns:
        How many were read, refused, and how many ended otherwise (by name of the exception);
        the files of the last kind stay in the folder.
    """
    results: Counter[str] = Counter()
    suffix = Path(row.name).suffix
    path = folder / f'{row.name}.current{suffix}'
    for index, data in zip(range(count), mutations(row, seed)):
        path.write_bytes(data)
        start, kept = time.perf_counter(), folder / f'{row.name}.{seed}.{index}{suffix}'
        try:
            row.read(path)
        except ALLOWED as error:
            outcome = 'refused' if path.name in str(error) else f'no name: {str(error)[:80]}'
        except Exception as error:
            outcome = type(error).__name__
            print(f'{kept}: {"".join(traceback.format_exception(error)[-2:])}', file=sys.stderr)
        else:
            outcome = 'read'
        if time.perf_counter() - start > SLOW:
            outcome = 'slow'
        results[outcome] += 1
        if outcome not in ('read', 'refused'):
            kept.write_bytes(data)
    path.unlink()
    return results


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    names = [row.name for row in FORMATS]
    parser.add_argument('formats', nargs='*', metavar='FORMAT', help=f'of {", ".join(names)}')
    parser.add_argument('--count', type=int, default=1000, help='damaged files of each format')
    parser.add_argument('--seed', type=int, default=0, help='of the damage')
    parser.add_argument('--folder', type=Path, help='where files that break a reader are kept')
    args = parser.parse_args()
    if unknown := sorted(set(args.formats) - set(names)):
        parser.error(f'unknown formats {unknown}; expected {", ".join(names)}')
    return args


def main() -> None:
    args = parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix='fuzz.'))
    folder.mkdir(parents=True, exist_ok=True)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    failed = False
    for row in FORMATS:
        if args.formats and row.name not in args.formats:
            continue
        start = time.perf_counter()
        results = fuzz(row, args.count, args.seed, folder)
        failed |= bool(set(results) - {'read', 'refused'})
        print(
            f'{row.name}: {args.count} files, {dict(results)}, {time.perf_counter() - start:.0f} s',
            flush=True,
        )
    if failed:
        sys.exit(f'error: files that broke a reader are in {folder}')


if __name__ == '__main__':
    main()
