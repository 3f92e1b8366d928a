"""A server's private log: its stderr, its log messages, and stray lines of its stdout.
Never part of a notebook.
"""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from mcp_notebook import secrets
from mcp_notebook.config import mask
from mcp_notebook.sessions import leftovers

KEEP = 64 * 1024  # bytes kept when the file is cut
CUT_AT = 4 * 1024 * 1024  # bytes at which the file is cut
TAIL_LINES = 20
TAIL_BYTES = 4096


class ServerLog:
    """A temporary file that only this user can read. The server writes to it directly,
    so it never blocks on us.
    """

    def __init__(self, name: str, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        leftovers.sweep_once()
        # mkstemp creates with 0600
        self._fd, self.path = tempfile.mkstemp(
            prefix=f"{leftovers.PREFIX}{name}-", suffix=leftovers.SUFFIX
        )
        if hasattr(os, "O_APPEND") and os.name == "posix":
            os.close(self._fd)
            # Appending writers go on at the new end after the file was cut.
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND)
            leftovers.hold(self._fd)

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
        start = max(since if since <= size else 0, size - TAIL_BYTES)
        text = self._read(start).decode("utf-8", "replace")
        return secrets.mask(
            mask("\n".join(text.strip("\n").splitlines()[-TAIL_LINES:]), self._secrets)
        )

    def last_words(self, since: int = 0) -> str:
        """The tail without stray lines of stdout, which may hold anything, and without
        notes of our own.
        """
        lines = self.tail(since).splitlines()
        return "\n".join(
            line for line in lines if not line.startswith(("[stdout] ", "[notebook] "))
        )

    def size(self) -> int:
        return os.fstat(self._fd).st_size if self._fd >= 0 else 0

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
