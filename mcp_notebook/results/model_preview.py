"""What a model is shown of a table: its name, shape, columns in words and a few rows;
never the rest.

The text depends on the table alone (no clock, no chance), so the same table keeps the
same prompt-cache prefix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.secrets import MASK
from mcp_notebook.sql_words import is_reserved, written_name
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import (
    Masked,
    column_texts,
    plain_column,
    type_name,
    value_kind,
    value_text,
)

if TYPE_CHECKING:
    from mcp_notebook.results.frame_view import FrameView

MAX_BYTES = 1_980
"""The default cap, whatever the shape: 900 tokens at 2.2 bytes each."""

_WIDTHS = (80, 48, 32, 24, 16, 12)
_DESCRIBED = 60
_NOTE = 240
# A table with more rows is not tried whole: not even one narrow column would fit.
_WHOLE_ROWS = 300
# Narrower cells are no whole row any more.
_WHOLE_WIDTHS = (80, 48, 32)
_ALIKE = 3
_DIGITS = re.compile(r"\d+")
_EMPTY = "it is empty, no row was found: there is no value to report, not even a zero"
_ALL_NULL = "every value is NULL: nothing was found, there is no value to report"

SAMPLE = 20_000
_BLOCKS = 20
_OBJECTS = 2_000
_TOP = 4
_FEW = 20


@dataclass(frozen=True)
class ColumnFacts:
    """One column in words; `range` and `frequent` are "" when there is nothing to say
    or the column is masked.
    """

    name: str
    type: str
    nulls: str
    range: str = ""
    frequent: str = ""


@dataclass(frozen=True, eq=False)
class Source:
    """A column's values in Arrow form: all of them, or (objects only) a sample that
    stands for `rows` of them.
    """

    name: str
    values: pa.ChunkedArray
    rows: int
    nulls: int
    type: str


@dataclass(frozen=True)
class _Shown:
    """All that may be said; how much of it is said depends on the room."""

    head: tuple[str, ...]
    columns: tuple[ColumnFacts, ...]
    cells: tuple[tuple[str | None, ...], ...]
    rows: int
    of_rows: int  # as many as the table has


def preview(
    data: Any,
    name: str,
    *,
    rows: int = 5,
    whole: bool = False,
    grant: Callable[[int], int] = lambda wanted: wanted,
    mask: Sequence[str] = (),
    notes: Sequence[str] = (),
    truncated: str = "",
    max_bytes: int | None = None,
) -> str:
    """The text a model gets for a `pa.Table` or a DataFrame.

    `rows` first rows are shown as CSV (an empty cell is NULL, `""` an empty text); with
    `whole` all rows where they fit. `grant` is asked once how many of the rows wanted
    may be shown. Columns whose name matches a pattern of `mask` (`"email"`,
    `"*_token"`, any case) show type and nulls but never a value. `notes` and
    `truncated` are said above the columns. At most `max_bytes` bytes of UTF-8, by
    default `MAX_BYTES`, or more when more than ten rows are asked for. Long values are
    cut first, then the words on each column, then rows; then columns that are alike
    are told as a group.
    """
    masked = _matcher(mask)
    if not isinstance(data, pa.Table):
        # pandas takes a second to import: only a frame needs it
        from mcp_notebook.results.frame_view import view_frame

        data = view_frame(data)

    columns = column_sources(data, masked)
    first, others = columns[:_DESCRIBED], columns[_DESCRIBED:]
    facts = [describe_column(column, masked) for column in first]
    facts += [ColumnFacts(column.name, column.type, "") for column in others]
    head = tuple(_head(data, name, columns, notes, truncated))

    def shown(wanted: int) -> _Shown:
        cells = [_cells(one, data, at, wanted, masked) for at, one in enumerate(first)]
        number = min(wanted, len(data))
        return _Shown(head, tuple(facts), tuple(cells), number, len(data))

    limit = max_bytes or MAX_BYTES
    if whole and not others and rows < len(data) <= _WHOLE_ROWS:
        text = _render_whole(shown(len(data)), limit)
        if text:
            granted = grant(len(data))
            if granted == len(data):
                return text

            return _fit_rendering(shown(min(granted, rows)), limit)

    rows = grant(min(rows, len(data)))
    limit = max_bytes or MAX_BYTES * max(1, min(rows, 200) // 10)
    return _fit_rendering(shown(rows), limit)


def _render_whole(found: _Shown, limit: int) -> str:
    """All rows with their cells; empty when they do not fit."""
    for detail, width in product((2, 1, 0), _WHOLE_WIDTHS):
        text = _render(found, detail, width)
        if _size(text) <= limit:
            return text

    return ""


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
    written = written_name(name) if is_reserved(name) else visible(clip(name, 120))
    yield f"{written}: {shape}; query it by that name"
    if truncated:
        yield f"incomplete: {clip(visible(truncated), _NOTE)}"

    # A model that gets no value makes one up unless it is told that there is none.
    if not len(data):
        yield f"note: {_EMPTY}"
    elif columns and all(column.nulls == column.rows for column in columns):
        yield f"note: {_ALL_NULL}"

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
    head = data.frame.iloc[:rows, at]
    return zip(head, head.isna(), strict=True)


def _fit_rendering(found: _Shown, limit: int) -> str:
    """The fullest rendering within the limit, cut hard as the last resort."""
    for detail, width in product((2, 1), _WIDTHS):
        text = _render(found, detail, width)
        if _size(text) <= limit:
            return text

    for detail, rows in ((1, 3), (0, found.rows), (0, 3), (0, 1)):
        text = _render(found, detail, _WIDTHS[-1], rows=min(rows, found.rows))
        if _size(text) <= limit:
            return text

    return _render_groups(found, limit)


def _render_groups(found: _Shown, limit: int) -> str:
    """Many columns or a small limit: alike columns in one line, as many names as fit,
    and the first few columns' cells.
    """
    # Notes must not take the place of the columns.
    head = found.head[:2]
    if len(found.head) > len(head):
        head = (*head, f"note: and {_count(len(found.head) - len(head), 'more note')}")

    for names, columns in product((40, 20, 10, 5, 2), (12, 6, 0)):
        lines = [*head, "columns:", *_group_columns(found.columns, names)]
        lines.append("describe_table tells of each column")
        if columns and found.rows:
            shown = min(columns, len(found.cells))
            lines += _csv(found, 24, shown, min(found.rows, 3))

        text = "\n".join(lines)
        if _size(text) <= limit:
            return text

    plain = [*head, *_group_columns(found.columns, 1)]
    kept = len(plain)
    while kept and _size("\n".join(plain[:kept])) > limit - _ROOM:
        kept -= 1

    if kept <= len(head):
        return _cut("\n".join(head), limit)

    return "\n".join(
        [*plain[:kept], "… and more columns: describe_table tells of them"]
    )


_ROOM = 60  # bytes, for the line that says what was left out


def _group_columns(columns: Sequence[ColumnFacts], most: int) -> Iterator[str]:
    """A line for each set of columns of one type whose names differ in a number, and
    for the others of each type one line with at most so many names.
    """
    alike: dict[tuple[str, str], list[ColumnFacts]] = {}
    for column in columns:
        pattern = _DIGITS.sub("#", column.name)
        kind = f"{column.type} {column.frequent if column.frequent == 'masked' else ''}"
        alike.setdefault((kind.strip(), pattern), []).append(column)

    others: dict[str, list[ColumnFacts]] = {}
    for (kind, _), members in alike.items():
        if len(members) < _ALIKE:
            others.setdefault(kind, []).extend(members)
            continue

        ends = f"{_short_name(members[0])} … {_short_name(members[-1])}"
        yield f"- {_count(len(members), 'column')} {clip(kind, 60)}: {ends}"

    for kind, members in others.items():
        names = ", ".join(_short_name(column) for column in members[:most])
        left_out = len(members) - most
        if left_out > 0:
            names += f" … and {_count(left_out, 'more column')}"

        yield f"- {_count(len(members), 'column')} {clip(kind, 60)}: {names}"


def _short_name(column: ColumnFacts) -> str:
    name = quote_cell(clip(visible(column.name), 40))
    return written_name(name) if is_reserved(name) else name


def _render(found: _Shown, detail: int, width: int, *, rows: int | None = None) -> str:
    """The text with so much said of each column (2: all, 1: type, nulls and range, 0:
    type) and cells so wide.
    """
    if rows is None:
        rows = found.rows

    columns = len(found.columns)
    lines = [
        *found.head,
        "columns:",
        *(_column_line(column, detail, width) for column in found.columns),
    ]
    if rows and columns:
        lines += _csv(found, width, min(columns, len(found.cells)), rows)

    return "\n".join(lines)


def _column_line(column: ColumnFacts, detail: int, width: int) -> str:
    said = [column.type]
    if detail:
        said += [column.nulls, column.range]
    if detail == 2 or column.frequent == "masked":
        said.append(column.frequent)
    name = quote_cell(clip(visible(column.name), max(width, 40)))
    if is_reserved(name):  # as SQL has to have it
        name = written_name(name)

    facts = "; ".join(part for part in said if part)
    return f"- {name} {facts}"


def _csv(found: _Shown, width: int, columns: int, rows: int) -> Iterator[str]:
    if columns < len(found.columns):
        part = f", first {columns} columns"
    else:
        part = ""

    which = "all" if rows == found.of_rows > 1 else "first"
    yield f"{which} {_count(rows, 'row')} as CSV{part}:"
    yield ",".join(
        quote_cell(clip(visible(column.name), max(width, 40)))
        for column in found.columns[:columns]
    )
    for row in range(rows):
        cells = (found.cells[at][row] for at in range(columns))
        yield ",".join(
            "" if cell is None else quote_cell(clip(cell, width)) for cell in cells
        )


def _size(text: str) -> int:
    return len(text.encode())


def _cut(text: str, limit: int) -> str:
    if _size(text) > limit:
        return text.encode()[: max(limit - 3, 0)].decode(errors="ignore") + "…"
    return text


# What can be said of one column in a few words. Nulls and ranges are of all rows.
# Distinct and frequent values are exact up to `SAMPLE` rows and come from evenly spread
# blocks of rows above that; then they are marked (`≈`, `5+ distinct`), and the same
# table gives the same words.


def column_sources(data: Any, masked: Masked) -> list[Source]:
    """The columns of an Arrow table or a `FrameView`, without a copy where the memory allows it.

    Objects that Arrow has no type for are there as text, with masked keys inside them hidden.
    """
    if isinstance(data, pa.Table):
        return [
            _arrow_source(str(name), data.column(at))
            for at, name in enumerate(data.column_names)
        ]

    return [_frame_source(data, at, name, masked) for at, name in enumerate(data.names)]


def describe_column(source: Source, masked: Masked) -> ColumnFacts:
    """The facts of one column; of a masked one only type and nulls."""
    if source.nulls:
        nulls = f"{source.nulls:,} null"
    else:
        nulls = ""

    nothing = source.nulls == source.rows
    if nothing and source.nulls:
        nulls = "all null"

    facts = ColumnFacts(source.name, source.type, nulls)
    if masked(source.name):
        return replace(facts, frequent="masked")
    if nothing:
        return facts

    return replace(
        facts, range=_range(source, masked), frequent=_frequent(source, masked)
    )


def _arrow_source(name: str, values: pa.ChunkedArray) -> Source:
    return Source(name, values, len(values), values.null_count, type_name(values.type))


def _frame_source(view: FrameView, at: int, name: str, masked: Masked) -> Source:
    series = view.frame.iloc[:, at]
    if series.dtype == object and not view.is_retyped(at):
        return _object_source(name, series, masked)

    array, _ = view.column(at)
    if isinstance(array, pa.Array):
        array = pa.chunked_array([array])
    return _arrow_source(name, array)


def _object_source(name: str, series: Any, masked: Masked) -> Source:
    """A column of Python objects: a sample of them, as Arrow when they are of one kind
    and else as text.
    """
    sample = [
        value
        for start, count in _spread_blocks(len(series), _OBJECTS)
        for value in series.iloc[start : start + count]
    ]
    missing = series.isna()
    try:
        values = pa.array(sample, from_pandas=True)
        kind = type_name(values.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        values = pa.array([value_text(value, masked) for value in sample], pa.string())
        kind = "object"

    return Source(
        name, pa.chunked_array([values]), len(series), int(missing.sum()), kind
    )


def _spread_blocks(rows: int, wanted: int) -> list[tuple[int, int]]:
    """(start, count) of evenly spread blocks with `wanted` rows in all, or the one
    block of everything.
    """
    if rows <= wanted:
        return [(0, rows)]

    size = wanted // _BLOCKS
    return [(block * (rows - size) // (_BLOCKS - 1), size) for block in range(_BLOCKS)]


def _range(source: Source, masked: Masked) -> str:
    if not value_kind(source.values.type).ordered:
        return ""

    try:
        ends = pc.min_max(plain_column(source.values))
    except pa.ArrowException:
        return ""

    low, high = (value_text(ends[end], masked) for end in ("min", "max"))
    if low is None:
        return ""

    if len(source.values) < source.rows:
        about = "≈"
    else:
        about = ""

    if low == high and not about:
        return f"all {low}"

    return f"{about}{low} to {high}"


def _frequent(source: Source, masked: Masked) -> str:
    """How many different values there are, and the most frequent ones when they are few."""
    values = source.values
    kind = value_kind(values.type)
    if not kind.counted:
        return ""

    chunks = [
        chunk
        for start, count in _spread_blocks(len(values), SAMPLE)
        for chunk in values.slice(start, count).chunks
    ]
    sample = plain_column(pa.chunked_array(chunks, values.type)).drop_null()
    if not len(sample):
        return ""

    try:
        counts = pc.value_counts(sample)
    except pa.ArrowNotImplementedError:
        return ""

    exact = len(values) == source.rows and len(values) <= SAMPLE
    if len(counts) > _FEW or (kind.ordered and len(counts) > _TOP):
        return _distinct(len(counts), len(sample), exact)

    different, times = counts.flatten()
    texts = _texts_as(values.type, different, masked)
    return _tops(list(zip(times.to_pylist(), texts, strict=True)), len(sample), exact)


def _texts_as(type_: pa.DataType, plain: pa.Array, masked: Masked) -> list[str]:
    """Plain values as texts of the type that they came in: a UUID's bytes as a UUID."""
    if isinstance(type_, pa.BaseExtensionType) and type_.storage_type == plain.type:
        plain = pa.ExtensionArray.from_storage(type_, plain)
    return [value_text(value, masked) or "" for value in plain]


def _distinct(different: int, among: int, exact: bool) -> str:
    if different == among:
        if exact:
            return "all distinct"
        return "≈ all distinct"

    if exact:
        return f"{different:,} distinct"

    return f"{different:,}+ distinct"


def _tops(pairs: list[tuple[int, str]], among: int, exact: bool) -> str:
    pairs.sort(key=lambda pair: (-pair[0], pair[1]))
    words = []
    for count, text in pairs[:_TOP]:
        if exact:
            share = f"{count:,}"
        else:
            share = f"≈{count / among:.0%}"

        words.append(f"{quote_cell(clip(text, 24))} {share}")

    if len(pairs) > _TOP:
        more = ", …"
    else:
        more = ""

    return f"{len(pairs)}{'' if exact else '+'} distinct: {', '.join(words)}{more}"


def quote_cell(text: str) -> str:
    """Text as a CSV cell: in quotes when it is empty, padded or holds a comma or a quote."""
    if not text or text != text.strip() or "," in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text
