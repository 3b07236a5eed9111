"""What is handed over: the network as files for other programs, as a folder, and how to use it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from mmseg_sparsemask.compare.steps import Steps
from mmseg_sparsemask.fit.choice import Network
from mmseg_sparsemask.fit.networks import Networks
from mmseg_sparsemask.report.page import templates_beside
from mmseg_sparsemask.utils.commands import shown_path
from mmseg_sparsemask.utils.files import output_folder, read_json, write_json

#: Below the work directory: the network that was chosen.
CHOSEN = 'chosen'

#: A module that each extra brings: ``deploy`` for the ONNX file, ``hub`` for the published folder.
EXTRAS = {'deploy': 'onnxscript', 'hub': 'safetensors'}


def missing_extras() -> list[str]:
    """Extras without which something is not handed over."""
    return [extra for extra, module in EXTRAS.items() if not importlib.util.find_spec(module)]


def deliver(chosen: Network, networks: Networks, out: Path) -> list[Path]:
    """Export and publish a network, as far as the libraries are here; return what is there.

    An int8 file is kept if it loses little of the mean IoU (docs/deployment.md).
    """
    folder = output_folder(out / CHOSEN)
    steps = Steps(networks.table, networks.root, networks.tools, Event())
    network = (chosen.config, chosen.checkpoint)
    onnx, small, shared = (folder / n for n in ('model.onnx', 'model.int8.onnx', 'published'))
    refused, of = folder / 'without_int8', folder / 'network.json'
    if not of.is_file() or read_json(of) != chosen.name:
        # What is there is another's: times may have been measured anew.
        for path in (onnx, small, refused):
            path.unlink(missing_ok=True)
        shutil.rmtree(shared, ignore_errors=True)
        write_json(of, chosen.name)

    def attempt(name: str, *arguments: str | Path) -> None:
        try:
            steps.call(f'hand over: {name}', f'{name}.py', *network, *arguments)
        except SystemExit as error:
            if isinstance(error.code, int):  # a signal
                raise
            print('left out for the reason above', flush=True)

    if 'deploy' not in missing_extras() and not (small.is_file() or refused.is_file()):
        quantise = ('--quantize', 'int8', '--test-images', '50')
        attempt('deployment/export', '--out', onnx, *quantise)
        if onnx.is_file() and not small.is_file():
            refused.touch()
    if 'hub' not in missing_extras() and not shared.is_dir():
        scores = sorted((chosen.checkpoint.parent / 'test').glob('*/*.json'))[-1]
        name = f'{chosen.name} on {Path(networks.table.encoder).stem}'
        about = ('--name', name, '--scores', scores, '--data-set', networks.table.data)
        attempt('publish', '--out', shared, *about)
    return [path for path in (onnx, small, shared) if path.exists()]


def usage(chosen: Network, files: Sequence[Path]) -> str:
    """Five lines of Python that use the network."""
    onnx = [repr(shown_path(path)) for path in files if path.suffix == '.onnx']
    config, checkpoint = (repr(shown_path(path)) for path in (chosen.config, chosen.checkpoint))
    template = templates_beside(__file__, keep_trailing_newline=True).get_template('usage.py.jinja')
    return template.render(onnx=onnx[0] if onnx else None, config=config, checkpoint=checkpoint)
