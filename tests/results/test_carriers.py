"""A random table in every format comes back equal, says where it may differ, or is no
table: never silently wrong.
"""

from __future__ import annotations

import datetime as dt
import math
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_notebook.results import Reading, Table, read
from mcp_notebook.results.columns.nulls import NULL_WORDS
from tests.corpus.equal import same
from tests.results.carriers import WRITERS
from tests.results.sheets import Sheet

NASTY = [
    "NULL", "None", "NaN", "N/A", "007", "1e5", "-5", "+1", "true", "t", "a | b", "x, y", 'say "x"', "it's",
    "tab\there", "line1\nline2", "", " ", "  padded  ", "😀", "[1, 2]", '{"a": 1}', "12345678901234567890",
    "2024-02-30", "2024-02-29", "\\N", "<b>bold</b>", "# head", "a;b", "a: b", "- x", "...", "…", "1. row",
    "Row 2:", "id: 7", "+---+", "---", "```", "1,234", "x\n\ny", "(2 rows)", "error", "C:\\new", "null", "~", "no",
    "12:30:00", "0x1f", "nan", "│", "</td>", "&amp;",
]  # fmt: skip
TEXT = st.one_of(
    st.sampled_from(NASTY),
    st.text(string.ascii_letters + " .,-'", min_size=1, max_size=12).map(str.strip),
    st.text(max_size=6).filter(lambda text: text.isprintable()),
)
KINDS: list[st.SearchStrategy[Any]] = [
    st.integers(-1000, 1000),
    st.integers(2**53 - 3, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(
        lambda value: round(value, 3)
    ),
    st.decimals(0, 10**6, places=2).filter(lambda value: value.is_finite()),
    st.booleans(),
    st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    TEXT,
    TEXT,
]
NAMES = (
    "id",
    "name",
    "total_amount",
    "first name",
    "Ort",
    "created_at",
    "x",
    "名前",
    "a.b",
)


@st.composite
def sheets(draw: st.DrawFn, *, tame: bool = False) -> Sheet:
    """One to four columns of one kind each, with NULLs, one to six rows."""
    names = draw(
        st.lists(
            st.sampled_from(NAMES[:3] if tame else NAMES),
            min_size=2 if tame else 1,
            max_size=4,
            unique=True,
        )
    )
    kinds = [
        draw(st.sampled_from(KINDS[:1] + KINDS[3:7] if tame else KINDS)) for _ in names
    ]
    columns = [
        kind if tame else st.one_of(st.none(), kind, kind, kind) for kind in kinds
    ]
    rows = draw(st.lists(st.tuples(*columns), min_size=2 if tame else 1, max_size=6))
    return Sheet(tuple(names), tuple(rows))


def said_of(reading: Reading, table: Table, name: str) -> bool:
    """Whether the table says that this column may differ."""
    if table.approximate or table.truncated:
        return True
    return any(
        f"`{name}`" in note or "spaces at the ends" in note
        for note in (*table.notes, *reading.notes)
    )


def alike(true: Any, got: Any, *, converted: bool) -> bool:
    """Equal, or what a text writes (a number, a flag, a date, NULL) where the type says
    that it was converted.
    """
    if not isinstance(true, str) or same(true, got):
        return same(true, got)
    return converted and true in (*NULL_WORDS, "") if got is None else same(got, true)


def cells(table: Table, number: int) -> list[Any]:
    return [
        str(cell) if type(cell) is dict else cell
        for cell in table.data.column(number).to_pylist()
    ]


def silent(sheet: Sheet, reading: Reading) -> str:
    """What is wrong and not said; "" when nothing is."""
    if not reading.tables:
        return ""
    table = reading.tables[0]
    whole = table.approximate or table.truncated
    if len(reading.tables) > 1 and not whole:
        return f"{len(reading.tables)} tables"
    if table.shape != (len(sheet.rows), len(sheet.names)):
        return (
            ""
            if whole
            else f"shape {table.shape} for {(len(sheet.rows), len(sheet.names))}"
        )
    if tuple(table.data.column_names) != sheet.names and not whole:
        return f"names {table.data.column_names}"
    for number, name in enumerate(sheet.names):
        converted = "converted" in table.types.get(name, "")
        for row, got in zip(sheet.rows, cells(table, number), strict=True):
            if not alike(row[number], got, converted=converted) and not said_of(
                reading, table, name
            ):
                return f"`{name}`: true {row[number]!r}, got {got!r}"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(sheet=sheets())
def test_no_format_is_read_silently_wrong(writer: str, sheet: Sheet) -> None:
    text = WRITERS[writer](sheet)
    reading = read({"content": [{"type": "text", "text": text}]})
    wrong = silent(sheet, reading)
    assert not wrong, f"{wrong}\nreader {reading.reader}\n{text}"


@pytest.mark.parametrize("writer", WRITERS)
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(sheet=sheets(tame=True))
def test_plain_rows_come_back_equal_in_every_format(writer: str, sheet: Sheet) -> None:
    text = WRITERS[writer](sheet)
    table = (read({"content": [{"type": "text", "text": text}]}).tables or (None,))[0]
    assert table is not None, text
    names = (
        sheet.names
        if writer != "Python tuples"
        else tuple(f"column_{n}" for n in range(len(sheet.names)))
    )
    assert tuple(table.data.column_names) == names, text
    for number in range(len(names)):
        for row, got in zip(sheet.rows, cells(table, number), strict=True):
            assert same(row[number], got) or math.isclose(
                float(got), float(row[number]), rel_tol=1e-5
            ), text


def test_one_block_a_row_is_a_table() -> None:
    sheet = Sheet(("id", "price"), ((1, Decimal("1.50")), (2, None)))
    blocks = [
        {"type": "text", "text": text} for text in WRITERS["NDJSON"](sheet).split("\n")
    ]
    assert not silent(sheet, read({"content": blocks}))
