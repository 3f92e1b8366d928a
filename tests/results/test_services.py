"""Shapes that databases' and services' own APIs answer with: rows out of their
wrappings, each value in its type.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from mcp_notebook.results import Reading, Table, read

NOON = dt.datetime(2024, 1, 5, 12, tzinfo=dt.UTC)


def reading(value: Any) -> Reading:
    text = value if isinstance(value, str) else json.dumps(value)
    return read({"content": [{"type": "text", "text": text}]})


def table(value: Any) -> Table:
    found = reading(value)
    assert found.error is None, found
    assert len(found.tables) == 1, found
    return found.tables[0]


def rows(value: Any) -> list[dict[str, Any]]:
    return table(value).data.to_pylist()


def test_mongodbs_extended_json_is_typed() -> None:
    document = {
        "_id": {"$oid": "507f1f77bcf86cd799439011"}, "n": {"$numberLong": "9007199254740993"}, "i": {"$numberInt": "1"},
        "price": {"$numberDecimal": "1.50"}, "at": {"$date": "2024-01-05T12:00:00Z"}, "raw": {"$binary": {"base64": "AAH/", "subType": "00"}},
        "ratio": {"$numberDouble": "Infinity"}, "old": {"$date": {"$numberLong": "1704456000000"}},
    }  # fmt: skip
    assert rows([document]) == [
        {"_id": "507f1f77bcf86cd799439011", "n": 2**53 + 1, "i": 1, "price": Decimal("1.50"), "at": NOON, "raw": b"\0\1\xff",
         "ratio": float("inf"), "old": NOON}
    ]  # fmt: skip


def test_a_document_that_only_looks_like_extended_json_stays_one() -> None:
    assert rows([{"a": {"$oid": 7, "b": 1}}, {"a": {"$oid": 8, "b": 2}}])[0]["a"] == {
        "$oid": 7,
        "b": 1,
    }
    assert "not a number" in str(rows([{"a": {"$numberLong": "not a number"}}]))


def test_dynamodbs_cells_are_values() -> None:
    items = [{"id": {"N": "12345678901234567890"}, "price": {"N": "1.50"}, "name": {"S": "x"}, "ok": {"BOOL": True},
              "tags": {"L": [{"S": "a"}]}}, {"id": {"N": "2"}, "price": {"NULL": True}, "name": {"S": ""}, "ok": {"BOOL": False},
              "tags": {"L": []}}]  # fmt: skip
    found = rows({"Items": items, "Count": 2})
    assert found[0] == {
        "id": 12345678901234567890,
        "price": Decimal("1.50"),
        "name": "x",
        "ok": True,
        "tags": ["a"],
    }
    assert (found[1]["price"], found[1]["name"]) == (None, "")


def test_objects_with_dynamodbs_letters_beside_other_cells_stay_objects() -> None:
    assert rows([{"id": 1, "size": {"S": "small"}}, {"id": 2, "size": {"S": "big"}}])[
        0
    ]["size"] == {"S": "small"}


def test_snowflakes_days_and_seconds_are_dates_and_times() -> None:
    kinds = [("day", "date"), ("at", "timestamp_ntz"), ("n", "fixed")]
    answer = {
        "resultSetMetaData": {
            "rowType": [
                {"name": name, "type": kind, "scale": 0} for name, kind in kinds
            ]
        },
        "data": [["19727", "1704456000.000000000", "7"], [None, None, "8"]],
    }
    found = rows(answer)
    assert found[0] == {
        "day": dt.date(2024, 1, 5),
        "at": dt.datetime(2024, 1, 5, 12),
        "n": 7,
    }
    assert found[1] == {"day": None, "at": None, "n": 8}


def test_athenas_first_row_of_names_is_no_row() -> None:
    names, cells = ["id", "name"], [["1", "Ana"], ["2", "Bo"]]
    answer = {"ResultSet": {
        "Rows": [{"Data": [{"VarCharValue": cell} for cell in row]} for row in [names, *cells]],
        "ResultSetMetadata": {"ColumnInfo": [{"Name": "id", "Type": "integer"}, {"Name": "name", "Type": "varchar"}]},
    }}  # fmt: skip
    assert rows(answer) == [{"id": 1, "name": "Ana"}, {"id": 2, "name": "Bo"}]
    assert "repeated the names" in str(table(answer).notes)


def test_series_become_one_table_with_their_labels_as_columns() -> None:
    columns = ["time", "value"]
    series = [
        {
            "name": "cpu",
            "tags": {"host": h},
            "columns": columns,
            "values": [["2024-01-05T12:00:00Z", v]],
        }
        for h, v in (("a", 1.5), ("b", 2))
    ]
    assert rows({"results": [{"statement_id": 0, "series": series}]}) == [
        {"host": "a", "time": NOON, "value": 1.5}, {"host": "b", "time": NOON, "value": 2.0},
    ]  # fmt: skip
    points = [
        {"metric": {"job": "a"}, "values": [[1704456000, "1"]]},
        {"metric": {"job": "b", "up": "x"}, "value": [1704456000.5, "0.5"]},
    ]
    found = rows(
        {"status": "success", "data": {"resultType": "matrix", "result": points}}
    )
    assert found[0] == {"job": "a", "up": None, "timestamp": NOON, "value": 1.0}
    assert found[1]["timestamp"] == NOON + dt.timedelta(seconds=0.5)


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([{"node": {"id": 1}, "cursor": "a"}, {"node": {"id": 2}, "cursor": "b"}], ["id"]),
        ([{"_index": "i", "_id": "k", "_score": 1.0, "_source": {"id": 1, "name": "x"}}], ["id", "name", "_index", "_id", "_score"]),
        ([{"id": "rec1", "createdTime": "2024-01-05", "fields": {"id": 1}}], ["id", "id_2", "createdTime"]),
        ([{"type": "user", "id": "7", "attributes": {"name": "x"}}], ["name", "type", "id"]),
        ([{"id": "k", "key": "k", "value": 1, "doc": {"n": 1}}], ["n", "id", "key", "value"]),
    ],
)  # fmt: skip
def test_fields_inside_one_key_of_each_row_are_columns(
    records: list[dict[str, Any]], names: list[str]
) -> None:
    found = table({"data": records})
    assert found.data.column_names == names
    assert "are columns here" in str(found.notes)


def test_a_json_column_among_others_stays_a_column() -> None:
    assert table(
        [{"id": 1, "price": 2.5, "attributes": {"a": 1}}]
    ).data.column_names == ["id", "price", "attributes"]


def test_a_range_of_cells_has_its_names_in_the_first_row_or_column() -> None:
    by_rows = {
        "range": "A1:B3",
        "majorDimension": "ROWS",
        "values": [["id", "name"], ["1", "Ana"], ["2"]],
    }
    by_columns = {
        "range": "A1:B3",
        "majorDimension": "COLUMNS",
        "values": [["id", "1", "2"], ["name", "Ana"]],
    }
    for answer in (by_rows, by_columns):
        assert rows(answer) == [{"id": 1, "name": "Ana"}, {"id": 2, "name": None}]
        assert table(answer).approximate


@pytest.mark.parametrize(
    "text",
    [
        '["id", "at"]\n["Int64", "Nullable(Date)"]\n[9007199254740993, "2024-01-05"]\n[2, null]\n',
        "id\tat\nInt64\tNullable(Date)\n9007199254740993\t2024-01-05\n2\t\\N\n",
        '"id","at"\n"Int64","Nullable(Date)"\n9007199254740993,"2024-01-05"\n2,\\N\n',
        '{"meta": [{"name": "id", "type": "Int64"}, {"name": "at", "type": "Nullable(Date)"}], "data": {"id": ["9007199254740993", "2"], "at": ["2024-01-05", null]}}',
    ],
)  # fmt: skip
def test_types_below_the_names_are_declared(text: str) -> None:
    assert rows(text) == [
        {"id": 2**53 + 1, "at": dt.date(2024, 1, 5)},
        {"id": 2, "at": None},
    ]
    assert all(kind.startswith("declared") for kind in table(text).types.values())


def test_annotated_csv_is_typed_by_its_annotations() -> None:
    text = "#datatype,string,long,double,string\n#group,false,false,false,true\n#default,_result,,,\n,result,table,_value,host\n,,0,1.5,a\n,,0,2,b\n"
    found = table(text)
    assert found.data.column("_value").to_pylist() == [1.5, 2.0]
    assert found.data.column("host").to_pylist() == ["a", "b"]


def test_integers_that_javascript_cannot_hold_come_back_as_integers() -> None:
    assert rows([{"n": "9007199254740993"}, {"n": 5}, {"n": None}]) == [
        {"n": 2**53 + 1},
        {"n": 5},
        {"n": None},
    ]
    assert "json" in str(table([{"n": "007"}, {"n": 5}]).types["n"])


def test_bytes_with_their_encoding_are_bytes() -> None:
    assert rows([{"raw": {"__bytes__": "0001ff", "encoding": "hex", "size": 3}}]) == [
        {"raw": b"\0\1\xff"}
    ]
    wrong = {"__bytes__": "0001ff", "encoding": "hex", "size": 4}
    assert rows([{"raw": wrong}]) == [{"raw": wrong}]


@pytest.mark.parametrize(
    "shown",
    ["<3 bytes>", "<BLOB 3B>", "<binary data: 3 bytes>", "[binary data]", "(3 bytes)"],
)
def test_a_placeholder_for_bytes_is_said(shown: str) -> None:
    assert "`raw`" in str(table([{"raw": shown, "n": 1}]).notes)


def test_bytes_with_escapes_are_said() -> None:
    assert "`raw`" in str(table([{"raw": "\\x00\\x01A\\xFF", "n": 1}]).notes)


@pytest.mark.parametrize(
    "text",
    [
        "('42S02', \"[42S02] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid object name 'foo'. (208)\")",
        "[('42S02', \"[42S02] [Microsoft][ODBC Driver 18]Invalid object name 'foo'.\")]",
        '["(1146, \\"Table \'a.b\' doesn\'t exist\\")"]',
        '{"error": true, "engine": "mysql", "message": "Table \'x\' is gone", "sql_snippet": "select"}',
        '{"error": "You have an error in your SQL syntax; check the manual", "instance": "a", "executed_sql": "select"}',
        '{"error": "no such table: x", "instance": {"name": "a"}}',
    ],
)  # fmt: skip
def test_errors_in_more_dresses(text: str) -> None:
    found = reading(text)
    assert found.error
    assert not found.tables


def test_a_rows_own_error_column_is_no_failure() -> None:
    assert not reading(
        [{"id": 1, "error": "timeout of the pump"}, {"id": 2, "error": None}]
    ).error
    assert not reading([{"id": 1, "error": "worn"}]).error
    assert not read(
        {
            "content": [
                {"type": "text", "text": '{"id": 1, "error": "no such table: x"}'}
            ]
        },
        sql="select id, error from log",
    ).error


@pytest.mark.parametrize(
    ("answer", "sql"),
    [
        ({"success": True, "data": [{"affected_rows": 3}], "columns": ["affected_rows"]}, "with t as (select 1) select a from t"),
        ({"kind": "OTHER", "rows": None, "rows_affected": None, "truncated": False, "message": "?"}, "with t as (select 1) select a from t"),
        ({"id": "4", "status": "success", "message": "Query executed successfully. No results returned."}, "select * from t"),
        ({"id": "4", "status": "success", "query_type": "WITH", "rows_affected": -1, "message": "done"}, "with t as (select 1) select a from t"),
    ],
)  # fmt: skip
def test_a_report_in_place_of_rows_is_no_row(answer: dict[str, Any], sql: str) -> None:
    found = read({"content": [{"type": "text", "text": json.dumps(answer)}]}, sql=sql)
    assert not any(each.data.num_rows for each in found.tables)


def test_rows_that_are_counts_are_rows_when_the_statement_says_so() -> None:
    answer = {"content": [{"type": "text", "text": '[{"changes": 3}]'}]}
    assert read(answer, sql="select changes from log").tables[0].data.to_pylist() == [
        {"changes": 3}
    ]


def test_blocks_of_json_and_of_python_are_one_table() -> None:
    blocks = ["{'id': 1, 'raw': b'\\x00'}", '{"id": 2, "raw": null}']
    found = read({"content": [{"type": "text", "text": text} for text in blocks]})
    assert found.tables[0].data.to_pylist() == [
        {"id": 1, "raw": b"\0"},
        {"id": 2, "raw": None},
    ]


# --- what monitoring, vector stores, geodata, statistics offices and clouds answer

NOON_MS = 1_704_456_000_000
ANSWERS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "a vector store that repeats what was asked for": (
        {"ids": [["a", "b"]], "documents": [["x", "y"]], "included": ["ids", "documents"],
         "metadatas": [[{"k": 1}, {"k": 2}]]},
        [{"ids": "a", "documents": "x", "metadatas": {"k": 1}}, {"ids": "b", "documents": "y", "metadatas": {"k": 2}}],
    ),
    "matches without their vectors": (
        {"matches": [{"id": "a", "score": 0.5, "values": []}, {"id": "b", "score": 0.25, "values": []}], "namespace": "n"},
        [{"id": "a", "score": 0.5, "values": []}, {"id": "b", "score": 0.25, "values": []}],
    ),
    "frames of a dashboard": (
        {"results": {"A": {"frames": [{
            "schema": {"fields": [{"name": "time", "type": "time"}, {"name": "v", "type": "number", "labels": {"host": "a"}}]},
            "data": {"values": [[NOON_MS, None], [1.5, 2.5]]}}]}}},
        [{"host": "a", "time": NOON, "v": 1.5}, {"host": "a", "time": None, "v": 2.5}],
    ),
    "lines of a log with their labels": (
        {"data": {"resultType": "streams", "result": [
            {"stream": {"app": "a"}, "values": [[f"{NOON_MS}000000", "one"]]},
            {"stream": {"app": "b", "pod": "p"}, "values": [[f"{NOON_MS}000000", "two"]]}]}},
        [{"app": "a", "pod": None, "timestamp": NOON, "line": "one"}, {"app": "b", "pod": "p", "timestamp": NOON, "line": "two"}],
    ),
    "records behind an object about their page": (
        [{"page": 1, "pages": 1, "total": 2}, [{"country": "NO", "value": 5.5}, {"country": "SE", "value": None}]],
        [{"country": "NO", "value": 5.5}, {"country": "SE", "value": None}],
    ),
    "features beside the description of their fields": (
        {"fields": [{"name": "id", "type": "esriFieldTypeOID"}], "spatialReference": {"wkid": 4326},
         "features": [{"attributes": {"id": 1}, "geometry": {"x": 1.5}}, {"attributes": {"id": 2}, "geometry": {"x": 2.5}}]},
        [{"id": 1, "geometry": {"x": 1.5}}, {"id": 2, "geometry": {"x": 2.5}}],
    ),
    "a list under each of several names": (
        {"data": {"up": [{"type": "gauge", "unit": ""}], "load": [{"type": "gauge", "unit": "s"}]}},
        [{"name": "up", "type": "gauge", "unit": ""}, {"name": "load", "type": "gauge", "unit": "s"}],
    ),
    "rows beside remarks of the same form": (
        {"results": [{"message": "a"}], "warnings": [{"message": "old"}]},
        [{"message": "a"}],
    ),
    "groups of a search that asked for no hits": (
        {"hits": {"total": {"value": 10}, "hits": []}, "aggregations": {"by": {"buckets": [{"key": "a", "n": 6}, {"key": "b", "n": 4}]}}},
        [{"key": "a", "n": 6}, {"key": "b", "n": 4}],
    ),
    "rows beside errors of some fields": (
        {"data": {"users": [{"id": "1"}, {"id": "2"}]}, "errors": [{"message": "x failed", "path": ["users", 0]}]},
        [{"id": "1"}, {"id": "2"}],
    ),
    "attributes of elements that have fields": (
        "<gpx><trk><pt lat='1.5' lon='2.5'><ele>10</ele></pt><pt lat='1.25' lon='2'><ele>11</ele></pt></trk></gpx>",
        [{"lat": 1.5, "lon": 2.5, "ele": 10}, {"lat": 1.25, "lon": 2.0, "ele": 11}],
    ),
    "columns below capitals": (
        "NAME    READY   STATUS\nweb-1   1/1     Running\nweb-2   0/1     Pending\n",
        [{"NAME": "web-1", "READY": "1/1", "STATUS": "Running"}, {"NAME": "web-2", "READY": "0/1", "STATUS": "Pending"}],
    ),
    "checks of which one did not pass": (
        {"success": False, "results": [{"check": "a", "ok": True}, {"check": "b", "ok": False}]},
        [{"check": "a", "ok": True}, {"check": "b", "ok": False}],
    ),
    "words in a list of YAML": (
        "- id: 1\n  tags: [x, y]\n- id: 2\n  tags: [z]\n",
        [{"id": 1, "tags": ["x", "y"]}, {"id": 2, "tags": ["z"]}],
    ),
    "a comment above CSV": (
        "# generated by a tool\n# at noon\nid,name\n1,Ana\n2,Bo\n",
        [{"id": 1, "name": "Ana"}, {"id": 2, "name": "Bo"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", ANSWERS)
def test_the_first_table_of_an_answer_is_its_rows(form: str) -> None:
    value, known = ANSWERS[form]
    found = reading(value)
    assert found.error is None
    assert found.tables[0].data.to_pylist() == known
    assert found.tables[0].truncated == ""


def test_what_stands_beside_such_rows_is_told() -> None:
    said = {
        "cpu": {"series": [{"name": "cpu", "columns": ["v"], "values": [[1.5], [2.5]]}]},
        "bucket": "<List><Name>bucket</Name><Row><a>1</a></Row><Row><a>2</a></Row></List>",
        "unit": "<List><Row><a unit='B'>1</a></Row><Row><a>2</a></Row></List>",
        "x failed": ANSWERS["rows beside errors of some fields"][0],
        "pages": ANSWERS["records behind an object about their page"][0],
        "esriFieldTypeOID": ANSWERS["features beside the description of their fields"][0],
    }  # fmt: skip
    for words, value in said.items():
        found = reading(value)
        notes = [note for each in found.tables for note in each.notes]
        kinds = [kind for each in found.tables for kind in each.types.values()]
        assert words in "\n".join([found.text, *notes, *kinds])


def test_a_pages_size_is_no_count_and_a_pages_total_is() -> None:
    rows = [{"id": 1}, {"id": 2}]
    page = {"size": 20, "totalElements": 2, "totalPages": 1}
    assert table({"_embedded": {"orders": rows}, "page": page}).truncated == ""
    cut = table({"_embedded": {"orders": rows}, "page": page | {"totalElements": 9}})
    assert cut.total_rows == 9
    assert "9 rows and 2 came" in cut.truncated
    of_list = table([{"page": 1, "total": 9}, rows])
    assert of_list.total_rows == 9


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such thing", "balance": 3}, "no such thing"),
        ({"__type": "ResourceNotFoundException", "message": "no such table"}, "no such table"),
        ({"error": {"code": 403, "message": "Forbidden", "details": [{"@type": "x", "reason": "R"}]}}, "Forbidden"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
    ],
)  # fmt: skip
def test_failures_of_services_are_errors(answer: Any, message: str) -> None:
    found = reading(answer)
    assert message in str(found.error)
    assert not found.tables


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-05 12:00:00,123 INFO a: started, port=80\n2024-01-05 12:00:01,456 INFO b: failed, port=3\n",
        "4.0K\t./a\n12K\t./b\n16K\t.\n",
        "[a]\nhost = x\nport = 1\n\n[b]\nhost = y\nport = 2\n",
        " Row │ a      b      \n     │ Int64  String \n─────┼───────────────\n   1 │     1  x\n   2 │     2  y\n",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_table_is_text(text: str) -> None:
    found = reading(text)
    assert not found.tables
    assert found.text == text
