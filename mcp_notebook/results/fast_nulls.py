"""`nulls.taken_out` for columns that are in Arrow already: the same answer without a Python object a cell.

A column that turns out typed on the way is handed on as such, so that it is converted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results import fast_columns
from mcp_notebook.results.infer import Column
from mcp_notebook.results.nulls import NULL_WORDS, all_text, left_notes, null_notes, suspected
from mcp_notebook.results.raw import Cells, Raw

_TEXT = "inferred: text"


class TakenOut(NamedTuple):
    """Columns without their NULL words, notes, and by number the columns that are typed already."""

    columns: tuple[Cells, ...]
    notes: list[str]
    ready: dict[int, Column]


def taken_out(raw: Raw, names: Sequence[str]) -> TakenOut:
    """Columns whose NULLs came as a word, with null in their place."""
    if not (raw.nulls or all_text(raw)):
        return TakenOut(raw.columns, suspected(raw, names), {})
    words = raw.nulls or NULL_WORDS
    known = pa.array(dict.fromkeys([*words, ""]))
    ready = {number: typed for number, column in enumerate(raw.columns) if (typed := _typed(column)) is not None}
    flags = [
        None if number in ready or not pa.types.is_string(column.type) else pc.is_in(column, value_set=known)
        for number, column in enumerate(raw.columns)
    ]
    token = _token(raw.columns, flags)
    columns, unsure, empty, others = [], [], [], []
    for number, (column, hits, name) in enumerate(zip(raw.columns, flags, names, strict=True)):
        cleaned, doubt, typed = _cleaned(column, hits, token, "" in words and not token)
        columns.append(cleaned)
        unsure += [name] if doubt else []
        if typed is not None:
            ready[number] = typed
        elif hits is not None and pc.any(hits).as_py():
            left = set(cleaned.filter(pc.is_in(cleaned, value_set=known)).drop_null().unique().to_pylist())
            empty += [name] if "" in left and "" in words else []
            others += [name] if left - {""} else []
    notes = [*null_notes(token, unsure, bool(unsure) and not token), *left_notes(empty, others)]
    return TakenOut(tuple(columns), notes, ready)


def _typed(column: Cells) -> Column | None:
    """The column as what its texts say, when that is more than text and no word in it means NULL."""
    if not pa.types.is_string(column.type) or not fast_columns.may_be_typed(column):
        return None
    typed = fast_columns.column(column, text="all")
    return None if typed.type_note == _TEXT else typed


def _token(columns: Sequence[Cells], flags: Sequence[Any]) -> str:
    """The word that the server writes for NULL: the most frequent."""
    counts = Counter[str]()
    for column, hits in zip(columns, flags, strict=True):
        if hits is not None:
            counts.update(column.filter(hits).to_pylist())
    counts.pop("", None)
    return max(counts, key=lambda word: counts[word], default="")


def _cleaned(column: Cells, hits: Any, token: str, empty_is_null: bool) -> tuple[Cells, bool, Column | None]:
    """As `nulls._null_words_of`, and the typed column; `hits` says which cells are a word for NULL."""
    if hits is None or not pc.any(hits).as_py():
        return column, False, None
    bare = _null_where(column, hits)
    if bare.null_count < len(bare) and (typed := _typed(bare)) is not None:
        return bare, False, typed
    if not token and not empty_is_null:
        return column, False, None
    equal = pc.equal(column, token)
    return _null_where(column, equal), True if not token else bool(pc.any(equal).as_py()), None


def _null_where(column: Any, flags: Any) -> pa.ChunkedArray:
    return pc.if_else(flags, pa.scalar(None, pa.string()), column)
