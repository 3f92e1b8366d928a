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
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import code_rows
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows, listing

_BARS = "|│┃║┆┊"
_BORDER = re.compile(r"[+\-=|\u2500-\u257f]{3,}|\+(?::?[-=]{1,4000}:?\+)+")
_CORNER = re.compile(r"[+\u250c-\u254b\u2552-\u2570]")
_CLICKHOUSE = re.compile(r"[┌╭](─+.+)[┐╮]")
_NUMBERED = re.compile(r"^\d+\. (?=[│┃])")
_SOFT_NULLS = (*NULL_WORDS, "")
_WHOLE = re.compile(r"shape: \(([\d_,]+), |(\d[\d,.]*) rows?\b[^\n]{0,40}shown")
_TOPS = "+┬┐┌┳┏┓╦╔╗╤╒╕╭╮┍┎┑┒┮┭┯┰┱┲"
_QUOTES = ("'", '"')
_DOTS = ("·", "…", "...", ":", "⋮")
_FLOATS = ("f32", "f64")
_DUCKDB_TYPE = re.compile(
    r"(?:.+\[\d*\]|(?:struct|map|union|enum|decimal)\(.*|\"null\"|interval|uuid|bit|json|variant|hugeint|time\w*|geometry"
    r"|varint|bignum)",
    re.IGNORECASE | re.DOTALL,
)


class _Header(NamedTuple):
    """The names, the types below them (empty: none), and whether Polars drew the table."""

    names: list[str]
    kinds: tuple[str | None, ...] = ()
    polars: bool = False


def read(text: str) -> Answer:
    """Tables inside borders; lines outside them are the rest."""
    if "[ RECORD " in text:
        return "records of psql, one value a line"
    if not any(mark in text for mark in ("+-", "+=", "─", "━", "═")):
        return "no borders"
    lines = [_NUMBERED.sub("", line.strip(), count=1) for line in text.splitlines()]
    borders = [n for n, line in enumerate(lines) if _is_border(line)]
    heads = [n for n, line in enumerate(lines) if _is_named_border(line)]
    if not borders or (len(borders) < 2 and not heads):
        return "no borders"
    first = min([*borders, *heads])
    last = max(borders)
    body = lines[first : last + 1]
    if not any(mark in body[1] for mark in _BARS):
        return "no bars between its borders"
    if any(not line.strip() for line in body):
        return _several_boxes(text)
    raw = _box(body)
    if isinstance(raw, str):
        return raw
    rest = "\n".join([*lines[:first], *lines[last + 1 :]]).strip()
    whole = _WHOLE.search(rest)
    total = (
        int(re.sub(r"\D", "", whole[1] or whole[2])) if whole and raw.truncated else 0
    )
    return Taken((replace(raw, total_rows=total or None),), rest=rest)


def _several_boxes(text: str) -> Answer:
    raws, rest = [], []
    for part in re.split(r"\n[ \t]*\n", text):
        answer = read(part)
        if isinstance(answer, str) or _is_torn(part):
            if any(_is_border(line) for line in part.splitlines()):
                return "ambiguous: a blank line inside a box"
            rest.append(part)
            continue
        raws += answer.raws
        rest.append(answer.rest)
    return (
        Taken(tuple(raws), rest="\n".join(filter(None, rest))) if raws else "no borders"
    )


def _is_torn(part: str) -> bool:
    """Whether a part of the text begins inside a box: a line ends in a bar above the
    first border.
    """
    above = itertools.takewhile(
        lambda line: not _is_border(line) and not _is_named_border(line),
        part.splitlines(),
    )
    return any(line.rstrip()[-1:] in _BARS for line in map(str.rstrip, above) if line)


def _is_named_border(line: str) -> bool:
    """ClickHouse writes the names into the upper border: "┌─id─┬─name─┐"."""
    return (
        line[:1] in ("┌", "╭")
        and bool(_CLICKHOUSE.fullmatch(line))
        and not _BORDER.fullmatch(line)
    )


def _is_border(line: str) -> bool:
    return (
        bool(_BORDER.fullmatch(line.strip()))
        and bool(_CORNER.search(line))
        and line.strip()[0] not in "-=─━"
    )


def _box(lines: Sequence[str]) -> Raw | str:
    blocks = _blocks(lines)
    head = _CLICKHOUSE.fullmatch(lines[0])
    if head and not _BORDER.fullmatch(lines[0].strip()):
        header = _Header([name.strip("─ ") for name in re.split(r"[┬]", head[1])])
    elif blocks:
        header = _header(_split_all(blocks.pop(0)))
    else:
        return "no rows between its borders"
    rows: list[list[str]] = []
    for block in blocks:
        merged = _rows_of(block, len(header.names), lines[0], single=len(blocks) == 1)
        if isinstance(merged, str):
            return merged
        rows += merged
    if any(len(row) != len(header.names) for row in rows):
        return "ambiguous: rows of the box differ in width"
    return _told(*_without_dots(header, rows))


def _header(lines: list[list[str]]) -> _Header:
    """Names and the types that DuckDB and Polars write below them."""
    columns = list(zip(*lines, strict=False))
    ruled = next(
        (
            n
            for n, row in enumerate(lines)
            if n and all(cell in ("---", "", "…") for cell in row)
        ),
        None,
    )
    if ruled is not None:
        names = [" ".join(filter(None, column[:ruled])) for column in columns]
        return _Header(
            names,
            tuple("".join(column[ruled + 1 :]) or None for column in columns),
            polars=True,
        )
    if len(lines) == 2 and all(
        _is_type(column[1]) or column[0] == "…" for column in columns
    ):
        return _Header(
            [column[0] for column in columns],
            tuple(column[1] or None for column in columns),
        )
    return _Header([" ".join(filter(None, column)) for column in columns])


def _is_type(text: str) -> bool:
    return bool(declared.kind(text) or _DUCKDB_TYPE.fullmatch(text))


def _without_dots(
    header: _Header, rows: list[list[str]]
) -> tuple[_Header, list[list[str]], str]:
    """Without the rows and columns of dots that stand for what was left out."""
    kept = [row for row in rows if not row or not all(cell in _DOTS for cell in row)]
    cut = (
        "rows in the middle are left out of the drawn table"
        if len(kept) < len(rows)
        else ""
    )
    dots = [
        n
        for n, name in enumerate(header.names)
        if name == "…" and all(row[n] in ("…", "") for row in kept)
    ]
    if dots:
        kept = [[cell for n, cell in enumerate(row) if n not in dots] for row in kept]
        kinds = tuple(kind for n, kind in enumerate(header.kinds) if n not in dots)
        header = header._replace(
            names=[name for n, name in enumerate(header.names) if n not in dots],
            kinds=kinds,
        )
        cut = cut or "columns in the middle are left out of the drawn table"
    return header, kept, cut


def _told(header: _Header, rows: list[list[str]], cut: str) -> Raw:
    """The table with a note for each thing that drawing may have changed."""
    by_node = header.names[:1] == ["(index)"]
    header, rows = _without_index(header, rows)
    rows, joined = _unwrapped(header, rows) if header.polars else (rows, [])
    quoted = [
        n for n, column in enumerate(zip(*rows, strict=True)) if _is_quoted(column)
    ]
    bare = code_rows.decoded if by_node else _bare
    rows = [
        [
            bare(cell) if n in quoted and cell[:1] in _QUOTES else cell
            for n, cell in enumerate(row)
        ]
        for row in rows
    ]
    raw = from_rows(
        header.names, rows, text="all", nulls=_SOFT_NULLS, declared=header.kinds
    )
    raw = (
        raw.noted("spaces at the ends of values are lost in a drawn table")
        if rows
        else raw
    )
    columns = list(zip(header.names, raw.columns, strict=True))
    ends = [
        name for name, column in columns if any(cell.endswith("…") for cell in column)
    ]
    if quoted:
        raw = raw.noted(
            f"quotes around the values of {listing([header.names[n] for n in quoted])} were taken off"
        )
    if (
        len(rows) > 1
        and len(header.names) == 1
        and not all(strings.is_number(row[0]) for row in rows)
    ):
        raw = raw.noted(
            f"a line break in a value of `{header.names[0]}` would look like another row",
            approximate=True,
        )
    if ends:
        raw = raw.noted(
            f"long values in {listing(ends)} are cut where they end with …",
            approximate=True,
        )
    if joined:
        raw = raw.noted(
            f"lines of long values in {listing(joined)} were put together again",
            approximate=True,
        )
    if header.polars and (
        floats := [
            n
            for n, kind in zip(header.names, header.kinds, strict=True)
            if kind in _FLOATS
        ]
    ):
        raw = raw.noted(
            f"Polars prints fractions to six digits; {listing(floats)} may be rounded",
            approximate=True,
        )
    if (
        not header.polars
        and rows
        and "" in (column := [row[0] for row in rows])[1:]
        and column[0]
    ):
        raw = raw.noted(
            "a row with an empty first cell may continue the row above it",
            approximate=True,
        )
    return replace(raw, truncated=cut)


def _without_index(
    header: _Header, rows: list[list[str]]
) -> tuple[_Header, list[list[str]]]:
    """Node's console.table numbers the rows in a column of its own."""
    if header.names[:1] != ["(index)"] or [row[0] for row in rows] != [
        str(n) for n in range(len(rows))
    ]:
        return header, rows
    return header._replace(names=header.names[1:]), [row[1:] for row in rows]


def _is_quoted(column: Sequence[str]) -> bool:
    """Whether a program put every text in quotes: console.table, sqlite3 -box --quote."""
    texts = [
        cell
        for cell in column
        if cell and cell not in NULL_WORDS and cell != "undefined"
    ]
    return bool(texts) and all(
        len(cell) > 1 and cell[0] == cell[-1] in _QUOTES for cell in texts
    )


def _bare(cell: str) -> str:
    return cell[1:-1].replace("''", "'") if cell[:1] in _QUOTES else cell


def _unwrapped(
    header: _Header, rows: list[list[str]]
) -> tuple[list[list[str]], list[str]]:
    """Polars wraps long values: a line without a value in every column that is no text
    goes on with the row above.
    """
    fixed = [
        n
        for n, kind in enumerate(header.kinds)
        if kind not in ("str", "cat", "enum", "binary")
    ]
    result: list[list[str]] = []
    joined: set[str] = set()
    for row in rows:
        if result and fixed and not any(row[n] for n in fixed):
            joined |= {
                name for name, cell in zip(header.names, row, strict=True) if cell
            }
            result[-1] = [
                " ".join(filter(None, cells))
                for cells in zip(result[-1], row, strict=True)
            ]
        else:
            result.append(row)
    return result, sorted(joined)


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    """The lines between borders."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if _BORDER.fullmatch(line.strip()) or _is_named_border(line):
            blocks.append([])
        else:
            blocks[-1].append(line)
    return [block for block in blocks if block]


def _cells(line: str) -> list[str]:
    """The cells of one drawn line, cut at its own kind of bar."""
    body = line.strip()
    bar = body[:1] if body[:1] in _BARS else "|"
    bars = "│┃║┆┊" if bar != "|" else "|"
    body = body[1:] if body[:1] in _BARS else body
    body = body[:-1] if body[-1:] in _BARS else body
    return [cell.strip() for cell in re.split(f"[{bars}]", body)]


def _split_all(block: Sequence[str]) -> list[list[str]]:
    return [_cells(line) for line in block]


def _rows_of(
    block: Sequence[str], width: int, border: str, *, single: bool
) -> list[list[str]] | str:
    """The rows of one block: a line each, or all lines one row when every row has its
    own border.
    """
    rows = []
    pending = ""
    for line in block:
        line = f"{pending}\n{line}" if pending else line
        if line.rstrip()[-1:] not in _BARS:
            pending = line
            continue
        pending = ""
        cells = _cells(line)
        if len(cells) != width:
            placed = _by_place(line, border)
            if placed is None or len(placed) != width:
                return f"ambiguous: a row of the box has {len(cells)} cells for {width} columns"
            cells = placed
        rows.append(cells)
    if pending:
        return "ambiguous: a line of the box is not closed"
    if single or len(rows) < 2:
        return rows
    return [["\n".join(filter(None, column)) for column in zip(*rows, strict=True)]]


def _by_place(line: str, border: str) -> list[str] | None:
    """Cells cut where the border has its corners; only when line and border are drawn
    to one length.
    """
    if len(line.rstrip()) != len(border.rstrip()):
        return None
    at = [n for n, mark in enumerate(border) if mark in _TOPS]
    if any(line[n] not in _BARS for n in at):
        return None
    return [line[start + 1 : end].strip() for start, end in itertools.pairwise(at)]
