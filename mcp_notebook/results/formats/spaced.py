"""Columns of fixed width: each below its own run of dashes, or told apart by blanks alone.

`read_columns_below_dashes` is for sqlite3 -column, sqlcmd and tabulate, whose rule says
where each column is. `read_columns_between_blanks` is for tabulate's plain tables,
PowerShell, kubectl and rich without borders; it takes a text only when a column is
numbers or dates throughout, since prose in columns looks the same.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence

from mcp_notebook.results.columns import strings
from mcp_notebook.results.formats import unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import Answer, Raw, Taken, from_rows, listing

_SECOND_HALF = "\0"  # stands behind a wide character, for its second place on screen
_ROUNDED = 6  # significant digits that tabulate leaves of a fraction

_RULE_MARKS = " \t-=─━═╺╸╶╴"  # what a line between names and rows consists of
# One blank is in every text, two are between columns.
_GAP = re.compile(r"[ \t]{2,}")
_WIDEST = 20_000
_BLOCKS_TRIED = 8

Span = tuple[int, int]


# --- each column below its own run of dashes


def read_columns_below_dashes(header: str, rule: str, body: list[str]) -> Raw | str:
    """The rows below one run of dashes a column; "" when the rule is another, the
    reason when a row does not fit.
    """
    runs = [match.span() for match in re.finditer(r"-+", rule)]
    if len(runs) < 2 or "+" in rule or "|" in rule:
        return ""

    starts = [start for start, _ in runs[1:]]
    rows = _cut_at_starts([header, *body], starts)
    if rows is None:
        # Wide characters count for two where the program measures what a terminal shows.
        rows = _cut_at_starts(list(map(_widen, [header, *body])), starts)

    if rows is None:
        return "ambiguous: a value is wider than its column"

    # the second places have done their work
    for row in rows:
        row[:] = [cell.replace(_SECOND_HALF, "") for cell in row]

    names, *cells = rows
    if not all(names):
        return "ambiguous: header and rule do not line up"

    fixed = _fixed_columns(cells)
    joined, touched = _join_continued_rows(cells, fixed)
    raw = from_rows(names, joined, text="all", nulls=EMPTY_OR_NULL)
    raw = unquoted.note_lost_spaces(raw)
    note = "line breaks inside {} were put together again"
    raw = unquoted.note_repairs(raw, names, touched, note)
    if not fixed and _may_continue_above(cells):
        note = "a row with an empty first cell may continue the row above it"
        raw = raw.with_note(note, approximate=True)

    if not all(body):
        note = "an empty line may be part of the value above it"
        raw = raw.with_note(note, approximate=True)

    return _note_rounded(raw, names)


def _note_rounded(raw: Raw, names: Sequence[str]) -> Raw:
    columns = zip(names, raw.columns, strict=True)
    rounded = [name for name, column in columns if _may_be_rounded(column)]
    if not rounded:
        return raw

    return raw.with_note(
        f"numbers in {listing(rounded)} have six digits at most, as if rounded for display"
    )


def _cut_at_starts(
    lines: Sequence[str], starts: Sequence[int]
) -> list[list[str]] | None:
    """Lines cut where the runs begin; None when a value crosses such a place."""
    rows: list[list[str]] = []
    for line in lines:
        if any(line[start - 1 : start].strip() for start in starts):
            return None

        edges = itertools.pairwise([0, *starts, len(line) + 1])
        rows.append([line[begin:end].strip() for begin, end in edges])

    return rows


def _widen(line: str) -> str:
    """The line with a second place for each character that a terminal draws wide."""
    if line.isascii():
        return line

    places: list[str] = []

    for mark in line:
        places.append(mark)
        if unicodedata.east_asian_width(mark) in "WF":
            places.append(_SECOND_HALF)

    return "".join(places)


def _join_continued_rows(
    rows: Sequence[list[str]], fixed: Sequence[int]
) -> tuple[list[list[str]], set[int]]:
    """Lines that continue a row put together with it, and in which columns.

    A value with a line break goes on below. A line continues the row above when the
    columns of numbers or dates, filled elsewhere, are blank in it.
    """
    joined: list[list[str]] = []
    touched: set[int] = set()

    for row in rows:
        is_row = not any(row) or any(row[number] for number in fixed)
        if not joined or not fixed or is_row:
            joined.append(list(row))
            continue

        for number, cell in enumerate(row):
            if cell:
                joined[-1][number] += f"\n{cell}"
                touched.add(number)

    return joined, touched


def _may_continue_above(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a row without a first cell is below one that has it."""
    if not rows or not rows[0][0]:
        return False
    return any(not row[0] for row in rows)


def _fixed_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns of numbers or dates from the first row on."""
    columns = enumerate(zip(*rows, strict=True))
    return [number for number, column in columns if _is_fixed(column)]


def _is_fixed(column: Sequence[str]) -> bool:
    present = unquoted.without_nulls(column)
    if not present or not column[0]:
        return False

    return unquoted.are_numbers_or_dates(present)


def _may_be_rounded(column: Sequence[str]) -> bool:
    """Whether the longest of its numbers has just six significant digits."""
    numbers = [cell for cell in column if strings.is_number(cell) and "e" not in cell]
    digits = [number.lstrip("-0.").replace(".", "") for number in numbers]
    return bool(digits) and max(map(len, digits)) == _ROUNDED


# --- columns between blanks


def read_columns_between_blanks(text: str) -> Answer:
    """The first block of lines in columns."""
    # tabs put values below each other as a terminal shows them
    if "\t" in text and len(text) < _WIDEST:
        text = text.expandtabs(8)

    lines = text.splitlines()
    reason = "no lines in columns"

    for start, end in _find_blocks(lines):
        block = lines[start:end]
        body = [line for line in block if line.strip() and not _is_rule(line)]
        raw = _read_block(body)
        if isinstance(raw, Raw):
            rest = "\n".join([*lines[:start], *lines[end:]]).strip()
            return Taken((raw,), rest, "low")

        reason = raw

    return reason


def _find_blocks(lines: Sequence[str]) -> list[Span]:
    """Runs of lines that have a gap of two blanks, or are blank or rules between such;
    a few of them at most.
    """
    found: list[Span] = []
    start = None

    # a last line without a gap ends the last block
    for number, line in enumerate([*lines, "."]):
        has_gap = bool(_GAP.search(line.strip()))
        if start is None:
            if has_gap:
                start = number
            else:
                start = None

            continue

        if not has_gap and line.strip() and not _is_rule(line):
            found.append((start, number))
            start = None

    return found[:_BLOCKS_TRIED]


def _read_block(body: Sequence[str]) -> Raw | str:
    if len(body) < 3 or max(map(len, body)) > _WIDEST:
        return "fewer than two rows in columns"

    spans = _find_columns(body)
    if len(spans) < 2:
        return "no place where every line is blank"

    names, *rows = [[line[begin:end].strip() for begin, end in spans] for line in body]
    if not all(map(_may_be_name, names)):
        return "no names above its columns"
    if not _are_shouted(names) and not any(map(_is_typed, zip(*rows, strict=True))):
        return "nothing but its alignment speaks for a table"

    raw = from_rows(names, rows, text="all", nulls=EMPTY_OR_NULL)
    note = (
        "columns are told apart by blanks alone: cells may be cut elsewhere, "
        "spaces at the ends of values are lost"
    )

    return raw.with_note(note, approximate=True)


def _may_be_name(name: str) -> bool:
    if not name or strings.is_number(name) or strings.is_temporal(name):
        return False
    return name[-1] not in ".:;,!?|"


def _are_shouted(names: Sequence[str]) -> bool:
    """Whether three names or more are capitals, as kubectl and docker head columns."""
    return len(names) > 2 and all(map(str.isupper, names))


def _is_rule(line: str) -> bool:
    return not line.strip(_RULE_MARKS) and len(line.strip()) > 2


def _find_columns(body: Sequence[str]) -> list[Span]:
    """Where each column begins and ends: between places that are blank in every line,
    of which the header shows two.
    """
    columns: list[Span] = []
    for begin, end in _filled_runs(body):
        # what stands below no name belongs to the column before
        has_name = bool(body[0][begin:end].strip())
        if columns and not (has_name and _is_apart(body, columns[-1][1], begin)):
            columns[-1] = (columns[-1][0], end)
        else:
            columns.append((begin, end))

    return columns


def _filled_runs(body: Sequence[str]) -> list[Span]:
    """Runs of places at which some line has a sign."""
    filled = bytearray(max(map(len, body)))
    for line in body:
        for match in re.finditer(r"\S+", line):
            begin, end = match.span()
            filled[begin:end] = b"\x01" * (end - begin)

    return [match.span() for match in re.finditer(rb"\x01+", filled)]


def _is_apart(body: Sequence[str], end: int, begin: int) -> bool:
    """Whether a column that begins here is another than the one that ends there."""
    return begin - end >= 2 or _is_gap(body, end)


def _is_gap(body: Sequence[str], at: int) -> bool:
    """Whether one blank parts two columns: in the header two words, and below values
    that are cut at it.
    """
    if any(len(line) > at and line[at] != " " for line in body):
        return False
    return any("  " in line[max(at - 3, 0) : at + 4] for line in body)


def _is_typed(column: Sequence[str]) -> bool:
    """Whether a column is flags, or more than one number or date."""
    present = unquoted.without_nulls(column)
    if present and all(cell.lower() in ("true", "false") for cell in present):
        return True

    return len(present) > 1 and unquoted.are_numbers_or_dates(present)
