"""What was found in one tool result, as plain values: the raw columns that a format's
reader hands on, the account of what they took, and the reading with its typed tables.

Every leaf of a result (a scalar of the JSON, a line of a text, a block) is in a table, in
the text, among images, or named in a note. A reader says what it took
(`Raw.mark_taken`); what nobody took is the text that stands beside the tables. So nothing
is lost because a better-looking list stood next to it.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mcp_notebook.results.bounds import check_time

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from mcp_notebook.charts.drawing import Drawing
    from mcp_notebook.charts.theirs import TheirChart

MAX_BYTES = 256 * 1024 * 1024  # of a result that is parsed
# A table whose cells are nearly all empty is a list of objects, and costs seconds.
_SPARSE_CELLS, _SPARSE = 4_000_000, 50
_NOTHING = (None, "", [], {}, ())
_MOST_NOTES = 12
# Words of success and of a whole answer: the table itself says as much.
_GOOD = {
    **dict.fromkeys(["success", "ok", "succeeded"], True),
    **dict.fromkeys(["is_error", "iserror", "error"], False),
    **dict.fromkeys(["truncated", "is_truncated", "partial", "incomplete"], False),
    **dict.fromkeys(["has_more", "hasmore", "more"], False),
}
_COUNTS = frozenset("count total rows num n size length rowcount rowsaffected".split())
_WORDS = re.compile(r"[_\W]+")
_DONE = frozenset({"success", "ok", "succeeded", "completed", "complete", "200"})
_STATUS = frozenset({"status", "resultstatus"})

Confidence = Literal["none", "low", "medium", "high"]
Text = Literal["keep", "dates", "numbers", "all"]
# a sequence of Python values, or a pyarrow.ChunkedArray that a fast reader made
Cells: TypeAlias = Any


@dataclass(frozen=True)
class Raw:
    """One table as found: `names` is None when none were sent, `columns` holds the
    values column by column.

    `text` says how far strings are believed (see `infer.column`), `nulls` which words
    of an untyped format may mean NULL (with "" among them, null in a column that is in
    Arrow is an empty cell), `empty_is_text` that an empty text is none even among
    numbers, `declared` the type names the server sent, `json` that a null may stand for
    NaN or Infinity, `problem` why it is no table though it looks like one.
    """

    names: tuple[str, ...] | None
    columns: tuple[Cells, ...]
    rows: int
    declared: tuple[str | None, ...] = ()
    text: Text = "numbers"
    nulls: tuple[str, ...] = ()
    empty_is_text: bool = False
    notes: tuple[str, ...] = ()
    truncated: str = ""
    total_rows: int | None = None
    approximate: bool = False
    json: bool = False
    path: str = ""
    problem: str = ""
    took: tuple[tuple[Any, frozenset[str] | None], ...] = ()

    def mark_taken(self, container: Any, *keys: str) -> Raw:
        """The same, having taken a list or an object of the value: whole, or the values
        of some keys. What no table took stands in the text, see `account`.
        """
        part = (container, frozenset(keys) if keys else None)
        return replace(self, took=(*self.took, part))

    def with_note(self, note: str, *, approximate: bool = False) -> Raw:
        """The same with one note more."""
        return replace(
            self, notes=(*self.notes, note), approximate=self.approximate or approximate
        )


@dataclass(frozen=True)
class Taken:
    """A reader took a text: its tables, what text is left over, how sure it is."""

    raws: tuple[Raw, ...]
    rest: str = ""
    confidence: Confidence = "high"
    meta: dict[str, Any] = field(default_factory=dict)


Answer = Taken | str  # a string is the reason why a reader did not take the text


def from_rows(
    names: Sequence[str] | None, rows: Sequence[Sequence[Any]], **options: Any
) -> Raw:
    """A table from rows of equal width."""
    check_time()
    empty = tuple(() for _ in names or ())
    if rows:
        columns = tuple(zip(*rows, strict=True))
    else:
        columns = empty

    return Raw(None if names is None else tuple(names), columns, len(rows), **options)


def from_records(
    records: Sequence[dict[str, Any]],
    names: Sequence[str] | None = None,
    **options: Any,
) -> Raw:
    """A table from objects: the columns are `names`, else all keys in the order first
    seen; a missing key is NULL.
    """
    keys = dict.fromkeys(names or records[0])
    ordered = list(keys)
    # Most records have their keys in one order: then the values are the rows.
    if all(list(record) == ordered for record in records):
        cells = zip(*map(dict.values, records), strict=True)
        return Raw(tuple(map(str, keys)), tuple(cells), len(records), **options)

    even = all(record.keys() == records[0].keys() for record in records)
    if not even:
        for record in records:
            keys.update(dict.fromkeys(record))

        # every row with keys of its own: a table that grows with their square
        cells, present = len(keys) * len(records), sum(map(len, records))
        if cells > max(_SPARSE_CELLS, _SPARSE * present):
            why = (
                f"{cells:,} cells for {present:,} values are more than the limit of "
                f"{_SPARSE} each: the rows share no names"
            )
            return Raw((), (), len(records), problem=why)

    columns = []
    for key in keys:
        columns.append([record.get(key) for record in records])

    raw = Raw(tuple(map(str, keys)), tuple(columns), len(records), **options)
    if even:
        return raw

    # Null and missing are two things, which a table cannot tell apart: so it is said.
    counts = Counter(itertools.chain.from_iterable(records))
    gaps = [str(key) for key in keys if counts[key] < len(records)]
    return raw.with_note(f"some rows have no value for {listing(gaps)}; shown as null")


def listing(names: Sequence[str], limit: int = 6) -> str:
    """Names for a sentence: "`a`, `b` and 3 more"."""
    shown = ", ".join(f"`{name}`" for name in names[:limit])
    if len(names) <= limit:
        return shown
    return f"{shown} and {len(names) - limit} more"


# --- what is left


def find_left(value: Any, raws: Iterable[Raw]) -> Any:
    """A value without what its tables took: None when nothing is left."""
    took: dict[int, frozenset[str] | None] = {}
    for container, keys in itertools.chain.from_iterable(raw.took for raw in raws):
        known = took.get(id(container), frozenset())
        both = None if keys is None or known is None else known | keys
        took[id(container)] = both

    return _leave(value, took)


def _leave(value: Any, took: Mapping[int, frozenset[str] | None]) -> Any:
    if not isinstance(value, (dict, list, tuple)):
        return value

    keys = took.get(id(value), frozenset())
    if keys is None:
        return None
    if isinstance(value, dict):
        left = {}
        for key, item in value.items():
            kept = None if key in keys else _leave(item, took)
            if kept not in _NOTHING:
                left[str(key)] = kept

        return left or None

    # a list is an item with its place: one that is half taken is not renumbered
    items = [_leave(item, took) for item in value]
    return [item for item in items if item not in _NOTHING] or None


def write_left(left: Any, rows: int, known: Collection[str] = ()) -> str:
    """What is left of an envelope as one line of JSON, without what the table says
    itself: that it worked, how many rows it has, and texts that the caller sent
    (`known`).
    """
    if isinstance(left, dict):
        left = {
            str(key): item
            for key, item in left.items()
            if not _says_nothing_new(str(key).lower(), item, rows, known)
        }
    if left in _NOTHING:
        return ""
    if isinstance(left, str):
        return left

    return json.dumps(left, ensure_ascii=False, default=str)


def _says_nothing_new(key: str, item: Any, rows: int, known: Collection[str]) -> bool:
    match item:
        case bool():
            return _GOOD.get(key) is item
        case int():
            return item == rows and not _COUNTS.isdisjoint(_WORDS.split(key))
        case str():
            return item in known or (key in _STATUS and item.lower() in _DONE)

    return False


def note_beside(names: Iterable[str], place: str) -> str:
    """The note on entries that are in no table and in no text."""
    return f"{place} also has {listing(list(dict.fromkeys(names)), _MOST_NOTES)}"


# --- the reading of a result


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
    max_bytes: int = MAX_BYTES
    infer: bool = True
    arguments: Mapping[str, Any] | None = None
