"""What stands between tags: HTML tables, rows in XML, and whole texts in a tag or a fence.

Everything is read with the standard library: nothing is fetched, no script runs, and XML
with a document type, and with it every entity of one's own, is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import NamedTuple
from xml.etree import ElementTree

from mcp_notebook.results.bounds import check_time
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import (
    Answer,
    Raw,
    Taken,
    from_records,
    from_rows,
    note_beside,
)
from mcp_notebook.results.values import json_headings

# --- HTML

_MAX_SPAN = 1000
# psql writes NULL as a space that does not break
_HTML_NULLS = (*NULL_WORDS, "\xa0 ", "\xa0", "")


class _Cell(NamedTuple):
    """The text of one cell, and whether it is a `<th>`."""

    is_header: bool
    text: str


HtmlRow = list[_Cell]


class _TableParser(HTMLParser):
    """Collects the rows of top-level tables and the text outside them; a table inside a
    cell is part of its text.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[HtmlRow]] = []
        self.outside: list[str] = []
        self.depth = 0
        self.cell: list[str] | None = None
        self.is_header = False
        self.span = 1
        self.rows_below = 1
        self.hanging: dict[int, tuple[int, _Cell]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        check_time()
        if tag == "table":
            self.depth += 1
            if self.depth == 1:
                self.tables.append([])
                self.hanging = {}
        elif tag == "br" and self.cell is not None:
            self.cell.append("\n")
        elif self.depth != 1:
            return
        elif tag == "tr":
            self._end_row()
            self.tables[-1].append([])
            self._hang_cells()
        elif tag in ("td", "th") and self.tables[-1]:
            self._end_cell()
            self.cell, self.is_header = [], tag == "th"
            self.span = _read_span(dict(attrs).get("colspan"))
            self.rows_below = _read_span(dict(attrs).get("rowspan"))

    def handle_endtag(self, tag: str) -> None:
        # many programs leave </td> and </tr> out
        if tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag == "table" and self.depth:
            self._end_row()
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)
        elif not self.depth:
            self.outside.append(data)

    def _end_cell(self) -> None:
        if self.cell is None or self.depth > 1:
            return

        cell = _Cell(self.is_header, "".join(self.cell))
        row = self.tables[-1][-1]
        for _ in range(max(self.span, 1)):
            if self.rows_below > 1:
                self.hanging[len(row)] = (self.rows_below, cell)
            row.append(cell)

        self.cell = None
        self._hang_cells()

    def _end_row(self) -> None:
        """A cell that spans rows is one of the rows below, too."""
        self._end_cell()
        if self.depth == 1:
            below = {at: (left - 1, cell) for at, (left, cell) in self.hanging.items()}
            self.hanging = {at: item for at, item in below.items() if item[0] > 0}

    def _hang_cells(self) -> None:
        row = self.tables[-1][-1]
        while len(row) in self.hanging:
            row.append(self.hanging[len(row)][1])


def _read_span(value: str | None) -> int:
    """How many columns or rows a cell takes; an absurd number is one."""
    if value is None or not value.isdecimal():
        return 1
    return min(int(value), _MAX_SPAN)


def read_html(text: str) -> Answer:
    """All tables of a text that holds `<table`, each with the header its `<th>` cells give."""
    lowered = text.lower()
    if "<table" not in lowered:
        if not lowered.lstrip().startswith("<tr"):
            return "no <table> in it"

        text = f"<table>{text}</table>"  # sqlite3 -html prints the rows alone

    parser = _TableParser()
    parser.feed(text)
    parser.close()
    found = map(_read_html_table, parser.tables)
    raws = tuple(raw for raw in found if raw is not None)
    if not raws:
        return "its tables have no header and no even rows"

    outside = "".join(parser.outside).splitlines()
    rest = "\n".join(line.strip() for line in outside if line.strip())

    return Taken(raws, rest=rest)


def _read_html_table(table: Sequence[HtmlRow]) -> Raw | None:
    rows = [row for row in table if row]
    if not rows or len({len(row) for row in rows}) != 1:
        return None

    headers = [row for row in rows if all(cell.is_header for cell in row)]
    if not headers:
        return _read_headless_html(rows)

    header = headers[-1]
    body = [row for row in rows if row not in headers]
    names = _join_headers(headers)
    if body and body[0][0].is_header and not names[0]:
        names = list(json_headings.name_index(names))
    if _is_sheet(names, body):
        return _read_sheet(body)

    cells = list(map(_texts_of, body))
    # tabulate pads names and values alike, as in its plain tables
    is_padded = any(cell.text != cell.text.strip(" ") for cell in header)
    if not is_padded:
        raw = from_rows(names, cells, text="all", nulls=_HTML_NULLS)
        return unquoted.strip_padding(raw)

    stripped = unquoted.strip_blanks(cells)
    raw = from_rows(names, stripped, text="all", nulls=_HTML_NULLS)

    return unquoted.note_lost_spaces(raw)


def _join_headers(headers: Sequence[HtmlRow]) -> list[str]:
    """The names of several rows of headings: pandas writes the name of an index below
    the others, and levels of columns above each other.
    """
    names: list[str] = []
    titles = [row for row in headers if len({cell.text.strip() for cell in row}) > 1]
    for column in zip(*(titles or headers[-1:]), strict=True):
        parts = [cell.text.strip() for cell in column]
        names.append(" / ".join(dict.fromkeys(part for part in parts if part)))

    return names


def _read_headless_html(rows: Sequence[HtmlRow]) -> Raw | None:
    if len(rows) < 2:
        return None
    return from_rows(None, list(map(_texts_of, rows)), text="all", nulls=NULL_WORDS)


def _texts_of(row: HtmlRow) -> list[str]:
    return [cell.text for cell in row]


def _is_sheet(names: Sequence[str], body: Sequence[HtmlRow]) -> bool:
    """A spreadsheet's frame: an empty corner, letters above, row numbers at the left."""
    if names[0] != "" or len(names) < 2:
        return False
    if not all(map(_is_column_letter, names[1:])):
        return False

    return all(row[0].is_header and row[0].text.isdecimal() for row in body)


def _is_column_letter(name: str) -> bool:
    # a sheet of Excel ends with the column XFD
    if len(name) > 3:
        return False
    return name.isalpha() and name.isupper()


def _read_sheet(body: Sequence[HtmlRow]) -> Raw | None:
    if not body:
        return None

    header, *rows = [_texts_of(row[1:]) for row in body]
    names = [name.strip() for name in header]
    raw = from_rows(names, rows, text="all", nulls=EMPTY_OR_NULL)
    note = "a spreadsheet's first row was taken as the header"

    return raw.with_note(note, approximate=True)


# --- XML

_XML_START = re.compile(r"<(?:\?xml|[A-Za-z_][\w.:-]*[\s>/])")
_XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_MAX_DEPTH = 64  # levels below which no rows are looked for
# A single element of these names is a row, of any other it may be anything.
_ROW_NAMES = ("row", "record", "item", "entry", "result")


def read_xml(text: str) -> Answer:
    """The rows of the one XML document in a text: `<row><id>1</id></row>`, `<row
    id="1"/>` and `<field name="id">1</field>` (mysql --xml).
    """
    start = _XML_START.search(text)
    end = text.rfind(">") + 1
    if start is None or end <= start.end():
        return "no XML"
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return "XML with a document type is not read"

    document = text[start.start() : end]

    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - no document type, so no entities
    except (ElementTree.ParseError, ValueError) as error:
        return f"no XML: {str(error)[:60]}"

    found = list(_find_rows(root, 0))
    if not found:
        return "its elements are no rows"

    taken = {id(row) for _, rows in found for row in rows}
    beside = "\n".join(_words_beside(root, taken))
    rest = f"{text[: start.start()]}\n{beside}\n{text[end:]}".strip()
    return Taken(tuple(raw for raw, _ in found), rest)


_RowsOfElements = tuple[Raw, list[ElementTree.Element]]


def _words_beside(root: ElementTree.Element, taken: set[int]) -> Iterator[str]:
    """What a document says outside its rows: a line for each text, under its name."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if id(element) in taken:
            continue

        words = (element.text or "").strip()
        if words:
            yield f"{_local_name(element.tag)}: {words}"

        waiting += reversed(element)


def _find_rows(element: ElementTree.Element, depth: int) -> Iterator[_RowsOfElements]:
    """The first level on which elements repeat and hold nothing but fields."""
    children = list(element)
    alike: dict[str, list[ElementTree.Element]] = {}
    for child in children:
        alike.setdefault(child.tag, []).append(child)

    for tag, rows in alike.items():
        records = [_read_record(row) for row in rows]
        filled = [record for record in records if record]
        may_be_rows = len(rows) > 1 or _local_name(tag).lower() in _ROW_NAMES
        if may_be_rows and len(filled) == len(records):
            yield _note_attributes(_table_of_records(filled), rows), rows
            return

    if depth < _MAX_DEPTH:
        for child in children:
            yield from _find_rows(child, depth + 1)


def _table_of_records(records: list[dict[str, str | None]]) -> Raw:
    raw = from_records(records, text="all", nulls=NULL_WORDS)
    if not any("" in record.values() for record in records):
        return raw

    return raw.with_note("an empty element may stand for NULL", approximate=True)


def _note_attributes(raw: Raw, rows: Sequence[ElementTree.Element]) -> Raw:
    """The table with a note on the attributes of its fields, which are no columns."""
    names = {
        name: None
        for row in rows
        for field in row
        for name in field.attrib
        if name not in ("name", _XSI_NIL)
    }
    return raw.with_note(note_beside(names, "a field")) if names else raw


def _read_record(row: ElementTree.Element) -> dict[str, str | None] | None:
    """One row as fields, None when it is something else."""
    fields = list(row)
    if (row.text or "").strip():
        return None

    if not fields:
        if row.attrib:
            return dict(row.attrib)
        return None

    if any(len(field) for field in fields):
        return None

    names = [field.get("name", _local_name(field.tag)) for field in fields]
    if len(set(names)) < len(names):
        return None

    cells = dict(zip(names, map(_text_of_field, fields), strict=True))
    # a field of an attribute's name is the later word
    return {**row.attrib, **cells}


def _text_of_field(field: ElementTree.Element) -> str | None:
    if field.get(_XSI_NIL) in ("true", "1"):
        return None
    return field.text or ""


def _local_name(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]


# --- a text inside a text

_FENCE = re.compile(r"[ \t]{0,80}(```+|~~~+)[ \t]*([\w+-]*)[^`]*")
_OPENING_TAG = re.compile(r"[ \t]{0,80}<([A-Za-z][\w.-]*)(?: [^<>]*)?>[ \t]*")
_CLOSING_TAG = re.compile(r"[ \t]{0,80}</([A-Za-z][\w.-]*)>[ \t]*")
# Fences of these languages hold code, not results.
_CODE_LANGUAGES = frozenset(
    "sql pgsql plsql tsql python py python3 bash sh shell js javascript ts java typescript"
    " diff r go rust c cpp mermaid dockerfile toml ini regex graphql".split()
)
# These tags are a format's own and wrap no other text.
_MARKUP_TAGS = frozenset(
    "table html body div tr td th thead tbody ul ol li p span head style script details"
    " summary pre code section article center row record meta schema columns".split()
)
_MOST_WRAPPED = 50


class WrappedText(NamedTuple):
    """One inner text and how it was wrapped."""

    body: str
    wrapping: str


class _Wrapping(NamedTuple):
    """The numbers of the first and the last line of a fence or a tag, and its name."""

    first: int
    last: int
    name: str


def find_wrapped_texts(text: str) -> tuple[list[WrappedText], str]:
    """The fenced blocks of a text, else the bodies of its tags; and what is left
    without them. Linear in the text.
    """
    for marks, find in ((("```", "~~~"), _find_fences), (("</",), _find_tags)):
        if not any(mark in text for mark in marks):
            continue

        lines = text.splitlines(keepends=True)
        found = list(itertools.islice(find(lines), _MOST_WRAPPED))
        if found:
            return _take_out(lines, found)

    return [], text


def _take_out(
    lines: Sequence[str], found: Sequence[_Wrapping]
) -> tuple[list[WrappedText], str]:
    inside: list[WrappedText] = []
    outside: list[str] = []
    after = 0

    for wrapping in found:
        outside += lines[after : wrapping.first]
        body = "".join(lines[wrapping.first + 1 : wrapping.last])
        inside.append(WrappedText(body, wrapping.name))
        after = wrapping.last + 1

    outside += lines[after:]

    return inside, "".join(outside).strip()


def _find_fences(lines: Sequence[str]) -> Iterator[_Wrapping]:
    """The fenced blocks that may hold a result."""
    first, language = -1, ""
    for number, line in enumerate(lines):
        may_be_fence = "```" in line or "~~~" in line
        if may_be_fence:
            fence = _FENCE.fullmatch(line.rstrip("\r\n"))
        else:
            fence = None

        if fence is None:
            continue

        if first < 0:
            first, language = number, fence[2]
            continue

        # a value that begins with the marks closes no fence
        if line.strip(" \t\r\n").strip(fence[1][0]):
            continue

        if language.lower() not in _CODE_LANGUAGES:
            if language:
                of_language = f" of {language}"
            else:
                of_language = ""

            yield _Wrapping(first, number, f"a fenced block{of_language}")

        first = -1


def _find_tags(lines: Sequence[str]) -> Iterator[_Wrapping]:
    """Tags on lines of their own; the inside of a tag is not looked through again."""
    last_closing: dict[str, int] = {}
    for number, line in enumerate(lines):
        closing = _CLOSING_TAG.fullmatch(line.rstrip("\r\n"))
        if closing:
            last_closing[closing[1]] = number

    if not last_closing:
        return

    after = 0

    for number, line in enumerate(lines):
        if number < after or "<" not in line:
            continue

        opening = _OPENING_TAG.fullmatch(line.rstrip("\r\n"))
        if opening is None or opening[1].lower() in _MARKUP_TAGS:
            continue

        tag = opening[1]
        if last_closing.get(tag, 0) > number:
            after = last_closing[tag]
            yield _Wrapping(number, after, f"a tag <{tag}>")
