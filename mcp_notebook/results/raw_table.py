"""What a format's reader hands on: columns of Python values, before they are typed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from mcp_notebook.results.reading import Confidence

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
    NaN or Infinity.
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
