"""What the server lost before it sent the values: NULL that came as a word or as an empty
cell, found and taken out, and signs of other losses. Each note names the columns.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.columns import strings
from mcp_notebook.results.reading import Cells, Raw, listing

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
    del counts[""]  # an empty cell is NULL only where nothing else is
    token = next((word for word, _ in counts.most_common(1)), "")
    empty_is_null = "" in words and not token
    known = set(words) if raw.empty_is_text else {*words, ""}
    cleaned = [
        _null_words_of(column, token, known, empty_is_null) for column in raw.columns
    ]
    columns = [column for column, _ in cleaned]
    left = [
        {cell for cell in column if type(cell) is str and cell in words}
        for column in columns
    ]
    unsure = [name for name, (_, doubt) in zip(names, cleaned, strict=True) if doubt]
    empty = [name for name, some in zip(names, left, strict=True) if "" in some]
    others = [name for name, some in zip(names, left, strict=True) if some - {""}]
    notes = [*null_notes(token, unsure), *left_notes(empty, others)]
    return tuple(columns), notes


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
    word = f"the text {token}" if token else "the empty text"
    note = f"NULL and {word} look the same in {listing(unsure)}; shown as null"
    return [note] if unsure else []


def left_notes(empty: Sequence[str], others: Sequence[str]) -> list[str]:
    """Where one word is NULL in the table, an empty cell or another such word was taken
    for a text.
    """
    notes = {
        f"an empty cell in {listing(empty)} may stand for NULL; shown as empty text": empty,
        f"a word for nothing (None, NULL, …) in {listing(others)} may stand for "
        "NULL; shown as text": others,
    }
    return [note for note, names in notes.items() if names]


_RULES = (
    strings.temporal,
    strings.numbers,
    strings.grouped_numbers,
    strings.booleans,
)


def _is_typed(values: Sequence[str | None]) -> bool:
    return any(rule(values) for rule in _RULES)


def all_text(raw: Raw) -> bool:
    """Whether the server turned everything into text: no cell of another kind, and not
    text alone.
    """
    columns = raw.columns
    if any(isinstance(column, pa.ChunkedArray) for column in columns):
        columns = [column.slice(0, 200).to_pylist() for column in columns]

    kinds = {type(cell) for column in columns for cell in column[:200]}
    if len(columns) < 2 or kinds != {str}:
        return False

    return any(
        strings.numbers([c for c in column if c not in NULL_WORDS])
        for column in columns
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
    note = f"a text None or NULL in {listing(hit)} may be how the server writes NULL"
    return [note] if hit else []


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


# --- other losses


_PLACEHOLDER = re.compile(
    r"<[\w. ]+ (?:object )?at 0x[0-9a-fA-F]+>|\[object "
    r"\w+\]|%!\w\(.*\)|<(?:binary|blob|bytes)\b[^>]*>|"
    r"<\d+ ?(?:bytes?|b)>|\[(?:binary|blob|bytes)\b[^\]]*\]|\((?:binary|blob|\d+ bytes)\b[^)]*\)",
    re.IGNORECASE,
)
_ESCAPED = re.compile(
    r"(?:[ -~]|\\x[0-9A-F]{2})*\\x[0-9A-F]{2}(?:[ -~]|\\x[0-9A-F]{2})*"
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_SAMPLE = 1000
_LOST = "\ufffd".encode()


def find_losses(columns: Sequence[Cells], names: Sequence[str]) -> list[str]:
    """One sentence for each kind of loss."""
    notes = []
    texts = [_texts(column) for column in columns]
    is_small = sum(map(len, texts)) <= _SAMPLE
    few = "\0".join(itertools.chain.from_iterable(texts if is_small else ()))
    for marks, test, sentence in _SIGNS:
        if is_small and not any(mark in few for mark in marks):
            continue

        hit = [name for found, name in zip(texts, names, strict=True) if test(found)]
        notes += [sentence.format(listing(hit))] if hit else []

    return notes


def _texts(column: Cells) -> Sequence[str]:
    """The texts of a column; of a large one in Arrow its first, and those that lost characters."""
    if not isinstance(column, pa.ChunkedArray):
        return [value for value in column if type(value) is str]
    if not pa.types.is_string(column.type):
        return []

    lost = column.slice(0, 0)
    if _may_hold_it(column):
        lost = column.filter(pc.match_substring(column, "\ufffd")).slice(0, 1)

    return [
        *lost.drop_null().to_pylist(),
        *column.slice(0, _SAMPLE).drop_null().to_pylist(),
    ]


def _may_hold_it(column: pa.ChunkedArray) -> bool:
    """Whether the bytes of U+FFFD are in the column's memory; far faster than to ask each value."""
    buffers = [chunk.buffers()[2] for chunk in column.chunks]
    return any(
        buffer is not None and buffer.to_pybytes().find(_LOST) >= 0
        for buffer in buffers
    )


def _placeholders(texts: Sequence[str]) -> bool:
    return any(
        text[:1] in "<[%(" and _PLACEHOLDER.fullmatch(text) for text in texts[:_SAMPLE]
    )


def _has_byte_escapes(texts: Sequence[str]) -> bool:
    r"""DuckDB writes bytes as text with `\x00` for those that are no letters."""
    return bool(texts) and all(
        r"\x" in text and _ESCAPED.fullmatch(text) for text in texts[:_SAMPLE]
    )


def _base64(texts: Sequence[str]) -> bool:
    """Base64 of bytes that are no text; short plain words that happen to fit are not."""
    fits = all(text and _BASE64.fullmatch(text) for text in texts[:_SAMPLE])
    return fits and any(map(_binary, texts[:20]))


def _binary(text: str) -> bool:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False

    is_marked = len(text) >= 16 or not {"=", "/", "+"}.isdisjoint(text)
    return is_marked and any(byte < 9 for byte in data)


# Of what some text must hold a piece for the sign to be there, the test of a column's
# texts, what is said.
_SIGNS: tuple[tuple[Sequence[str], Callable[[Sequence[str]], bool], str], ...] = (
    (
        "<[%(",
        _placeholders,
        "{} holds placeholders where the server could not write the values",
    ),
    (
        "\ufffd",
        lambda texts: any("\ufffd" in text for text in texts),
        "{} has characters that were lost on the way (\ufffd), as when bytes are sent as text",
    ),
    (
        ("\\x",),
        _has_byte_escapes,
        r"{} looks like bytes written as text with \x escapes, kept as text",
    ),
    (
        ("",),
        _base64,
        "{} looks like binary data in base64, kept as text; an empty value may have come as null",
    ),
)
