"""The command ``mmseg-sparsemask``: each tool of tools/ by its name.

Nothing is parsed here: what follows the name is the tool's own.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import runpy
import sys
from contextlib import suppress
from pathlib import Path

COMMAND = 'mmseg-sparsemask'


def tools() -> dict[str, Path]:
    """Tools by name, such as ``train``, ``export`` or ``dataset_converters/camvid``.

    Raises:
        FileNotFoundError: The package came without its tools.
    """
    package = importlib.util.find_spec('mmseg_sparsemask')
    assert package is not None and package.origin is not None
    inside = Path(package.origin).parent
    folders = [inside / '.mim/tools', inside.parent / 'tools']
    folder = next(filter(Path.is_dir, folders), None)
    if folder is None:
        raise FileNotFoundError(f'{folders[0]}: expected the tools; install the package again')
    paths = sorted(folder.rglob('*.py'), key=lambda path: (len(path.parts), path))
    names = [path.relative_to(folder).with_suffix('').as_posix() for path in paths]
    return {name.removeprefix('deployment/'): path for name, path in zip(names, paths)}


def main() -> None:
    """Run the tool that the first argument names."""
    known = tools()
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        lines = [f'usage: {COMMAND} TOOL ...\n\n{COMMAND} TOOL --help says what a tool takes.\n']
        width = max(map(len, known))
        for tool, path in known.items():
            says = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
            lines.append(f'  {tool:{width}}  {says.splitlines()[0] if says else ""}')
        # Whoever reads the first lines alone, as `head` does, ends the pipe.
        with suppress(BrokenPipeError):
            print('\n'.join(lines), flush=True)
        return
    if name not in known:
        like = difflib.get_close_matches(name, known) or known
        sys.exit(f'error: {COMMAND}: no tool {name!r}; did you mean {" or ".join(like)}?')
    del sys.argv[1]
    runpy.run_path(str(known[name]), run_name='__main__')


if __name__ == '__main__':
    main()
