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
from mcp_notebook.results.reading import Answer, Raw, Taken, from_rows
from mcp_notebook.results.values import json_tables, jsontext, literal

_PREFIX = re.compile(
    r"[ \t]{0,40}(?:\*\*)?(?:(?:row|record|result|entry|item|document)"
    r"[ _]?#?\d{1,9}[ \t]?[:.)\-](?:\*\*)?|"
    r"#?\d{1,9}[.):]|\[\d{1,9}\]:?|[-*•])[ \t]+(?=\S)",
    re.IGNORECASE,
)
# asyncpg prints `<Record id=1>`, named tuples and dataclasses print as calls.
_LITERAL = re.compile(r"[{(\[]|<Record |[^\W\d]\w{0,60}\([^\W\d]\w{0,60}=")
_MAY_START = re.compile(
    rf"^(?:{_PREFIX.pattern})?(?:[{{(\[<]|[^\W\d]\w*\()", re.IGNORECASE | re.MULTILINE
)
_FIELD = re.compile(r"(?:\*\*)?[^\W\d][\w ./#()-]{0,60}?(?:\*\*: |:\*\* |: |=(?!=))")
# The longer ones first: a blank is part of each of them.
_SEPARATORS = ("; ", " | ", ", ", " ", "\t")
_COUNT = re.compile(
    r"[(\[]?\d[\d,]* (?:rows?|results?|records?)\b.*|"
    r"(?:total|rows?|count|query|note|showing)\b.*",
    re.IGNORECASE,
)
_NAMES_LINE = re.compile(
    r"\W*(?:columns?|fields|headers?|column names)\W{0,4}[:=][* ]*", re.IGNORECASE
)
_LINES_SEARCHED = 200
_LINES_ABOVE = 3  # in which names may stand

_NO_LITERAL = "no line that is one literal"
_DIFFERENT_NAMES = "its lines do not have the same names"


class _Line(NamedTuple):
    """A line's content without the mark before it, and that mark with its numbers left out."""

    body: str
    mark: str


def read_row_lines(text: str) -> Answer:
    """The rows of a text with a row a line; what stands before and after them is the rest."""
    lines = text.splitlines()
    if _MAY_START.search(text):
        found = _read_literals(lines)
        if not isinstance(found, str) or found.startswith("ambiguous"):
            return found

    return _read_fields(lines)


def _cut_mark(line: str) -> _Line:
    mark = _PREFIX.match(line)
    if mark is None:
        return _Line(line.strip(), "")

    return _Line(line[mark.end() :].rstrip(), re.sub(r"\d+", "0", mark[0].strip()))


def _starts_literal(line: str) -> bool:
    return _LITERAL.match(_cut_mark(line).body) is not None


# --- a literal a line


def _read_literals(lines: Sequence[str]) -> Answer:
    searched = enumerate(lines[:_LINES_SEARCHED])
    first = next((n for n, line in searched if _starts_literal(line)), None)
    if first is None:
        return "no line that begins as a literal"

    mark = _cut_mark(lines[first]).mark
    values: list[Any] = []
    end = first

    while end < len(lines):
        if lines[end].strip():
            value = _literal_with_mark(lines[end], mark)
            if value is None:
                break

            values.append(value)

        end += 1

    before, after = lines[:first], lines[end:]
    if not values:
        return _NO_LITERAL
    if len(values) == 1 and not mark and not _has_names_above(before, values[0]):
        return _NO_LITERAL

    kinds = {type(value) for value in values}
    if len(kinds) > 1 or any(map(_starts_literal, after)):
        return "ambiguous: not every line is a literal of one kind"

    return _table_of_literals(values, before, after)


def _literal_with_mark(line: str, mark: str) -> Any:
    """The literal of a line that begins as the first one does, else None."""
    cut = _cut_mark(line)
    if cut.mark != mark or not _LITERAL.match(cut.body):
        return None

    return _parse_row(cut.body)


def _has_names_above(before: Sequence[str], value: Any) -> bool:
    """Whether names for a lone row stand before it."""
    if isinstance(value, dict):
        return False
    return _names_above(before, len(value)) is not None


def _parse_row(body: str) -> dict[str, Any] | list[Any] | tuple[Any, ...] | None:
    """The one object, list or named tuple of a line."""
    # JSON first: its true and null are no words of Python
    for parse in (jsontext.loads, literal.loads):
        try:
            value = parse(body)
        except (ValueError, RecursionError):
            continue

        if isinstance(value, (dict, list, tuple)) and value:
            return value

        return None

    return None


def _table_of_literals(
    values: list[Any], before: Sequence[str], after: Sequence[str]
) -> Answer:
    """Objects by their keys; lists by the names in the line before them, else by a
    header among them or by number.
    """
    rest = "\n".join([*before, *after]).strip()
    if not isinstance(values[0], dict):
        names = _names_above(before, len(values[0]))
        if names and all(len(row) == len(names) for row in values):
            return Taken((from_rows(names, values),), rest=rest)

    found = json_tables.tables_in(values)
    if isinstance(found, str):
        return found
    if len(found) != 1:
        return "its lines are no rows of one table"

    return Taken(found, rest=rest)


def _names_above(before: Sequence[str], width: int) -> list[str] | None:
    """`Columns: id, name` or a list of names in one of the last lines before the rows."""
    filled = [line.strip() for line in before if line.strip()]
    for line in filled[-_LINES_ABOVE:]:
        names = _names_in_line(line)
        if not isinstance(names, (list, tuple)) or len(names) != width:
            continue
        if all(type(name) is str for name in names):
            return [*names]

    return None


def _names_in_line(line: str) -> Any:
    """What a line names: a list in brackets, or what follows `Columns:`."""
    announced = _NAMES_LINE.match(line)
    if announced is None:
        if line[:1] in ("[", "("):
            return _parse_row(line)
        return None

    body = line[announced.end() :]
    value = _parse_row(body)
    if value is not None:
        return value

    return [name.strip(" `'\"") for name in re.split(r",|\|", body)]


# --- names and values in a line


def _read_fields(lines: Sequence[str]) -> Answer:
    searched = enumerate(lines[:_LINES_SEARCHED])
    start = next((n for n, line in searched if _has_fields(line)), None)
    if start is None:
        return "no line of names and values"

    mark = _cut_mark(lines[start]).mark
    bodies: list[str] = []
    end = start

    while end < len(lines):
        line = lines[end]
        if line.strip():
            cut = _cut_mark(line)
            if cut.mark == mark and _FIELD.match(cut.body):
                bodies.append(cut.body)
            elif mark and not _ends_rows(line, above=lines[end - 1]):
                # between marked rows a line without a mark continues a value
                bodies[-1] += f"\n{line}"
            else:
                break

        end += 1

    raw = _table_of_fields(bodies, is_numbered="0" in mark)
    if isinstance(raw, str):
        return raw

    rest = "\n".join([*lines[:start], *lines[end:]]).strip()

    return Taken((raw,), rest=rest, confidence="medium")


def _has_fields(line: str) -> bool:
    return len(_find_names(_cut_mark(line).body)[0]) > 1


def _ends_rows(line: str, *, above: str) -> bool:
    """Whether a line is a count of the rows, or stands below a blank one."""
    return _COUNT.match(line.strip()) is not None or not above.strip()


def _find_names(body: str) -> tuple[list[str], str]:
    """The names of a line with the marks that end them, and the separator between the fields."""
    best: tuple[list[str], str] = ([], "")
    first = _FIELD.match(body)
    if first is None:
        return best

    ending = first[0][-1:]

    for separator in _SEPARATORS:
        matches = map(_FIELD.match, body.split(separator))
        names = [match[0] for match in matches if match and match[0][-1:] == ending]
        if separator == " " and not _are_logfmt(first[0], names):
            continue

        if len(names) > max(len(best[0]), 1):
            best = (names, separator)

    return best


def _are_logfmt(first: str, names: Sequence[str]) -> bool:
    """Whether blanks may part the fields: only in logfmt, `id=1 name=x`."""
    return first.endswith("=") and not any(" " in name for name in names)


def _table_of_fields(bodies: Sequence[str], *, is_numbered: bool) -> Raw | str:
    """Every line cut at the names of the line with the fewest, since a value may hold
    what looks like one.
    """
    if len(bodies) < (1 if is_numbered else 2):
        return "one line of names and values is prose"

    fields = map(_find_names, bodies)
    names, separator = min(fields, key=lambda names_and_mark: len(names_and_mark[0]))
    if len(names) < 2 or len(set(names)) < len(names):
        return _DIFFERENT_NAMES

    rows: list[list[str]] = []

    for body in bodies:
        row = _cut_fields(body, names, separator)
        if isinstance(row, str):
            return row

        rows.append(row)

    # names come with what ends them: "id=", "**id:** "
    plain = [re.sub(r"[:=]", "", name).strip(" *`") for name in names]
    raw = from_rows(plain, rows, text="all", nulls=NULL_WORDS)
    if any("\n" in body for body in bodies):
        note = "line breaks inside values were put together again"
        raw = raw.with_note(note, approximate=True)

    note = (
        f"values are not quoted; one that holds {separator!r} and a name would be cut"
    )

    return raw.with_note(note, approximate=True)


def _cut_fields(body: str, names: Sequence[str], separator: str) -> list[str] | str:
    """The values of one line in the order of `names`, or why it is no such row."""
    if not body.startswith(names[0]):
        return _DIFFERENT_NAMES

    values: list[str] = []
    rest = body[len(names[0]) :]

    for name in names[1:]:
        value, found, rest = rest.partition(separator + name)
        if not found:
            return _DIFFERENT_NAMES

        values.append(value)

    values.append(rest)
    # the first name stands at the line's start, where no value is
    later = frozenset(names[1:])
    if any(_holds_name(value, later, separator) for value in values):
        return "ambiguous: a name of the table is in a line more than once"

    if separator == " ":
        return list(map(_unquote, values))

    return values


def _holds_name(value: str, names: frozenset[str], separator: str) -> bool:
    """Whether a value could be cut again at a name of the table."""
    pieces = value.split(separator)[1:]
    matches = map(_FIELD.match, pieces)
    return any(match[0] in names for match in matches if match)


def _unquote(value: str) -> str:
    """logfmt quotes what holds a space."""
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    if "\n" in value:
        return value[1:-1]

    try:
        return str(jsontext.loads(value))
    except ValueError:
        return value[1:-1]
