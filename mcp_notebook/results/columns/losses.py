"""Signs in the values that the server lost something before it sent them; each note
names the columns.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.raw_table import Cells, listing

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


def found(columns: Sequence[Cells], names: Sequence[str]) -> list[str]:
    """One sentence for each kind of loss."""
    notes = []
    texts = [_texts(column) for column in columns]
    if sum(map(len, texts)) <= _SAMPLE:
        few = "\0".join([text for column in texts for text in column])
    else:
        few = None

    for marks, test, sentence in _SIGNS:
        if few is not None and marks and not any(mark in few for mark in marks):
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


def _has_replacement_marks(texts: Sequence[str]) -> bool:
    return any("\ufffd" in text for text in texts)


def _has_byte_escapes(texts: Sequence[str]) -> bool:
    r"""DuckDB writes bytes as text with `\x00` for those that are no letters."""
    return bool(texts) and all(
        r"\x" in text and _ESCAPED.fullmatch(text) for text in texts[:_SAMPLE]
    )


def _base64(texts: Sequence[str]) -> bool:
    """Base64 of bytes that are no text; short plain words that happen to fit are not."""
    if not texts or not all(
        text and _BASE64.fullmatch(text) for text in texts[:_SAMPLE]
    ):
        return False
    return any(_binary(text) for text in texts[:20])


def _binary(text: str) -> bool:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False

    return any(byte < 9 for byte in data) and (
        "=" in text or "/" in text or "+" in text or len(text) >= 16
    )


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
        _has_replacement_marks,
        "{} has characters that were lost on the way (\ufffd), as when bytes are sent as text",
    ),
    (
        ("\\x",),
        _has_byte_escapes,
        r"{} looks like bytes written as text with \x escapes, kept as text",
    ),
    (
        "",
        _base64,
        "{} looks like binary data in base64, kept as text; an empty value may have come as null",
    ),
)
