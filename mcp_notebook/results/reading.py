"""What was found in one tool result, as plain values: a reading, its tables, and why it
was read so.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from mcp_notebook.charts.drawing import Drawing
    from mcp_notebook.charts.theirs import TheirChart

Confidence = Literal["none", "low", "medium", "high"]
Rejected = tuple[tuple[str, str], ...]  # (reader, why it did not take the result)


@dataclass(frozen=True, eq=False)
class Table:
    """One table of a result, Arrow-backed.

    `data` has unique column names (a repeated name gets `_2`, `_3`, …); `names` are
    those the server sent. `types` says for each column where its type comes from:
    "declared: …", "inferred: …", "converted from text: …". `truncated` is "" or the
    reason or notice; `total_rows` what the server says the whole has, if it says so.
    `approximate`: names, rows or values may differ from what the server had; a note
    says which and why.
    """

    data: pa.Table
    types: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    truncated: str = ""
    total_rows: int | None = None
    approximate: bool = False
    reader: str = ""
    names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.num_rows, self.data.num_columns

    def to_pandas(
        self,
        *,
        attrs: Mapping[str, Any] | None = None,
        decimals: Literal["exact", "float"] | None = None,
        types: Literal["everyday", "exact"] = "everyday",
    ) -> pd.DataFrame:
        """The table as a DataFrame whose `attrs["mcp"]` says how it was read, and of
        which type each column was; `frames` has the dtypes of both `types`.

        `decimals` says what becomes of decimals whatever the `types`.
        """
        # pandas takes a second to import: only who asks for a frame pays.
        from mcp_notebook.results.frames import to_frame

        return to_frame(self, attrs=attrs or {}, decimals=decimals, types=types)

    def __repr__(self) -> str:
        """One line; a table of a million rows must not print itself."""
        rows, columns = self.shape
        marks = [
            mark
            for mark, on in (
                ("approximate", self.approximate),
                ("truncated", self.truncated),
            )
            if on
        ]
        return f"<Table {rows} rows × {columns} columns{''.join(f', {mark}' for mark in marks)}>"


@dataclass(frozen=True, eq=False)
class Reading:
    """All that one tool result held.

    `text` is what is not in a table (the whole text when there is no table), `error`
    the server's message when the result is a failure in any disguise, `reader` the
    format that took it, `rejected` what else was tried.
    """

    tables: tuple[Table, ...] = ()
    text: str = ""
    error: str | None = None
    reader: str = ""
    confidence: Confidence = "none"
    rejected: Rejected = ()
    images: tuple[tuple[str, str], ...] = ()  # (mime type, base64)
    received_bytes: int = 0
    notes: tuple[str, ...] = ()
    # drawn by the notebook's own server, or as a server sent them
    charts: tuple[Drawing | TheirChart, ...] = ()

    def __repr__(self) -> str:
        """Its outcome in one line."""
        if self.error is not None:
            return f"<Reading error: {self.error[:80]!r}>"

        inside = (
            ", ".join(map(repr, self.tables))
            or f"no table, {len(self.text)} characters of text"
        )
        return f"<Reading by {self.reader or 'nobody'}: {inside}>"


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a result was read the way it was; shows itself as text and as HTML."""

    reading: Reading

    def lines(self) -> list[str]:
        """One line a fact: who took it, what each table is, what was rejected and why."""
        reading = self.reading
        lines = [
            f"reader: {reading.reader or 'none'} (confidence: {reading.confidence})"
        ]
        if reading.error is not None:
            lines.append(f"error: {reading.error}")

        for number, table in enumerate(reading.tables, start=1):
            lines += _table_lines(number, table)

        lines += [f"note: {note}" for note in reading.notes]
        lines += [f"rejected {reader}: {why}" for reader, why in reading.rejected]
        return lines

    def __repr__(self) -> str:
        """The lines."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines())
        return f"<ul class='mcp-explanation'>{items}</ul>"


def _table_lines(number: int, table: Table) -> list[str]:
    lines = [f"table {number}: {table!r}"]
    lines += [f"  {name}: {how}" for name, how in table.types.items()]
    if table.truncated:
        lines.append(f"  truncated: {table.truncated}")
    return [*lines, *(f"  note: {note}" for note in table.notes)]


@dataclass(frozen=True)
class ReadOptions:
    """The arguments of `read`, see there."""

    output_schema: Mapping[str, Any] | None = None
    sql: str = ""
    fetch: Callable[[str], object] | None = None
    allowed_dirs: tuple[str, ...] = ()
    max_bytes: int = 256 * 1024 * 1024
    infer: bool = True
    arguments: Mapping[str, Any] | None = None
