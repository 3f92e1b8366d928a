"""One row a line: a literal each (`{'id': 1}`, `(1, 'x')`), or names and values (`Row
1: id=1, name=x`).

Each line may begin with a bullet, a number or `Row 1:`. Names and values are cut at the
next name, so a value may hold the separator; one that holds a separator and a name of
the table makes the text ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows
from mcp_notebook.results.values import json_tables, jsontext, literal

_PREFIX = re.compile(
    r"[ \t]{0,40}(?:\*\*)?(?:(?:row|record|result|entry|item|document)[ _]?#?\d{1,9}[ \t]?[:.)\-](?:\*\*)?|"
    r"#?\d{1,9}[.):]|\[\d{1,9}\]:?|[-*•])[ \t]+(?=\S)",
    re.IGNORECASE,
)
_LITERAL = re.compile(r"[{(\[]|<Record |[^\W\d]\w{0,60}\([^\W\d]\w{0,60}=")
_MAY_START = re.compile(
    rf"^(?:{_PREFIX.pattern})?(?:[{{(\[<]|[^\W\d]\w*\()", re.IGNORECASE | re.MULTILINE
)
_FIELD = re.compile(r"(?:\*\*)?[^\W\d][\w ./#()-]{0,60}?(?:\*\*: |:\*\* |: |=(?!=))")
_SEPARATORS = ("; ", " | ", ", ", " ", "\t")
_COUNT = re.compile(
    r"[(\[]?\d[\d,]* (?:rows?|results?|records?)\b.*|(?:total|rows?|count|query|note|showing)\b.*",
    re.IGNORECASE,
)


class _Line(NamedTuple):
    """A line's content without the mark before it, and that mark with its numbers left out."""

    body: str
    mark: str


def read(text: str) -> Answer:
    """The rows of a text with a row a line; what stands before and after them is the rest."""
    lines = text.splitlines()
    found = (
        _literals(lines) if _MAY_START.search(text) else "no line that is one literal"
    )
    if not isinstance(found, str) or found.startswith("ambiguous"):
        return found
    return _fields(lines)


def _cut(line: str) -> _Line:
    mark = _PREFIX.match(line)
    if mark is None:
        return _Line(line.strip(), "")
    return _Line(line[mark.end() :].rstrip(), re.sub(r"\d+", "0", mark[0].strip()))


# --- a literal a line


def _literals(lines: Sequence[str]) -> Answer:
    first = next(
        (n for n, line in enumerate(lines[:200]) if _LITERAL.match(_cut(line).body)),
        None,
    )
    if first is None:
        return "no line that begins as a literal"
    mark = _cut(lines[first]).mark
    values: list[Any] = []
    end = first
    for end in range(first, len(lines) + 1):
        if end == len(lines):
            break
        if not lines[end].strip():
            continue
        cut = _cut(lines[end])
        value = (
            _value(cut.body) if cut.mark == mark and _LITERAL.match(cut.body) else None
        )
        if value is None:
            break
        values.append(value)
    rest = lines[end:]
    if not values or (
        len(values) < 2 and not mark and not _named(lines[:first], values[0])
    ):
        return "no line that is one literal"
    if (
        any(_LITERAL.match(_cut(line).body) for line in rest)
        or len({type(value) for value in values}) > 1
    ):
        return "ambiguous: not every line is a literal of one kind"
    return _table(values, lines[:first], rest)


def _named(before: Sequence[str], value: Any) -> bool:
    """Whether names for a lone row stand before it."""
    return not isinstance(value, dict) and _names_above(before, len(value)) is not None


def _value(body: str) -> dict[str, Any] | list[Any] | tuple[Any, ...] | None:
    """The one object, list or named tuple of a line."""
    for parse in (jsontext.loads, literal.loads):
        try:
            value = parse(body)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, (dict, list, tuple)) and value else None
    return None


def _table(values: list[Any], before: Sequence[str], after: Sequence[str]) -> Answer:
    """Objects by their keys; lists by the names in the line before them, else by a
    header among them or by number.
    """
    rest = "\n".join([*before, *after]).strip()
    names = (
        None if isinstance(values[0], dict) else _names_above(before, len(values[0]))
    )
    if names and all(len(row) == len(names) for row in values):
        return Taken((from_rows(names, values),), rest=rest)
    found = json_tables.tables_in(values)
    if isinstance(found, str):
        return found
    return (
        Taken(found, rest=rest)
        if len(found) == 1
        else "its lines are no rows of one table"
    )


def _names_above(before: Sequence[str], width: int) -> list[str] | None:
    """`Columns: id, name` or a list of names in one of the last lines before the rows."""
    for line in [line.strip() for line in before if line.strip()][-3:]:
        said = re.match(
            r"\W*(?:columns?|fields|headers?|column names)\W{0,4}[:=][* ]*",
            line,
            re.IGNORECASE,
        )
        body = line[said.end() :] if said else line
        if said is None and body[:1] not in "[(":
            continue
        value = _value(body)
        if value is None and said is not None:
            value = [name.strip(" `'\"") for name in re.split(r",|\|", body)]
        if (
            isinstance(value, (list, tuple))
            and len(value) == width
            and all(type(name) is str for name in value)
        ):
            return [*value]
    return None


# --- names and values in a line


def _fields(lines: Sequence[str]) -> Answer:
    start = next(
        (
            n
            for n, line in enumerate(lines[:200])
            if len(_names(_cut(line).body)[0]) > 1
        ),
        None,
    )
    if start is None:
        return "no line of names and values"
    mark = _cut(lines[start]).mark
    bodies: list[str] = []
    end = start
    for end in range(start, len(lines) + 1):
        if end == len(lines):
            break
        cut = _cut(lines[end])
        if lines[end].strip() and (cut.mark != mark or not _FIELD.match(cut.body)):
            if (
                not mark
                or _COUNT.match(lines[end].strip())
                or not lines[end - 1].strip()
            ):
                break
            bodies[-1] += f"\n{lines[end]}"
        elif lines[end].strip():
            bodies.append(cut.body)
    answer = _aligned(bodies, marked="0" in mark)
    if isinstance(answer, str):
        return answer
    return Taken(
        (answer,),
        rest="\n".join([*lines[:start], *lines[end:]]).strip(),
        confidence="medium",
    )


def _names(body: str) -> tuple[list[str], str]:
    """The names of a line with the marks that end them, and the separator between the fields."""
    best: tuple[list[str], str] = ([], "")
    first = _FIELD.match(body)
    if first is None:
        return best
    for separator in _SEPARATORS:
        pieces = body.split(separator)
        found = [
            match[0]
            for piece in pieces
            if (match := _FIELD.match(piece)) and match[0][-1:] == first[0][-1:]
        ]
        spaced = separator == " " and (
            not first[0].endswith("=") or any(" " in name for name in found)
        )
        if len(found) > max(len(best[0]), 1) and not spaced:
            best = (found, separator)
    return best


def _aligned(bodies: Sequence[str], *, marked: bool) -> Raw | str:
    """Every line cut at the names of the line with the fewest, since a value may hold
    what looks like one.
    """
    if len(bodies) < (1 if marked else 2):
        return "one line of names and values is prose"
    names, separator = min(
        (_names(body) for body in bodies), key=lambda found: len(found[0])
    )
    if len(names) < 2 or len(set(names)) < len(names):
        return "its lines do not have the same names"
    rows = []
    for body in bodies:
        row = _row(body, names, separator)
        if isinstance(row, str):
            return row
        rows.append(row)
    plain = [re.sub(r"[:=]", "", name).strip(" *`") for name in names]
    raw = from_rows(plain, rows, text="all", nulls=NULL_WORDS)
    if any("\n" in body for body in bodies):
        raw = raw.noted(
            "line breaks inside values were put together again", approximate=True
        )
    return raw.noted(
        f"values are not quoted; one that holds {separator!r} and a name would be cut",
        approximate=True,
    )


def _row(body: str, names: Sequence[str], separator: str) -> list[str] | str:
    if not body.startswith(names[0]):
        return "its lines do not have the same names"
    values, rest = [], body[len(names[0]) :]
    for name in names[1:]:
        value, found, rest = rest.partition(separator + name)
        if not found:
            return "its lines do not have the same names"
        values.append(value)
    values.append(rest)
    known = frozenset(names[1:])
    pieces = (
        piece
        for value in values
        if separator in value
        for piece in value.split(separator)[1:]
    )
    if any((match := _FIELD.match(piece)) and match[0] in known for piece in pieces):
        return "ambiguous: a name of the table is in a line more than once"
    return [_unquoted(value) for value in values] if separator == " " else values


def _unquoted(value: str) -> str:
    """logfmt quotes what holds a space."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        found = (
            jsontext.loads(value)
            if "\n" not in value and _is_json(value)
            else value[1:-1]
        )
        return str(found)
    return value


def _is_json(value: str) -> bool:
    try:
        jsontext.loads(value)
    except ValueError:
        return False
    return True
