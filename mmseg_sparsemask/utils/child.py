"""Runs a script that ends with the process that started it, however that one ends.

    python child.py DESCRIPTOR SCRIPT [ARGUMENT ...]

``DESCRIPTOR`` is the reading end of a pipe whose other end the starting process alone holds. The
operating system closes it when that process is gone, also after SIGKILL. This file is run by its
path and imports nothing of the package, so that it watches from the first moment.
"""

import os
import runpy
import sys
import threading


def _end_with(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os._exit(1)


def main() -> None:
    """Run the script in this process, as Python itself would."""
    pipe, script, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(pipe),), daemon=True).start()
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
    main()
