"""Libraries that only a part of the package needs."""

from __future__ import annotations

import importlib.util

from mmseg_sparsemask.version import SOURCE, __version__


def require_extra(module: str, extra: str) -> None:
    """Raise an ImportError with the line to run when an optional library is missing.

    Args:
        module: What will be imported.
        extra: The extra of this package that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f'this part of mmseg_sparsemask needs {module}, which is not installed. '
            f"Run: pip install 'mmseg-sparsemask[{extra}]'"
        )


def requirement(*extras: str) -> str:
    """What pip installs where nothing of this package is installed: this version, with extras."""
    return f'mmseg-sparsemask[{",".join(extras)}] @ git+{SOURCE}@v{__version__}'
