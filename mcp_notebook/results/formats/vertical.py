"""One value a line, `name: value`: records behind markers (`1. row`, `-[ RECORD 1 ]-`,
`Row 1:`) or blank lines.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import Answer, Taken, from_rows, listing

# mysql's \G, psql's \x, Spark's vertical show, and what servers write of their own.
_MARKER = re.compile(
    r"\*{3,} *\d+\. row *\*{3,}|\d+\. row|-\[ RECORD \d+ \][-+]*|-RECORD \d+-*|"
    r"\[?(?:row|record) \d+\]|"
    r"[=\-*#─ ]{0,80}\[?(?:row|record|result|entry|item) ?#?\d+\]?:?[=\-*#─ ]{0,80}",
    re.IGNORECASE,
)
_LONGEST_MARKER = 200
_PSQL = re.compile(r"^-(?:\[ RECORD \d+ \]|RECORD \d+)", re.MULTILINE)
_FRAMED = re.compile(r"^[┌├+╒╞╔╠][-─━═┬┼+]*\[ RECORD \d+ \]", re.MULTILINE)
_FRAME_IN_ASCII = str.maketrans(
    {
        **dict.fromkeys("│║", "|"),
        **dict.fromkeys("─━═", "-"),
        **dict.fromkeys("┌├┬┼┤┐└┴┘╔╠╦╬╣╗╚╩╝╒╞╤╪╡╕╘╧╛", "+"),
    }
)
_BULLET = re.compile(
    r"[ \t]*(?:[-*•][ \t]+)?\*\*([^*\n]{1,100}?):?\*\*:?(?:[ \t](.*)|)|"
    r"[ \t]*[-*•][ \t]+([^\s:*][^:\n]{0,100}?):(?:[ \t](.*)|)"
)
_RULE = re.compile(r"[-=─*_]{2,}")
# A field with its name and value, by what stands between them.
_COLON = re.compile(r" {0,64}([^\s:][^:\n]{0,100}?) {0,64}:(?:[ \t](.*)|)", re.DOTALL)
_BAR = re.compile(r" {0,64}([^\s|][^|\n]{0,100}?) {0,64}\|(?:[ \t](.*)|)", re.DOTALL)
_EQUALS = re.compile(r" {0,64}([^\s=][^=\n]{0,100}?) = (.*)|", re.DOTALL)
_EQUALS_LINE = re.compile(
    r"\s*[^\s=][^=\n]{0,100}? = [^\n]*\n {0,64}[^\s=][^=\n]{0,100}? = "
)
_MARKER_WORDS = ("row", "record", "result", "entry", "item")
# A text without any of these has no markers: the quick way out.
_HINTS = (
    "\n\n",
    "\n\r\n",
    "\n--",
    "\n==",
    *_MARKER_WORDS,
    *map(str.title, _MARKER_WORDS),
    *map(str.upper, _MARKER_WORDS),
)
_TRAILER = re.compile(
    r"(?:result|total|rows?|\(\d+ rows?\)|showing|query|note|\d+ rows? in set)\b.*",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\d+ rows? in set|\(\d+ rows?\)")

_NO_RECORDS = "no markers of rows and no records that repeat"
_DIFFERENT_NAMES = "its records do not have the same names"

Field = re.Pattern[str]


class _Records(NamedTuple):
    """The lines of each record, what stands outside them, and whether markers told them apart."""

    chunks: list[list[str]]
    rest: list[str]
    marked: bool


def read_vertical(text: str) -> Answer:
    """Records of the same names in the same order; a line without a name continues the
    value above it.
    """
    if not any(hint in text for hint in _HINTS):
        return _NO_RECORDS

    framed = _FRAMED.search(text) is not None
    if framed:
        text = _take_off_frame(text)

    field = _find_field(text)
    lines = text.splitlines()
    if field is _COLON:
        lines = _take_off_bullets(lines)

    records = _cut_at_markers(lines) or _cut_at_blank_lines(lines, field)
    if records is None:
        return _NO_RECORDS

    names = _find_names(records.chunks, field)
    found = _read_rows(records, names, field)
    if isinstance(found, str):
        return found

    rows, touched = found
    is_spark = text.startswith("-RECORD")
    rows = _strip_padding(rows, records.chunks[0], names, is_spark=is_spark)
    # psql leaves NULL empty
    if field is _BAR:
        nulls = EMPTY_OR_NULL
    else:
        nulls = NULL_WORDS

    raw = from_rows(names, rows, text="all", nulls=nulls)
    if is_spark or framed:
        raw = raw.with_note(unquoted.SPACES_LOST)

    if touched:
        note = f"line breaks inside {listing(sorted(touched))} were put together again"
        raw = raw.with_note(note)

    rest = "\n".join(records.rest).strip()
    if records.marked:
        return Taken((raw,), rest=rest, confidence="high")

    note = "records were told apart by their repeating names"

    return Taken((raw.with_note(note, approximate=True),), rest=rest, confidence="low")


def _read_rows(
    records: _Records, names: Sequence[str], field: Field
) -> tuple[list[list[str]], set[str]] | str:
    """The values of all records, and the names of those that went over several lines."""
    if not names:
        return _DIFFERENT_NAMES

    rows: list[list[str]] = []
    touched: set[str] = set()

    for chunk in records.chunks:
        row = _read_record(chunk, names, field, may_continue=records.marked)
        if row is None:
            torn = "ambiguous: a record lacks a column"
            if records.marked:
                return torn

            return _DIFFERENT_NAMES

        values, continued = row
        rows.append(values)
        touched.update(names[number] for number in continued)

    return rows, touched


def _strip_padding(
    rows: list[list[str]], chunk: Sequence[str], names: Sequence[str], *, is_spark: bool
) -> list[list[str]]:
    """Values without the blanks that draw them in a column."""
    if is_spark:
        # Spark pads values to the width of the widest
        rows = unquoted.strip_blanks(rows)

    if _are_aligned(chunk, names):
        rows = [[value.lstrip(" ") for value in row] for row in rows]

    return rows


def _find_field(text: str) -> Field:
    """What a field of this text looks like."""
    if _PSQL.search(text):
        return _BAR
    if _EQUALS_LINE.match(text):
        return _EQUALS
    return _COLON


# --- frames and bullets


def _take_off_frame(text: str) -> str:
    """psql's expanded output without its frame, as it looks with border=1."""
    lines: list[str] = []
    for line in text.translate(_FRAME_IN_ASCII).splitlines():
        if "[ RECORD " in line:
            lines.append(f"-{line.strip('+-').strip()}-")
        elif line.startswith("|"):
            lines.append(line.removeprefix("|").removesuffix("|").rstrip())

    return "\n".join(lines)


def _take_off_bullets(lines: list[str]) -> list[str]:
    """`- **name:** value` and `- name: value` as `name: value`, where every field is written so."""
    found = [_BULLET.fullmatch(line) for line in lines]
    if sum(map(bool, found)) < 2:
        return lines

    for line, match in zip(lines, found, strict=True):
        if match is None and _is_field_of_its_own(line):
            return lines

    return list(map(_take_off_bullet, lines, found))


def _is_field_of_its_own(line: str) -> bool:
    """Whether a line without a bullet is a field, and neither a marker nor a heading."""
    if not _COLON.fullmatch(line) or line.strip()[-1:] == ":":
        return False
    return not _MARKER.fullmatch(line.strip(" *#"))


def _take_off_bullet(line: str, bullet: re.Match[str] | None) -> str:
    if bullet is not None:
        name = bullet[1] or bullet[3]
        value = bullet[2] or bullet[4] or ""
        return f"{name}: {value}"

    # a marker of a row without its stars and signs of a heading
    inner = line.strip("*# \t")
    if _MARKER.fullmatch(inner):
        return inner

    return line


# --- records


def _cut_at_markers(lines: Sequence[str]) -> _Records | None:
    """The records behind markers, None when there is no marker."""
    marks = [number for number, line in enumerate(lines) if _is_marker(line)]
    if not marks:
        return None

    chunks: list[list[str]] = []

    for start, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        body = list(lines[start + 1 : end])
        if body and _RULE.fullmatch(body[0].strip()):
            body = body[1:]  # a marker may be ruled off as a heading is

        chunks.append(body)

    chunks[-1], tail = _cut_off_trailer(chunks[-1])
    rest = [*lines[: marks[0]], *tail]

    return _Records(list(map(_without_last_blank, chunks)), rest, marked=True)


def _is_marker(line: str) -> bool:
    return len(line) < _LONGEST_MARKER and bool(_MARKER.fullmatch(line.strip()))


def _cut_off_trailer(chunk: list[str]) -> tuple[list[str], list[str]]:
    """The last record, and the count or the remark behind it."""
    blanks = [number for number, line in enumerate(chunk) if not line.strip()]
    if blanks:
        after = [line.strip() for line in chunk[blanks[-1] :] if line.strip()]
        if all(map(_TRAILER.match, after)):
            return chunk[: blanks[-1]], chunk[blanks[-1] :]

    if chunk and _COUNT.match(chunk[-1]):
        return chunk[:-1], chunk[-1:]

    return chunk, []


def _without_last_blank(chunk: list[str]) -> list[str]:
    """Without the one blank line that ends a record."""
    if not chunk or chunk[-1].strip():
        return chunk
    return chunk[:-1]


def _cut_at_blank_lines(lines: Sequence[str], field: Field) -> _Records | None:
    """Paragraphs of nothing but fields, up to the text's end; None when there are not
    two of them.
    """
    chunks: list[list[str]] = [[]]
    for line in lines:
        stripped = line.strip()
        if not stripped or _RULE.fullmatch(stripped):
            chunks.append([])
        else:
            chunks[-1].append(line)

    chunks = [chunk for chunk in chunks if chunk]
    first = len(chunks)

    while first and all(map(field.fullmatch, chunks[first - 1])):
        first -= 1

    # a paragraph of fields above one of prose belongs to the prose
    if len(chunks) - first < 2 or _has_fields(chunks[:first], field):
        return None

    prose = list(itertools.chain.from_iterable(chunks[:first]))

    return _Records(chunks[first:], prose, marked=False)


def _has_fields(chunks: Sequence[Sequence[str]], field: Field) -> bool:
    return any(all(map(field.fullmatch, chunk)) for chunk in chunks)


def _find_names(chunks: Sequence[Sequence[str]], field: Field) -> tuple[str, ...]:
    """The names of the record that has only fields; the first such record decides."""
    for chunk in sorted(chunks, key=len):
        names = _names_in(chunk, field)
        if names and len(names) == len(chunk):
            return names
    return _names_in(chunks[0], field)


def _names_in(chunk: Sequence[str], field: Field) -> tuple[str, ...]:
    found = map(field.fullmatch, chunk)
    return tuple(match[1] for match in found if match)


def _read_record(
    chunk: Sequence[str], names: Sequence[str], field: Field, *, may_continue: bool
) -> tuple[list[str], set[int]] | None:
    """The values of one record in the order of `names`, and the numbers of those that
    went over several lines.
    """
    values: list[str] = []
    continued: set[int] = set()

    for line in chunk:
        match = field.fullmatch(line)
        is_complete = len(values) == len(names)
        if match and not is_complete and match[1] == names[len(values)]:
            values.append(match[2] or "")
        elif values and may_continue:
            values[-1] += f"\n{line}"
            continued.add(len(values) - 1)
        else:
            return None

    if len(values) == len(names):
        return (values, continued)

    return None


def _are_aligned(chunk: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the values of all names begin in one column, which names of different
    lengths reach only by padding.
    """
    lengths = set(map(len, names))
    if len(lengths) < 2:
        return False

    starts: set[int] = set()

    for line, name in zip(chunk, names, strict=False):
        value = line[len(name) + 1 :].lstrip(" ")
        starts.add(len(line) - len(value))

    return len(starts) == 1 and starts.pop() > max(lengths) + 1
