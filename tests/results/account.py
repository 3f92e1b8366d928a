"""The account over captured results: `python -m tests.results.account FOLDER` prints each
leaf that is in no table, text, error, picture or note.

A leaf is a scalar of the JSON or a line of a text; it is looked for by its words and
digits, so that a date, a decimal or a cell may be printed in another way.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import html
import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_notebook.results import Reading, read
from tests.data import captures_folder

_WORD = re.compile(r"[^\W\d_]+|\d+")
_TAG = re.compile(r"<[!/?a-zA-Z][^<>]{0,2000}>")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[ntr]")
# What frameworks, reprs and prints write around values: the kind of a buffer or of a
# block, the call of a type, the rule above a record.
_SYNTAX = re.compile(
    r"\b[A-Za-z_][\w.]*(?=\()|\b\w+(?==)|\b\d+\. row\b|\bEtc/(?=UTC)|"
    r"\b(?:Buffer|None|null|nan|inf|NaT|NULL|True|False)\b"
)
# The names above a ruled or a written-out list are no leaves, as the keys of JSON are
# none: a table's text may stand beside the same values under other names.
_HEADING = re.compile(r"^.*\n(?=\|:?-+:?\|)|^\w+(?=\[\d+\]\{)", re.MULTILINE)
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d* ?"
    r"([+-]\d\d(?::?\d\d)?)\b"
)
_VALUE = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)
_DECODER = json.JSONDecoder(parse_float=str)


# the words of success
DONE = frozenset({"success", "ok", "succeeded", "completed", "complete"})
# the names in which literals of Python hold rows, and the kind of a block
NAMES = frozenset({"columns", "rows", "data", "text"})


@dataclass(frozen=True)
class Held:
    """One captured call."""

    place: str
    result: Any
    schema: Any
    sql: str
    arguments: Any

    def read(self) -> Reading:
        """The reading as a notebook makes it."""
        return read(
            self.result,
            output_schema=self.schema,
            sql=self.sql,
            arguments=self.arguments,
        )


def held_results(folder: Path) -> Iterator[Held]:
    """Every result below a folder of either layout: a file each, or a line each."""
    for path in sorted(folder.rglob("*")):
        if any(part.startswith("_") for part in path.relative_to(folder).parts):
            continue
        for number, held in enumerate(_load(path), start=1):
            if not isinstance(held, dict) or held.get("result") is None:
                continue

            yield Held(
                f"{path.parent.name}/{path.name.partition('.')[0]}:{number}",
                held["result"],
                held.get("output_schema"),
                held.get("sql") or "",
                held.get("arguments"),
            )


def _load(path: Path) -> list[Any]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines() if line]
    if path.name.endswith(".json.gz"):
        return [json.loads(gzip.decompress(path.read_bytes()))]
    if path.suffix == ".json":
        return [json.loads(path.read_text())]
    return []


def words_in(text: str) -> set[str]:
    """The words and the digits of a text; zeros at the ends of digits say nothing."""
    found = _WORD.findall(text.casefold())
    return {word.strip("0") if word.isdecimal() else word for word in found}


def leaves_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each scalar of a value and each line of its texts, with the names on the way."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves_in(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves_in(item, path)
    elif isinstance(value, str):
        yield from _leaves_of_text(value, path)
    elif value is not None and not isinstance(value, bool):
        yield path, str(value)


def _leaves_of_text(text: str, path: str) -> Iterator[tuple[str, str]]:
    """The values in a text, wherever one begins a line, and the lines around them."""
    at = 0
    for start in _VALUE.finditer(text):
        if start.end() - 1 < at:
            continue
        try:
            value, end = _DECODER.raw_decode(text, start.end() - 1)
        except (ValueError, RecursionError):
            continue

        yield from _lines(text[at : start.start()], path)
        yield from leaves_in(value, path)
        at = end

    yield from _lines(text[at:], path)


def _lines(text: str, path: str) -> Iterator[tuple[str, str]]:
    body = _HEADING.sub("", _TAG.sub("\n", text))
    for line in body.splitlines():
        plain = _SYNTAX.sub(" ", _ESCAPE.sub(" ", html.unescape(line)))
        if plain.strip():
            yield path, plain


def _in_utc(text: str) -> str:
    """A text with its instants in UTC, as columns of instants are."""
    return _INSTANT.sub(_shift, text)


def _shift(found: re.Match[str]) -> str:
    day, clock, offset = found.groups()
    try:
        instant = dt.datetime.fromisoformat(f"{day}T{clock}{offset}")
        return str(instant.astimezone(dt.UTC))
    except (ValueError, OverflowError):
        return found[0]


def words_of(reading: Reading) -> set[str]:
    """All words that a person can get from a reading."""
    parts = [reading.text, reading.error or "", *reading.notes]
    parts += (mime for mime, _ in reading.images)
    for table in reading.tables:
        parts += [*table.names, *table.data.column_names, *table.notes]
        parts += [table.truncated, *table.types.values(), str(table.total_rows or "")]
        cells = itertools.chain.from_iterable(c.to_pylist() for c in table.data)
        parts += itertools.chain.from_iterable(map(_prints_of, cells))

    return words_in(_ESCAPE.sub(" ", "\n".join(parts)))


def _prints_of(cell: Any) -> Iterator[str]:
    """A cell as servers print it."""
    if isinstance(cell, dict):
        for key, item in cell.items():
            yield str(key)
            yield from _prints_of(item)
    elif isinstance(cell, (list, tuple)):
        yield from itertools.chain.from_iterable(map(_prints_of, cell))
    elif isinstance(cell, bytes):
        # as digits, as text, and as what JavaScript and JSON make of it
        yield f"{cell.hex()} {cell.decode(errors='replace')} {list(cell)}"
        yield base64.b64encode(cell).decode()
    elif isinstance(cell, dt.timedelta):
        yield f"{cell} {cell.days} {cell.seconds} {cell.microseconds}"
    elif isinstance(cell, dt.datetime):
        yield str(cell if cell.tzinfo is None else cell.astimezone(dt.UTC))
        yield str(cell.timestamp()) if cell.year > 1 else ""
    else:
        yield str(cell)


def lost_leaves(held: Held, reading: Reading) -> list[tuple[str, str]]:
    """The words that are nowhere, and the leaf that they are of."""
    blocks = held.result.get("content") or []
    # what the caller sent needs not be said again, nor that it went well
    sent = json.dumps(held.arguments, ensure_ascii=False, default=str)
    have = words_of(reading) | words_in(f"{sent} {held.sql}") | NAMES | {""}
    if reading.error is None:
        have |= DONE
    pictures = {data for _, data in reading.images}
    lost = []
    leaves = itertools.chain(
        leaves_in([block.get("text") for block in blocks], ""),
        leaves_in(held.result.get("structuredContent"), "structured"),
    )
    for path, leaf in leaves:
        if any(leaf.startswith(picture[:200]) for picture in pictures):
            continue

        missing = min(
            (words_in(form) - have for form in (leaf, _in_utc(leaf))), key=len
        )
        # single letters are the marks of dates and of prints
        if any(len(word) > 1 or word.isdecimal() for word in missing):
            lost.append((" ".join(sorted(missing)[:6]), f"{path}: {leaf}"))

    return lost


def main(arguments: list[str]) -> int:
    """Every lost leaf; exit code 1 when there is one."""
    folder = Path(arguments[0]) if arguments else captures_folder()
    results = with_loss = 0
    for held in held_results(folder):
        results += 1
        lost = lost_leaves(held, held.read())
        with_loss += bool(lost)
        for words, leaf in lost[:5]:
            print(f"{held.place} lacks {words!r} of {leaf[:150]!r}")

    print(f"{results} results, {with_loss} with a lost leaf")
    return int(with_loss > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
