"""`nulls.taken_out` for columns that are in Arrow already: the same answer without a
Python object a cell.

A column that turns out typed on the way is handed on as such, so that it is converted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.columns import fast_columns, threads
from mcp_notebook.results.columns.infer import Column
from mcp_notebook.results.columns.nulls import (
    NULL_WORDS,
    all_text,
    left_notes,
    null_notes,
    suspected,
)
from mcp_notebook.results.raw_table import Cells, Raw

_TEXT = "inferred: text"


class TakenOut(NamedTuple):
    """Columns without their NULL words, notes, and by number the columns that are typed already."""

    columns: tuple[Cells, ...]
    notes: list[str]
    ready: dict[int, Column]


@dataclass(frozen=True)
class _Seen:
    """A column: typed already, or the cells that are a word for NULL (None: no such
    cell) and whether some are empty.

    `bare` is the column with null in place of every such word, when only then it is typed.
    """

    column: Cells
    typed: Column | None = None
    bare: Cells | None = None
    words: Any = None
    gaps: bool = False


def as_sent(raw: Raw) -> tuple[Cells, ...]:
    """The columns with empty cells as empty texts, where null stands for them."""
    return tuple(map(_filled, raw.columns)) if "" in raw.nulls else raw.columns


def taken_out(raw: Raw, names: Sequence[str]) -> TakenOut:
    """Columns whose NULLs came as a word, with null in their place."""
    if not (raw.nulls or all_text(raw)):
        return TakenOut(raw.columns, suspected(raw, names), {})
    words = raw.nulls or NULL_WORDS
    known = pa.array(dict.fromkeys(words if raw.empty_is_text else [*words, ""]))
    gaps = "" in words
    seen = threads.each(
        lambda column: _seen(column, known, gaps), raw.columns, rows=raw.rows
    )
    token = _token(seen)
    columns, unsure, empty, others = [], [], [], []
    for item, name in zip(seen, names, strict=True):
        if item.typed is not None or (item.words is None and not item.gaps):
            columns.append(item.column if item.bare is None else item.bare)
            continue
        cleaned, doubt = _cleaned(item, token, gaps)
        columns.append(cleaned)
        unsure += [name] if doubt else []
        left = set(
            cleaned.filter(pc.is_in(cleaned, value_set=known))
            .drop_null()
            .unique()
            .to_pylist()
        )
        empty += [name] if "" in left and gaps else []
        others += [name] if left - {""} else []
    ready = {
        number: item.typed for number, item in enumerate(seen) if item.typed is not None
    }
    notes = [
        *null_notes(token, unsure, bool(unsure) and not token),
        *left_notes(empty, others),
    ]
    return TakenOut(tuple(columns), notes, ready)


def _seen(column: Cells, known: pa.Array, gaps: bool) -> _Seen:
    if not pa.types.is_string(column.type):
        return _Seen(column)
    if (typed := _typed(column)) is not None:
        return _Seen(column, typed)
    gaps = gaps and column.null_count > 0
    words = pc.is_in(column, value_set=known)
    if not pc.any(words).as_py():
        return _Seen(column, gaps=gaps)
    bare = _null_where(column, words)
    if bare.null_count < len(bare) and (typed := _typed(bare)) is not None:
        return _Seen(column, typed, bare)
    return _Seen(column, words=words, gaps=gaps)


def _typed(column: Cells) -> Column | None:
    """The column as what its texts say, when that is more than text and no word in it
    means NULL.
    """
    typed = (
        fast_columns.column(column, text="all")
        if column.null_count < len(column)
        else None
    )
    return None if typed is None or typed.type_note == _TEXT else typed


def _token(seen: Sequence[_Seen]) -> str:
    """The word that the server writes for NULL: the most frequent."""
    counts = Counter[str]()
    for item in seen:
        if item.words is not None:
            counts.update(item.column.filter(item.words).to_pylist())
        if item.bare is not None:
            counts.update(
                item.column.filter(item.bare.is_null()).drop_null().to_pylist()
            )
    counts.pop("", None)
    return max(counts, key=lambda word: counts[word], default="")


def _cleaned(item: _Seen, token: str, gaps: bool) -> tuple[Cells, bool]:
    """The column with null where the server wrote NULL, and whether a text of that
    spelling could be meant.
    """
    if token:
        column = _filled(item.column) if item.gaps else item.column
        equal = pc.equal(column, token)
        return _null_where(column, equal), bool(pc.any(equal).as_py())
    if not gaps:
        return item.column, False
    return (
        item.column if item.words is None else _null_where(item.column, item.words)
    ), True


def _null_where(column: Any, flags: Any) -> pa.ChunkedArray:
    return pc.if_else(flags, pa.scalar(None, pa.string()), column)


def _filled(column: Cells) -> Cells:
    plain = not isinstance(column, pa.ChunkedArray) or not pa.types.is_string(
        column.type
    )
    return column if plain or not column.null_count else column.fill_null("")
