"""What ``--cfg-options`` says, put into a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def override(cfg: Any, options: Mapping[str, Any] | None) -> None:
    """Set values of a config.

    Args:
        cfg: A config of MMEngine.
        options: By dotted keys.

    Raises:
        ValueError: A key leads through what is neither a dict nor a list, or beyond a list's end.
    """
    options = dict(options or {})
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'--cfg-options {" ".join(options)}: expected dotted keys of settings, numbers from 0 '
            f'for the items of lists; the config has no such place ({error.args[0]})'
        ) from None
