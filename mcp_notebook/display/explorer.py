"""A whole table to look at: any part of it under filters, a search and an order; what
its columns hold; one cell whole.

What is looked at is one SQL statement over the table, which DuckDB computes where the
table stands and which the person can take along (`TableLook.sql`, `TableLook.pandas`). Everything
that asks comes from a page and may hold anything: columns are numbers that are checked,
values are quoted.
"""

# ruff: noqa: S608 - columns are quoted names, values quoted literals

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeGuard

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from mcp_notebook.display.call_view import ShownColumn, byte_size
from mcp_notebook.display.counts import (
    Counts,
    count_columns,
    counts_json,
    describe_counts,
)
from mcp_notebook.display.html_parts import picture
from mcp_notebook.naming import OWN_SERVER, free_path
from mcp_notebook.sql_words import written_name
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import (
    BOOLEAN,
    column_texts,
    plain_column,
    value_kind,
    whole_text,
    without_view,
)

COLUMNS = 60  # of an answer that asks for no others
MOST_ROWS = 100  # of one answer
MOST_WORDS = 200  # characters of a search
MOST_FILTERS = 40  # of one look, and columns that it is sorted by
MOST_NAMED = 30  # columns whose name holds what is looked for
MOST_CELL = 400_000  # characters of one cell that is read whole
MOST_COPIED = 2_000_000  # bytes for the clipboard
MOST_SENT = 12_000_000  # bytes of a file that goes through the page
UNNAMED = "table_1"  # in code, a table that has no name in the notebook
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_AT = "_mcp_row"  # the place of a row, beside the columns c0, c1, …
_SIGNS = {
    "is": "=",
    "not": "<>",
    "least": ">=",
    "most": "<=",
    "below": "<",
    "above": ">",
}


# ---- what is asked for


@dataclass(frozen=True)
class Filter:
    """One condition on a column. `span`: from `value` up to `end`, of which those belong
    to it that `closed` names, `left`, `right` or `both`; `null` and `some` have no value.
    """

    column: int
    what: str
    value: str = ""
    end: str = ""
    closed: str = "both"


@dataclass(frozen=True)
class TableLook:
    """Which rows of a table are seen and in which order: (column, whether down) from the
    most important on.
    """

    columns: tuple[ShownColumn, ...]
    find: str = ""
    filters: tuple[Filter, ...] = ()
    order: tuple[tuple[int, bool], ...] = ()
    texts: frozenset[int] = frozenset()  # columns that are sorted regardless of case
    sought: tuple[int, ...] = ()  # columns in which words are looked for

    @property
    def is_plain(self) -> bool:
        """Whether it is the table as it came."""
        return not (self.find or self.filters or self.order)

    def sql(self, table: str) -> str:
        """The SELECT in DuckDB's dialect that gives it."""
        names = [written_name(column.name) for column in self.columns]
        return f"SELECT * FROM {written_name(table)}{self.tail(names, chr(10))}"

    def tail(self, names: Sequence[str], gap: str = " ") -> str:
        """What follows the table in the statement; `names` are the columns in SQL."""
        kept = [_condition(one, names, self.columns) for one in self.filters]
        if self.find:
            words = _quote_text(self.find.lower())
            holds = [
                f"contains(lower(CAST({names[at]} AS VARCHAR)), {words})"
                for at in self.sought
            ]
            kept.append(f"({' OR '.join(holds)})" if holds else "false")

        where = f"{gap}WHERE {f'{gap}  AND '.join(kept)}" if kept else ""
        order = [self._order_term(names[at], at, down) for at, down in self.order]
        return where + (f"{gap}ORDER BY {', '.join(order)}" if order else "")

    def _order_term(self, name: str, at: int, down: bool) -> str:
        term = f"lower({name})" if at in self.texts else name
        return f"{term}{' DESC' if down else ''} NULLS LAST"

    def pandas(self, table: str) -> str:
        """The same as lines of pandas that leave it in `view`."""
        lines = [f"view = {table}"]
        for one in self.filters:
            column = f"view[{self.columns[one.column].name!r}]"
            test = _pandas_test(one, column, self.columns[one.column].numeric)
            lines.append(f"view = view[{test}]")

        if self.find:
            names = [self.columns[at].name for at in self.sought]
            every = len(names) == len(self.columns)
            lines.append(
                f"view = view[view{'' if every else f'[{names!r}]'}.astype(str)"
                ".apply(lambda c: "
                f"c.str.contains({self.find!r}, case=False, regex=False)).any(axis=1)]"
            )

        # Each sort keeps the order of the one before it, so the first comes last.
        for at, down in reversed(self.order):
            way = ", ascending=False" if down else ""
            key = ", key=lambda c: c.str.lower()" if at in self.texts else ""
            name = repr(self.columns[at].name)
            lines.append(f'view = view.sort_values({name}{way}{key}, kind="stable")')

        return "\n".join(lines)


def _quote_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(text: str, column: ShownColumn) -> str:
    if column.numeric and _NUMBER.fullmatch(text):
        return text
    return _quote_text(text)  # DuckDB reads it as a value of the column's type


def _condition(one: Filter, names: Sequence[str], columns: Sequence[Any]) -> str:
    name, column = names[one.column], columns[one.column]
    if one.what == "null":
        return f"{name} IS NULL"
    if one.what == "some":
        return f"{name} IS NOT NULL"
    if one.what == "holds":
        words = _quote_text(one.value.lower())
        return f"contains(lower(CAST({name} AS VARCHAR)), {words})"

    value = _literal(one.value, column)
    if one.what == "span":
        first = ">" if one.closed == "right" else ">="
        last = "<" if one.closed == "left" else "<="
        end = _literal(one.end, column)
        return f"{name} {first} {value} AND {name} {last} {end}"

    return f"{name} {_SIGNS[one.what]} {value}"


def _pandas_test(one: Filter, column: str, numeric: bool) -> str:
    if one.what in ("null", "some"):
        return f"{column}.{'isna' if one.what == 'null' else 'notna'}()"
    if one.what == "holds":
        return (
            f"{column}.astype(str).str.contains({one.value!r}, case=False, regex=False)"
        )

    def write(text: str) -> str:
        return text if numeric and _NUMBER.fullmatch(text) else repr(text)

    if one.what == "span":
        ends = f"{write(one.value)}, {write(one.end)}"
        return f'{column}.between({ends}, inclusive="{one.closed}")'

    sign = {"is": "==", "not": "!="}.get(one.what) or _SIGNS[one.what]
    # pandas counts a missing value as unequal, SQL does not
    present = f" & {column}.notna()" if one.what == "not" else ""
    test = f"{column} {sign} {write(one.value)}"
    return f"({test}){present}" if present else test


def _is_at(value: object, count: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _text_of(value: object) -> str:
    return value[:MOST_CELL] if isinstance(value, str) else ""


def _list_of(value: object) -> list[Any]:
    return value[:MOST_FILTERS] if isinstance(value, list) else []


def _read_filters(asked: object, count: int) -> Iterable[Filter]:
    for one in _list_of(asked):
        if not isinstance(one, dict) or not _is_at(one.get("column"), count):
            continue

        what = one.get("what")
        if what in ("null", "some", "span", "holds") or what in _SIGNS:
            ends = _text_of(one.get("value")), _text_of(one.get("end"))
            closed = one.get("closed")
            closed = closed if closed in ("left", "right") else "both"
            yield Filter(one["column"], what, *ends, closed)


def _read_order(asked: object, count: int) -> Iterable[tuple[int, bool]]:
    for one in _list_of(asked):
        if isinstance(one, list) and len(one) == 2 and _is_at(one[0], count):
            yield one[0], one[1] is True


# ---- what is answered


class Explorer:
    """Answers for one table. The rows of the last look are kept, so that scrolling
    costs nothing. `columns`: all of them, as they are shown.
    """

    def __init__(self, data: pa.Table, columns: Sequence[ShownColumn]) -> None:
        self._whole, self.columns = data, tuple(columns)
        self._last: tuple[str, pa.ChunkedArray | None] | None = None
        self.look_now = TableLook(self.columns)  # what the page looks at
        self._counted: dict[int, Counts] = {}

    @cached_property
    def _texts(self) -> frozenset[int]:
        fields = enumerate(self._whole.schema)
        return frozenset(at for at, one in fields if value_kind(one.type).text)

    @cached_property
    def _orderable(self) -> frozenset[int]:
        # lists and structures have no order that says something
        fields = enumerate(self._whole.schema)
        return frozenset(at for at, one in fields if not value_kind(one.type).nested)

    def read_look(self, asked: Mapping[str, Any]) -> TableLook:
        """What a page asks for; what is no sensible part of it counts as not asked."""
        count = self._whole.num_columns
        find = str(asked.get("find") or "")[:MOST_WORDS]
        return TableLook(
            self.columns,
            find,
            tuple(_read_filters(asked.get("filters"), count)),
            tuple(
                (at, down)
                for at, down in dict(_read_order(asked.get("order"), count)).items()
                if at in self._orderable
            ),
            self._texts,
            tuple(self._find_columns(find)) if find else (),
        )

    def _find_columns(self, words: str) -> Iterable[int]:
        # No number is written with other letters than these: it need not be looked at.
        could_be_number = re.fullmatch(r"[-+.,\deEinfaN]+", words) is not None
        for at, field in enumerate(self._whole.schema):
            if could_be_number or not value_kind(field.type).number:
                yield at

    def find_wrong(self, look: TableLook) -> str:
        """Why a look cannot be computed, in a sentence; "" where it can."""
        try:
            self._rows_of(look)
        except (duckdb.Error, pa.ArrowException) as error:
            return _say_wrong(error, look)

        return ""

    def page(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """`{rows, found}` for a look and `{start, count, left, width}`: so many rows and
        columns from there on, and what else there is to know of them.

        `{wrong}` says in a sentence why a look cannot be computed.
        """
        look = self.read_look(asked)
        wrong = self.find_wrong(look)
        if wrong:
            return {"wrong": wrong}

        chosen = self._rows_of(look)  # they are kept
        self.look_now = look
        found = self._whole.num_rows if chosen is None else len(chosen)
        first = _limit_number(asked.get("start"), 0, found)
        size = _limit_number(asked.get("count"), 10, MOST_ROWS)
        left = _limit_number(asked.get("left"), 0, self._whole.num_columns)
        width = _limit_number(asked.get("width"), COLUMNS, COLUMNS)
        across = range(left, min(left + width, self._whole.num_columns))
        some = self._take(chosen, first, size, across)
        rows = list(zip(*map(column_texts, some.columns), strict=True))
        answer: dict[str, Any] = {"rows": rows, "found": found}
        if asked.get("columns") is True:
            answer["columns"] = [column_json(self.columns[at]) for at in across]

        if look.find:
            answer["named"] = self._match_names(look.find)

        return answer

    def _match_names(self, words: str) -> list[list[Any]]:
        """The columns whose name holds the words."""
        pairs = enumerate(column.name for column in self.columns)
        found = [[at, name] for at, name in pairs if words.lower() in name.lower()]
        return found[:MOST_NAMED]

    def _take(
        self,
        chosen: pa.ChunkedArray | None,
        first: int,
        size: int,
        across: Iterable[int],
    ) -> pa.Table:
        some = self._whole.select(list(across))
        if chosen is None:
            return some.slice(first, size)

        # Rows that lie close together are most often asked for of a large table: what
        # Arrow takes of a view of text it cannot, so views go first.
        flat = [without_view(column) for column in some.columns]
        return pa.table(flat, some.column_names).take(chosen.slice(first, size))

    def _rows_of(self, look: TableLook) -> pa.ChunkedArray | None:
        """The places of the rows in their order; None is all as they came."""
        if look.is_plain:
            return None

        safe = [f"c{at}" for at in range(self._whole.num_columns)]
        tail = look.tail(safe)
        if self._last is None or self._last[0] != tail:
            # the last word: rows that are equal stay as they came
            order = f", {_AT}" if look.order else f" ORDER BY {_AT}"
            used = sorted({*_numbers_in(look), *(one[0] for one in look.order)})
            data = self._scannable(used)
            with duckdb_connection() as connection:
                connection.register("t", data)
                found = connection.sql(f"SELECT {_AT} FROM t{tail}{order}")
                self._last = tail, found.to_arrow_table().column(0)

        return self._last[1]

    def _scannable(self, wanted: Iterable[int]) -> pa.Table:
        """Columns as `c3`, in what DuckDB reads, and each row's place."""
        names = [*wanted]
        arrays = [scannable_column(self._whole.column(at)) for at in names]
        # Arrow's own way to count up: a range of Python's is slow to read
        places = pc.indices_nonzero(pc.is_null(pa.nulls(self._whole.num_rows)))
        return pa.table([*arrays, places], [*(f"c{at}" for at in names), _AT])

    def counts(self, left: int, width: int) -> list[Counts]:
        """What the columns from `left` on hold, counted over the whole table; safe on
        another thread.
        """
        across = range(max(0, left), min(left + width, self._whole.num_columns))
        missing = [at for at in across if at not in self._counted]
        if missing:
            columns = [self._whole.column(at) for at in missing]
            flat = [scannable_column(column) for column in columns]
            with duckdb_connection() as connection:
                found = count_columns(connection, flat)
            self._counted |= dict(zip(missing, found, strict=True))

        return [self._counted[at] for at in across]

    def cell(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """One cell whole: `{text, whole, raw}` and, of a picture, `{url}`."""
        row, column = asked.get("row"), asked.get("column")
        chosen = self._rows_of(self.read_look(asked))
        count = self._whole.num_rows if chosen is None else len(chosen)
        if not (_is_at(row, count) and _is_at(column, self._whole.num_columns)):
            return None

        value = self._take(chosen, row, 1, [column]).column(0)[0]
        text = whole_text(value)
        if text is None:
            return {"text": None, "url": None}

        shown = visible(text[:MOST_CELL], lines=True)
        cut = len(text) if len(text) > MOST_CELL else 0
        nested = value_kind(value.type).nested
        return {"text": shown, "cut": cut, "nested": nested, "url": _picture_in(value)}

    def table(self, look: TableLook) -> pa.Table:
        """All that a look gives, as Arrow."""
        chosen = self._rows_of(look)
        if chosen is None:
            return self._whole
        flat = [without_view(column) for column in self._whole.columns]
        return pa.table(flat, self._whole.column_names).take(chosen)

    def tell_counts(self, left: int, width: int) -> list[dict[str, Any]]:
        """`counts` as a page takes them."""
        return [counts_json(one) for one in self.counts(left, min(width, COLUMNS))]

    def describe(self, width: int) -> list[tuple[str, str]]:
        """What the first columns hold, each in two short lines."""
        return [describe_counts(one) for one in self.counts(0, width)]

    def code(self, look: TableLook, name: str) -> dict[str, Any]:
        """A look as code: a statement, a cell of SQL, lines of pandas. `name` is that of
        the table in the notebook, "" without one.
        """
        table = name or UNNAMED
        statement = look.sql(table)
        return {
            "sql": statement,
            "cell": f"%%mcp_sql {OWN_SERVER}\n{statement}",
            "pandas": look.pandas(table),
            "note": "" if name else f"Give the table the name {table} first.",
        }

    def file(
        self, look: TableLook, name: str, kind: object
    ) -> tuple[dict[str, Any] | None, list[bytes]]:
        """The rows of a look as a file: its bytes for the page, or, of many, a file
        beside the notebook; and a sentence on it.
        """
        if kind not in ("csv", "parquet", "tsv"):
            return None, []

        held = self.write_rows(look, str(kind))
        file, size = f"{name or UNNAMED}.{kind}", byte_size(len(held))
        if kind == "tsv" and len(held) > MOST_COPIED:
            return {"said": f"{size} are too much for a clipboard: take CSV."}, []
        if len(held) <= MOST_SENT:
            return {"said": f"{file}, {size}", "name": file}, [held]

        path = free_path(file)
        path.write_bytes(held)
        return {"said": f"{size} are in {path}, beside the notebook."}, []

    def write_rows(self, look: TableLook, kind: str) -> bytes:
        """What a look gives as the bytes of a file: `csv`, `parquet`, or `tsv` for a
        spreadsheet's clipboard.
        """
        data, out = self.table(look), io.BytesIO()
        if kind == "parquet":
            pyarrow.parquet.write_table(data, out)
            return out.getvalue()

        texts = [pa.array(map(whole_text, column), pa.string()) for column in data]
        plain = pa.table(
            [
                scannable_column(column)
                if value_kind(column.type).number or value_kind(column.type).text
                else text
                for column, text in zip(data.columns, texts, strict=True)
            ],
            data.column_names,
        )
        mark = "\t" if kind == "tsv" else ","
        options = pyarrow.csv.WriteOptions(delimiter=mark, quoting_style="needed")
        pyarrow.csv.write_csv(plain, out, options)
        return out.getvalue()


def _numbers_in(look: TableLook) -> set[int]:
    found = {one.column for one in look.filters}
    return found | set(look.sought if look.find else ())


def _limit_number(value: object, usual: int, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return min(value, most)
    return min(usual, most)


def _say_wrong(error: Exception, look: TableLook) -> str:
    tried = [one for one in look.filters if one.what in _SIGNS or one.what == "span"]
    if isinstance(error, duckdb.ConversionException) and tried:
        column, value = look.columns[tried[-1].column], tried[-1].value
        return f"{column.name} is {column.kind}: {clip(value, 40)!r} is no such value."

    first = str(error).partition("\n")[0]
    return f"This cannot be computed: {clip(visible(first), 200)}"


def column_json(column: ShownColumn) -> dict[str, Any]:
    """A column as a page is told of it."""
    return {
        "name": column.name,
        "kind": column.kind,
        "num": column.numeric,
        "origin": column.origin,
    }


def duckdb_connection() -> duckdb.DuckDBPyConnection:
    """A connection of its own that reaches nothing outside."""
    return duckdb.connect(
        config={
            "enable_external_access": False,
            "python_enable_replacements": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "threads": 2,
        }
    )


@lru_cache(maxsize=256)
def _is_read_nested(kind: pa.DataType) -> bool:
    """Whether DuckDB knows all that a nested type is made of: it says so of no rows."""
    try:
        nothing = pa.schema([("c", kind)]).empty_table()
        with duckdb_connection() as connection:
            connection.register("t", nothing)
            # A search casts it, which fails where two fields have one name.
            connection.sql("SELECT c, c::VARCHAR FROM t").to_arrow_table()
    except (duckdb.Error, pa.ArrowException):
        return False

    return True


def scannable_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as DuckDB reads it; what it does not know goes as text."""
    plain = plain_column(column)
    kind = value_kind(plain.type)
    known = kind.number or kind.text or kind.moment or kind.nested or kind is BOOLEAN
    if pa.types.is_timestamp(plain.type) and plain.type.unit in ("s", "ms"):
        # seconds reach further than DuckDB's microseconds
        try:
            plain.cast(pa.timestamp("us", plain.type.tz))
        except pa.ArrowInvalid:
            known = False

    if pa.types.is_float16(plain.type):
        return plain.cast(pa.float32())
    if kind.nested:
        known = _is_read_nested(plain.type)
    if known and not pa.types.is_decimal256(plain.type):
        return plain

    if pa.types.is_null(plain.type):
        return plain.cast(pa.string())
    return pa.chunked_array([pa.array(column_texts(column), pa.string())])


_DATA_URL = re.compile(r"data:(image/[a-z+.-]+);base64,([A-Za-z0-9+/=\s]+)", re.I)
_IMAGES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def _picture_in(value: pa.Scalar) -> str | None:
    """The picture that a value is, as a `data:` URL that is safe to show."""
    held = value.as_py() if value_kind(value.type).name in ("binary", "text") else None
    if isinstance(held, str):
        found = _DATA_URL.fullmatch(held.strip())
        return picture(found[1].lower(), found[2]) if found else None

    for start, mime in _IMAGES.items():
        if isinstance(held, bytes) and held.startswith(start):
            return picture(mime, base64.b64encode(held).decode())

    return None
