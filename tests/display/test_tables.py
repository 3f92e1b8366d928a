"""The first rows of any Arrow table as exact text within bounds."""

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pytest

from mcp_notebook.display.tables import BUDGET, COLUMNS, ROWS, view_tables
from mcp_notebook.results import Table
from mcp_notebook.values import CELL, column_texts, type_name

UTC = dt.UTC


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (
            pa.array([2**63 - 1, -(2**63), None]),
            ["9223372036854775807", "-9223372036854775808", None],
        ),
        (pa.array([Decimal("1234.5600"), None]), ["1234.5600", None]),
        (
            pa.array([0.1, 3.0, float("nan"), float("inf"), 1e300]),
            ["0.1", "3.0", "NaN", "inf", "1e+300"],
        ),
        (pa.array([0.1, 2.5, None], pa.float32()), ["0.1", "2.5", None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (
            pa.array([b"\x00\xff", b"x" * 50]),
            ["0x00ff", f"0x{(b'x' * 40).hex()}… (50 bytes)"],
        ),
        (pa.array([dt.date(2026, 11, 23), None]), ["2026-11-23", None]),
        (
            pa.array([dt.datetime(2026, 11, 23, 9, 5, 7, 250000)]),
            ["2026-11-23 09:05:07.25"],
        ),
        (pa.array([dt.datetime(2026, 11, 23, tzinfo=UTC)]), ["2026-11-23 00:00:00Z"]),
        (pa.array([2**62], pa.timestamp("s")), None),
        (pa.array([dt.time(9, 30)]), ["09:30:00"]),
        (pa.array([[1, None, 0]], pa.list_(pa.int64())), ["[1, null, 0]"]),
        (
            pa.array([{"a": Decimal("1.50"), "b": dt.date(2026, 1, 2)}]),
            ['{"a": "1.50", "b": "2026-01-02"}'],
        ),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array(["line\nend", "\u202eevil"]), ["line\\nend", "\\u202eevil"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_every_kind_of_value_is_shown_exactly(
    array: pa.Array, shown: list | None
) -> None:
    found = column_texts(pa.chunked_array([array]))
    assert len(found) == len(array)
    if shown is not None:
        assert found == shown


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (pa.int64(), "int64"),
        (pa.float64(), "float64"),
        (pa.large_string(), "text"),
        (pa.decimal128(10, 2), "decimal(10,2)"),
        (pa.timestamp("us", "UTC"), "timestamp UTC"),
        (pa.timestamp("ns"), "timestamp"),
        (pa.date32(), "date"),
        (pa.list_(pa.int64()), "list of int64"),
        (pa.dictionary(pa.int8(), pa.string()), "text"),
    ],
)
def test_a_type_is_named_in_a_word_or_two(type_: pa.DataType, name: str) -> None:
    assert type_name(type_) == name


def test_a_view_holds_the_first_rows_and_says_how_many_there_are() -> None:
    table = Table(data=pa.table({"n": range(5_000)}), total_rows=9_000)
    (view,) = view_tables((table,), ("numbers",))
    assert len(view.rows) == ROWS
    assert view.rows[1] == ("1",)
    assert view.shape == "5,000 of 9,000 rows × 1 column"
    assert view.columns[0].numeric


def test_cells_columns_and_bytes_are_bounded() -> None:
    wide = pa.table({f"c{n}": ["ü\\" * 5_000] * ROWS for n in range(200)})
    views = view_tables((Table(data=wide), Table(data=wide)), ("one", "two"))
    assert all(len(view.columns) == COLUMNS and view.width == 200 for view in views)
    assert all(
        len(cell or "") <= CELL for view in views for row in view.rows for cell in row
    )
    assert (
        len(json.dumps([view.rows for view in views], ensure_ascii=False).encode())
        <= BUDGET
    )


def test_an_empty_table_has_columns_and_no_rows() -> None:
    (view,) = view_tables((Table(data=pa.table({"a": pa.array([], pa.int64())})),), ())
    assert (view.rows, view.shape, view.name) == ((), "0 rows × 1 column", "")
