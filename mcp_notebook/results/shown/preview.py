"""What a model is shown of a table: its name, shape, columns in words and a few rows;
never the rest.

The text depends on the table alone (no clock, no chance), so the same table keeps the
same prompt-cache prefix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from mcp_notebook.results.shown.facts import (
    ColumnFacts,
    Source,
    describe,
    quoted,
    sources,
)
from mcp_notebook.secrets import MASK
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import Masked, column_texts, value_text

MAX_BYTES = 6_000
"""The default cap: about 2,700 tokens at 2.2 bytes each, which only a table of some fifty columns comes near."""

_TARGET = 1_900  # about 860 tokens, for ten rows of eight columns
_PER_COLUMN = 90
_PER_CELL = 13
_WIDTHS = (80, 48, 32, 24, 16, 12)
_DESCRIBED = 60
_NOTE = 240


@dataclass(frozen=True)
class _Shown:
    """All that may be said; how much of it is said depends on the room."""

    head: tuple[str, ...]
    columns: tuple[ColumnFacts, ...]
    cells: tuple[tuple[str | None, ...], ...]
    rows: int


def preview(
    data: Any,
    name: str,
    *,
    rows: int = 5,
    mask: Sequence[str] = (),
    notes: Sequence[str] = (),
    truncated: str = "",
    max_bytes: int | None = None,
) -> str:
    """The text a model gets for a `pa.Table` or a DataFrame.

    `rows` first rows are shown as CSV (an empty cell is NULL, `""` an empty text).
    Columns whose name matches a pattern of `mask` (`"email"`, `"*_token"`, any case)
    show type and nulls but never a value. `notes` and `truncated` are said above the
    columns. At most `max_bytes` bytes of UTF-8, by default `MAX_BYTES`, or more when
    more than ten rows are asked for. Long values are cut first, then the words on each
    column, then rows and columns.
    """
    masked = _matcher(mask)
    columns = sources(data, masked)
    limit = max_bytes or MAX_BYTES * max(1, min(rows, 200) // 10)
    told = _Shown(
        tuple(_head(data, name, columns, notes, truncated)),
        tuple(describe(column, masked) for column in columns[:_DESCRIBED])
        + tuple(
            ColumnFacts(column.name, column.type, "") for column in columns[_DESCRIBED:]
        ),
        tuple(
            _cells(column, data, at, rows, masked)
            for at, column in enumerate(columns[:_DESCRIBED])
        ),
        min(rows, len(data)),
    )
    target = (
        _TARGET
        + _PER_COLUMN * max(0, len(columns) - 8)
        + _PER_CELL * max(0, rows - 10) * len(columns)
    )
    return _fitted(told, min(target, limit), limit)


def _matcher(mask: Sequence[str]) -> Masked:
    patterns = [pattern.casefold() for pattern in mask]
    return lambda name: any(
        name.casefold() == pattern or fnmatchcase(name.casefold(), pattern)
        for pattern in patterns
    )


def _head(
    data: Any, name: str, columns: list[Source], notes: Sequence[str], truncated: str
) -> Iterator[str]:
    shape = f"{_count(len(data), 'row')} × {_count(len(columns), 'column')}"
    yield f"{visible(clip(name, 120))}: {shape}; query it by that name"
    if truncated:
        yield f"incomplete: {clip(visible(truncated), _NOTE)}"
    yield from (f"note: {clip(visible(note), _NOTE)}" for note in notes[:8])
    if len(notes) > 8:
        yield f"note: and {len(notes) - 8} more notes"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cells(
    source: Source, data: Any, at: int, rows: int, masked: Masked
) -> tuple[str | None, ...]:
    """The first cells of one column as text."""
    if masked(source.name):
        return (MASK,) * min(rows, len(data))
    if source.type == "object" or len(source.values) < source.rows:
        return tuple(
            None if missing else value_text(value, masked)
            for value, missing in _objects(data, at, rows)
        )
    return tuple(column_texts(source.values.slice(0, rows), masked))


def _objects(data: Any, at: int, rows: int) -> Iterator[tuple[object, bool]]:
    head = data.iloc[:rows, at]
    return zip(head, head.isna(), strict=True)


def _fitted(told: _Shown, target: int, limit: int) -> str:
    """The fullest rendering within the target, else the fullest within the limit, cut
    hard as the last resort.
    """
    text = ""
    for detail, width in product((2, 1), _WIDTHS):
        text = _render(told, detail, width)
        if _size(text) <= target:
            return text
    return _narrowed(told, limit)


def _narrowed(told: _Shown, limit: int) -> str:
    """Many columns or a small limit: fewer columns and rows."""
    columns = len(told.columns)
    while columns:
        for detail, rows in (
            (1, told.rows),
            (1, min(told.rows, 3)),
            (0, min(told.rows, 3)),
            (0, 0),
        ):
            text = _render(told, detail, 12, columns=columns, rows=rows)
            if _size(text) <= limit:
                return text
        columns = columns * 3 // 4
    return _cut("\n".join(told.head), limit)


def _render(
    told: _Shown,
    detail: int,
    width: int,
    *,
    columns: int | None = None,
    rows: int | None = None,
) -> str:
    """The text with so much said of each column (2: all, 1: type, nulls and range, 0:
    type) and cells so wide.
    """
    columns = len(told.columns) if columns is None else columns
    rows = told.rows if rows is None else rows
    lines = [
        *told.head,
        "columns:",
        *(_column_line(column, detail, width) for column in told.columns[:columns]),
    ]
    left_out = len(told.columns) - columns
    if left_out:
        lines.append(f"… and {_count(left_out, 'more column')}")
    if rows and columns:
        lines += _csv(told, width, min(columns, len(told.cells)), rows)
    return "\n".join(lines)


def _column_line(column: ColumnFacts, detail: int, width: int) -> str:
    said = [column.type]
    if detail:
        said += [column.nulls, column.range]
    if detail == 2 or column.frequent == "masked":
        said.append(column.frequent)
    return f"- {quoted(clip(visible(column.name), max(width, 40)))} {'; '.join(part for part in said if part)}"


def _csv(told: _Shown, width: int, columns: int, rows: int) -> Iterator[str]:
    part = f", first {columns} columns" if columns < len(told.columns) else ""
    yield f"first {_count(rows, 'row')} as CSV{part}:"
    yield ",".join(
        quoted(clip(visible(column.name), max(width, 40)))
        for column in told.columns[:columns]
    )
    for row in range(rows):
        cells = (told.cells[at][row] for at in range(columns))
        yield ",".join(
            "" if cell is None else quoted(clip(cell, width)) for cell in cells
        )


def _size(text: str) -> int:
    return len(text.encode())


def _cut(text: str, limit: int) -> str:
    return (
        text.encode()[: max(limit - 3, 0)].decode(errors="ignore") + "…"
        if _size(text) > limit
        else text
    )
