"""Printed frames, drawn tables with types, YAML, TOON, XML, fences and tags: read, said
what is lost, shown by name.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mcp_notebook.results import Reading, Table, explain, read

NAMES = ["id", "name", "score"]
ROWS = [[1, "Ana", 1.5], [2, "Bo", None], [3, "Cé", 2.25]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
FRAME = pd.DataFrame(RECORDS)
CSV = "id,name,score\n1,Ana,1.5\n2,Bo,\n3,Cé,2.25\n"

POLARS = """shape: (3, 3)
┌─────┬──────┬───────┐
│ id  ┆ name ┆ score │
│ --- ┆ ---  ┆ ---   │
│ i64 ┆ str  ┆ f64   │
╞═════╪══════╪═══════╡
│ 1   ┆ Ana  ┆ 1.5   │
│ 2   ┆ Bo   ┆ null  │
│ 3   ┆ Cé   ┆ 2.25  │
└─────┴──────┴───────┘"""

TEXTS = {
    "printed frame": FRAME.to_string(),
    "printed frame without index": FRAME.to_string(index=False),
    "printed frame below prose": f"Result of the query:\n\n{FRAME.to_string(index=False)}\n\n3 rows",
    "printed frame that lost its padding": f"Rows:\n{FRAME.to_string().strip()}",
    "printed frame with its size": repr(FRAME) + "\n\n[3 rows x 3 columns]",
    "Polars": POLARS,
    "Polars below prose": f"Here:\n\n{POLARS}\n",
    "DuckDB": str(duckdb.sql("select * from (values (1, 'Ana', 1.5::double), (2, 'Bo', null), (3, 'Cé', 2.25)) t(id, name, score)")),
    "YAML": yaml.safe_dump(RECORDS, sort_keys=False, allow_unicode=True),
    "YAML below a key": f"rows:\n{yaml.safe_dump(RECORDS, sort_keys=False)}count: 3\n",
    "YAML in a fence": f"Here:\n```yaml\n{yaml.safe_dump(RECORDS, sort_keys=False)}```\nDone.",
    "TOON": 'items[3]{id,name,score}:\n  1,Ana,1.5\n  2,Bo,null\n  3,"Cé",2.25\n',
    "TOON with bars": "ok: true\nitems[3|]{id|name|score}:\n  1|Ana|1.5\n  2|Bo|null\n  3|Cé|2.25\ncount: 3",
    "XML": "<rows>" + "".join(f"<row><id>{i}</id><name>{n}</name><score>{s if s else 'NULL'}</score></row>" for i, n, s in ROWS) + "</rows>",
    "XML of mysql": '<?xml version="1.0"?>\n<resultset>'
    + "".join(f'<row><field name="id">{i}</field><field name="name">{n}</field><field name="score">{s or "NULL"}</field></row>' for i, n, s in ROWS)
    + "</resultset>",
    "XML attributes": "<r>" + "".join(f'<row id="{i}" name="{n}" score="{s or "NULL"}"/>' for i, n, s in ROWS) + "</r>",
    "CSV in a fence": f"Here it is:\n```csv\n{CSV}```\nThat is all.",
    "CSV in a nameless fence": f"```\n{CSV}```",
    "CSV in a tag": f"<query-result>\n{CSV}</query-result>",
    "markdown in a fence": "```markdown\n| id | name | score |\n|---|---|---|\n| 1 | Ana | 1.5 |\n| 2 | Bo | |\n| 3 | Cé | 2.25 |\n```",
    "tabulate": "  id  name      score\n----  ------  -------\n   1  Ana        1.5\n   2  Bo\n   3  Cé         2.25",
}  # fmt: skip


def of_text(text: str, **options: Any) -> Reading:
    return read({"content": [{"type": "text", "text": text}]}, **options)


def table_of(text: str) -> Table:
    (table,) = of_text(text).tables
    return table


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_of_a_further_format(case: str) -> None:
    table = table_of(TEXTS[case])
    assert table.data.column_names == NAMES
    assert [list(row.values()) for row in table.data.to_pylist()] == ROWS


@pytest.mark.parametrize(("case", "reader"), [("printed frame", "printed frame"), ("YAML", "yaml"), ("TOON", "toon"), ("XML", "xml"), ("CSV in a fence", "csv in a fenced block of csv")])  # fmt: skip
def test_an_explanation_names_the_reader(case: str, reader: str) -> None:
    told = explain({"content": [{"type": "text", "text": TEXTS[case]}]}).lines()
    assert told[0].startswith(f"reader: {reader} (")


def test_rows_that_pandas_leaves_out_are_said_with_the_whole_number() -> None:
    table = table_of(repr(pd.DataFrame({"id": range(200), "x": [1.5] * 200})))
    assert (table.data.num_rows, table.total_rows, bool(table.truncated)) == (
        10,
        200,
        True,
    )


def test_rows_that_duckdb_and_polars_leave_out_are_said() -> None:
    drawn = table_of(str(duckdb.sql("select i, i * 2 as j from range(1000) r(i)")))
    assert drawn.truncated
    cut = POLARS.replace("(3, 3)", "(300, 3)").replace(
        "│ 2   ┆ Bo   ┆ null  │", "│ …   ┆ …    ┆ …     │"
    )
    assert (table_of(cut).truncated != "", table_of(cut).total_rows) == (True, 300)


def test_what_printing_loses_is_said_by_the_name_of_the_column() -> None:
    printed = table_of(
        pd.DataFrame({"id": [1, 2], "x": [0.1234567891, 2.0]}).to_string()
    )
    assert printed.approximate
    assert any("`x`" in note and "six digits" in note for note in printed.notes)
    long = table_of(POLARS.replace("Ana ", "An… "))
    assert any("`name`" in note and "cut" in note for note in long.notes)


def test_an_index_with_names_is_a_column() -> None:
    table = table_of(FRAME.set_index("name").to_string())
    assert table.data.column_names == ["name", "id", "score"]
    assert table.data.column("name").to_pylist() == ["Ana", "Bo", "Cé"]


def test_a_list_that_announces_more_rows_than_came_is_cut() -> None:
    table = table_of("items[5]{id,name}:\n  1,a\n  2,b\n")
    assert ("5 rows" in table.truncated, table.total_rows) == (True, 5)


@pytest.mark.parametrize(
    "records",
    [
        [{"a": "x: y", "b": "line one\nline two\n", "c": "# no comment"}, {"a": "- dash", "b": "", "c": "it's \"quoted\""}],
        [{"a": "long words " * 30, "b": "007"}, {"a": "1e5", "b": "yes"}],
        [{"a": "tab\there", "b": " padded "}, {"a": "\u2028", "b": "null"}],
    ],
)  # fmt: skip
def test_yaml_texts_come_back_as_they_were(records: list[dict[str, str]]) -> None:
    table = table_of(yaml.safe_dump(records, sort_keys=False))
    assert table.data.to_pylist() == records


@pytest.mark.parametrize(
    "text",
    [
        "- Note: first we tried this\n- Result: it did not work\n- Next: ask again",
        "Dear all,\nthe next one\nis not here",
        "steps:\n- name: a\n  run: |\n    x\n- uses: b\n  with:\n    c: d\n",
        "<p>Hello</p>\n<ul><li>one</li><li>two</li></ul>",
        "```sql\nselect a, b\nfrom t, u\n```",
        "```python\na, b = 1, 2\nc, d = 3, 4\n```\nThat was it.",
    ],
)
def test_text_that_only_looks_alike_is_no_table(text: str) -> None:
    assert not of_text(text).tables


TABLE = pa.table(
    {"id": pa.array([1, None], pa.int64()), "day": pa.array([0, 1], pa.date32())}
)


def _stream() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue().to_pybytes()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(TABLE, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("data", "mime"), [(_stream(), "application/vnd.apache.arrow.stream"), (_parquet(), "application/vnd.apache.parquet"), (_stream(), "")])  # fmt: skip
def test_arrow_streams_and_parquet_come_as_blobs(data: bytes, mime: str) -> None:
    resource = {
        "uri": "table://t",
        "mimeType": mime,
        "blob": base64.b64encode(data).decode(),
    }
    (table,) = read({"content": [{"type": "resource", "resource": resource}]}).tables
    assert table.data.equals(TABLE)


@pytest.mark.parametrize(
    "text",
    [
        "┏━━━━┓\n┃ id ┃\n┣━━━━┫\n┃ x\n\ny ┃\n┣━━━━┫\n┃ 1  ┃\n┗━━━━┛",
        "|_. id |_. name |\n|<. 1 |<. line1\nline2 |\n|<. 2 |<. b |",
        '{| class="wikitable"\n! id !! name\n|-\n| 1 || x\n\ny || 2\n|}',
    ],
)
def test_a_drawn_table_that_a_line_break_has_torn_is_no_table(text: str) -> None:
    assert not of_text(text).tables


@pytest.mark.parametrize(
    "text",
    [
        "id  name  total\n--  ----  -----\n          x\n\ny        \n               ",
        "id\n------------------------------\n...",
        "id\nNaN\n\n",
        "id  name\n--  ----\n    x\n\ny\n    NULL",
    ],
)
def test_rows_that_may_be_missing_are_said(text: str) -> None:
    table = table_of(text)
    assert table.approximate or table.truncated


def test_rows_below_a_blank_line_belong_to_the_table() -> None:
    table = table_of(
        "id  name  total\n--  ----  -----\n1   a     3\n\n2   b     4\n\nThat is all."
    )
    assert table.data["id"].to_pylist()[-1] == 2
    assert table.approximate


def test_a_value_of_backticks_closes_no_fence() -> None:
    assert table_of("Rows:\n```csv\nid,total\n```,7\nx,8\n```\n").data[
        "id"
    ].to_pylist() == ["```", "x"]


def test_a_list_inside_a_record_is_a_value() -> None:
    table = table_of('{"id": 1, "total": "[1, 2]"}')
    assert table.data.to_pylist() == [{"id": 1, "total": "[1, 2]"}]


def test_a_list_inside_an_outcome_is_the_answer() -> None:
    table = table_of('{"status": "ok", "found": "[{\\"id\\": 1}, {\\"id\\": 2}]"}')
    assert table.data["id"].to_pylist() == [1, 2]


def test_a_tsv_whose_header_ends_where_its_longest_row_does_is_no_printed_frame() -> (
    None
):
    reading = of_text("id\tname\nNULL\t\nNULL\t4917012345\nNULL\t4917012345\n")
    assert reading.reader == "csv"


def test_a_value_of_dashes_begins_no_table_inside_a_box() -> None:
    assert table_of("+----+\n| id |\n+----+\n| a  |\n| -- |\n+----+").data[
        "id"
    ].to_pylist() == ["a", "--"]


def test_borders_without_bars_between_them_are_no_box() -> None:
    assert not of_text('id\n+---+\n""\n+---+').tables


def test_a_printed_frame_of_flags_alone_is_a_table() -> None:
    assert table_of("Result:\n\n   id  name\nFalse False\n True False").data[
        "id"
    ].to_pylist() == [False, True]
