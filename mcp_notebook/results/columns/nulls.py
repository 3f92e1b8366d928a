"""NULL in formats that write it as a word or leave it empty: found, taken out, and said
where a text could be meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.columns import strings
from mcp_notebook.results.raw_table import Cells, Raw, listing

NULL_WORDS = (
    "NULL",
    "None",
    "null",
    "\\N",
    "<null>",
    "(null)",
    "<NULL>",
    "(NULL)",
    "[NULL]",
    "nil",
    "<nil>",
    "ᴺᵁᴸᴸ",
    "(empty)",
    "(none)",
    "<none>",
    "[null]",
    "<NA>",
    "NaT",
)


def taken_out(raw: Raw, names: Sequence[str]) -> tuple[tuple[Cells, ...], list[str]]:
    """Columns whose NULLs came as a word, with None in their place, and a note where a
    text could be meant.
    """
    if not raw.rows:
        return tuple(() for _ in names), []

    words = raw.nulls or (NULL_WORDS if all_text(raw) else ())
    if not words:
        return raw.columns, suspect_null_words(raw, names)

    counts = Counter(
        cell
        for column in raw.columns
        for cell in column
        if type(cell) is str and cell in words
    )
    counts[""] = 0  # an empty cell is NULL only where nothing else is
    if any(counts.values()):
        token = max(counts, key=lambda word: counts[word], default="")
    else:
        token = ""

    empty_is_null = "" in words and not token
    if raw.empty_is_text:
        known = set(words)
    else:
        known = {*words, ""}

    columns, unsure, empty, others = [], [], [], []
    for column, name in zip(raw.columns, names, strict=True):
        cleaned, doubt = _null_words_of(column, token, known, empty_is_null)
        columns.append(cleaned)
        if doubt:
            unsure.append(name)

        left = {cell for cell in cleaned if type(cell) is str and cell in words}
        if "" in left:
            empty.append(name)
        if left - {""}:
            others.append(name)

    return tuple(columns), [
        *null_notes(token, unsure),
        *left_notes(empty, others),
    ]


def _null_words_of(
    column: Cells, token: str, known: Collection[str], empty_is_null: bool
) -> tuple[Sequence[Any], bool]:
    """The column without its NULL word, and whether a text of the same spelling could
    have been meant.
    """
    if not any(cell in known for cell in column if type(cell) is str):
        return column, False

    bare = [None if type(cell) is str and cell in known else cell for cell in column]
    if any(cell is not None for cell in bare) and _is_typed(bare):
        return bare, False
    if token:
        return [None if cell == token else cell for cell in column], token in column
    if empty_is_null:
        return ([None if cell == "" else cell for cell in column], True)

    return (column, False)


def null_notes(token: str, unsure: Sequence[str]) -> list[str]:
    """What is said of columns in which a text could have been meant."""
    if not unsure:
        return []

    if token:
        word = f"the text {token}"
    else:
        word = "the empty text"

    return [f"NULL and {word} look the same in {listing(unsure)}; shown as null"]


def left_notes(empty: Sequence[str], others: Sequence[str]) -> list[str]:
    """Where one word is NULL in the table, an empty cell or another such word was taken
    for a text.
    """
    if empty:
        notes = [
            f"an empty cell in {listing(empty)} may stand for NULL; shown as empty text"
        ]
    else:
        notes = []

    if others:
        notes.append(
            f"a word for nothing (None, NULL, …) in {listing(others)} may stand for "
            "NULL; shown as text"
        )

    return notes


def _is_typed(values: Sequence[str | None]) -> bool:
    return any(
        rule(values)
        for rule in (
            strings.temporal,
            strings.numbers,
            strings.grouped_numbers,
            strings.booleans,
        )
    )


def all_text(raw: Raw) -> bool:
    """Whether the server turned everything into text: no cell of another kind, and not
    text alone.
    """
    if any(isinstance(column, pa.ChunkedArray) for column in raw.columns):
        raw = replace(
            raw,
            columns=tuple(column.slice(0, 200).to_pylist() for column in raw.columns),
        )

    cells = [cell for column in raw.columns for cell in column[:200]]
    if (
        len(raw.columns) < 2
        or not cells
        or not all(type(cell) is str for cell in cells)
    ):
        return False

    return any(
        strings.numbers([c for c in column if c not in NULL_WORDS])
        for column in raw.columns
    )


def suspect_null_words(raw: Raw, names: Sequence[str]) -> list[str]:
    """In JSON without one null, a text that is a whole column's "None" may be how the
    server writes NULL.
    """
    if not raw.json or any(_has_null(column) for column in raw.columns):
        return []

    hit = [
        name
        for column, name in zip(raw.columns, names, strict=True)
        if _has_null_word(column)
    ]
    if hit:
        return [
            f"a text None or NULL in {listing(hit)} may be how the server writes NULL"
        ]

    return []


def _has_null(column: Cells) -> bool:
    if isinstance(column, pa.ChunkedArray):
        return bool(column.null_count)
    return any(cell is None for cell in column)


def _has_null_word(column: Cells) -> bool:
    if isinstance(column, pa.ChunkedArray):
        words = pa.array(["None", "NULL"])
        return pa.types.is_string(column.type) and bool(
            pc.any(pc.is_in(column, value_set=words)).as_py()
        )
    return any(cell in ("None", "NULL") for cell in column if type(cell) is str)
