"""Every tool call and every model turn of this kernel, with what it took."""

import dataclasses
import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.events import Event, ToolCall, ToolResult, ToolStarted, Usage
from mcp_notebook.masking import MASK, mask_json, seal_text

if TYPE_CHECKING:
    from pandas import DataFrame

# Names whose values never belong into a log, whatever server takes them as an argument.
SECRET_NAMES = re.compile(r"pass(word|wd|phrase)?$|secret|token|api_?key|authorization|credential", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One tool call. `seconds` counts the tool, not the wait for an approval; sizes are bytes."""

    cell: str
    time: datetime.datetime
    server: str
    tool: str
    arguments: dict[str, Any]
    outcome: str
    seconds: float
    rows: int | None
    received_bytes: int
    shown_bytes: int
    names: tuple[str, ...]
    error: str
    call_id: str


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn of the model with its tokens; `dollars` is None where no price is known."""

    cell: str
    time: datetime.datetime
    usage: Usage


@dataclass
class Ledger:
    """The log of one kernel. Feed it the events of each cell."""

    calls: list[CallRecord] = field(default_factory=list)
    turns: list[TurnRecord] = field(default_factory=list)
    _open: dict[str, tuple[str, datetime.datetime, ToolCall]] = field(default_factory=dict)

    def record(self, event: Event, *, cell: str = "") -> None:
        """Take one event; those that are neither calls nor turns pass by."""
        now = datetime.datetime.now().astimezone()
        if isinstance(event, ToolCall):
            self._open[event.id] = (cell, now, event)
        elif isinstance(event, ToolStarted) and event.id in self._open:
            _, _, call = self._open[event.id]
            self._open[event.id] = (cell, now, call)
        elif isinstance(event, ToolResult) and event.id in self._open:
            self.calls.append(_call_record(*self._open.pop(event.id), event))
        elif isinstance(event, Usage):
            self.turns.append(TurnRecord(cell, now, event))

    def close(self, cell: str) -> None:
        """Record the calls that an interrupt left open, as cancelled."""
        for call_id, (where, started, _) in list(self._open.items()):
            if where == cell:
                seconds = (datetime.datetime.now().astimezone() - started).total_seconds()
                self.record(ToolResult(call_id, "cancelled", "", seconds), cell=cell)

    def frame(self) -> "DataFrame":
        """Every call as a DataFrame, one row a call, oldest first."""
        import pandas as pd  # slow; loaded by then, since results are DataFrames

        names = [f.name for f in dataclasses.fields(CallRecord)]
        data = pd.DataFrame([[getattr(c, n) for n in names] for c in self.calls], columns=names)
        data["arguments"] = [json.dumps(c.arguments, ensure_ascii=False, default=str) for c in self.calls]
        data["names"] = [", ".join(c.names) for c in self.calls]
        return data.astype({"rows": "Int64"})

    def dollars(self) -> float | None:
        """What the turns cost, or None when one of them has no known price."""
        prices = [t.usage.dollars for t in self.turns]
        return sum(p for p in prices if p is not None) if all(p is not None for p in prices) else None

    def __iter__(self) -> Iterator[CallRecord]:
        return iter(self.calls)


def _call_record(cell: str, started: datetime.datetime, call: ToolCall, result: ToolResult) -> CallRecord:
    tables = result.reading.tables if result.reading is not None else ()
    return CallRecord(
        cell=cell,
        time=started,
        server=call.server,
        tool=call.tool,
        arguments=mask_json(masked(call.arguments)),
        outcome=result.outcome,
        seconds=round(result.seconds, 4),
        rows=sum(t.data.num_rows for t in tables) if tables else None,
        received_bytes=result.received_bytes,
        shown_bytes=len(result.shown.encode("utf-8", "replace")),
        names=result.names,
        error=seal_text(result.shown[:500]) if result.outcome == "error" else "",
        call_id=call.id,
    )


def masked(value: Any, name: str = "") -> Any:
    """The value with everything masked whose name says that it is a secret."""
    if name and SECRET_NAMES.search(name) and value is not None:
        return MASK
    if isinstance(value, dict):
        return {k: masked(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [masked(v) for v in value]
    return value
