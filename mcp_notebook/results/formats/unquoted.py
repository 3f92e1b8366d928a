"""What readers of tables without quotes share: rows of one width, padding, escapes, notes.

A separator or a line break inside a value makes a row too long or too short. Where the
kinds of the other columns leave exactly one way to place the cells it is taken and
said; where they leave more, there is no table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.reading import Raw, listing

# In a table that quotes nothing an empty cell may be NULL or the empty text.
EMPTY_OR_NULL = (*NULL_WORDS, "")
SPACES_LOST = "spaces at the ends of values are lost in a drawn table"

_SAMPLE = 200  # rows of the right width that tell a column's kind

CellCheck = Callable[[str], bool] | None


class FittedRows(NamedTuple):
    """Rows of one width and the numbers of the columns in which something was repaired."""

    rows: list[list[str]]
    repaired: frozenset[int]


# --- notes that several formats share


def note_lost_spaces(raw: Raw) -> Raw:
    """Says that drawing took the spaces at the ends of values, if there are values."""
    if raw.rows:
        return raw.with_note(SPACES_LOST)
    return raw


def note_line_per_row(raw: Raw, name: str) -> Raw:
    """Says of a table of one column that a line break would look like another row."""
    note = f"each line is a row of `{name}`; a value with a line break would be several"
    return raw.with_note(note, approximate=True)


def note_repairs(
    raw: Raw, names: Sequence[str], repaired: Iterable[int], note: str
) -> Raw:
    """Says in which columns cells were put together; `note` has `{}` for their names."""
    numbers = sorted(repaired)
    if not numbers:
        return raw

    touched = listing([names[number] for number in numbers])

    return raw.with_note(note.format(touched), approximate=True)


def without_nulls(column: Iterable[str | None]) -> list[str]:
    """The cells that hold a value."""
    return [cell for cell in column if cell and cell not in NULL_WORDS]


def are_numbers_or_dates(cells: Sequence[str]) -> bool:
    """Whether all cells are numbers, or all are dates and times; also when none is there."""
    if all(map(strings.is_number, cells)):
        return True
    return all(map(strings.is_temporal, cells))


# --- rows of one width


def fit_rows(
    lines: Sequence[str], split: Callable[[str], list[str]], width: int, separator: str
) -> FittedRows | str:
    """All lines as rows of `width` cells, or the reason why that is ambiguous."""
    cells = [split(line) for line in lines]
    if all(len(row) == width for row in cells):
        return FittedRows(cells, frozenset())

    checks = _checks_of_columns(cells, width, separator)
    if checks is None:
        return "ambiguous: no line has as many cells as the header"

    rows: list[list[str]] = []
    repaired: set[int] = set()
    unfinished: list[str] = []

    for line, row in zip(lines, cells, strict=True):
        if unfinished:
            # the line above was too short, so its last value goes on here
            row = [*unfinished[:-1], f"{unfinished[-1]}\n{row[0]}", *row[1:]]
            unfinished = []
            repaired.add(width - 1 if len(row) == width else 0)
        elif len(row) == 1 and rows:
            # a line without any separator continues the value at the row's end
            if checks[-1] is not None:
                return f"ambiguous: the line {line[:40]!r} fits no column"

            rows[-1][-1] += f"\n{line}"
            repaired.add(width - 1)
            continue

        if len(row) < width:
            unfinished = row
            continue

        placed = _place_cells(row, width, checks, separator)
        if isinstance(placed, str):
            return placed

        rows.append(placed[0])
        repaired |= placed[1]

    if unfinished:
        return "ambiguous: the last row is not complete"

    return FittedRows(rows, frozenset(repaired))


def _checks_of_columns(
    cells: Sequence[list[str]], width: int, separator: str
) -> list[CellCheck] | None:
    """A check a column by the rows that have the right width, None when none has it."""
    whole = [row for row in cells if len(row) == width]
    if not whole:
        bracketed = [_join_brackets(row, width, separator) for row in cells]
        whole = [placed[0] for placed in bracketed if placed]

    if not whole:
        return None

    columns = zip(*whole[:_SAMPLE], strict=True)

    return list(map(_check_of_column, columns))


def _check_of_column(column: Sequence[str]) -> CellCheck:
    """A test that a typed column's cells pass, None for a column of free text."""
    present = without_nulls(column)
    if not present:
        return None

    for test in (strings.is_number, strings.is_temporal):
        if all(map(test, present)):
            return lambda cell, test=test: not cell or cell in NULL_WORDS or test(cell)

    return None


def _place_cells(
    row: list[str], width: int, checks: Sequence[CellCheck], separator: str
) -> tuple[list[str], set[int]] | str:
    """A row with too many cells: neighbours joined in the one way that fits all columns."""
    extra = len(row) - width
    if not extra:
        return row, set()

    whole = _join_brackets(row, width, separator)
    if whole is not None:
        return whole

    ways: list[tuple[list[str], set[int]]] = []

    for number in range(width):
        if checks[number] is not None:
            continue  # a number or a date holds no separator

        after = number + extra + 1
        joined = [*row[:number], separator.join(row[number:after]), *row[after:]]
        if _pass_checks(joined, checks):
            ways.append((joined, {number}))

    if len(ways) == 1:
        return ways[0]

    balanced = [way for way in ways if _is_balanced(*way)]
    if len(balanced) == 1:
        return balanced[0]

    shown = separator.join(row)[:60]

    return f"ambiguous: {len(row)} cells for {width} columns in {shown!r}"


def _pass_checks(row: Sequence[str], checks: Sequence[CellCheck]) -> bool:
    pairs = zip(checks, row, strict=True)
    return all(check is None or check(cell) for check, cell in pairs)


def _join_brackets(
    row: list[str], width: int, separator: str
) -> tuple[list[str], set[int]] | None:
    """Cells joined while a bracket is open, as in a list or an object: the row if that
    gives the right width.
    """
    cells: list[str] = []
    joined: set[int] = set()
    depth = 0

    for cell in row:
        if depth > 0:
            cells[-1] += separator + cell
            joined.add(len(cells) - 1)
        else:
            cells.append(cell)

        depth += cell.count("[") + cell.count("{")
        depth -= cell.count("]") + cell.count("}")
        if depth < 0:
            return None

    if depth or len(cells) != width:
        return None

    return cells, joined


def _is_balanced(row: Sequence[str], joined: set[int]) -> bool:
    """Whether the joined cell is one bracketed value, as JSON in a cell is, and no
    other cell is cut.
    """
    cell = row[next(iter(joined))].strip()
    if cell[:1] not in "{[" or cell[-1:] not in "}]":
        return False

    return all(
        part.count("{") == part.count("}") and part.count("[") == part.count("]")
        for part in row
    )


# --- padding


def strip_blanks(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """All cells without the blanks at their ends."""
    stripped: list[list[str]] = []
    for row in rows:
        stripped.append([cell.strip(" ") for cell in row])

    return stripped


def strip_padding(raw: Raw) -> Raw:
    """Cells that were all padded to their column's width, without the blanks; a note
    names the columns.
    """
    padded = [n for n, column in enumerate(raw.columns) if _is_padded(column)]
    if not padded:
        return raw

    columns = list(raw.columns)

    for number in padded:
        columns[number] = [cell.strip(" ") for cell in columns[number]]

    if raw.names:
        names = [raw.names[number] for number in padded]
    else:
        names = []

    note = f"blanks that padded {listing(names)} to one width were taken off"

    return replace(raw, columns=tuple(columns)).with_note(note)


def _is_padded(column: Sequence[object]) -> bool:
    """Whether all cells are texts of one length, of which some differ without the
    blanks at their ends.
    """
    if len(column) < 2 or not all(isinstance(cell, str) for cell in column):
        return False

    texts = [str(cell) for cell in column]
    if len({len(text) for text in texts}) != 1:
        return False

    bare = {len(text.strip(" ")) for text in texts}

    return len(bare) > 1 and max(bare) > 0


# --- escapes with a backslash

# What `mysql --batch`, ClickHouse's TSV and PostgreSQL's COPY write for signs that would
# break a line or a cell.
_TSV_SIGNS = {
    "t": "\t",
    "n": "\n",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "0": "\0",
    "'": "'",
    "\\": "\\",
}
_TSV_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

_CODE_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL
)
_CODE_SIGNS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "e": "\x1b",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
}
_LAST_CODE_POINT = 0x10FFFF


def undo_tsv_escapes(raw: Raw) -> Raw:
    """The table with escapes undone where every backslash begins one; a note names the
    columns that had any.
    """
    touched = [
        n for n, column in enumerate(raw.columns) if any(map(_has_escape, column))
    ]
    if not touched:
        return raw

    names = [name for n, name in enumerate(raw.names or ()) if n in touched]

    # One backslash that is no escape (a path of Windows) shows that none are.
    for number in touched:
        if not all(map(_has_only_escapes, filter(_has_escape, raw.columns[number]))):
            note = f"a backslash in {listing(names)} may be an escape; taken as it is"
            return raw.with_note(note)

    columns = list(raw.columns)

    for number in touched:
        columns[number] = [_undo_escapes_in(cell) for cell in columns[number]]

    undone = replace(raw, columns=tuple(columns))

    return undone.with_note(f"backslash escapes in {listing(names)} were undone")


def _has_escape(cell: Any) -> bool:
    if not isinstance(cell, str):
        return False
    # \N is NULL in all three programs, and read as such later
    return "\\" in cell and cell != "\\N"


def _has_only_escapes(cell: str) -> bool:
    return all(sign in _TSV_SIGNS for sign in _TSV_ESCAPE.findall(cell)) and (
        "\\" not in _TSV_ESCAPE.sub("", cell)
    )


def _undo_escapes_in(cell: Any) -> Any:
    if not _has_escape(cell):
        return cell
    return _TSV_ESCAPE.sub(lambda match: _TSV_SIGNS[match[1]], cell)


def decode_code_literal(token: str) -> str:
    """The text that a literal in quotes stands for in JavaScript, Ruby, Rust and others."""
    body = token[1:-1]
    if "\\" in body:
        text = _CODE_ESCAPE.sub(_decode_code_escape, body)
    else:
        text = body

    # JavaScript writes a sign beyond the first plane as two surrogates
    if "\\u" in body and any("\ud800" <= sign <= "\udfff" for sign in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    return text


def _decode_code_escape(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    if not digits:
        return _CODE_SIGNS.get(match[4], match[4])

    code = int(digits, 16)

    if code <= _LAST_CODE_POINT:
        return chr(code)

    return match[0]
