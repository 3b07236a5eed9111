"""Libraries that only a part of the package needs, and the commands that install them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from mmseg_sparsemask.version import SOURCE, __version__

_CLONE = Path(__file__).parents[2]


def require_extra(module: str, extra: str) -> None:
    """Raise an ImportError with the line to run when an optional library is missing.

    Args:
        module: What will be imported.
        extra: The extra of this package that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f'this part of mmseg_sparsemask needs {module}, which is not installed. '
            f'Run: {add_extras(extra)}'
        )


def add_extras(*extras: str) -> str:
    """The command that adds to the package that is running what its extras need."""
    try:
        importlib.metadata.version('mmseg-sparsemask')
    except importlib.metadata.PackageNotFoundError:
        # A clone that is on the path alone: its name is on no index.
        return f"pip install -e '{_CLONE}[{','.join(extras)}]'"
    return f"pip install 'mmseg-sparsemask[{','.join(extras)}]'"


def requirement(*extras: str) -> str:
    """What pip installs where nothing of this package is installed: this version, with extras.

    It is a wheel in the folder where pip runs as long as the repository has no address.
    """
    names = ','.join(extras)
    if SOURCE:
        return f'mmseg-sparsemask[{names}] @ git+{SOURCE}@v{__version__}'
    return f'./mmseg_sparsemask-{__version__}-py3-none-any.whl[{names}]'
