"""How a tool is called where this process runs."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from mmseg_sparsemask_cli.main import COMMAND


def tool_command(tool: str, *arguments: str | os.PathLike[str]) -> str:
    """The line that runs a tool from the working directory.

    Args:
        tool: Its path below ``tools/`` without suffix, such as ``train`` or ``deployment/export``.
        arguments: What it is called with; the line has them quoted for a shell.

    Returns:
        ``python tools/TOOL.py ...`` in a clone of the repository, ``mmseg-sparsemask TOOL ...``
        elsewhere. Where a clone is used that was not installed, the tool has its whole path.
    """
    script = Path('tools', f'{tool}.py')
    ours = Path(__file__).parents[2] / script
    if script.is_file() and ours.is_file() and script.samefile(ours):
        words = ['python', str(script)]
    elif ours.is_file() and shutil.which(COMMAND) is None:
        words = ['python', str(ours)]
    else:
        words = [COMMAND, tool.removeprefix('deployment/')]
    return shlex.join([*words, *map(os.fspath, arguments)])
