"""One tool call as it is known at a moment: a frozen value that each event replaces, with
what is shown of its tables as plain text: no Arrow, no pandas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mcp_notebook.display.shown_table import TableView
from mcp_notebook.display.sqltext import Part, is_sql, parts, pretty
from mcp_notebook.events import Approval, ToolCall, ToolProgress, ToolResult
from mcp_notebook.results.content import describe_file
from mcp_notebook.untrusted_text import clip, visible

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.charts.drawing import Drawing

Status = Literal["approval", "running", "ok", "error", "denied", "cancelled"]

TEXT = 8_000  # characters of a result's text

ARGUMENT = 6_000  # characters of one argument in a card that stays

ARGUMENTS = 24_000  # of all that it shows


@dataclass(frozen=True, slots=True)
class CallView:
    """A tool call with what came of it so far. `seconds`: how long it ran, None before it ended."""

    server: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    status: Status = "running"
    id: str = ""
    claims: str = ""
    approval: Approval = field(default_factory=Approval, repr=False)
    seconds: float | None = None
    received_bytes: int = 0
    shown: str = ""  # what Claude gets of the result
    text: str = ""  # what of the result is no table
    error: str = ""
    tables: tuple[TableView, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    message: str = ""  # the server's last progress notice
    fraction: float | None = None
    # charts that were asked for, each an output of its own below the card
    charts: tuple[Drawing, ...] = field(default=(), repr=False, compare=False)
    # the tables' data
    whole: tuple[pa.Table, ...] = field(default=(), repr=False, compare=False)

    @property
    def plain(self) -> str:
        """The result's text where there is some besides the tables; else, without
        tables, what Claude gets.
        """
        text = self.text
        if not text.strip() and not self.tables and self.status == "ok":
            text = self.shown

        if text.strip():
            return text

        return ""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument for reading: visible text in coloured parts."""

    name: str
    kind: Literal["sql", "text", "json"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.parts)

    @property
    def short(self) -> bool:
        """Whether it fits beside its name."""
        return self.kind != "sql" and len(self.text) <= 100 and "\n" not in self.text


def view_call(call: ToolCall, result: ToolResult | None = None) -> CallView:
    """The view of a call, with its result when it has ended."""
    view = CallView(
        server=call.server,
        tool=call.tool,
        arguments=call.arguments,
        status="approval" if call.needs_approval else "running",
        id=call.id,
        claims=call.claims,
        approval=call.approval or Approval(),
        notes=tuple(f"{name}: read from a JSON text" for name in call.read),
    )
    if result is None:
        return view

    return finish_view(view, result)


def finish_view(view: CallView, event: ToolResult) -> CallView:
    """The view of a call that ended; tables are reduced to what can be shown of them."""
    ended = replace(
        view,
        status=event.outcome,
        seconds=event.seconds,
        received_bytes=event.received_bytes,
        shown=event.shown,
        images=event.images,
    )
    reading = event.reading
    failed = event.outcome != "ok"
    if reading is None:
        return replace(ended, error=event.shown if failed else "")

    charts, refused = _draw_charts(event)
    return replace(
        ended,
        charts=charts,
        error=(reading.error or event.shown) if failed else "",
        text="" if failed else reading.text,
        tables=_view_tables(event),
        whole=tuple(table.data for table in reading.tables),
        notes=(
            *view.notes,
            *(clip(visible(note), 400) for note in (*_notes_of(event), *refused)),
        ),
        images=_pictures_of(event),
    )


def _pictures_of(event: ToolResult) -> tuple[tuple[str, str], ...]:
    reading = event.reading
    if reading is None or reading.reader == "chart":  # its picture is the model's
        return ()

    found = tuple(i for i in reading.images if i[0].startswith("image/"))
    return event.images or found


def _draw_charts(event: ToolResult) -> tuple[tuple[Drawing, ...], list[str]]:
    """The charts of a result as drawings, and why others were not drawn."""
    if event.reading is None or not event.reading.charts:
        return (), []

    # loads pyarrow, which only a result with a chart needs here
    from mcp_notebook.display.charts import draw_all

    return draw_all(event.reading.charts, event.names)


def _notes_of(event: ToolResult) -> list[str]:
    notes = list(event.reading.notes) if event.reading is not None else []
    return notes + [
        f"{describe_file(file)}: .files of the result" for file in event.files
    ]


def report_progress(view: CallView, event: ToolProgress) -> CallView:
    """The view after a progress notice."""
    fraction = event.fraction
    if fraction is not None:
        fraction = min(1.0, max(0.0, fraction))
    return replace(view, fraction=fraction, message=event.message or view.message)


def _view_tables(event: ToolResult) -> tuple[TableView, ...]:
    if event.reading is None or not event.reading.tables:
        return ()
    # pyarrow is slow to import; whoever made a table has it
    from mcp_notebook.display.tables import view_tables

    return view_tables(
        event.reading.tables, event.names, draws=not event.reading.charts
    )


def read_arguments(values: Mapping[str, Any]) -> tuple[Argument, ...]:
    """Every argument for reading, in the order given: SQL formatted and coloured, other
    values as text or JSON.
    """
    return tuple(_read_argument(str(name), value) for name, value in values.items())


def kept_arguments(view: CallView) -> tuple[tuple[Argument, ...], str]:
    """The arguments that fit a card that stays, names clipped, and a line on how many
    are left out ("" for none).
    """
    read, kept, left = read_arguments(view.arguments), [], ARGUMENTS
    for argument in read:
        if left <= 0:
            break

        kept.append(replace(argument, name=clip(argument.name, 60)))
        left -= min(ARGUMENT, len(argument.text)) + 60

    hidden = len(read) - len(kept)
    return tuple(kept), f"… and {hidden} more arguments" if hidden else ""


def preview_arguments(view: CallView, limit: int = 160) -> str:
    """The arguments in one line: the SQL alone when there is some, else `name: value` pairs."""
    read = read_arguments(view.arguments)
    pieces = [argument.text for argument in read if argument.kind == "sql"]
    if not pieces:
        pieces = [f"{argument.name}: {argument.text}" for argument in read]
    return clip(" ".join("  ".join(pieces).split()), limit)


def _read_argument(name: str, value: object) -> Argument:
    if isinstance(value, str) and is_sql(name, value):
        return Argument(visible(name), "sql", tuple(parts(pretty(value))))
    if isinstance(value, str):
        return Argument(visible(name), "text", (("", visible(value, lines=True)),))

    written = json.dumps(value, ensure_ascii=False, default=str)
    if len(written) > 80:
        written = json.dumps(value, ensure_ascii=False, default=str, indent=2)

    return Argument(visible(name), "json", (("", visible(written, lines=True)),))
