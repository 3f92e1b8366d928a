"""Every tool call and every model turn of this kernel, with what it took: the ledger,
and the spans of OpenTelemetry.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry import trace

from mcp_notebook.events import Event, ToolCall, ToolResult, ToolStarted, Usage
from mcp_notebook.secrets import hide, mask_json, seal_arguments, seal_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from mcp_notebook.sessions import Session, ToolInfo

logger = logging.getLogger(__name__)

ANSWER = "(answer)"  # where the turns are summed that asked for no call


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One tool call. `seconds` counts the tool, not the wait for an approval; sizes are bytes.

    `turn`: the number of the model's turn that asked for it, None for a call by hand.
    """

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
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn of the model with its tokens; `dollars` is None where no price is known."""

    cell: str
    time: datetime.datetime
    usage: Usage


@dataclass
class _Open:
    cell: str
    started: datetime.datetime
    call: ToolCall
    turn: int | None


@dataclass
class Ledger:
    """The log of one kernel. Feed it the events of each cell; `file`: where it is
    written as JSON lines, if at all.
    """

    calls: list[CallRecord] = field(default_factory=list)
    turns: list[TurnRecord] = field(default_factory=list)
    file: Path | None = None
    _open: dict[str, _Open] = field(default_factory=dict)

    def record(self, event: Event, *, cell: str = "") -> None:
        """Take one event; those that are neither calls nor turns pass by."""
        now = datetime.datetime.now().astimezone()
        if isinstance(event, ToolCall):
            self._open[event.id] = _Open(cell, now, event, self._last_turn(cell))
        elif isinstance(event, ToolStarted) and event.id in self._open:
            self._open[event.id].started = now
        elif isinstance(event, ToolResult) and event.id in self._open:
            self.calls.append(_call_record(self._open.pop(event.id), event))
            self._write("call", self.calls[-1])
        elif isinstance(event, Usage):
            self.turns.append(TurnRecord(cell, now, event))
            self._write("turn", self.turns[-1])

    def close(self, cell: str) -> None:
        """Record the calls that an interrupt left open, as cancelled."""
        for call_id, opened in list(self._open.items()):
            if opened.cell == cell:
                seconds = (
                    datetime.datetime.now().astimezone() - opened.started
                ).total_seconds()
                self.record(ToolResult(call_id, "cancelled", "", seconds), cell=cell)

    def frame(self) -> DataFrame:
        """Every call as a DataFrame, one row a call, oldest first."""
        pd = _load_pandas()
        names = [f.name for f in dataclasses.fields(CallRecord)]
        data: Any = pd.DataFrame(
            [[getattr(c, n) for n in names] for c in self.calls], columns=names
        )
        data["arguments"] = [
            json.dumps(c.arguments, ensure_ascii=False, default=str) for c in self.calls
        ]
        data["names"] = [", ".join(c.names) for c in self.calls]
        return data.astype({"rows": "Int64", "turn": "Int64"})

    def costs(self, by: Literal["cell", "server", "tool"] = "cell") -> DataFrame:
        """What was taken, one row a cell, server or tool, in the order of their first
        use; the columns add up.

        Tokens and dollars of a turn belong to the calls that it asked for, in equal
        parts; those of a turn without calls to the answer. `dollars` is NaN where a
        price is unknown; `cached_tokens` were read from the cache, `written_tokens`
        into it. `web_searches` and `web_pages` are what the model's service looked up.
        """
        pd = _load_pandas()
        parts = [
            *self._turn_parts(by),
            *({by: _place(c, by), **_call_costs(c)} for c in self.calls),
        ]
        columns = [by, *_SUMS]
        data: Any = pd.DataFrame(parts, columns=columns).fillna(
            {name: 0 for name in columns[1:] if name != "dollars"}
        )
        # pandas takes NaN as nothing; here a sum with an unknown part is unknown
        known = data.groupby(by, sort=False)["dollars"].agg(
            lambda values: values.sum(skipna=False)
        )
        summed = data.groupby(by, sort=False)[list(_SUMS)].sum()
        summed["dollars"] = known
        whole = (
            "calls",
            "rows",
            "received_bytes",
            "shown_bytes",
            *(("turns", *_TOKENS) if by == "cell" else ()),
        )
        return summed.astype(dict.fromkeys(whole, "int64")).reset_index()

    def dollars(self) -> float | None:
        """What the turns cost, or None when one of them has no known price."""
        total = 0.0
        for turn in self.turns:
            if turn.usage.dollars is None:
                return None

            total += turn.usage.dollars

        return total

    def __iter__(self) -> Iterator[CallRecord]:
        return iter(self.calls)

    def _last_turn(self, cell: str) -> int | None:
        last = len(self.turns) - 1
        if last >= 0 and self.turns[last].cell == cell:
            return last

        return None

    def _turn_parts(self, by: str) -> Iterator[dict[str, Any]]:
        asked: dict[int, list[CallRecord]] = {}
        for call in self.calls:
            if call.turn is not None:
                asked.setdefault(call.turn, []).append(call)

        for number, turn in enumerate(self.turns):
            if by != "cell":
                calls = asked.get(number, [])
            else:
                calls = []

            places: Iterable[str] = [_place(c, by) for c in calls] or [
                turn.cell if by == "cell" else ANSWER
            ]
            share = 1 / max(1, len(calls))
            usage = turn.usage
            taken = {
                "turns": share,
                "input_tokens": usage.input * share,
                "cached_tokens": usage.cache_read * share,
            }
            taken |= {
                "written_tokens": usage.cache_write * share,
                "output_tokens": usage.output * share,
                "web_searches": usage.web_searches * share,
                "web_pages": usage.web_pages * share,
            }
            if usage.dollars is None:
                dollars = float("nan")
            else:
                dollars = usage.dollars * share

            yield from ({by: place, **taken, "dollars": dollars} for place in places)

    def _write(self, kind: str, record: Any) -> None:
        if self.file is None:
            return

        line = json.dumps(
            mask_json({"kind": kind, **_plain(record)}), ensure_ascii=False, default=str
        )
        try:
            # for this user's eyes only, from the first byte on
            handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            # half a character of a server is written as JSON escapes it
            with os.fdopen(
                handle, "a", encoding="utf-8", errors="backslashreplace"
            ) as file:
                file.write(line + "\n")
        except OSError as error:
            logger.warning("the log %s cannot be written: %s", self.file, error)


_TOKENS = (
    "input_tokens",
    "cached_tokens",
    "written_tokens",
    "output_tokens",
    "web_searches",
    "web_pages",
)
_SUMS = (
    "turns",
    "calls",
    *_TOKENS,
    "dollars",
    "seconds",
    "rows",
    "received_bytes",
    "shown_bytes",
)


def _place(call: CallRecord, by: str) -> str:
    return {
        "cell": call.cell,
        "server": call.server,
        "tool": f"{call.server}.{call.tool}",
    }[by]


def _call_costs(call: CallRecord) -> dict[str, Any]:
    sizes = {
        "rows": call.rows or 0,
        "received_bytes": call.received_bytes,
        "shown_bytes": call.shown_bytes,
    }
    return {"calls": 1, "dollars": 0.0, "seconds": call.seconds, **sizes}


def _plain(record: Any) -> dict[str, Any]:
    plain = dataclasses.asdict(record)
    usage = plain.pop("usage", {})
    return {**plain, **usage, "time": record.time.isoformat()}


def _call_record(opened: _Open, result: ToolResult) -> CallRecord:
    if result.reading is not None:
        tables = result.reading.tables
    else:
        tables = ()

    return CallRecord(
        cell=opened.cell,
        time=opened.started,
        server=opened.call.server,
        tool=opened.call.tool,
        arguments=seal_arguments(opened.call.arguments),
        outcome=result.outcome,
        seconds=round(result.seconds, 4),
        rows=sum(t.data.num_rows for t in tables) if tables else None,
        received_bytes=result.received_bytes,
        shown_bytes=len(result.shown.encode("utf-8", "replace")),
        names=result.names,
        error=seal_text(result.shown[:500])
        if result.outcome in ("error", "denied")
        else "",
        call_id=opened.call.id,
        turn=opened.turn,
    )


def _load_pandas() -> Any:
    import pandas  # slow; loaded by then, since results are DataFrames

    return pandas


# The same for others: OpenTelemetry spans by the gen_ai conventions, children of what is
# current; nothing where no provider is set.
#
# The SDKs of the model and of MCP make their own spans for a request; these hold them
# together. Contents are never recorded.
# https://opentelemetry.io/docs/specs/semconv/gen-ai/

# An exception's words may hold what a server or the model was given.
_QUIET = {"record_exception": False, "set_status_on_exception": False}


@contextmanager
def agent_span(conversation: str, model: str) -> Iterator[Any]:
    """The span of one cell."""
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "mcp-notebook",
        "gen_ai.conversation.id": conversation,
        "gen_ai.request.model": model,
    }
    with (
        _tracer().start_as_current_span(
            "invoke_agent mcp-notebook", attributes=attributes, **_QUIET
        ) as span,
        _note_failure(span),
    ):
        yield span


@contextmanager
def tool_span(session: Session, tool: ToolInfo, call_id: str) -> Iterator[Any]:
    """The span of one tool call, the wait for the person included."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool.name,
        "gen_ai.tool.type": "extension",
        "gen_ai.tool.call.id": call_id,
        "mcp.server.name": session.name,
    }
    with (
        _tracer().start_as_current_span(
            f"execute_tool {tool.name}", attributes=hide(attributes), **_QUIET
        ) as span,
        _note_failure(span),
    ):
        yield span


def record_outcome(span: Any, result: ToolResult) -> None:
    """Put the outcome of a call on its span."""
    span.set_attribute("mcp_notebook.outcome", result.outcome)
    span.set_attribute("mcp_notebook.received_bytes", result.received_bytes)
    if result.outcome == "error":
        span.set_attribute("error.type", "tool_error")


@contextmanager
def _note_failure(span: Any) -> Iterator[None]:
    try:
        yield
    except BaseException as error:  # also an interrupt: the span says so
        span.set_attribute("error.type", type(error).__name__)
        span.set_attribute("exception.message", hide(str(error)))
        raise


def _tracer() -> Any:
    return trace.get_tracer("mcp_notebook")
