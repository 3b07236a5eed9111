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
from collections.abc import Callable


def end_after(wait: Callable[[], object], said: str = '') -> None:
    """End this process, whatever it is doing, when a call returns: no killed program leaves others.

    Args:
        wait: Returns once this process has nobody left to work for.
        said: Printed then.
    """

    def watch() -> None:
        wait()
        if said:
            print(said, flush=True)
        os._exit(1)

    threading.Thread(target=watch, name='end with another', daemon=True).start()


def main() -> None:
    """Run the script in this process, as Python itself would."""
    pipe, script, *arguments = sys.argv[1:]
    end_after(lambda: os.read(int(pipe), 1))  # nobody writes: it returns at the end of the pipe
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
    main()
