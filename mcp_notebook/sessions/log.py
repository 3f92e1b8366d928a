"""A server's private log: its stderr, its log messages, and stray lines of its stdout.
Never part of a notebook.

Logs of kernels that were killed are removed when the next kernel starts its first
server. A log in use is locked by the kernel that made it, and by the server that writes
to it. The lock ends with the last of them however they end, and holds across containers
that share a folder for temporary files, where a pid says nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mcp_notebook import secrets
from mcp_notebook.config import mask

if sys.platform != "win32":  # where an open file cannot be removed anyway
    import fcntl

KEEP = 64 * 1024  # bytes kept when the file is cut
CUT_AT = 4 * 1024 * 1024  # bytes at which the file is cut
TAIL_LINES = 20
TAIL_BYTES = 4096
PREFIX, SUFFIX = "mcp-notebook-log-", ".log"
YOUNG = 5.0  # seconds; a log is made a moment before it is locked

_swept = threading.Event()


class ServerLog:
    """A temporary file that only this user can read. The server writes to it directly,
    so it never blocks on us.
    """

    def __init__(self, name: str, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        _sweep_once()
        # mkstemp creates with 0600
        self._fd, self.path = tempfile.mkstemp(prefix=f"{PREFIX}{name}-", suffix=SUFFIX)
        if hasattr(os, "O_APPEND") and os.name == "posix":
            os.close(self._fd)
            # Appending writers go on at the new end after the file was cut.
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND)
            _lock_log(self._fd)

    def fileno(self) -> int:
        return self._fd

    def writer(self) -> TextIO:
        """Another file object at the end of the log, for the caller to close."""
        return open(self.path, "a", encoding="utf-8")

    def write(self, text: str) -> None:
        """Append one line of our own."""
        if self._fd >= 0:
            os.write(self._fd, text.encode("utf-8", "replace") + b"\n")

    def tail(self, since: int = 0) -> str:
        """The last lines, with the server's secrets and everything named like one hidden."""
        if self._fd < 0:
            return ""

        size = os.fstat(self._fd).st_size
        # The file was cut meanwhile: what stood at `since` is gone.
        if since <= size:
            start = since
        else:
            start = 0

        text = self._read(max(start, size - TAIL_BYTES)).decode("utf-8", "replace")
        lines = text.strip("\n").splitlines()[-TAIL_LINES:]
        return secrets.mask(mask("\n".join(lines), self._secrets))

    def last_words(self, since: int = 0) -> str:
        """The tail without stray lines of stdout, which may hold anything, and without
        notes of our own.
        """
        lines = self.tail(since).splitlines()
        notes = ("[stdout] ", "[notebook] ")
        return "\n".join(line for line in lines if not line.startswith(notes))

    def size(self) -> int:
        if self._fd >= 0:
            return os.fstat(self._fd).st_size

        return 0

    def trim(self) -> None:
        """Cut the file to its last part when it has grown large."""
        size = self.size()
        if size <= CUT_AT:
            return

        last = self._read(size - KEEP)
        os.ftruncate(self._fd, 0)
        os.write(self._fd, last)

    def _read(self, start: int) -> bytes:
        if hasattr(os, "pread"):
            # also when the file itself was removed meanwhile
            return os.pread(self._fd, KEEP, start)

        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(KEEP)

    def close(self) -> None:
        """Close and remove the file."""
        if self._fd < 0:
            return

        os.close(self._fd)
        self._fd = -1
        with suppress(OSError):
            os.unlink(self.path)


def sweep(folder: Path) -> int:
    """Remove this user's logs that nobody holds; returns how many."""
    if sys.platform == "win32":
        return 0

    removed = [_remove_if_free(path) for path in folder.glob(f"{PREFIX}*{SUFFIX}")]
    return sum(removed)


def _sweep_once() -> None:
    """Sweep in the background, once a process."""
    if _swept.is_set():
        return

    _swept.set()
    threading.Thread(
        target=sweep,
        args=(Path(tempfile.gettempdir()),),
        name="mcp-notebook-sweep",
        daemon=True,
    ).start()


def _lock_log(descriptor: int) -> None:
    """Lock a log as one in use."""
    if sys.platform == "win32":
        return

    # some network file systems have no locks: then nothing is swept there either
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_if_free(path: Path) -> bool:
    assert sys.platform != "win32"
    try:
        about = path.lstat()
        age = time.time() - about.st_mtime
        if about.st_uid != os.getuid() or age < YOUNG:
            return False

        # No link is followed: anybody may make one in the folder for temporary files.
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


# Nothing of the SDK's prints into a cell: its loggers, its deprecation warnings, its
# habit of configuring logging.


_done = False


def quiet_sdk() -> None:
    """Keep the SDK's log lines and deprecation notices away from cells, once.

    The stdio client logs clips of lines it could not read, and those have held
    passwords. To see the SDK's log: `logging.getLogger("mcp").propagate = True`.
    """
    global _done
    if _done:
        return

    _done = True
    # Without a handler of its own, Python prints warnings of a logger to stderr.
    # "client" and "server" are what mcp.client.session and mcp.server.mcpserver call theirs.
    for name in ("mcp", "client", "server", "mcp_notebook", "uvicorn", "sse_starlette"):
        logging.getLogger(name).addHandler(logging.NullHandler())

    for name in ("mcp", "client"):
        logging.getLogger(name).propagate = False

    logging.getLogger("httpx2").addFilter(_mask_address)
    warnings.filterwarnings(
        "ignore", module=r"mcp(_notebook)?(\.|$)", category=UserWarning
    )


def _mask_address(record: logging.LogRecord) -> bool:
    # It logs every request with its whole URL, and some servers take their token there.
    record.msg, record.args = mask(record.getMessage()), ()
    return True


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Undo what happens to the root logger inside: building an MCPServer installs a
    handler that prints.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
