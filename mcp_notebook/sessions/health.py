"""What a session counts about itself: the row of %mcp_status."""

import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Health:
    """Counters of one session; durations in seconds."""

    restarts: int = 0
    crashes: int = 0  # in a row, without a call that was answered in between
    calls: int = 0
    last_error: str = ""
    since: float = field(default_factory=time.monotonic)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def answered(self, seconds: float) -> None:
        """A call was answered, however the tool judged it."""
        self.crashes = 0
        self.seconds.append(seconds)

    def row(self, *, ready: bool) -> dict[str, Any]:
        """uptime in seconds, restarts, calls, p50 of the last 200 answered calls in
        milliseconds, last error.
        """
        return {
            "uptime": round(time.monotonic() - self.since, 1) if ready else 0.0,
            "restarts": self.restarts,
            "calls": self.calls,
            "p50_ms": round(1000 * statistics.median(self.seconds), 1)
            if self.seconds
            else None,
            "last_error": self.last_error,
        }
