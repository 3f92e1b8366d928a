"""The calls that were made, exactly as they were sent, so that they can be frozen.

It lives in this process's memory and is written nowhere: arguments stand here without a mask.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mcp_notebook.config.options import ConnectOptions

if TYPE_CHECKING:
    import pandas as pd

    from mcp_notebook.charts.compute import Chart

Kind = Literal["tool", "resource"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a tool when it is called. `sql`: its argument for SQL; `only`:
    it is the server's tool for SQL.

    `reads`: it is one of ours that can only read, says of itself that it only reads, or
    was marked as safe to repeat.
    """

    reads: bool = False
    sql: str = ""
    only: bool = False


@dataclass(eq=False)
class Kept:
    """A table that a call gave. `name`: "" while only the person's code has it.

    `rows`, the rows as they came, are held for as long as the notebook holds the table.
    """

    name: str
    frame: weakref.ref[pd.DataFrame]
    rows: pd.DataFrame | None
    truncated: str = ""
    # names that the person asked for, the latest last
    into: list[str] = field(default_factory=list)

    def name_now(self, namespace: Mapping[str, Any]) -> str:
        """What the table is called in the notebook now, or was called when it came."""
        frame = self.frame()
        names = [name for name in (*reversed(self.into), self.name) if name]
        if frame is None:
            if names:
                return names[0]
            return "table"

        now = (
            n
            for n in (*names, *namespace)
            if namespace.get(n) is frame and not n.startswith("_")
        )
        return next(now, names[0] if names else "table")

    def names(self) -> set[str]:
        """Every name that a call or the person gave it."""
        return {name for name in (self.name, *self.into) if name}


@dataclass(eq=False)
class Call:
    """One call that was sent. `cell`: the id of its `%%claude` cell, "" for one by hand."""

    id: str
    server: str
    tool: str
    arguments: dict[str, Any]
    facts: Facts = Facts()
    cell: str = ""
    kind: Kind = "tool"
    route: ConnectOptions | None = None
    outcome: str = ""  # "" while it runs
    tables: dict[int, Kept] = field(default_factory=dict)
    at: int = 0  # the number of the cell in the notebook's history
    chart: Chart | None = None  # what it drew, of one of the notebook's tables
    # The tables that SQL could name when it was sent, by its names; None: one that the
    # person's code made.
    sources: Mapping[str, Kept | None] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes two calls the same: the server as it was connected, the tool, the
        arguments.
        """
        return repr(
            (
                self.kind,
                self.server,
                self.route,
                self.tool,
                sorted(self.arguments.items()),
            )
        )

    def kept(self) -> list[Kept]:
        """Its tables in order."""
        return [self.tables[index] for index in sorted(self.tables)]


@dataclass(eq=False)
class Run:
    """One `%%claude` cell: the question, the name asked for, and what the model said."""

    cell: str
    prompt: str
    into: str = ""
    words: str = ""
    backend: str = ""
    # what the person was asked to choose, and what came of it
    choices: list[tuple[str, str]] = field(default_factory=list)


class Trail:
    """The calls of one kernel in the order in which they were sent."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.runs: dict[str, Run] = {}
        self.routes: dict[
            str, ConnectOptions
        ] = {}  # how each server was connected last
        # A day has tens of thousands of calls: what a table is of is not searched for.
        self._by_frame: dict[int, tuple[Call, Kept]] = {}
        self._by_name: dict[str, Kept] = {}

    def note_connection(self, route: ConnectOptions) -> None:
        """A server was connected this way."""
        self.routes[route.name] = route

    def note_question(self, run: Run) -> None:
        """A cell begins."""
        self.runs[run.cell] = run

    def sent(self, call: Call, tables: Mapping[str, Any] | None = None) -> None:
        """A call is sent; `tables` are those that its SQL may name."""
        call.sources = {
            name: self._kept_of(table) for name, table in (tables or {}).items()
        }
        call.route = self.routes.get(call.server)
        self.calls.append(call)

    def kept(
        self,
        call_id: str,
        index: int,
        name: str,
        frame: pd.DataFrame,
        truncated: str = "",
    ) -> None:
        """A table of a call came into the notebook under a name."""
        call = self.find(call_id)
        if call is None:
            return

        # A shallow copy: pandas copies on write, so what the person does to the frame
        # does not reach these rows.
        kept = Kept(name, weakref.ref(frame), frame.copy(deep=False), truncated)
        weakref.finalize(frame, _let_go, weakref.ref(kept)).atexit = False
        call.tables[index] = kept
        self._by_frame[id(frame)] = (call, kept)

    def note_end(self, call_id: str, outcome: str, chart: Chart | None = None) -> None:
        """A call has its result; one that was not sent (denied, answered from an
        earlier one) passes by. `chart`: what it drew of a table of the notebook.
        """
        call = self.find(call_id)
        if call is not None:
            call.outcome, call.chart = outcome, chart

    def note_name(self, name: str, frame: Any) -> None:
        """The person asked for a table under this name."""
        before = self._by_name.pop(name, None)
        if before is not None and name in before.into:
            before.into.remove(name)

        kept = self._kept_of(frame)
        if kept is not None:
            kept.into.append(name)
            self._by_name[name] = kept

    def last_cell(self) -> str:
        """The id of the last `%%claude` cell, "" before the first."""
        return next(reversed(self.runs), "")

    def of_frame(self, frame: Any) -> Call | None:
        """The call that gave a table."""
        call, kept = self._by_frame.get(id(frame), (None, None))
        return call if kept is not None and kept.frame() is frame else None

    def _kept_of(self, frame: Any) -> Kept | None:
        _, kept = self._by_frame.get(id(frame), (None, None))
        # A number may be another frame's by now.
        return kept if kept is not None and kept.frame() is frame else None

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self.calls))

    def find(self, call_id: str) -> Call | None:
        """A call by its id."""
        return next((call for call in reversed(self.calls) if call.id == call_id), None)


def _let_go(reference: weakref.ref[Kept]) -> None:
    """The notebook holds the table no longer, so neither do we."""
    kept = reference()
    if kept is not None:
        kept.rows = None
