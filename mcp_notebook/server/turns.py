"""Shorter turns for Python's threads while clients outside may ask, so that a running
cell leaves the server its own.

A thread that waits for the interpreter asks for it only when a whole interval has
passed without the holder letting go (`take_gil` in
https://github.com/python/cpython/blob/3.11/Python/ceval_gil.h). A cell that lets go for
an instant every millisecond, as for a file's time or a small NumPy call, begins that
interval anew each time and mostly takes the interpreter back before the waiting thread
is awake: with the usual 5 ms single answers took seconds to minutes.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator

SECONDS = 0.0005
"""Two threads that compute at once lose no measurable time by it; where one computes alone nothing changes."""

_turn = threading.Lock()
_before: list[float] = []


@contextlib.contextmanager
def shorter() -> Iterator[None]:
    """The interpreter's switch interval is at most `SECONDS` within; the outermost
    restores what was there.
    """
    with _turn:
        _before.append(sys.getswitchinterval())
        sys.setswitchinterval(min(_before[0], SECONDS))
    try:
        yield
    finally:
        with _turn:
            usual = _before[0]
            _before.pop()
            if not _before:
                sys.setswitchinterval(usual)
