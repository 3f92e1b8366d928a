"""What a column becomes: exact, and no further than its values prove."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mcp_notebook import results
from mcp_notebook.results import read
from mcp_notebook.results.columns.infer import column

UTC = dt.UTC


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, -5], "int64"),
        ([2**53 + 1, None], "int64"),
        ([2**63, 1], "uint64"),
        ([2**64, -1], "decimal128(20, 0)"),
        ([10**38 + 1], "decimal256(39, 0)"),
        ([10**80], "string"),
        ([1, 2.5], "double"),
        ([2**53 + 1, 0.5], "decimal128(17, 1)"),
        ([float("nan"), None, float("inf")], "double"),
        ([Decimal("1.50"), None, 2], "decimal128(3, 2)"),
        ([True, None], "bool"),
        ([dt.date(2024, 2, 29)], "date32[day]"),
        ([dt.datetime(2024, 2, 29, 1)], "timestamp[us]"),
        ([dt.datetime(2024, 2, 29, 1, tzinfo=UTC)], "timestamp[us, tz=UTC]"),
        ([dt.time(1, 2), None], "time64[us]"),
        ([dt.timedelta(hours=36)], "duration[us]"),
        ([uuid.UUID(int=1)], "string"),
        ([b"\x00"], "binary"),
        ([{"type": "Buffer", "data": [0, 255]}, None], "binary"),
        ([[1, None], None, []], "list<item: int64>"),
        ([{"a": 1}, None], "struct<a: int64>"),
        ([{"a": 1}, {"b": 2}], "extension<arrow.json>"),
        ([1, "a", None, [2]], "extension<arrow.json>"),
        ([None, None], "null"),
        (["2024-02-29", None], "date32[day]"),
        (["2024-02-30"], "string"),
        (["2024-02-29T00:00:00.000Z"], "date32[day]"),
        (["2024-02-29T01:00:00.000Z"], "timestamp[us, tz=UTC]"),
        (["2024-02-29T01:00:00", "2024-02-29 01:00:00.5"], "timestamp[us]"),
        (["2024-02-29T01:00:00Z", "2024-02-29T01:00:00"], "string"),
        (["2024-02-29T01:00:00.123456789Z"], "timestamp[ns, tz=UTC]"),
        (["1", "2"], "string"),
    ],
    ids=str,
)
def test_the_narrowest_type_that_keeps_every_value(
    values: list[Any], kind: str
) -> None:
    found = column(values)
    assert str(found.array.type) == kind
    assert found.array.null_count == values.count(None)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "0"], "int64"),
        (["9007199254740993", "-9223372036854775808"], "int64"),
        (["1.50", "2.25"], "decimal128(3, 2)"),
        (["0.1", "3.14159"], "double"),
        (["99999999999999.9999", "1.0"], "decimal128(18, 4)"),
        (["1.5", "NaN", "Infinity"], "double"),
        (["007", "1"], "string"),
        (["1e5", "2"], "string"),
        (["+1", "2"], "string"),
        (["1,000"], "string"),
        ([" 1"], "string"),
        (["-0"], "string"),
        (["١"], "string"),
    ],
    ids=str,
)
def test_text_becomes_a_number_only_when_every_value_is_a_canonical_one(
    values: list[str], kind: str
) -> None:
    assert str(column(values, text="numbers").array.type) == kind


def types(body: str) -> dict[str, str]:
    (table,) = read({"content": [{"type": "text", "text": body}]}).tables
    return dict(table.types)


def test_numbers_in_quotes_are_converted_and_said() -> None:
    found = types('[{"n": "1000", "total": "16.50", "name": "x", "i": 1}]')
    assert found["n"] == "converted from text: int64"
    assert found["total"] == "converted from text: decimal128(4, 2)"
    assert found["i"] == "inferred: int64"


def test_codes_and_phones_in_quotes_stay_text() -> None:
    rows = [
        {"zip": "10115", "phone_no": "5551234", "msisdn": "4915112345678"},
        {"zip": "80331", "phone_no": "5551235", "msisdn": "4"},
    ]
    assert set(types(json.dumps(rows)).values()) == {"inferred: text"}
    ids = [{"ref": "4915112345678"}, {"ref": "4915112345679"}]
    assert types(json.dumps(ids)) == {"ref": "inferred: text"}


def test_infer_off_leaves_every_text_alone() -> None:
    (table,) = read(
        {"content": [{"type": "text", "text": '[{"n": "1", "d": "2024-02-29"}]'}]},
        infer=False,
    ).tables
    assert table.data.to_pylist() == [{"n": "1", "d": "2024-02-29"}]


def test_json_numbers_keep_their_digits() -> None:
    (table,) = read(
        {
            "content": [
                {"type": "text", "text": '[{"a": 99999999999999.9999}, {"a": 0.1}]'}
            ]
        }
    ).tables
    assert table.data["a"].to_pylist() == [
        Decimal("99999999999999.9999"),
        Decimal("0.1000"),
    ]
    (table,) = read(
        {
            "content": [
                {"type": "text", "text": '[{"a": 1.4665957446808511}, {"a": 1.5}]'}
            ]
        }
    ).tables
    assert table.data["a"].to_pylist()[0] == Decimal("1.4665957446808511")


def test_floats_printed_with_seventeen_digits_are_floats() -> None:
    body = json.dumps([{"a": 0}] * 5).replace("0", "%.17g") % (0.1, 0.2, 0.3, 0.6, 1.1)
    assert types(body) == {"a": "inferred: double"}


def test_text_is_taken_where_structured_content_lost_digits() -> None:
    for body, parsed, exact in (
        ("Infinity", None, float("inf")),
        ("99999999999999.9999", 1e14, Decimal("99999999999999.9999")),
    ):
        block = {"type": "text", "text": f'{{"rows": [{{"v": {body}}}]}}'}
        (table,) = read(
            {"content": [block], "structuredContent": {"rows": [{"v": parsed}]}}
        ).tables
        assert table.data["v"].to_pylist() == [exact]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('[{"a": 9007199254740992}, {"a": -9223372036854776000}]', "rounded"),
        ('[{"a": 1.5}, {"a": null}]', "NaN or Infinity"),
        ('[{"a": "2024-02-29T10:00:00.123Z"}]', "JavaScript"),
        ('[{"a": "<memory at 0x7f41a01b19c0>"}]', "placeholders"),
        ('[{"a": "[object Object]"}]', "placeholders"),
        ('[{"a": "x\\ufffd"}]', "lost"),
        ('[{"a": "AAH/"}, {"a": null}]', "base64"),
        ('[{"a": "None", "b": 1}]', "NULL"),
        ("a,b\n1,\n2,x\n", "NULL"),
        ("a | b\n-----\n1 | None\n2 | x", "NULL"),
        ('[{"a": 1, "b": 2}, {"a": 1}]', "no value"),
    ],
)
def test_what_may_be_lost_is_said_by_the_name_of_its_column(
    body: str, words: str
) -> None:
    (table,) = read({"content": [{"type": "text", "text": body}]}).tables
    assert any(
        words in note and ("`a`" in note or "`b`" in note) for note in table.notes
    ), table.notes


def test_null_empty_and_the_word_stay_apart_in_json() -> None:
    (table,) = read(
        {
            "content": [
                {"type": "text", "text": '[{"a": null}, {"a": ""}, {"a": "NULL"}]'}
            ]
        }
    ).tables
    assert table.data["a"].to_pylist() == [None, "", "NULL"]
    assert not table.notes


def test_null_and_empty_stay_apart_where_csv_quotes_the_empty_text() -> None:
    (table,) = read(
        {"content": [{"type": "text", "text": 'a,b\n1,""\n2,\n3,NULL\n'}]}
    ).tables
    assert table.data["b"].to_pylist()[:2] == ["", None]


def test_a_frame_has_types_that_pandas_users_know() -> None:
    rows = [
        {
            "i": 1,
            "n": 1,
            "f": 0.5,
            "d": "1.50",
            "t": "2024-02-29T10:00:00Z",
            "day": "2024-02-29",
            "s": "x",
            "b": True,
        },
        {
            "i": 2,
            "n": None,
            "f": None,
            "d": "2.25",
            "t": None,
            "day": None,
            "s": None,
            "b": None,
        },
    ]
    (table,) = read({"content": [{"type": "text", "text": json.dumps(rows)}]}).tables
    frame = table.to_pandas(attrs={"server": "demo"})
    everyday = {
        "i": "int64", "n": "Int64", "f": "float64", "d": "float64", "t": "datetime64[us, UTC]",
        "day": "datetime64[us]", "s": "str", "b": "boolean",
    }  # fmt: skip
    assert frame.dtypes.astype(str).to_dict() == everyday
    exact = {"d": "decimal128(3, 2)[pyarrow]", "day": "date32[day][pyarrow]"}
    kept = table.to_pandas(types="exact")
    assert kept.dtypes.astype(str).to_dict() == everyday | exact
    assert frame.attrs["mcp"]["column_types"]["d"] == "decimal128(3, 2)"
    assert frame.attrs["mcp"]["server"] == "demo"
    assert table.to_pandas(decimals="float")["d"].dtype == "float64"
    assert pd.concat([frame, frame]).attrs == frame.attrs == frame.copy().attrs


def test_every_column_of_a_frame_can_be_changed_and_the_table_stays() -> None:
    cells = {"i": 1, "n": 1, "f": 0.5, "d": "1.50", "t": "2024-02-29T10:00:00Z", "u": "2024-02-29T10:00:00",
             "day": "2024-02-29", "s": "x", "b": True, "m": 1, "z": None}  # fmt: skip
    rows = [
        cells,
        {**cells, "n": None, "s": None},
        {**cells, "i": 7, "f": 2.0, "b": False, "m": "a", "s": "y"},
    ]
    (table,) = read({"content": [{"type": "text", "text": json.dumps(rows)}]}).tables
    frame = table.to_pandas()
    for at in range(frame.shape[1]):
        frame.iloc[0, at] = frame.iloc[2, at]
    assert frame.iloc[0].equals(frame.iloc[2])
    assert table.to_pandas()["i"].tolist() == [1, 1, 7]


def test_exact_decimals_and_integers_with_nulls_can_be_plotted() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    (table,) = read(
        {
            "content": [
                {
                    "type": "text",
                    "text": '[{"m": "a", "d": "1.50", "n": null}, {"m": "b", "d": "2.25", "n": 3}]',
                }
            ]
        }
    ).tables
    assert table.to_pandas().set_index("m").plot(kind="bar") is not None


def test_values_of_several_shapes_come_back_as_python_objects() -> None:
    (table,) = read(
        {
            "content": [
                {"type": "text", "text": '[{"a": {"b": [1]}}, {"a": [2]}, {"a": null}]'}
            ]
        }
    ).tables
    assert isinstance(table.data.schema.field("a").type, pa.JsonType)
    assert table.to_pandas()["a"].tolist() == [{"b": [1]}, [2], None]


def test_frames_of_one_result_are_set_and_named_each_for_itself() -> None:
    text = '[{"id": 1, "big": 2, "name": "a"}, {"id": 3, "big": 4, "name": null}]'
    first, second = (
        results.to_dataframe({"content": [{"type": "text", "text": text}]})
        for _ in range(2)
    )
    assert first is not None
    assert second is not None
    first.loc[0, "id"] = 7
    first.columns.name = "mine"
    first.columns = ["a", "b", "c"]
    assert second.loc[0, "id"] == 1
    assert (list(second.columns), second.columns.name) == (["id", "big", "name"], None)
    assert second.dtypes.astype(str).to_list() == ["int64", "int64", "str"]


def test_a_long_frame_can_be_set() -> None:
    text = json.dumps(
        [
            {"id": n, "at": "2024-01-02T03:04:05", "x": 1.5, "on": True}
            for n in range(5000)
        ]
    )
    frame = results.to_dataframe({"content": [{"type": "text", "text": text}]})
    assert frame is not None
    frame.loc[0, "id"] = 7
    frame.loc[0, "at"] = pd.Timestamp("2025-01-01")
    frame.loc[0, "x"] = 2.5
    frame.loc[0, "on"] = False
    assert frame.iloc[0].to_list() == [7, pd.Timestamp("2025-01-01"), 2.5, False]
    assert frame["id"].iloc[1:].to_list() == list(range(1, 5000))
