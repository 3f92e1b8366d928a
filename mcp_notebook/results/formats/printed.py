"""A DataFrame as pandas prints it: right-aligned columns below their names, with or
without the index.

`to_string()` and `repr()` round fractions to six digits and pad with spaces, so the
table is always approximate and says where. Rows and columns that pandas left out ("..",
"...") make it truncated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from mcp_notebook.results.columns import strings
from mcp_notebook.results.raw_table import Answer, Raw, Taken, listing

_NULLS = ("NaN", "None", "NaT", "<NA>", "nan", "null")
_SHAPE = re.compile(r"\[([\d,]+) rows? x ([\d,]+) columns?\]")
_EMPTY = re.compile(r"Empty DataFrame\s*\nColumns: \[(.*)\]\s*\nIndex: \[\]", re.DOTALL)
_TOKEN = re.compile(r"\S+")
_DOTS = re.compile(r"\.{2,3}")


class _Block(NamedTuple):
    """A header and its rows, all of one length; `first` and `last` are line numbers in the text."""

    header: str
    body: list[str]
    first: int
    last: int


def read(text: str) -> Answer:
    """The printed frame in a text; what stands around it is the rest."""
    if (empty := _EMPTY.search(text)) is not None:
        names = (
            [name.strip() for name in empty[1].split(",")] if empty[1].strip() else []
        )
        rest = text[: empty.start()] + text[empty.end() :]
        return (
            Taken((Raw(tuple(names), tuple(() for _ in names), 0),), rest.strip())
            if names
            else "no columns in it"
        )
    lines = text.splitlines()
    reason = "no rows of one length below right-aligned names"
    for block in _blocks(lines):
        raw = _table(block)
        if isinstance(raw, Raw):
            rest = "\n".join([*lines[: block.first], *lines[block.last :]]).strip()
            return Taken((_told(raw, rest),), _SHAPE.sub("", rest).strip(), "medium")
        reason = raw
    return reason


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """The longest run of lines of one length: below the line above it, if that is a
    header that lost its padding.
    """
    runs, start = [], 0
    for number in range(1, len(lines) + 1):
        if (
            number == len(lines)
            or len(lines[number]) != len(lines[start])
            or not lines[number].strip()
        ):
            runs.append((number - start, -start, number))
            start = number
    count, negative, end = max(runs, default=(0, 0, 0))
    start = -negative
    if not count or not lines[start].strip():
        return
    above = lines[start - 1].rstrip(" \r") if start else ""
    if above.strip() and len(above) < len(lines[start]):
        yield _Block(
            above.rjust(len(lines[start])), list(lines[start:end]), start - 1, end
        )
    if count > 1:
        yield _Block(lines[start], list(lines[start + 1 : end]), start, end)


def _separated(block: _Block) -> bool:
    """Whether the lines are cut by commas, tabs, semicolons or bars rather than by their places."""
    marks = ((mark, block.header.count(mark)) for mark in ",\t;|")
    return any(
        count and all(line.count(mark) == count for line in block.body)
        for mark, count in marks
    )


def _names_the_index(line: str, header: str) -> bool:
    """The line on which pandas writes the name of the index: nothing else is in it, and
    nothing above it.
    """
    name = line.rstrip()
    return (
        bool(name)
        and not line[:1].isspace()
        and "  " not in name
        and not header[: len(name)].strip()
    )


def _table(block: _Block) -> Raw | str:
    if _separated(block):
        return "its lines are cut by separators"
    body, index_name = block.body, ""
    if len(body) > 1 and _names_the_index(body[0], block.header):
        index_name, body = body[0].strip(), body[1:]
    width = _index_width(block.header, body)
    names, ends = _columns(block.header, body, width)
    if len(names) < (1 if width else 2):
        return "one column without an index is prose"
    if any(strings.is_number(name) or strings.is_temporal(name) for name in names):
        return "its names are values"
    cells = [_cut(line, ends, width) for line in body]
    rows = [row for row in cells if row is not None]
    if len(rows) < len(cells):
        return "ambiguous: a value does not end where its column does"
    if not width and any("  " in row[0] for row in rows):
        return "ambiguous: the first column may be an index"
    if not (width and _is_index([row[0] for row in rows])) and not _typed(rows):
        return "nothing but its alignment speaks for a table"
    return _assembled(names, rows, width > 0, index_name)


def _index_width(header: str, body: Sequence[str]) -> int:
    """How wide the index is, which stands at the left below no name; 0 when there is none."""
    room = len(header) - len(header.lstrip())
    if not room or not all(line[:1].strip() for line in body):
        return 0
    labels = [line.split(maxsplit=1)[0] for line in body]
    if _is_index(labels):
        return max(map(len, labels))
    if all(strings.is_temporal(" ".join(line.split()[:2])) for line in body):
        return 0  # a date and a time of one column
    blank = [at for at in range(room) if not any(line[at].strip() for line in body)]
    gaps = [at for at in blank if at - 1 not in blank]
    return gaps[0] if len(gaps) == 1 else 0


def _columns(
    header: str, body: Sequence[str], start: int
) -> tuple[list[str], list[int]]:
    """Names and where each column ends; a name of several words is one column."""
    names: list[str] = []
    ends: list[int] = []
    for token in _TOKEN.finditer(header):
        if names and token.start() - ends[-1] == 1 and not _bounded(body, ends, start):
            names[-1], ends[-1] = f"{names[-1]} {token[0]}", token.end()
            continue
        names.append(token[0])
        ends.append(token.end())
    return names, ends


def _bounded(body: Sequence[str], ends: Sequence[int], start: int) -> bool:
    """Whether values end at the last of these places in every row that has one: then a
    column does.
    """
    start = ends[-2] if len(ends) > 1 else start
    at = ends[-1]
    return (
        all(not line[at : at + 1].strip() for line in body)
        and all(
            line[at - 1 : at].strip() or not line[start:at].strip() for line in body
        )
        and any(line[start:at].strip() for line in body)
    )


def _cut(line: str, ends: Sequence[int], width: int) -> list[str] | None:
    """The cells of a row, the index first; None when a value goes over an edge."""
    cells, start = ([line[:width].strip()] if width else []), width
    for end in ends:
        cell = line[start:end]
        if (
            line[end : end + 1].strip()
            or (cell.strip() and not cell[-1:].strip())
            or (start and cell[:1].strip())
        ):
            return None
        cells.append(cell.strip())
        start = end
    return cells


def _is_index(labels: Sequence[str]) -> bool:
    numbers = [label for label in labels if not _DOTS.fullmatch(label)]
    return (
        bool(numbers)
        and all(label.isdecimal() for label in numbers)
        and len(set(numbers)) == len(numbers)
    )


def _typed(rows: Sequence[Sequence[str]]) -> bool:
    """Whether one column at least is numbers or dates throughout."""
    for column in zip(*rows, strict=True):
        present = [
            cell
            for cell in column
            if cell and cell not in _NULLS and not _DOTS.fullmatch(cell)
        ]
        if present and any(
            all(map(test, present))
            for test in (strings.is_number, strings.is_temporal, _is_flag)
        ):
            return True
    return False


def _is_flag(cell: str) -> bool:
    return cell in ("True", "False")


def _assembled(
    names: list[str], rows: list[list[str]], indexed: bool, index_name: str
) -> Raw | str:
    kept = [
        row for row in rows if not all(_DOTS.fullmatch(cell) for cell in row if cell)
    ]
    cut = (
        "rows in the middle are left out of the printed frame"
        if len(kept) < len(rows)
        else ""
    )
    labels = [row[0] for row in kept] if indexed else []
    plain = indexed and _is_index(labels) and not index_name
    if indexed:
        kept = [row[1:] if plain else row for row in kept]
        names = names if plain else [index_name or "index", *names]
    if "..." in names:
        at = names.index("...")
        names = names[:at] + names[at + 1 :]
        kept = [row[:at] + row[at + 1 :] for row in kept]
        cut = cut or "columns in the middle are left out of the printed frame"
    columns = tuple(
        _floats(column) if _fractions(column) else column
        for column in zip(*kept, strict=True)
    )
    return Raw(
        tuple(names), columns, len(kept), text="all", nulls=(*_NULLS, ""), truncated=cut
    )


def _floats(column: Sequence[str]) -> Sequence[str | float | None]:
    """Fractions as floats, which is what pandas prints with one number of digits; other
    columns as they are.
    """
    if not all(cell in _NULLS or strings.is_number(cell) for cell in column):
        return column
    return [None if cell in _NULLS else float(cell) for cell in column]


def _told(raw: Raw, rest: str) -> Raw:
    """With what printing may have changed, column by column, and the whole size where
    pandas says it.
    """
    names = raw.names or ()
    shape = _SHAPE.search(rest)
    total = int(shape[1].replace(",", "")) if shape else None
    raw = replace(raw, total_rows=total if total != raw.rows else None)
    floats = [
        name
        for name, column in zip(names, raw.columns, strict=True)
        if _has_floats(column)
    ]
    cut = [
        name
        for name, texts in _texts(raw)
        if any(text.endswith("...") for text in texts)
    ]
    escaped = [
        name for name, texts in _texts(raw) if any("\\" in text for text in texts)
    ]
    if floats:
        raw = raw.noted(
            f"pandas prints fractions to six digits; {listing(floats)} may be rounded"
        )
    if cut:
        raw = raw.noted(
            f"long texts in {listing(cut)} may be cut where they end with ..."
        )
    if escaped:
        raw = raw.noted(
            f"a backslash in {listing(escaped)} may be how pandas prints a line break or a tab"
        )
    return raw.noted(
        "spaces at the ends of values are lost in a printed frame", approximate=True
    )


def _texts(raw: Raw) -> list[tuple[str, list[str]]]:
    pairs = zip(raw.names or (), raw.columns, strict=True)
    return [
        (name, [cell for cell in column if type(cell) is str]) for name, column in pairs
    ]


def _has_floats(column: Sequence[str | float | None]) -> bool:
    return any(type(cell) is float for cell in column) or _fractions(
        [c for c in column if type(c) is str]
    )


def _fractions(column: Sequence[str]) -> bool:
    return any("." in cell and strings.is_number(cell) for cell in column)
