"""How the tools end when something is wrong: one line, and the traceback for who asks for it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Environment variable that, set to anything, keeps the traceback.
TRACEBACK_VARIABLE = 'SPARSEMASK_TRACEBACK'

_PACKAGE = str(Path(__file__).resolve().parents[1])


@contextmanager
def one_line_errors(*more: type[Exception], interrupted: str = 'interrupted') -> Iterator[None]:
    """Context of a tool's work: what a user can mend ends it with one line instead of a traceback.

    These are ImportError, OSError and ValueError. An error that does not come from this package
    names the variable that shows where it comes from.

    Args:
        more: Further errors that are a user's to mend.
        interrupted: What is printed after Ctrl-C.

    Raises:
        SystemExit: In place of such errors, with ``error: ...``; status 130 after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f'\n{interrupted}', flush=True)
        raise SystemExit(130) from None
    except (ImportError, OSError, ValueError, *more) as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1].filename
        foreign = not Path(place).resolve().is_relative_to(_PACKAGE)
        hint = f'\n({TRACEBACK_VARIABLE}=1 shows where this comes from)' if foreign else ''
        raise SystemExit(f'error: {error}{hint}') from None
