"""Runs a notebook's code without Jupyter."""

import base64
import contextlib
import io
import json
import sys
import types


class _Shown:
    """A picture for a cell's output: a file, by name."""

    def __init__(self, path):
        self.path = path


class Image(_Shown):
    """A PNG."""

    def data(self):
        """What a notebook keeps of it."""
        with open(self.path, 'rb') as file:
            return {'image/png': base64.b64encode(file.read()).decode()}


class SVG(_Shown):
    """An SVG."""

    def data(self):
        """What a notebook keeps of it."""
        with open(self.path, encoding='utf-8') as file:
            return {'image/svg+xml': file.read()}


def run_notebook(path, **constants):
    """Run the code cells of a notebook in one namespace; return their outputs in Jupyter's form.

    Args:
        path: The notebook.
        constants: Values that replace those which a line ``NAME = ...`` of a cell sets.
    """
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    outputs, namespace = [], {'__name__': '__main__'}
    display = types.ModuleType('IPython.display')
    display.Image, display.SVG = Image, SVG
    display.display = lambda shown: outputs[-1].append(
        {'output_type': 'display_data', 'metadata': {}, 'data': shown.data()}
    )
    known = {name: sys.modules.get(name) for name in ('IPython', 'IPython.display')}
    sys.modules.update({'IPython': types.ModuleType('IPython'), 'IPython.display': display})
    try:
        for cell in (cell for cell in cells if cell['cell_type'] == 'code'):
            lines = ''.join(cell['source']).splitlines()
            for name, value in constants.items():
                starts = f'{name} = '
                lines = [f'{starts}{value!r}' if li.startswith(starts) else li for li in lines]
            outputs.append([])
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec('\n'.join(lines), namespace)
            if said.getvalue():
                text = said.getvalue().splitlines(keepends=True)
                outputs[-1].insert(0, {'output_type': 'stream', 'name': 'stdout', 'text': text})
    finally:
        for name, module in known.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return outputs
