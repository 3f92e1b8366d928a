"""Hard type cases: what arrives is exactly what was sent, or the table says what is lost.

Each case is one result, the names and values it must give, and the Arrow type of its
first column. The first 21 are those on which the usual parsers were compared
(`json.loads` with `DataFrame` gets 17 of them, DuckDB 14, polars 12).
"""

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from mcp_notebook import results

UTC = ZoneInfo("UTC")  # what Arrow gives back


@dataclass(frozen=True)
class Case:
    """`result` is a text or structured content; `values` are the columns in order;
    `said` must stand in a note.
    """

    claim: str
    result: Any
    names: tuple[str, ...]
    values: tuple[list[Any], ...]
    type: Any
    said: str = ""


def one(
    claim: str,
    result: Any,
    values: list[Any],
    kind: Any,
    said: str = "",
    name: str = "a",
) -> Case:
    return Case(claim, result, (name,), (values,), kind, said)


def many(
    claim: str, result: Any, kind: Any, said: str = "", **columns: list[Any]
) -> Case:
    return Case(claim, result, tuple(columns), tuple(columns.values()), kind, said)


LATE = "[" + '{"a":1},' * 20_000 + '{"a":"x"}]'
JSON = "json"
PYTHON = [
    ("Decimal('1.50')", Decimal("1.50"), pa.decimal128(3, 2)),
    ("Decimal('12345678901234567890.123456789012345678')", Decimal("12345678901234567890.123456789012345678"), pa.decimal128(38, 18)),
    ("datetime.date(2024, 2, 29)", dt.date(2024, 2, 29), pa.date32()),
    ("datetime.datetime(2024, 2, 29, 12, 30, 0, 123456)", dt.datetime(2024, 2, 29, 12, 30, 0, 123456), pa.timestamp("us")),
    ("datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)", dt.datetime(2024, 2, 29, tzinfo=UTC), pa.timestamp("us", "UTC")),
    ("datetime.datetime(2024, 2, 29, tzinfo=zoneinfo.ZoneInfo(key='Etc/UTC'))", dt.datetime(2024, 2, 29, tzinfo=UTC), pa.timestamp("us", "UTC")),
    ("datetime.datetime(2024, 2, 29, tzinfo=<StaticTzInfo 'Etc/UTC'>)", dt.datetime(2024, 2, 29, tzinfo=UTC), pa.timestamp("us", "UTC")),
    ("datetime.time(23, 59, 59)", dt.time(23, 59, 59), pa.time64("us")),
    ("datetime.timedelta(days=1, seconds=43200)", dt.timedelta(days=1, seconds=43200), pa.duration("us")),
    ("UUID('12345678-1234-5678-1234-567812345678')", "12345678-1234-5678-1234-567812345678", pa.string()),
    ("b'\\x00\\xff'", b"\x00\xff", pa.binary()),
    ("inf", float("inf"), pa.float64()),
    ("'it\\'s \"x\"\\n\\u202e'", "it's \"x\"\n\u202e", pa.string()),
    ("9007199254740993", 2**53 + 1, pa.int64()),
    ("[1, 2]", [1, 2], pa.list_(pa.int64())),
    ("Range(1, 5, '[)')", "Range(1, 5, '[)')", pa.string()),
    ("<memory at 0x7f12>", "<memory at 0x7f12>", pa.string()),
    ("'NULL'", "NULL", pa.string()),
]  # fmt: skip

CASES = [
    one("an integer above 2^53 beside a null", '[{"a":9007199254740993},{"a":null}]', [2**53 + 1, None], pa.int64()),
    one("an integer above 2^63", '[{"a":9223372036854775808},{"a":1}]', [2**63, 1], pa.uint64()),
    one("an integer above 2^64", '[{"a":18446744073709551616123},{"a":1}]', [Decimal(18446744073709551616123), Decimal(1)], pa.decimal128(23, 0)),
    one("decimals in strings", '[{"a":"123456789012345678.10"},{"a":"0.10"}]', [Decimal("123456789012345678.10"), Decimal("0.10")], pa.decimal128(20, 2)),
    one("leading zeros stay", '[{"a":"00123"},{"a":"00456"}]', ["00123", "00456"], pa.string()),
    one("exponents in text stay", '[{"a":"1e5"},{"a":"2e5"}]', ["1e5", "2e5"], pa.string()),
    one("a JSON number no float holds", '[{"a":12345678901234567.89},{"a":0.1}]', [Decimal("12345678901234567.89"), Decimal("0.10")], pa.decimal128(19, 2)),
    one("integers and text in one column", '[{"a":1},{"a":"x"}]', ["1", '"x"'], JSON, "several types"),
    one("a type that changes in row 20,001", LATE, ["1"] * 20_000 + ['"x"'], JSON, "several types"),
    one("booleans with a null", '[{"a":true},{"a":null}]', [True, None], pa.bool_()),
    many("a missing key", '[{"a":1,"b":2},{"a":3}]', pa.int64(), "no value for `b`", a=[1, 3], b=[2, None]),
    one("nested objects", '[{"a":{"x":1}},{"a":{"x":2}}]', [{"x": 1}, {"x": 2}], pa.struct([("x", pa.int64())])),
    one("NA, null and empty as text", '[{"a":"NA"},{"a":"null"},{"a":""}]', ["NA", "null", ""], pa.string()),
    one("ISO dates", '[{"a":"2024-01-15"},{"a":"2024-02-01"}]', [dt.date(2024, 1, 15), dt.date(2024, 2, 1)], pa.date32()),
    one("the ends of the calendar", '[{"a":"9999-12-31"},{"a":"0001-01-01"}]', [dt.date.max, dt.date.min], pa.date32()),
    one("half a surrogate pair", '[{"a":"\\ud800x"},{"a":"y"}]', ["\\ud800x", "y"], pa.string(), "no valid Unicode"),
    one("NaN", '[{"a":NaN},{"a":1.5}]', [float("nan"), 1.5], pa.float64()),
    many("a repeated key", '[{"a":1,"a":2}]', pa.int64(), a=[1], a_2=[2]),
    Case("a list of scalars", "[1,2,3]", ("value",), ([1, 2, 3],), pa.int64()),
    one("a single object", '{"a":1}', [1], pa.int64()),
    Case("an empty list", "[]", (), (), None, "no rows"),
    # integers and floats
    one("the ends of int64", json.dumps([{"a": 2**63 - 1}, {"a": -(2**63)}]), [2**63 - 1, -(2**63)], pa.int64()),
    one("a negative beyond int64", json.dumps([{"a": -(2**63) - 1}]), [Decimal(-(2**63) - 1)], pa.decimal128(19, 0)),
    one("an integer of 60 digits", json.dumps([{"a": 10**59}]), [Decimal(10**59)], pa.decimal256(60, 0)),
    one("an integer of 200 digits", json.dumps([{"a": 10**199}]), [str(10**199)], pa.string(), "76 digits"),
    one("small integers beside floats", '[{"a":1},{"a":2.5}]', [1.0, 2.5], pa.float64()),
    one("large integers beside floats", '[{"a":9007199254740993},{"a":2.5}]', [Decimal("9007199254740993.0"), Decimal("2.5")], pa.decimal128(17, 1)),
    one("the smallest float", '[{"a":5e-324}]', [5e-324], pa.float64()),
    one("minus zero", '[{"a":-0.0}]', [-0.0], pa.float64()),
    one("Infinity", '[{"a":Infinity},{"a":-Infinity}]', [float("inf"), float("-inf")], pa.float64()),
    one("padded JSON decimals", '[{"a":1.50},{"a":2.25}]', [Decimal("1.50"), Decimal("2.25")], pa.decimal128(3, 2)),
    one("seventeen digits of a float", '[{"a":0.30000000000000004}]', [0.1 + 0.2], pa.float64()),
    one("integers with nulls stay integers", '[{"a":1},{"a":null},{"a":3}]', [1, None, 3], pa.int64()),
    # text that looks like something else
    one("phone numbers", '[{"a":"4915112345678"},{"a":"4915187654321"}]', ["4915112345678", "4915187654321"], pa.string()),
    one("a plus sign", '[{"a":"+1"},{"a":"+2"}]', ["+1", "+2"], pa.string()),
    one("blanks around a number", '[{"a":" 5"},{"a":"6 "}]', [" 5", "6 "], pa.string()),
    one("numbers among words", '[{"a":"12"},{"a":"x"}]', ["12", "x"], pa.string()),
    one("zip codes by name", '[{"zip":"10115"},{"zip":"80331"}]', ["10115", "80331"], pa.string(), name="zip"),
    one("Arabic digits", '[{"a":"١٢"},{"a":"٣٤"}]', ["١٢", "٣٤"], pa.string()),
    one("true and false as words", '[{"a":"true"},{"a":"x"}]', ["true", "x"], pa.string()),
    one("JSON in text stays text", '[{"a":"{\\"x\\": 1}"}]', ['{"x": 1}'], pa.string()),
    one("control characters", '[{"a":"a\\u0000\\u001b\\ttab"}]', ["a\x00\x1b\ttab"], pa.string()),
    one("emoji and combining marks", '[{"a":"👩‍👩‍👧 é"}]', ["👩‍👩‍👧 é"], pa.string()),
    one("an empty text beside a null", '[{"a":""},{"a":null}]', ["", None], pa.string()),
    # dates and times
    one("a day that is none", '[{"a":"2024-02-30"},{"a":"2024-02-28"}]', ["2024-02-30", "2024-02-28"], pa.string()),
    one("a date and a word", '[{"a":"2024-02-28"},{"a":"soon"}]', ["2024-02-28", "soon"], pa.string()),
    one("timestamps without zone", '[{"a":"2024-02-29T12:30:00"}]', [dt.datetime(2024, 2, 29, 12, 30)], pa.timestamp("us")),
    one("timestamps in UTC", '[{"a":"2024-02-29T12:30:00Z"}]', [dt.datetime(2024, 2, 29, 12, 30, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    one("timestamps with an offset", '[{"a":"2024-02-29T12:30:00+02:00"}]', [dt.datetime(2024, 2, 29, 10, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"), "UTC"),
    one("zone in some rows only", '[{"a":"2024-02-29T12:30:00Z"},{"a":"2024-02-29T12:30:00"}]', ["2024-02-29T12:30:00Z", "2024-02-29T12:30:00"], pa.string()),
    one("JavaScript's dates", '[{"a":"2024-02-29T12:30:00.125Z"}]', [dt.datetime(2024, 2, 29, 12, 30, 0, 125000, UTC)], pa.timestamp("us", "UTC"), "JavaScript"),
    one("JavaScript's midnights", '[{"a":"2024-02-29T00:00:00.000Z"}]', [dt.date(2024, 2, 29)], pa.date32(), "midnight"),
    one("nanoseconds", '[{"a":"2024-02-29T12:30:00.123456789"}]', ["2024-02-29T12:30:00.123456789"], pa.timestamp("ns")),
    one("a leap second", '[{"a":"2016-12-31T23:59:60Z"}]', ["2016-12-31T23:59:60Z"], pa.string()),
    one("German dates", '[{"a":"29.02.2024"},{"a":"01.03.2024"}]', ["29.02.2024", "01.03.2024"], pa.string()),
    # nested and binary
    one("lists", '[{"a":[1,2]},{"a":[]},{"a":null}]', [[1, 2], [], None], pa.list_(pa.int64())),
    one("lists of several kinds", '[{"a":[1,"x"]}]', ['[1, "x"]'], JSON),
    one("objects with different keys", '[{"a":{"x":1}},{"a":{"y":2}}]', ['{"x": 1}', '{"y": 2}'], JSON),
    one("Node buffers", '[{"a":{"type":"Buffer","data":[0,255]}}]', [b"\x00\xff"], pa.binary()),
    # names
    many("odd names", '[{"a b":1,"":2,"ünï":3}]', pa.int64(), **{"a b": [1], "column_1": [2], "ünï": [3]}),
    many("columns and rows", '{"columns":["a","b"],"rows":[[1,"x"],[null,"y"]]}', pa.int64(), a=[1, None], b=["x", "y"]),
    many("twice the same name", '{"columns":["a","a"],"rows":[[1,2]]}', pa.int64(), "more than once", a=[1], a_2=[2]),
    many("no rows, with names", '{"columns":["a","b"],"rows":[]}', pa.null(), a=[], b=[]),
    # structured content
    one("structured records", {"result": [{"a": 2**53 + 1}, {"a": None}]}, [2**53 + 1, None], pa.int64()),
    one("structured text that is JSON", {"result": '[{"a": "x"}]'}, ["x"], pa.string()),
    one("declared types", {"columns": [{"name": "a", "type": "DECIMAL(10,2)"}], "rows": [["1.50"]]}, [Decimal("1.50")], pa.decimal128),
    # CSV and markdown
    many("CSV with quotes and line breaks", 'a,b\n1,"x, ""y""\nz"\n2,\n', pa.int64(), a=[1, 2], b=['x, "y"\nz', None]),
    one("times of day", '[{"a":"12:34:56"},{"a":"23:59:59.5"},{"a":null}]', [dt.time(12, 34, 56), dt.time(23, 59, 59, 500000), None], pa.time64("us")),
    one("durations beyond a day", '[{"a":"12:34:56"},{"a":"36:00:00"}]', ["12:34:56", "36:00:00"], pa.string()),
    many("numbers with commas", "n,t\n\"1,200\",x\n950,y\n", pa.int64(), "commas between thousands", n=[1200, 950], t=["x", "y"]),
    many("commas that are not between thousands", 'n,t\n"1,20",x\n"950",y\n', pa.string(), n=["1,20", "950"], t=["x", "y"]),
    one("exponents as decimals print them", '[{"a":"1.00E+10"},{"a":"2.5E-7"}]', [1e10, 2.5e-7], pa.float64()),
    one("only a word for no number", '[{"a":"NaN"}]', ["NaN"], pa.string()),
    many("a word for no number among numbers", "n,t\nNaN,x\n1.5,y\n", pa.float64(), "among its numbers", n=[float("nan"), 1.5], t=["x", "y"]),
    many("rounded integers in CSV", "n,t\n9007199254740992,x\n", pa.int64(), "look rounded", n=[2**53], t=["x"]),
    many("two words for nothing", "n | t\n-------\nNULL | x\nNULL | None", pa.null(), "may stand for NULL", n=[None, None], t=["x", "None"]),
    many("an empty cell beside NULL", "n,t\n1,NULL\n2,\n3,NULL\n", pa.int64(), "may stand for NULL", n=[1, 2, 3], t=[None, "", None]),
    many("fractions that tabulate rounds", "id  x\n--  -------\n1   37.6751\n2   3.5", pa.int64(), "six digits", id=[1, 2], x=[37.6751, 3.5]),
    many("a line break that tabulate draws", "  id  t\n----  -----\n   1  two\n      lines\n   2  x", pa.int64(), "put together", id=[1, 2], t=["two\nlines", "x"]),
    many("a line break in markdown", "| id | t |\n|---|---|\n| 1 | two\nlines |\n| 2 | x |", pa.int64(), "put together", id=[1, 2], t=["two\nlines", "x"]),
    many("a bar in markdown", "| id | t |\n|---|---|\n| 1 | a | b |\n| 2 | x |", pa.int64(), "not escaped", id=[1, 2], t=["a | b", "x"]),
    many("a name with a bar in markdown", "| id | x|y |\n|---|---|\n| 1 | 2 |", pa.int64(), **{"id": [1], "x|y": [2]}),
    many("YAML's kinds", "- a: 1\n  b: '1'\n  c: no\n  d: 012\n  e: 1e5\n  f: null\n- a: 2\n  b: ''\n  c: yes\n  d: x\n  e: y\n  f: ~\n", pa.int64(), a=[1, 2], b=["1", ""], c=["no", "yes"], d=["012", "x"], e=["1e5", "y"], f=[None, None]),
    many("TOON's kinds", 'r[2]{a,b,c}:\n  9007199254740993,"007",x\n  2,"",null\n', pa.int64(), a=[2**53 + 1, 2], b=["007", ""], c=["x", None]),
    many("objects under names", '{"pivot":{"Bonn":{"n":1,"m":2},"Rome":{"n":3,"m":4}}}', pa.string(), "a name of its own", name=["Bonn", "Rome"], n=[1, 3], m=[2, 4]),
    many("a markdown table", "| a | b |\n|---|---|\n| 1 | 007 |\n| 2 | 008 |", pa.int64(), a=[1, 2], b=["007", "008"]),
    *(one(f"Python's {text}", f"[{{'a': {text}}}, {{'a': None}}]", [value, None], kind) for text, value, kind in PYTHON),
]  # fmt: skip


def result_of(case: Case) -> dict[str, Any]:
    if isinstance(case.result, str):
        return {"content": [{"type": "text", "text": case.result}]}
    return {"content": [], "structuredContent": case.result}


def cells(column: pa.ChunkedArray) -> list[Any]:
    if isinstance(column.type, pa.BaseExtensionType):
        return column.cast(pa.string()).to_pylist()
    if column.type == pa.timestamp("ns"):
        return [
            value.replace(" ", "T") for value in column.cast(pa.string()).to_pylist()
        ]
    return column.to_pylist()


def same_type(have: pa.DataType, want: Any) -> bool:
    if want == JSON:
        return isinstance(have, pa.JsonType)
    return pa.types.is_decimal(have) if want is pa.decimal128 else have == want


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_every_hard_case_is_exact_or_marked(case: Case) -> None:
    reading = results.read(result_of(case))
    assert reading.error is None
    (table,) = reading.tables
    assert tuple(table.data.column_names) == case.names
    for have, want in zip(table.data.columns, case.values, strict=True):
        assert repr(cells(have)) == repr(want)
    if case.names:
        assert same_type(table.data.column(0).type, case.type), table.data.column(
            0
        ).type
    assert case.said in " ".join(table.notes)


def test_there_are_at_least_sixty_cases_and_each_claim_is_made_once() -> None:
    assert len({case.claim for case in CASES}) == len(CASES) >= 60
