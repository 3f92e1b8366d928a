"""Floods of notifications: of each kind a burst is let through, then so many a second.

The SDK starts a task for every notification, so that 20,000 of them take many seconds.
"""

import time

BURST, RATE = 50, 50  # notifications of one kind let through at once, and then a second


class NotificationLimit:
    """One token bucket for each kind of notification."""

    def __init__(self) -> None:
        self._buckets: dict[str, _TokenBucket] = {}

    def lets_through(self, method: str) -> bool:
        """Whether the SDK gets this notification; one without effects may be let go."""
        # A lost cancellation would leave a request running, and a lost notice of a
        # subscription would leave its listener waiting.
        if method == "notifications/cancelled" or "subscriptions" in method:
            return True
        return self._buckets.setdefault(method, _TokenBucket()).take_token()


class _TokenBucket:
    """BURST at once, then RATE a second."""

    def __init__(self) -> None:
        self._tokens, self._at = float(BURST), time.monotonic()

    def take_token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            return False

        self._tokens -= 1
        return True
