"""Tables inside borders: mysql, psql with borders, DuckDB, Polars, ClickHouse, rich, tabulate.

Cells are cut at the bars, or at the corners of the border when a value holds a bar
itself. DuckDB and Polars write the types below the names; both leave out rows and cut
long values, which is said.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from mcp_notebook.results.columns import declared, strings
from mcp_notebook.results.formats import unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import Answer, Raw, Taken, from_rows, listing

_BARS = "|│┃║┆┊"
_DRAWN_BARS = "│┃║┆┊"
_BORDER = re.compile(r"[+\-=|\u2500-\u257f]{3,}|\+(?::?[-=]{1,4000}:?\+)+")
_BORDER_MARKS = ("+-", "+=", "─", "━", "═")
_CORNER = re.compile(r"[+\u250c-\u254b\u2552-\u2570]")
_UPPER_CORNERS = "+┬┐┌┳┏┓╦╔╗╤╒╕╭╮┍┎┑┒┮┭┯┰┱┲"
# ClickHouse writes the names into the upper border, and numbers rows on request.
_NAMED_BORDER = re.compile(r"[┌╭](─+.+)[┐╮]")
_ROW_NUMBER = re.compile(r"^\d+\. (?=[│┃])")
# Polars says the whole size above its table, DuckDB below it.
_WHOLE_SIZE = re.compile(r"shape: \(([\d_,]+), |(\d[\d,.]*) rows?\b[^\n]{0,40}shown")
_QUOTES = ("'", '"')
# What stands in the place of rows and columns that were left out.
_DOTS = ("·", "…", "...", ":", "⋮")
_POLARS_FLOATS = ("f32", "f64")
_POLARS_TEXTS = ("str", "cat", "enum", "binary")  # only these are wrapped
# Types of DuckDB that are no declared types elsewhere.
_DUCKDB_TYPE = re.compile(
    r"(?:.+\[\d*\]|(?:struct|map|union|enum|decimal)\(.*|\"null\"|interval|uuid|bit|json"
    r"|variant|hugeint|time\w*|geometry|varint|bignum)",
    re.IGNORECASE | re.DOTALL,
)
_NODE_INDEX = "(index)"

Rows = list[list[str]]


class _Header(NamedTuple):
    """The names, the types below them (empty: none), and whether Polars drew the table."""

    names: list[str]
    kinds: tuple[str | None, ...] = ()
    polars: bool = False


def read_boxes(text: str) -> Answer:
    """Tables inside borders; lines outside them are the rest."""
    if "[ RECORD " in text:
        return "records of psql, one value a line"
    if not any(mark in text for mark in _BORDER_MARKS):
        return "no borders"

    lines = [_ROW_NUMBER.sub("", line.strip(), count=1) for line in text.splitlines()]
    borders = [n for n, line in enumerate(lines) if _is_border(line)]
    heads = [n for n, line in enumerate(lines) if _is_named_border(line)]
    if not borders or (len(borders) < 2 and not heads):
        return "no borders"

    first = min([*borders, *heads])
    last = max(borders)
    box = lines[first : last + 1]
    if not any(mark in box[1] for mark in _BARS):
        return "no bars between its borders"
    # a blank line is between two boxes, or inside a value and then ambiguous
    if any(not line.strip() for line in box):
        return _read_several_boxes(text)

    raw = _read_box(box)
    if isinstance(raw, str):
        return raw

    rest = "\n".join([*lines[:first], *lines[last + 1 :]]).strip()

    return Taken((_with_whole_size(raw, rest),), rest=rest)


def _with_whole_size(raw: Raw, rest: str) -> Raw:
    """With the number of rows that the text around a shortened table tells."""
    said = _WHOLE_SIZE.search(rest)
    if not said or not raw.truncated:
        return raw

    total = int(re.sub(r"\D", "", said[1] or said[2]))

    return replace(raw, total_rows=total or None)


def _read_several_boxes(text: str) -> Answer:
    """Boxes with blank lines between them, each read for itself."""
    raws: list[Raw] = []
    rest: list[str] = []

    for part in re.split(r"\n[ \t]*\n", text):
        answer = read_boxes(part)
        if not isinstance(answer, str) and not _is_torn(part):
            raws += answer.raws
            rest.append(answer.rest)
            continue

        if any(map(_is_border, part.splitlines())):
            return "ambiguous: a blank line inside a box"

        rest.append(part)

    if not raws:
        return "no borders"

    return Taken(tuple(raws), rest="\n".join(filter(None, rest)))


def _is_torn(part: str) -> bool:
    """Whether a part of the text begins inside a box: a line ends in a bar above the
    first border.
    """
    for line in part.splitlines():
        if _is_border(line) or _is_named_border(line):
            return False

        stripped = line.rstrip()
        if stripped and stripped[-1] in _BARS:
            return True

    return False


def _is_named_border(line: str) -> bool:
    """ClickHouse writes the names into the upper border: "┌─id─┬─name─┐"."""
    if line[:1] not in ("┌", "╭") or _BORDER.fullmatch(line):
        return False
    return _NAMED_BORDER.fullmatch(line) is not None


def _is_border(line: str) -> bool:
    """A line of dashes with corners; one that begins with a dash is a rule, not a border."""
    border = line.strip()
    if not _BORDER.fullmatch(border) or not _CORNER.search(line):
        return False

    return border[0] not in "-=─━"


def _read_box(lines: Sequence[str]) -> Raw | str:
    """One box from its first border to its last."""
    blocks = _blocks_between_borders(lines)
    named = _NAMED_BORDER.fullmatch(lines[0])
    if named and not _BORDER.fullmatch(lines[0].strip()):
        header = _Header([name.strip("─ ") for name in named[1].split("┬")])
    elif blocks:
        header = _read_header([_split_at_bars(line) for line in blocks.pop(0)])
    else:
        return "no rows between its borders"

    rows: Rows = []
    width = len(header.names)
    # mysql and psql draw all rows as one block, tabulate's grid and Polars a block a row
    single = len(blocks) == 1

    for block in blocks:
        found = _rows_of_block(block, width, lines[0], single=single)
        if isinstance(found, str):
            return found

        rows += found

    if any(len(row) != width for row in rows):
        return "ambiguous: rows of the box differ in width"

    header, rows, cut = _without_dots(header, rows)

    return _build_table(header, rows, cut)


# --- from lines to cells


def _blocks_between_borders(lines: Sequence[str]) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in lines:
        if _BORDER.fullmatch(line.strip()) or _is_named_border(line):
            blocks.append([])
        else:
            blocks[-1].append(line)

    return [block for block in blocks if block]


def _split_at_bars(line: str) -> list[str]:
    """The cells of one drawn line, cut at its own kind of bar."""
    body = line.strip()
    if body[:1] in _DRAWN_BARS:
        bars = _DRAWN_BARS
    else:
        bars = "|"

    if body[:1] in _BARS:
        body = body[1:]
    else:
        body = body

    if body[-1:] in _BARS:
        body = body[:-1]
    else:
        body = body

    return [cell.strip() for cell in re.split(f"[{bars}]", body)]


def _rows_of_block(
    block: Sequence[str], width: int, border: str, *, single: bool
) -> Rows | str:
    """The rows of one block: a line each, or all lines one row when every row has its
    own border.
    """
    rows: Rows = []
    pending = ""  # a line that ends inside a value, where no bar closes it

    for line in block:
        if pending:
            whole = f"{pending}\n{line}"
        else:
            whole = line

        if whole.rstrip()[-1:] not in _BARS:
            pending = whole
            continue

        pending = ""
        cells = _split_at_bars(whole)
        if len(cells) != width:
            # a value holds a bar: the corners of the border say where columns end
            placed = _split_at_corners(whole, border)
            if placed is None or len(placed) != width:
                return f"ambiguous: a row of the box has {len(cells)} cells for {width} columns"

            cells = placed

        rows.append(cells)

    if pending:
        return "ambiguous: a line of the box is not closed"
    if single or len(rows) < 2:
        return rows

    return [["\n".join(filter(None, column)) for column in zip(*rows, strict=True)]]


def _split_at_corners(line: str, border: str) -> list[str] | None:
    """Cells cut where the border has its corners; only when line and border are drawn
    to one length.
    """
    if len(line.rstrip()) != len(border.rstrip()):
        return None

    corners = [n for n, mark in enumerate(border) if mark in _UPPER_CORNERS]
    if any(line[n] not in _BARS for n in corners):
        return None

    edges = itertools.pairwise(corners)

    return [line[start + 1 : end].strip() for start, end in edges]


# --- names, types, and what was left out


def _read_header(lines: Rows) -> _Header:
    """Names and the types that DuckDB and Polars write below them."""
    columns = list(zip(*lines, strict=False))
    rule = _polars_rule(lines)
    if rule:
        names = [_join_filled(column[:rule]) for column in columns]
        kinds = ["".join(column[rule + 1 :]) or None for column in columns]
        return _Header(names, tuple(kinds), polars=True)

    # DuckDB: names and types, with no rule between them
    has_types = len(lines) == 2 and all(map(_has_type_below, columns))
    if has_types:
        names, kinds = map(list, zip(*columns, strict=True))
        return _Header(names, tuple(kind or None for kind in kinds))

    return _Header([_join_filled(column) for column in columns])


def _join_filled(cells: Sequence[str]) -> str:
    return " ".join(filter(None, cells))


def _polars_rule(lines: Rows) -> int:
    """The line of dashes that Polars puts between names and types, 0 for none."""
    for number, row in enumerate(lines):
        if number and all(cell in ("---", "", "…") for cell in row):
            return number
    return 0


def _has_type_below(column: Sequence[str]) -> bool:
    """Whether DuckDB wrote a type below this name; below dots it writes none."""
    name, kind = column
    if name == "…":
        return True

    return bool(declared.kind(kind) or _DUCKDB_TYPE.fullmatch(kind))


def _without_dots(header: _Header, rows: Rows) -> tuple[_Header, Rows, str]:
    """Without the rows and columns of dots that stand for what was left out, and what
    to say of it.
    """
    kept = [row for row in rows if not _is_row_of_dots(row)]
    cut = ""
    if len(kept) < len(rows):
        cut = "rows in the middle are left out of the drawn table"

    kept_columns = [
        number
        for number, name in enumerate(header.names)
        if name != "…" or not all(row[number] in ("…", "") for row in kept)
    ]
    if len(kept_columns) == len(header.names):
        return header, kept, cut

    names = [header.names[n] for n in kept_columns]
    if header.kinds:
        kinds = [header.kinds[n] for n in kept_columns]
    else:
        kinds = []

    header = header._replace(names=names, kinds=tuple(kinds))
    cut = cut or "columns in the middle are left out of the drawn table"

    return header, [_pick(row, kept_columns) for row in kept], cut


def _pick(row: Sequence[str], numbers: Sequence[int]) -> list[str]:
    return [row[n] for n in numbers]


def _is_row_of_dots(row: Sequence[str]) -> bool:
    return bool(row) and all(cell in _DOTS for cell in row)


# --- the table, and what drawing may have changed


def _build_table(header: _Header, rows: Rows, cut: str) -> Raw:
    """The table with a note for each thing that drawing may have changed."""
    by_node = header.names[:1] == [_NODE_INDEX]
    header, rows = _without_node_index(header, rows)
    joined: list[str] = []
    if header.polars:
        rows, joined = _join_wrapped_rows(header, rows)

    columns = list(zip(*rows, strict=True))
    quoted = [n for n, column in enumerate(columns) if _is_quoted(column)]
    # console.table writes JavaScript's literals, sqlite3 -quote those of SQL
    if by_node:
        unquote = unquoted.decode_code_literal
    else:
        unquote = _unquote_sql

    for row in rows:
        for number in quoted:
            if row[number][:1] in _QUOTES:
                row[number] = unquote(row[number])

    raw = from_rows(
        header.names, rows, text="all", nulls=EMPTY_OR_NULL, declared=header.kinds
    )
    raw = unquoted.note_lost_spaces(raw)
    if quoted:
        names = listing([header.names[n] for n in quoted])
        raw = raw.with_note(f"quotes around the values of {names} were taken off")

    raw = _note_cut_values(_note_single_column(raw, header, rows), header)
    if joined:
        note = f"lines of long values in {listing(joined)} were put together again"
        raw = raw.with_note(note, approximate=True)

    if header.polars:
        raw = _note_rounded(raw, header)
    elif _may_continue_above(rows):
        note = "a row with an empty first cell may continue the row above it"
        raw = raw.with_note(note, approximate=True)

    return replace(raw, truncated=cut)


def _note_single_column(raw: Raw, header: _Header, rows: Rows) -> Raw:
    """A column of texts alone in its box: nothing tells a row from a second line."""
    if len(rows) < 2 or len(header.names) != 1:
        return raw
    if all(strings.is_number(row[0]) for row in rows):
        return raw

    note = f"a line break in a value of `{header.names[0]}` would look like another row"

    return raw.with_note(note, approximate=True)


def _note_cut_values(raw: Raw, header: _Header) -> Raw:
    columns = zip(header.names, raw.columns, strict=True)
    cut = [
        name for name, column in columns if any(cell.endswith("…") for cell in column)
    ]
    if not cut:
        return raw

    note = f"long values in {listing(cut)} are cut where they end with …"

    return raw.with_note(note, approximate=True)


def _note_rounded(raw: Raw, header: _Header) -> Raw:
    pairs = zip(header.names, header.kinds, strict=True)
    floats = [name for name, kind in pairs if kind in _POLARS_FLOATS]
    if not floats:
        return raw

    note = f"Polars prints fractions to six digits; {listing(floats)} may be rounded"

    return raw.with_note(note, approximate=True)


def _may_continue_above(rows: Rows) -> bool:
    """Whether a row without a first cell is below one that has it, as rich draws the
    second line of a long value.
    """
    firsts = [row[0] for row in rows]
    if not firsts or firsts[0] == "":
        return False

    return "" in firsts[1:]


def _without_node_index(header: _Header, rows: Rows) -> tuple[_Header, Rows]:
    """Node's console.table numbers the rows in a column of its own."""
    numbers = [str(n) for n in range(len(rows))]
    if header.names[:1] != [_NODE_INDEX] or [row[0] for row in rows] != numbers:
        return header, rows

    return header._replace(names=header.names[1:]), [row[1:] for row in rows]


def _is_quoted(column: Sequence[str]) -> bool:
    """Whether a program put every text in quotes: console.table, sqlite3 -box --quote."""
    texts = [cell for cell in unquoted.without_nulls(column) if cell != "undefined"]
    if not texts:
        return False

    return all(len(cell) > 1 and cell[0] == cell[-1] in _QUOTES for cell in texts)


def _unquote_sql(cell: str) -> str:
    return cell[1:-1].replace("''", "'")


def _join_wrapped_rows(header: _Header, rows: Rows) -> tuple[Rows, list[str]]:
    """Polars wraps long values: a line without a value in every column that is no text
    goes on with the row above. Returns the names of columns that were joined, too.
    """
    fixed = [n for n, kind in enumerate(header.kinds) if kind not in _POLARS_TEXTS]
    if not fixed:
        return rows, []

    whole: Rows = []
    joined: set[str] = set()

    for row in rows:
        if not whole or any(row[n] for n in fixed):
            whole.append(row)
            continue

        above = whole[-1]

        for number, cell in enumerate(row):
            if cell:
                joined.add(header.names[number])
                above[number] = _join_filled((above[number], cell))

    return whole, sorted(joined)
