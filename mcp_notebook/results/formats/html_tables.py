"""HTML tables, read with the standard library's parser: nothing is fetched, no script runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import fitting
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows

MAX_SPAN = 1000
# psql writes NULL as a space that does not break
_NULLS = (*NULL_WORDS, "\xa0 ", "\xa0", "")


@dataclass
class _Grid:
    """One table while it is read: rows of (is header, text)."""

    rows: list[list[tuple[bool, str]]] = field(default_factory=list)


class _Tables(HTMLParser):
    """Collects the rows of top-level tables and the text outside them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.grids: list[_Grid] = []
        self.outside: list[str] = []
        self.depth = 0
        self.cell: list[str] | None = None
        self.kind = False
        self.span = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.depth += 1
            if self.depth == 1:
                self.grids.append(_Grid())
        elif self.depth == 1 and tag == "tr":
            self._end_cell()
            self.grids[-1].rows.append([])
        elif self.depth == 1 and tag in ("td", "th") and self.grids[-1].rows:
            self._end_cell()
            self.cell, self.kind = [], tag == "th"
            span = dict(attrs).get("colspan") or "1"
            self.span = min(int(span), MAX_SPAN) if span.isdecimal() else 1
        elif tag == "br" and self.cell is not None:
            self.cell.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag == "table" and self.depth:
            self._end_cell()
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)
        elif not self.depth:
            self.outside.append(data)

    def _end_cell(self) -> None:
        if self.cell is not None and self.depth <= 1:
            self.grids[-1].rows[-1] += [(self.kind, "".join(self.cell))] * max(
                self.span, 1
            )
            self.cell = None


def read(text: str) -> Answer:
    """All tables of a text that holds `<table`, each with the header its `<th>` cells give."""
    lowered = text.lower()
    if "<table" not in lowered:
        if not lowered.lstrip().startswith("<tr"):
            return "no <table> in it"
        text = f"<table>{text}</table>"  # sqlite3 -html prints the rows alone
    parser = _Tables()
    parser.feed(text)
    parser.close()
    raws = [raw for grid in parser.grids if (raw := _raw(grid)) is not None]
    if not raws:
        return "its tables have no header and no even rows"
    outside = "\n".join(
        line.strip() for line in "".join(parser.outside).splitlines() if line.strip()
    )
    return Taken(tuple(raws), rest=outside)


def _raw(grid: _Grid) -> Raw | None:
    rows = [row for row in grid.rows if row]
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    headers = [row for row in rows if all(is_header for is_header, _ in row)]
    if not headers:
        if len(rows) < 2:
            return None
        return from_rows(
            None,
            [[text for _, text in row] for row in rows],
            text="all",
            nulls=NULL_WORDS,
        )
    body = [row for row in rows if row not in headers]
    names = [text.strip() for _, text in headers[-1]]
    if _is_sheet(names, body):
        return _sheet(body)
    rows = [[text for _, text in row] for row in body]
    # tabulate pads names and values alike
    if any(text != text.strip(" ") for _, text in headers[-1]):
        raw = from_rows(
            names,
            [[text.strip(" ") for text in row] for row in rows],
            text="all",
            nulls=_NULLS,
        )
        return (
            raw.noted("spaces at the ends of values are lost in a drawn table")
            if rows
            else raw
        )
    return fitting.without_padding(from_rows(names, rows, text="all", nulls=_NULLS))


def _is_sheet(names: list[str], body: list[list[tuple[bool, str]]]) -> bool:
    """A spreadsheet's frame: an empty corner, letters above, row numbers at the left."""
    letters = all(
        name.isalpha() and name.isupper() and len(name) <= 3 for name in names[1:]
    )
    return (
        names[0] == ""
        and len(names) > 1
        and letters
        and all(row[0][0] and row[0][1].isdecimal() for row in body)
    )


def _sheet(body: list[list[tuple[bool, str]]]) -> Raw | None:
    if not body:
        return None
    cells = [[text for _, text in row[1:]] for row in body]
    raw = from_rows(
        [name.strip() for name in cells[0]],
        cells[1:],
        text="all",
        nulls=(*NULL_WORDS, ""),
    )
    return raw.noted(
        "a spreadsheet's first row was taken as the header", approximate=True
    )
