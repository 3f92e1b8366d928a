"""Private logs of kernels that were killed: removed when the next kernel starts its first server.

A log in use is locked by the kernel that made it, and by the server that writes to it.
The lock ends with the last of them however they end, and holds across containers that
share a folder for temporary files, where a pid says nothing.
"""

import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # where an open file cannot be removed anyway
    import fcntl

PREFIX, SUFFIX = "mcp-notebook-log-", ".log"
YOUNG = 5.0  # seconds; a log is made a moment before it is locked

_swept = threading.Event()


def hold(descriptor: int) -> None:
    """Lock a log as one in use."""
    if sys.platform != "win32":
        # some network file systems have no locks: then nothing is swept there either
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep_once() -> None:
    """Sweep in the background, once a process."""
    if not _swept.is_set():
        _swept.set()
        threading.Thread(
            target=sweep,
            args=(Path(tempfile.gettempdir()),),
            name="mcp-notebook-sweep",
            daemon=True,
        ).start()


def sweep(folder: Path) -> int:
    """Remove this user's logs that nobody holds; returns how many."""
    if sys.platform == "win32":
        return 0
    return sum(_removed(path) for path in folder.glob(f"{PREFIX}*{SUFFIX}"))


def _removed(path: Path) -> bool:
    assert sys.platform != "win32"
    try:
        about = path.lstat()
        if about.st_uid != os.getuid() or time.time() - about.st_mtime < YOUNG:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:  # in use
        return False
    else:
        return True
    finally:
        os.close(descriptor)
