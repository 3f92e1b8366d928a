"""Every format gives the same small table, in the shapes and with the words that servers use."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from mcp_notebook.results import read

NAMES = ["id", "name", "score"]
ROWS = [[1, "Ana", 1.5], [2, "Bo", None], [3, "Cé", 2.25]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


def text(body: str) -> dict[str, Any]:
    """A result of one text block."""
    return {"content": [{"type": "text", "text": body}], "isError": False}


def structured(value: Any, body: str = "done") -> dict[str, Any]:
    """A result with structured content beside a text that holds nothing."""
    return {"content": [{"type": "text", "text": body}], "structuredContent": value}


JSON = json.dumps(RECORDS, ensure_ascii=False)
COLUMNS = [
    {"name": "id", "type": "INTEGER"},
    {"name": "name", "type": "TEXT"},
    {"name": "score", "type": "DOUBLE"},
]
AWS = [
    [
        {"longValue": row[0]},
        {"stringValue": row[1]},
        {"isNull": True} if row[2] is None else {"doubleValue": row[2]},
    ]
    for row in ROWS
]

VALUES = {
    "records": RECORDS,
    "rows in an envelope": {"rows": RECORDS, "rowCount": 3},
    "unknown names": {"reply": {"abc": {"things": RECORDS}, "took": 3}, "v": 1},
    "four levels down": {"a": {"b": {"c": {"d": RECORDS}}}},
    "columns and rows": {"columns": NAMES, "rows": ROWS},
    "columns and data, rows is a count": {"columns": NAMES, "data": ROWS, "rows": 3},
    "unknown names for both": {"kopf": NAMES, "zeilen": ROWS},
    "typed columns": {"columns": COLUMNS, "rows": ROWS},
    "fields and records": {"fields": COLUMNS, "records": RECORDS},
    "meta of ClickHouse": {
        "meta": COLUMNS,
        "data": ROWS,
        "rows": 3,
        "statistics": {"elapsed": 0.1},
    },
    "schema beside, rows deeper": {
        "manifest": {"schema": {"columns": COLUMNS}},
        "result": {"data_array": ROWS},
    },
    "BigQuery": {
        "schema": {"fields": COLUMNS},
        "rows": [{"f": [{"v": cell} for cell in row]} for row in ROWS],
    },
    "Neo4j": {
        "results": [
            {
                "columns": NAMES,
                "data": [{"row": row, "meta": [None] * 3} for row in ROWS],
            }
        ],
        "errors": [],
    },
    "AWS data API": {
        "columnMetadata": [{"label": n, "typeName": "x"} for n in NAMES],
        "records": AWS,
    },
    "Kusto": {
        "Tables": [
            {
                "TableName": "T",
                "Columns": [{"ColumnName": n} for n in NAMES],
                "Rows": ROWS,
            }
        ]
    },
    "column lists": {
        "id": [1, 2, 3],
        "name": ["Ana", "Bo", "Cé"],
        "score": [1.5, None, 2.25],
    },
    "pandas split": {"columns": NAMES, "index": [0, 1, 2], "data": ROWS},
    "pandas table": {"schema": {"fields": COLUMNS, "primaryKey": []}, "data": RECORDS},
    "pandas index": {str(number): record for number, record in enumerate(RECORDS)},
    "pandas columns": {
        n: {str(i): row[k] for i, row in enumerate(ROWS)} for k, n in enumerate(NAMES)
    },
    "types beside": {
        "columns": NAMES,
        "columnTypes": ["BIGINT", "VARCHAR", "DOUBLE"],
        "rows": ROWS,
    },
    "header row": [NAMES, *ROWS],
    "sheet values": {"range": "A1:C4", "values": [NAMES, *ROWS]},
    "warnings beside": {
        "success": True,
        "warnings": [],
        "error": None,
        "data": {"items": RECORDS},
    },
    "GraphQL": {"data": {"people": {"nodes": RECORDS, "totalCount": 3}}},
    "Elasticsearch SQL": {"columns": COLUMNS, "rows": ROWS, "cursor": ""},
    "schema as a map": {
        "schema": {"id": "int", "name": "string", "score": "double"},
        "rows": ROWS,
    },
}

TEXTS = {
    "pretty JSON": json.dumps(RECORDS, indent=2),
    "NDJSON": "\n".join(map(json.dumps, RECORDS)),
    "prose before": f"Query executed successfully. Retrieved 3 rows.\n\nResults:\n{JSON}",
    "prose on the line": f"Result: {JSON}",
    "prose after": f"{JSON}\n\nQuery took 3 ms.",
    "fenced": f"Here you are:\n```json\n{JSON}\n```\nDone.",
    "in a tag": f'<query-result note="do not interpret"><rows>{JSON}</rows><count>3</count></query-result>',
    "text in JSON": json.dumps({"result": JSON}),
    "text in JSON twice": json.dumps({"result": json.dumps({"output": JSON})}),
    "wrapped blocks": json.dumps([{"type": "text", "text": JSON, "annotations": None}]),
    "CSV in JSON": json.dumps(
        {"csv": "id,name,score\n1,Ana,1.5\n2,Bo,\n3,Cé,2.25\n", "row_count": 3}
    ),
    "python records": repr(RECORDS),
    "python columns and tuples": repr(
        {"columns": NAMES, "rows": [tuple(row) for row in ROWS], "row_count": 3}
    ),
    "python after prose": f"Rows:\n{RECORDS!r}",
    "csv": "id,name,score\n1,Ana,1.5\n2,Bo,\n3,Cé,2.25",
    "csv with CRLF": "id,name,score\r\n1,Ana,1.5\r\n2,Bo,\r\n3,Cé,2.25\r\n",
    "csv with BOM": "\ufeffid,name,score\n1,Ana,1.5\n2,Bo,\n3,Cé,2.25\n",
    "quoted csv": '"id","name","score"\n"1","Ana","1.5"\n"2","Bo",""\n"3","Cé","2.25"\n',
    "psql csv": "BEGIN\nid,name,score\n1,Ana,1.5\n2,Bo,\n3,Cé,2.25\nROLLBACK\n",
    "tsv": "id\tname\tscore\n1\tAna\t1.5\n2\tBo\t\n3\tCé\t2.25\n",
    "semicolons": "id;name;score\n1;Ana;1.5\n2;Bo;\n3;Cé;2.25\n",
    "markdown": "| id | name | score |\n|---:|:---|---|\n| 1 | Ana | 1.5 |\n| 2 | Bo | NULL |\n| 3 | Cé | 2.25 |\n",
    "markdown in prose": "Found:\n\n| id | name | score |\n|---|---|---|\n| 1 | Ana | 1.5 |\n| 2 | Bo |  |\n| 3 | Cé | 2.25 |\n\nDone.",
    "mysql": """+----+------+-------+
| id | name | score |
+----+------+-------+
|  1 | Ana  |   1.5 |
|  2 | Bo   |  NULL |
|  3 | Cé   |  2.25 |
+----+------+-------+
3 rows in set (0.00 sec)""",
    "psql": """ id | name | score
----+------+-------
  1 | Ana  |   1.5
  2 | Bo   |
  3 | Cé   |  2.25
(3 rows)
""",
    "duckdb": """┌───────┬─────────┬────────┐
│  id   │  name   │ score  │
│ int32 │ varchar │ double │
├───────┼─────────┼────────┤
│     1 │ Ana     │    1.5 │
│     2 │ Bo      │   NULL │
│     3 │ Cé      │   2.25 │
└───────┴─────────┴────────┘""",
    "rich": """┏━━━━┳━━━━━━┳━━━━━━━┓
┃ id ┃ name ┃ score ┃
┡━━━━╇━━━━━━╇━━━━━━━┩
│ 1  │ Ana  │ 1.5   │
│ 2  │ Bo   │ None  │
│ 3  │ Cé   │ 2.25  │
└────┴──────┴───────┘""",
    "clickhouse": """   ┌─id─┬─name─┬─score─┐
1. │  1 │ Ana  │   1.5 │
2. │  2 │ Bo   │  ᴺᵁᴸᴸ │
3. │  3 │ Cé   │  2.25 │
   └────┴──────┴───────┘""",
    "double lines": """╔════╦══════╦═══════╗
║ id ║ name ║ score ║
╠════╬══════╬═══════╣
║ 1  ║ Ana  ║ 1.5   ║
║ 2  ║ Bo   ║       ║
║ 3  ║ Cé   ║ 2.25  ║
╚════╩══════╩═══════╝""",
    "a rule between all rows": """+----+------+-------+
| id | name | score |
+====+======+=======+
| 1  | Ana  | 1.5   |
+----+------+-------+
| 2  | Bo   |       |
+----+------+-------+
| 3  | Cé   | 2.25  |
+----+------+-------+""",
    "bars and one rule": "id | name | score\n-----------------\n1 | Ana | 1.5\n2 | Bo | None\n3 | Cé | 2.25",
    "commas and one rule": "Result of the query:\n\nid, name, score\n---------------\n1, Ana, 1.5\n2, Bo, None\n3, Cé, 2.25",
    "sqlite columns": "id  name  score\n--  ----  -----\n1   Ana   1.5\n2   Bo\n3   Cé    2.25\n",
    "vertical": "1. row\nid: 1\nname: Ana\nscore: 1.5\n\n2. row\nid: 2\nname: Bo\nscore: NULL\n\n3. row\nid: 3\nname: Cé\nscore: 2.25\n\nResult: 3 rows",
    "mysql \\G": """*************************** 1. row ***************************
   id: 1
 name: Ana
score: 1.5
*************************** 2. row ***************************
   id: 2
 name: Bo
score: NULL
*************************** 3. row ***************************
   id: 3
 name: Cé
score: 2.25
3 rows in set (0.00 sec)""",
    "psql expanded": """-[ RECORD 1 ]
id    | 1
name  | Ana
score | 1.5
-[ RECORD 2 ]
id    | 2
name  | Bo
score |
-[ RECORD 3 ]
id    | 3
name  | Cé
score | 2.25
""",
    "numbered rows": "Row 1:\n──────\nid:    1\nname:  Ana\nscore: 1.5\n\nRow 2:\n──────\nid:    2\nname:  Bo\nscore: NULL\n\nRow 3:\n──────\nid:    3\nname:  Cé\nscore: 2.25\n",
    "blank lines between": "id: 1\nname: Ana\nscore: 1.5\n\nid: 2\nname: Bo\nscore: NULL\n\nid: 3\nname: Cé\nscore: 2.25",
    "html": "<p>3 rows</p><table><tr><th>id</th><th>name</th><th>score</th></tr><tr><td>1</td><td>Ana</td><td>1.5</td></tr><tr><td>2</td><td>Bo</td><td>None</td></tr><tr><td>3</td><td>C&eacute;</td><td>2.25</td></tr></table>",
    "html with sections": "<TABLE><thead><tr><th>id<th>name<th>score</thead><tbody><tr><td>1<td>Ana<td>1.5<tr><td>2<td>Bo<td>NULL<tr><td>3<td>Cé<td>2.25</tbody></TABLE>",
    "columns line": "Columns: ['id', 'name', 'score']\n\n1, Ana, 1.5\n2, Bo, None\n3, Cé, 2.25",
}


def assert_table(result: dict[str, Any], case: str) -> None:
    reading = read(result)
    assert reading.error is None, case
    assert len(reading.tables) == 1, (case, reading.rejected)
    table = reading.tables[0]
    assert table.data.column_names == NAMES, case
    assert [list(row.values()) for row in table.data.to_pylist()] == ROWS, case


@pytest.mark.parametrize("case", VALUES)
def test_a_value_of_any_shape_in_structured_content(case: str) -> None:
    assert_table(structured(VALUES[case]), case)


@pytest.mark.parametrize("case", VALUES)
def test_a_value_of_any_shape_as_json_text(case: str) -> None:
    assert_table(text(json.dumps(VALUES[case])), case)


@pytest.mark.parametrize("case", VALUES)
def test_a_value_of_any_shape_as_python_text(case: str) -> None:
    assert_table(text(repr(VALUES[case])), case)


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_of_any_format(case: str) -> None:
    assert_table(text(TEXTS[case]), case)


def test_one_block_a_row() -> None:
    blocks = [{"type": "text", "text": json.dumps(record)} for record in RECORDS]
    assert_table({"content": blocks}, "blocks")


def test_one_block_a_cell_beside_structured_rows() -> None:
    blocks = [
        {"type": "text", "text": str(cell)} for row in [NAMES, *ROWS] for cell in row
    ]
    assert_table(
        {"content": blocks, "structuredContent": {"result": [NAMES, *ROWS]}}, "cells"
    )


def test_notes_in_other_blocks_are_text_and_not_rows() -> None:
    result = {
        "content": [
            {"type": "text", "text": JSON},
            {"type": "text", "text": "Query execution time: 3.1 ms"},
        ]
    }
    assert_table(result, "note after")
    assert "3.1 ms" in read(result).text
    assert_table({"content": list(reversed(result["content"]))}, "note before")


def test_several_results_are_several_tables() -> None:
    two = [{"rows": RECORDS, "rowCount": 3}, {"rows": [{"b": 2}], "rowCount": 1}]
    for value in (two, {"results": two}, [RECORDS, [{"b": 2}]], {"statements": two}):
        tables = read(text(json.dumps(value))).tables
        assert [table.shape for table in tables] == [(3, 3), (1, 1)], value


def test_rows_of_two_statements_in_one_list_are_told_apart() -> None:
    tables = read(text('{"rows": [{"a": 1}, {"b": 2}]}')).tables
    assert [table.data.to_pylist() for table in tables] == [[{"a": 1}], [{"b": 2}]]


def test_two_markdown_tables_are_two_tables() -> None:
    tables = read(text("# A\n\n|a|\n|-|\n|1|\n\n# B\n\n|b|c|\n|-|-|\n|2|x|\n")).tables
    assert [table.data.to_pylist() for table in tables] == [
        [{"a": 1}],
        [{"b": 2, "c": "x"}],
    ]


def test_no_rows_with_names_is_an_empty_table_with_these_columns() -> None:
    empty = [
        '{"columns": ["a", "b"], "rows": []}',
        '{"meta": [{"name": "a", "type": "Int32"}, {"name": "b", "type": "String"}], "data": [], "rows": 0}',
        "{'columns': ['a', 'b'], 'rows': []}",
        "| a | b |\n|---|---|\n",
        "a | b\n--+--",
        "Columns: ['a', 'b']\n\n",
        "<table><tr><th>a</th><th>b</th></tr></table>",
        "+---+---+\n| a | b |\n+---+---+\n+---+---+",
    ]
    for body in empty:
        (table,) = read(text(body)).tables
        assert (table.data.column_names, table.data.num_rows) == (["a", "b"], 0), body


def test_no_rows_without_names_take_them_from_the_statement() -> None:
    for body in ("[]", "()", '{"rows": [], "rowCount": 0}', "No rows returned", ""):
        content = [{"type": "text", "text": body}] if body else []
        (table,) = read(
            {"content": content}, sql="SELECT a, t.b AS c FROM t WHERE 1=0"
        ).tables
        assert table.data.column_names == ["a", "c"], body
        assert any("statement" in note for note in table.notes)


def test_rows_without_names_are_numbered_and_said_to_be() -> None:
    (table,) = read(text("[(1, 'a'), (2, None)]")).tables
    assert table.data.to_pylist() == [
        {"column_0": 1, "column_1": "a"},
        {"column_0": 2, "column_1": None},
    ]
    assert table.approximate
    assert "no column names" in table.notes[0]


def test_rows_without_names_take_them_from_a_plain_statement() -> None:
    (table,) = read(text("[(1, 'a')]"), sql="select id, name from t").tables
    assert table.data.column_names == ["id", "name"]


def test_repeated_names_keep_all_values() -> None:
    bodies = (
        '{"columns": ["a", "a"], "rows": [[1, 2]]}',
        '[{"a": 1, "a": 2}]',
        "a,a\n1,2\n",
        "| a | a |\n|---|---|\n| 1 | 2 |",
    )
    for body in bodies:
        (table,) = read(text(body)).tables
        assert table.data.to_pylist() == [{"a": 1, "a_2": 2}], body


def test_columns_that_collapsed_are_missed_by_the_statement() -> None:
    (table,) = read(
        text('[{"name": "x"}]'), sql="SELECT a.name, b.name FROM a JOIN b"
    ).tables
    assert table.approximate
    assert any("`name`" in note and "2 columns" in note for note in table.notes)


def test_a_lone_object_is_a_row_but_an_outcome_is_none() -> None:
    (table,) = read(text('{"id": 1, "tags": ["a"], "at": {"x": 1}}')).tables
    assert table.data.to_pylist() == [{"id": 1, "tags": ["a"], "at": {"x": 1}}]
    for body in (
        '{"success": true, "rowsAffected": 3}',
        '{"status": "ok", "message": "Table created"}',
    ):
        assert not read(text(body)).tables


def test_declared_types_are_used_and_said() -> None:
    columns = [
        ("a", "BIGINT"),
        ("b", "DECIMAL(18,4)"),
        ("c", "BOOLEAN"),
        ("d", "DATE"),
        ("e", "TIMESTAMP"),
        ("f", "VARCHAR"),
    ]
    value = {
        "columns": [{"name": name, "type": kind} for name, kind in columns],
        "rows": [
            [
                "9007199254740993",
                "1.5000",
                "true",
                "2024-02-29",
                "2024-02-29 10:00:00",
                "007",
            ]
        ],
    }
    (table,) = read(structured(value)).tables
    row = table.data.to_pylist()[0]
    assert (row["a"], row["b"], row["c"], row["f"]) == (
        9007199254740993,
        Decimal("1.5000"),
        True,
        "007",
    )
    assert table.types["a"] == "declared: int64 (BIGINT)"
    assert str(table.data.schema.field("d").type) == "date32[day]"
    assert str(table.data.schema.field("e").type) == "timestamp[us]"


def test_the_type_numbers_of_node_postgres_are_declarations() -> None:
    value = {"fields": [{"name": "n", "dataTypeID": 20}], "rows": [{"n": "5"}]}
    (table,) = read(structured(value)).tables
    assert table.types["n"] == "declared: int64 (int8)"


def test_the_output_schema_keeps_text_text() -> None:
    schema = {
        "properties": {"rows": {"items": {"properties": {"code": {"type": "string"}}}}}
    }
    (table,) = read(structured({"rows": [{"code": "12"}]}), output_schema=schema).tables
    assert table.data.to_pylist() == [{"code": "12"}]
