"""One tool call as it is known at a moment: a frozen value that each event replaces, with
what is shown of its tables as plain text, and the few words that every form of its card
says: no Arrow, no pandas.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mcp_notebook.events import Approval, ToolCall, ToolProgress
from mcp_notebook.results.bounds import refuse_picture
from mcp_notebook.sql_words import Part, colour_sql, is_sql, lay_out_sql
from mcp_notebook.untrusted_text import clip, visible

if TYPE_CHECKING:
    from mcp_notebook.charts.drawing import Drawing

Status = Literal["approval", "running", "ok", "error", "denied", "cancelled"]

TEXT = 8_000  # characters of a result's text

ARGUMENT = 6_000  # characters of one argument in a card that stays

ARGUMENTS = 24_000  # of all that it shows


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """A column of what is shown: its Arrow type in short, how that type was found, and
    what it holds in two short lines.
    """

    name: str
    kind: str
    numeric: bool
    origin: str = ""
    stats: tuple[str, str] = ("", "")


def count_of(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    if number == 1:
        return f"{number:,} {noun}"
    return f"{number:,} {noun}s"


@dataclass(frozen=True, slots=True)
class TableView:
    """The first rows of one table as text. None is NULL. `total` is the number of rows
    received, `width` of columns.
    """

    name: str
    columns: tuple[ShownColumn, ...]
    rows: tuple[tuple[str | None, ...], ...]
    total: int
    width: int
    notes: tuple[str, ...] = ()
    truncated: str = ""  # why the server cut it, "" when it is whole
    approximate: bool = False
    at_server: int | None = None  # rows the server says there are
    chart: Drawing | None = None

    @property
    def shape(self) -> str:
        """`36 rows × 3 columns`, with what the server still has."""
        rows = count_of(self.total, "row")
        if self.at_server is not None and self.at_server > self.total:
            rows = f"{self.total:,} of {self.at_server:,} rows"
        return f"{rows} × {count_of(self.width, 'column')}"


class WholeTable(Protocol):
    """A table of which any part can be looked at."""

    @property
    def nbytes(self) -> int: ...
    @property
    def explorer(self) -> Any: ...
    def count(self, view: TableView) -> TableView: ...


@dataclass(frozen=True)
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
    whole: tuple[WholeTable, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def read(self) -> tuple[Argument, ...]:
        """Its arguments for reading: a card says them several times, and long SQL takes a while."""
        return read_arguments(self.arguments)

    def with_counts(self) -> CallView:
        """The same with what the columns of its tables hold."""
        pairs = zip(self.tables, self.whole, strict=False)
        counted = tuple(whole.count(view) for view, whole in pairs)
        return replace(self, tables=counted + self.tables[len(counted) :])

    def with_table(self, view: TableView, whole: WholeTable) -> CallView:
        """The same with one table as its result."""
        return replace(self, tables=(view,), whole=(whole,))

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


def view_call(call: ToolCall) -> CallView:
    """The view of a call that has no result yet."""
    return CallView(
        server=call.server,
        tool=call.tool,
        arguments=call.arguments,
        status="approval" if call.needs_approval else "running",
        id=call.id,
        claims=call.claims,
        approval=call.approval or Approval(),
        notes=tuple(f"{name}: read from a JSON text" for name in call.read),
    )


def report_progress(view: CallView, event: ToolProgress) -> CallView:
    """The view after a progress notice."""
    fraction = event.fraction
    if fraction is not None:
        fraction = min(1.0, max(0.0, fraction))
    return replace(view, fraction=fraction, message=event.message or view.message)


def read_arguments(values: Mapping[str, Any]) -> tuple[Argument, ...]:
    """Every argument for reading, in the order given: SQL formatted and coloured, other
    values as text or JSON.
    """
    return tuple(_read_argument(str(name), value) for name, value in values.items())


def kept_arguments(view: CallView) -> tuple[tuple[Argument, ...], str]:
    """The arguments that fit a card that stays, names clipped, and a line on how many
    are left out ("" for none).
    """
    kept, left = [], ARGUMENTS
    for argument in view.read:
        if left <= 0:
            break

        kept.append(replace(argument, name=clip(argument.name, 60)))
        left -= min(ARGUMENT, len(argument.text)) + 60

    hidden = len(view.read) - len(kept)
    return tuple(kept), f"… and {hidden} more arguments" if hidden else ""


def preview_arguments(view: CallView, limit: int = 160) -> str:
    """The arguments in one line: the SQL alone when there is some, else `name: value` pairs."""
    pieces = [argument.text for argument in view.read if argument.kind == "sql"]
    if not pieces:
        pieces = [f"{argument.name}: {argument.text}" for argument in view.read]
    return clip(" ".join("  ".join(pieces).split()), limit)


def _read_argument(name: str, value: object) -> Argument:
    if isinstance(value, str) and is_sql(name, value):
        return Argument(visible(name), "sql", tuple(colour_sql(lay_out_sql(value))))
    if isinstance(value, str):
        return Argument(visible(name), "text", (("", visible(value, lines=True)),))

    written = json.dumps(value, ensure_ascii=False, default=str)
    if len(written) > 80:
        written = json.dumps(value, ensure_ascii=False, default=str, indent=2)

    return Argument(visible(name), "json", (("", visible(written, lines=True)),))


# ---- words

_APPROXIMATE = "names, rows or values may differ from what the server had"
_UNITS = ("B", "kB", "MB", "GB")
ASIDE = 240  # characters of a text beside tables that are read without asking
MARKS = {
    "approval": "?",
    "running": "◌",
    "ok": "✓",
    "error": "✕",
    "denied": "⊘",
    "cancelled": "⊘",
}
LABELS = {
    "approval": "waits for your answer",
    "running": "running",
    "ok": "done",
    "error": "error",
    "denied": "denied",
    "cancelled": "cancelled",
}


def duration(seconds: float) -> str:
    """`80 ms`, `1.4 s`, `2 min 05 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"


def byte_size(count: int) -> str:
    """`812 B`, `1.2 kB`, `48 kB`, `3.1 MB`, in powers of 1000."""
    if count < 1000:
        return f"{count} B"

    value, power = count / 1000, 1
    while power < 3 and value >= 999.5:
        power += 1
        value = count / 1000**power

    if value < 9.95:
        number = f"{value:.1f}"
    else:
        number = f"{value:.0f}"

    return f"{number} {_UNITS[power]}"


def outcome(record: CallView) -> str:
    """What the header says at its right: the shape of the first table, or the status
    when it is not plain success.
    """
    if record.status != "ok":
        return LABELS[record.status]

    if record.tables:
        first, *others = record.tables
        if others:
            return f"{first.shape} and {len(others)} more"

        return first.shape

    if record.images:
        return count_of(len(record.images), "image")

    return ""


# Whether what is saved says how long things took: then no second run is like the first.
_timed = False


def show_times(wanted: bool) -> None:
    """From now on outputs that stay say how long things took, or do not."""
    global _timed
    _timed = wanted


def saved_duration(seconds: float) -> str:
    """A duration in output that is saved: "" unless the person wants them there."""
    if not _timed or not seconds:
        return ""
    return duration(seconds)


def saved_took(record: CallView) -> str:
    """How long the call ran, in output that is saved."""
    is_over = record.status not in ("running", "approval")
    return took(record) if _timed or not is_over else ""


def took(record: CallView) -> str:
    """How long the call ran, "" when it did not."""
    if not record.seconds or record.status == "denied":
        return ""
    return duration(record.seconds)


def badges(truncated: str, approximate: bool) -> list[tuple[str, str]]:
    """(label, explanation) of what a table is not."""
    found = []
    if truncated:
        found.append(("cut by the server", truncated))

    if approximate:
        found.append(("approximate", _APPROXIMATE))

    return found


def seen_by_claude(record: CallView) -> str:
    """`612 B of 48 kB`: how much of what was received went to Claude."""
    size = len(record.shown.encode(errors="replace"))
    if not record.received_bytes:
        return byte_size(size)
    # of a small table its description is longer than the table itself
    if size > record.received_bytes:
        return f"{byte_size(record.received_bytes)}, described in {byte_size(size)}"
    return f"{byte_size(size)} of {byte_size(record.received_bytes)}"


def text_label(record: CallView) -> str:
    """What a long text besides tables is folded under; "" for one that stands open."""
    if not record.tables or len(record.plain) <= ASIDE:
        return ""
    return f"What the tool said besides · {byte_size(len(record.plain.encode(errors='replace')))}"


def missing_image(mime: str, data: str) -> str:
    """What stands in the place of an image that is not shown."""
    kind = f"{clip(visible(mime), 40)}, {byte_size(len(data) * 3 // 4)}"
    with contextlib.suppress(ValueError):
        refused = refuse_picture(base64.b64decode(data))
        if refused:
            return f"An image ({kind}) was {refused}."
    return f"An image ({kind}) is not shown: only whole PNG, JPEG, GIF, WebP and SVG images are."
