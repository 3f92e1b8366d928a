"""Budgets: where a cell, and a whole notebook, stops; what was taken so far; and what
may still go to the model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_notebook.events import ToolResult, Usage

CUT = "\n[cut: the budget of bytes for the model is used up]"


@dataclass(frozen=True)
class Limits:
    """Where a cell stops. 0, or None for `dollars`: no limit. `rows` and `bytes` count
    what the model is shown.
    """

    iterations: int = 12
    calls: int = 40
    seconds: float = 600.0  # of work: the wait for a person's answer does not count
    tokens: int = 0  # input and output together
    dollars: float | None = None
    rows: int = 0
    bytes: int = 0
    parallel: int = 8


NO_LIMITS = Limits(iterations=0, calls=0, seconds=0)


@dataclass
class Spent:
    """What was taken so far. `input` is without what was read from the cache; `dollars`
    None: a price is unknown.
    """

    turns: int = 0
    calls: int = 0
    seconds: float = 0.0
    input: int = 0
    cached: int = 0
    output: int = 0
    dollars: float | None = 0.0
    last_dollars: float = 0.0  # of the last turn: what the next one will cost at least
    rows: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    web_searches: int = 0
    web_pages: int = 0

    def add_turn(self, usage: Usage) -> None:
        """Count a turn of the model."""
        self.turns += 1
        self.input += usage.input + usage.cache_write
        self.cached += usage.cache_read
        self.output += usage.output
        self.web_searches += usage.web_searches
        self.web_pages += usage.web_pages
        known = self.dollars is not None and usage.dollars is not None
        self.dollars = self.dollars + usage.dollars if known else None  # type: ignore[operator]
        self.last_dollars = usage.dollars or 0.0

    def add_call(self, result: ToolResult) -> None:
        """Count a tool call; the bytes that go to the model are counted by `Budget.fit`."""
        self.calls += 1
        shown = len(result.shown.encode("utf-8", "replace"))
        self.kept_bytes += max(0, result.received_bytes - shown)


@dataclass
class Budget:
    """The limits of one cell within those of its notebook; lives as long as the cell.

    `waited` gives the seconds for which the person was asked. `rows` and `fit` are safe
    on any thread.
    """

    cell: Limits = field(default_factory=Limits)
    notebook: Limits = NO_LIMITS
    total: Spent = field(default_factory=Spent)
    waited: Callable[[], float] = lambda: 0.0
    spent: Spent = field(default_factory=Spent)
    _started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_turn(self, usage: Usage) -> None:
        """Count a turn for the cell and for the notebook."""
        self.spent.add_turn(usage)
        self.total.add_turn(usage)

    def add_call(self, result: ToolResult) -> None:
        """Count a call for the cell and for the notebook."""
        self.spent.add_call(result)
        self.total.add_call(result)

    def close(self) -> None:
        """Count the cell's seconds for the notebook."""
        self.spent.seconds = self.elapsed_seconds()
        self.total.seconds += self.spent.seconds

    def elapsed_seconds(self) -> float:
        """Seconds of work so far."""
        return max(0.0, time.monotonic() - self._started - self.waited())

    def limit_reached(self) -> str:
        """The limit that is reached, in words, or an empty string."""
        cell = _limit_reached(self.spent, self.cell, self.elapsed_seconds())
        if cell:
            return cell

        notebook = _limit_reached(
            self.total, self.notebook, self.total.seconds + self.elapsed_seconds()
        )
        if notebook:
            return f"{notebook} for the whole notebook"

        return ""

    def limit_reached_before(self) -> str:
        """The limit of the notebook that was reached before this cell, or an empty string."""
        return _limit_reached(self.total, self.notebook, self.total.seconds)

    def calls_left(self) -> int | None:
        """How many calls may still run; None: any number."""
        left = [
            max(0, limits.calls - spent.calls)
            for spent, limits in self._pairs()
            if limits.calls
        ]
        return min(left, default=None)

    def seconds_left(self) -> float | None:
        """Seconds of work that are left, at least a second; None: no limit."""
        elapsed = self.elapsed_seconds()
        left: list[float] = []
        if self.cell.seconds:
            left.append(self.cell.seconds - elapsed)

        if self.notebook.seconds:
            left.append(self.notebook.seconds - self.total.seconds - elapsed)

        if left:
            return max(1.0, min(left))

        return None

    def rows(self, wanted: int) -> int:
        """How many of `wanted` rows the model may be shown; they count as shown."""
        with self._lock:
            left = [
                max(0, limits.rows - spent.rows)
                for spent, limits in self._pairs()
                if limits.rows
            ]
            granted = min([wanted, *left])
            self.spent.rows += granted
            self.total.rows += granted

        return granted

    def fit(self, text: str) -> str:
        """The text, cut to the bytes that may still go to the model; they count as shown."""
        with self._lock:
            left = [
                max(0, limits.bytes - spent.bytes)
                for spent, limits in self._pairs()
                if limits.bytes
            ]
            if left:
                fitted = cut_text(text, min(left), CUT)
            else:
                fitted = text

            size = len(fitted.encode("utf-8", "replace"))
            if fitted != text:
                # The budget is used up, though the cut is at the end of a letter.
                size = min(left)

            self.spent.bytes += size
            self.total.bytes += size

        return fitted

    def _pairs(self) -> tuple[tuple[Spent, Limits], ...]:
        return (self.spent, self.cell), (self.total, self.notebook)


def cut_text(text: str, limit: int, notice: str) -> str:
    """At most `limit` bytes of UTF-8, the notice included; the whole text when it fits."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text

    kept = data[: max(0, limit - len(notice.encode()))].decode("utf-8", "ignore")
    if kept:
        return kept + notice

    return notice.strip()


def _limit_reached(spent: Spent, limits: Limits, seconds: float) -> str:
    tokens = spent.input + spent.cached + spent.output
    shown_rows = f"{_count(limits.rows, 'row')} shown to the model"
    shown_bytes = f"{_count(limits.bytes, 'byte')} shown to the model"
    measured = (
        (spent.turns, limits.iterations, _count(limits.iterations, "model turn")),
        (spent.calls, limits.calls, _count(limits.calls, "tool call")),
        (seconds, limits.seconds, f"{limits.seconds:g} seconds"),
        (tokens, limits.tokens, f"{limits.tokens:,} tokens"),
        (spent.rows, limits.rows, shown_rows),
        (spent.bytes, limits.bytes, shown_bytes),
    )
    for taken, limit, words in measured:
        # A limit of 0 is none.
        if limit and taken >= limit:
            return words

    return _dollars_reached(spent, limits)


def _dollars_reached(spent: Spent, limits: Limits) -> str:
    if limits.dollars is None:
        return ""
    if spent.dollars is None:
        return f"${limits.dollars:g}, which cannot be kept: a turn has no known price"
    # The turn that sums up is paid for as well; it costs about what the last one did.
    if spent.dollars + spent.last_dollars < limits.dollars:
        return ""

    return f"${limits.dollars:g}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
