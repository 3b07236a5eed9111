"""What is handed over: the network as files for other programs, as a folder, and how to use it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from mmseg_sparsemask.compare.steps import Steps
from mmseg_sparsemask.fit.choice import Network
from mmseg_sparsemask.fit.configs import environment
from mmseg_sparsemask.fit.networks import Networks
from mmseg_sparsemask.utils.commands import shown_path
from mmseg_sparsemask.utils.files import output_folder

#: Below the work directory: the network that was chosen.
CHOSEN = 'chosen'

#: Modules that a kind of file needs, and the extra that brings them.
NEEDS = {
    'the ONNX file': (('onnx', 'onnxscript', 'onnxruntime'), 'deploy'),
    'the published folder': (('safetensors',), 'hub'),
}


def missing_extras() -> list[str]:
    """A line for each kind of file that cannot be written here."""
    return [
        f"without {what}: pip install 'mmseg-sparsemask[{extra}]' brings what it needs"
        for what, (modules, extra) in NEEDS.items()
        if not _has(modules)
    ]


def _has(modules: tuple[str, ...]) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


def deliver(chosen: Network, networks: Networks, out: Path) -> list[Path]:
    """Export and publish a network, as far as the libraries are here; return what is there.

    An int8 file is kept if it loses little of the mean IoU (docs/deployment.md).
    """
    folder = output_folder(out / CHOSEN)
    steps = Steps(networks.table, networks.root, networks.tools, Event())
    names = (chosen.config, chosen.checkpoint)
    onnx, small, shared = (folder / n for n in ('model.onnx', 'model.int8.onnx', 'published'))
    said = folder / 'without_int8'
    if _has(NEEDS['the ONNX file'][0]) and not (
        onnx.is_file() and (small.is_file() or said.is_file())
    ):
        try:
            quantise = ('--quantize', 'int8', '--test-images', '50')
            steps.call('export', 'deployment/export.py', *names, '--out', onnx, *quantise)
        except SystemExit:
            if not onnx.is_file():
                raise
            said.touch()
            print('no int8 file: see above; the file in float32 is there', flush=True)
    if _has(NEEDS['the published folder'][0]) and not shared.is_dir():
        scores = sorted((chosen.checkpoint.parent / 'test').glob('*/*.json'))[-1]
        about = ('--scores', scores, '--data-set', networks.table.data)
        name = ('--name', f'{chosen.name} on {Path(networks.table.encoder).stem}')
        steps.call('publish', 'publish.py', *names, '--out', shared, *about, *name)
    return [path for path in (onnx, small, shared) if path.exists()]


def usage(chosen: Network, files: Sequence[Path]) -> str:
    """Five lines of Python that use the network."""
    onnx = [repr(shown_path(path)) for path in files if path.suffix == '.onnx']
    config, checkpoint = (repr(shown_path(path)) for path in (chosen.config, chosen.checkpoint))
    return (
        environment()
        .get_template('usage.py.jinja')
        .render(onnx=onnx[0] if onnx else None, config=config, checkpoint=checkpoint)
    )
