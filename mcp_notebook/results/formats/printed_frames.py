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
from mcp_notebook.results.formats import unquoted
from mcp_notebook.results.reading import Answer, Raw, Taken, listing
from mcp_notebook.results.values import json_headings

# What stands for a missing value in columns of floats, objects, dates and nullable types.
_NULLS = ("NaN", "None", "NaT", "<NA>", "nan", "null")
# The last line of a frame that is too long to be printed whole.
_SHAPE = re.compile(r"\[([\d,]+) rows? x ([\d,]+) columns?\]")
_EMPTY = re.compile(r"Empty DataFrame\s*\nColumns: \[(.*)\]\s*\nIndex: \[\]", re.DOTALL)
_TOKEN = re.compile(r"\S+")
# pandas writes ".." where a narrow column leaves rows out, and "..." elsewhere.
_DOTS = re.compile(r"\.{2,3}")
_LEFT_OUT = "..."  # pandas' name for the columns in the middle

_ONLY_ALIGNED = "nothing but its alignment speaks for a table"

Cells = Sequence[str | float | None]


class _Block(NamedTuple):
    """A header and its rows, all of one length; `first` and `last` are line numbers in the text."""

    header: str
    body: list[str]
    first: int
    last: int


def read_printed_frame(text: str) -> Answer:
    """The printed frame in a text; what stands around it is the rest."""
    empty = _EMPTY.search(text)
    if empty is not None:
        return _read_empty_frame(text, empty)

    lines = text.splitlines()
    reason = "no rows of one length below right-aligned names"

    for block in _find_blocks(lines):
        raw = _read_block(block)
        if isinstance(raw, str):
            reason = raw
            continue

        rest = "\n".join([*lines[: block.first], *lines[block.last :]]).strip()
        raw = _note_losses(_with_whole_size(raw, rest))
        return Taken((raw,), _SHAPE.sub("", rest).strip(), "medium")

    return reason


def _read_empty_frame(text: str, empty: re.Match[str]) -> Answer:
    """pandas prints a frame without rows as words."""
    if not empty[1].strip():
        return "no columns in it"

    names = [name.strip() for name in empty[1].split(",")]
    raw = Raw(tuple(names), tuple(() for _ in names), 0)
    # the index that it prints is empty, too, and no column
    rest = text[: empty.start()] + text[empty.end() :]

    return Taken((raw,), rest.strip())


# --- where it is


def _find_blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """The longest run of lines of one length: below the line above it, if that is a
    header that lost its padding.
    """
    start, end = _longest_run(lines)
    if start == end or not lines[start].strip():
        return

    width = len(lines[start])
    if start:
        above = lines[start - 1].rstrip(" \r")
    else:
        above = ""

    if above.strip() and len(above) < width:
        # an editor or a server cut the blanks off at its end
        yield _Block(above.rjust(width), list(lines[start:end]), start - 1, end)

    if end - start > 1:
        yield _Block(lines[start], list(lines[start + 1 : end]), start, end)


def _longest_run(lines: Sequence[str]) -> tuple[int, int]:
    """The longest run of lines of one length, the first of them if there are several; a
    blank line begins a new one.
    """
    best = (0, 0)
    start = 0

    for number in range(1, len(lines) + 1):
        if number < len(lines):
            line = lines[number]
        else:
            line = ""

        if line.strip() and len(line) == len(lines[start]):
            continue

        if number - start > best[1] - best[0]:
            best = (start, number)

        start = number

    return best


def _is_separated(block: _Block) -> bool:
    """Whether the lines are cut by commas, tabs, semicolons or bars rather than by their places."""
    for mark in ",\t;|":
        count = block.header.count(mark)
        if count and all(line.count(mark) == count for line in block.body):
            return True
    return False


def _names_the_index(line: str, header: str) -> bool:
    """The line on which pandas writes the name of the index: nothing else is in it, and
    nothing above it.
    """
    name = line.rstrip()
    if not name or line[:1].isspace() or "  " in name:
        return False

    return not header[: len(name)].strip()


# --- from lines to cells


def _read_block(block: _Block) -> Raw | str:
    if _is_separated(block):
        return "its lines are cut by separators"

    found = _read_levels(block) or _read_one_header(block)
    if isinstance(found, str):
        return _read_two_headers(block) or found

    return found


class _Levels(NamedTuple):
    """An index of several levels: their names (none when unnamed), where each begins,
    where the last ends, and the lines of rows.
    """

    names: list[str | None]
    starts: list[int]
    width: int
    body: list[str]


def _read_levels(block: _Block) -> Raw | None:
    """A frame with an index of several levels; a label is printed once, above the rows
    to which it belongs. None when it is none.
    """
    levels = _find_levels(block.header, block.body)
    if levels is None:
        return None

    names, ends = _find_columns(block.header, levels.body, levels.width)
    rows = _cut_rows(levels.body, ends, levels.width)
    if not names or rows is None or any(map(strings.is_value, names)):
        return None

    labels = json_headings.name_levels(levels.names, names)
    keys = _fill_labels(levels)
    filled = [[*key, *row[1:]] for key, row in zip(keys, rows, strict=True)]
    return _build_table([*labels, *names], filled)


def _find_levels(header: str, body: Sequence[str]) -> _Levels | None:
    room = len(header) - len(header.lstrip())
    named = bool(body) and not header[: len(body[0].rstrip())].strip()
    rows = list(body[1:] if named else body)
    if not room or not rows or not rows[0][:1].strip():
        return None

    blank = [at for at in range(room) if _is_blank_at(rows, at)]
    gaps = [at for at in blank if at - 1 not in blank]
    starts = [0, *(at + 1 for at in blank if at + 1 not in blank)]
    edge = max(gaps, default=0)
    starts = [at for at in starts if at < edge]
    # a label that stands for several rows is what tells levels from columns
    is_sparse = any(not line[:1].strip() for line in rows)
    if len(starts) < 2 or not (named or is_sparse):
        return None

    names = body[0] if named else ""
    pairs = zip(starts, [*starts[1:], None], strict=True)
    labels = [names[start:end].strip() or None for start, end in pairs]
    if named and None in labels:
        return None

    return _Levels(labels, starts, edge, rows)


def _fill_labels(levels: _Levels) -> list[list[str]]:
    """The labels of each row; a blank one is that of the row above, but in the last level."""
    edges = [*levels.starts[1:], levels.width]
    spans = list(zip(levels.starts, edges, strict=True))
    keys: list[list[str]] = []
    for line in levels.body:
        key = [line[start:end].strip() for start, end in spans]
        if keys:
            above = keys[-1][:-1]
            key[:-1] = [own or upper for own, upper in zip(key, above, strict=False)]

        keys.append(key)

    return keys


def _read_two_headers(block: _Block) -> Raw | None:
    """A frame with two levels of columns: the upper name stands at the left above those
    to which it belongs.
    """
    if len(block.body) < 2:
        return None

    upper = [(token.start(), token[0]) for token in _TOKEN.finditer(block.header)]
    lower = block._replace(header=block.body[0], body=list(block.body[1:]))
    if len(_TOKEN.findall(lower.header)) <= len(upper):
        return None

    raw = _read_levels(lower) or _read_one_header(lower)
    if isinstance(raw, str):
        return None

    tokens = list(_TOKEN.finditer(lower.header))
    names = list(raw.names or ())
    if len(tokens) > len(names):
        return None

    for number, token in enumerate(tokens, start=len(names) - len(tokens)):
        above = [name for start, name in upper if start < token.end()]
        if above:
            names[number] = f"{above[-1]} / {names[number]}"

    return replace(raw, names=tuple(names))


def _read_one_header(block: _Block) -> Raw | str:
    body = block.body
    index_name = ""
    if len(body) > 1 and _names_the_index(body[0], block.header):
        index_name, body = body[0].strip(), body[1:]

    width = _index_width(block.header, body)
    names, ends = _find_columns(block.header, body, width)
    if len(names) + bool(width) < 2:
        return "one column without an index is prose"
    if any(map(strings.is_value, names)):
        return "its names are values"
    if not {"=", ":"}.isdisjoint(names):
        return "its lines are settings"

    rows = _cut_rows(body, ends, width)
    if rows is None:
        return "ambiguous: a value does not end where its column does"
    if width:
        return _build_indexed_table(names, rows, index_name)

    if any("  " in row[0] for row in rows):
        return "ambiguous: the first column may be an index"
    if not _has_typed_column(rows):
        return _ONLY_ALIGNED

    return _build_table(names, rows)


def _build_indexed_table(
    names: list[str], rows: list[list[str]], index_name: str
) -> Raw | str:
    """The table of rows that begin with a label; the numbers that pandas gives rows are
    no column of the server's, an index with a name or with other labels is one.
    """
    numbered = _are_row_numbers([row[0] for row in rows])
    if not numbered and not _has_typed_column(rows):
        return _ONLY_ALIGNED
    if numbered and not index_name:
        return _build_table(names, rows, hidden_index=True)

    return _build_table([index_name or "index", *names], rows)


def _has_typed_column(rows: Sequence[Sequence[str]]) -> bool:
    return any(map(_is_typed, zip(*rows, strict=True)))


def _cut_rows(
    body: Sequence[str], ends: Sequence[int], width: int
) -> list[list[str]] | None:
    """All rows as cells, None when one value goes over an edge."""
    rows: list[list[str]] = []
    for line in body:
        row = _cut_row(line, ends, width)
        if row is None:
            return None

        rows.append(row)

    return rows


def _index_width(header: str, body: Sequence[str]) -> int:
    """How wide the index is, which stands at the left below no name; 0 when there is none."""
    room = len(header) - len(header.lstrip())
    if not room or not all(line[:1].strip() for line in body):
        return 0

    labels = [line.split(maxsplit=1)[0] for line in body]
    if _are_row_numbers(labels):
        return max(map(len, labels))
    if all(strings.is_temporal(" ".join(line.split()[:2])) for line in body):
        return 0  # a date and a time of one column

    # labels of any kind: one gap, in every row, between them and the first column
    blank = [at for at in range(room) if _is_blank_at(body, at)]
    gaps = [at for at in blank if at - 1 not in blank]

    if len(gaps) == 1:
        return gaps[0]

    return 0


def _is_blank_at(body: Sequence[str], at: int) -> bool:
    return not any(line[at].strip() for line in body)


def _find_columns(
    header: str, body: Sequence[str], start: int
) -> tuple[list[str], list[int]]:
    """Names and where each column ends; a name of several words is one column."""
    names: list[str] = []
    ends: list[int] = []

    for token in _TOKEN.finditer(header):
        one_blank = bool(ends) and token.start() - ends[-1] == 1
        if one_blank and not _ends_a_column(body, ends, start):
            names[-1], ends[-1] = f"{names[-1]} {token[0]}", token.end()
            continue

        names.append(token[0])
        ends.append(token.end())

    return names, ends


def _ends_a_column(body: Sequence[str], ends: Sequence[int], start: int) -> bool:
    """Whether values end at the last of these places in every row that has one: then a
    column does.
    """
    if len(ends) > 1:
        start = ends[-2]
    else:
        start = start

    end = ends[-1]
    has_value = False

    for line in body:
        if line[end : end + 1].strip():
            return False  # a value goes over the place
        if not line[start:end].strip():
            continue
        if not line[end - 1 : end].strip():
            return False  # a value ends before the place

        has_value = True

    return has_value


def _cut_row(line: str, ends: Sequence[int], width: int) -> list[str] | None:
    """The cells of a row, the index first; None when a value goes over an edge."""
    if width:
        cells = [line[:width].strip()]
    else:
        cells = []

    start = width

    for end in ends:
        cell = line[start:end]
        value = cell.strip()
        ends_early = value and not cell[-1:].strip()
        starts_at_edge = start and cell[:1].strip()
        if line[end : end + 1].strip() or ends_early or starts_at_edge:
            return None

        cells.append(value)
        start = end

    return cells


def _are_row_numbers(labels: Sequence[str]) -> bool:
    """Whether labels of rows are numbers, each once; dots stand for rows left out."""
    numbers = [label for label in labels if not _DOTS.fullmatch(label)]
    if not numbers or not all(label.isdecimal() for label in numbers):
        return False

    return len(set(numbers)) == len(numbers)


def _is_typed(column: Sequence[str]) -> bool:
    """Whether a column is numbers, dates or flags throughout."""
    present = [cell for cell in column if cell and cell not in _NULLS]
    values = [cell for cell in present if not _DOTS.fullmatch(cell)]
    if not values:
        return False
    if all(cell in ("True", "False") for cell in values):
        return True

    return unquoted.are_numbers_or_dates(values)


# --- the table, and what printing may have changed


def _build_table(
    names: list[str], rows: list[list[str]], *, hidden_index: bool = False
) -> Raw:
    """The table without what stands for rows and columns left out; with `hidden_index`
    the rows begin with a number that is no column.
    """
    kept = [row for row in rows if not _is_row_of_dots(row)]
    cut = ""
    if len(kept) < len(rows):
        cut = "rows in the middle are left out of the printed frame"

    if hidden_index:
        kept = [row[1:] for row in kept]

    if _LEFT_OUT in names:
        at = names.index(_LEFT_OUT)
        names = names[:at] + names[at + 1 :]
        kept = [row[:at] + row[at + 1 :] for row in kept]
        cut = cut or "columns in the middle are left out of the printed frame"

    columns = tuple(map(_as_floats, zip(*kept, strict=True)))
    nulls = (*_NULLS, "")

    return Raw(tuple(names), columns, len(kept), text="all", nulls=nulls, truncated=cut)


def _is_row_of_dots(row: Sequence[str]) -> bool:
    return all(_DOTS.fullmatch(cell) for cell in row if cell)


def _as_floats(column: Sequence[str]) -> Cells:
    """Fractions as floats, which is what pandas prints with one number of digits; other
    columns as they are.
    """
    if not _has_fractions(column):
        return column
    if not all(cell in _NULLS or strings.is_number(cell) for cell in column):
        return column

    return [_as_float(cell) for cell in column]


def _as_float(cell: str) -> float | None:
    if cell in _NULLS:
        return None
    return float(cell)


def _with_whole_size(raw: Raw, rest: str) -> Raw:
    """With the number of rows that pandas says below a shortened frame."""
    shape = _SHAPE.search(rest)
    if shape:
        total = int(shape[1].replace(",", ""))
    else:
        total = None

    return replace(raw, total_rows=total if total != raw.rows else None)


def _note_losses(raw: Raw) -> Raw:
    """With what printing may have changed, column by column."""
    floats: list[str] = []
    shortened: list[str] = []
    escaped: list[str] = []

    for name, column in zip(raw.names or (), raw.columns, strict=True):
        texts = [cell for cell in column if type(cell) is str]
        if any(type(cell) is float for cell in column) or _has_fractions(texts):
            floats.append(name)

        if any(text.endswith("...") for text in texts):
            shortened.append(name)

        if any("\\" in text for text in texts):
            escaped.append(name)

    if floats:
        note = (
            f"pandas prints fractions to six digits; {listing(floats)} may be rounded"
        )
        raw = raw.with_note(note)

    if shortened:
        note = f"long texts in {listing(shortened)} may be cut where they end with ..."
        raw = raw.with_note(note)

    if escaped:
        how = "may be how pandas prints a line break or a tab"
        raw = raw.with_note(f"a backslash in {listing(escaped)} {how}")

    note = "spaces at the ends of values are lost in a printed frame"

    return raw.with_note(note, approximate=True)


def _has_fractions(cells: Sequence[str]) -> bool:
    return any("." in cell and strings.is_number(cell) for cell in cells)
