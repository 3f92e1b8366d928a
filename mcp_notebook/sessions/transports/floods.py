"""Floods of notifications: of each kind a burst is let through, then so many a second."""

import time

BURST, RATE = 50, 50  # notifications of one kind let through at once, and then a second


class Bucket:
    """A token bucket: BURST at once, then RATE a second."""

    def __init__(self) -> None:
        self._tokens, self._at = float(BURST), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
