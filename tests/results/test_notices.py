"""A result that the server cut says so, by flag, by words or by counts; a whole one is
left alone.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_notebook.results import Table, read

ROWS = [{"a": number} for number in range(3)]
TEXT = json.dumps(ROWS)

CUT: list[Any] = [
    {"rows": ROWS, "truncated": True},
    {"rows": ROWS, "hasMore": True},
    {"rows": ROWS, "pagination": {"hasMore": True, "pageSize": 3}},
    {"rows": ROWS, "nextCursor": "abc"},
    {"data": ROWS, "meta": {"next_page_token": "abc"}},
    {"rows": ROWS, "rowCount": 10_000, "returnedRows": 3},
    {"rows": ROWS, "total": 99},
    {"rows": ROWS, "warning": "Results truncated to 3 rows"},
    {"rows": ROWS, "message": "Showing first 3 of 120 rows"},
    {"rows": ROWS, "hint": "Only the first 3 rows are returned"},
    {"values": [["a"], [1]], "next_range": "A3:A9"},
    f"{TEXT}\n\nNote: Results limited to 3 rows. There may be additional rows.",
    f"Showing 3 of 500 rows:\n\n{TEXT}",
    f"Found 120 rows\n{TEXT}",
    "a | b\n--+--\n1 | 2\n... (10000 total rows, showing first 1)",
    "1. row\na: 1\nb: 2\n\nResult: showing first 1 rows (output truncated)",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n*... and 97 more rows*",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n仅显示前 1 行",
]

WHOLE: list[Any] = [
    {
        "rows": ROWS,
        "truncated": False,
        "hasMore": False,
        "nextCursor": None,
        "rowCount": 3,
    },
    {"rows": [{"truncated": True, "next": "x", "total": 99}], "rowCount": 1},
    {"rows": ROWS, "maxRows": 1000, "limit": 500, "executionTimeMs": 5000},
    f"Query executed successfully. Retrieved 3 rows.\n\n{TEXT}",
    f"{TEXT}\n3 rows in set (0.12 sec)",
]


def table_of(body: Any) -> Table:
    text = body if isinstance(body, str) else json.dumps(body)
    (table,) = read({"content": [{"type": "text", "text": text}]}).tables
    return table


@pytest.mark.parametrize("body", CUT, ids=str)
def test_a_cut_is_said(body: Any) -> None:
    assert table_of(body).truncated


@pytest.mark.parametrize("body", WHOLE, ids=str)
def test_a_whole_result_is_not_called_cut(body: Any) -> None:
    assert not table_of(body).truncated


def test_the_total_is_known_when_the_server_tells_it() -> None:
    assert table_of({"rows": ROWS, "rowCount": 10_000}).total_rows == 10_000
    assert (
        table_of({"rows": ROWS, "message": "Showing first 3 of 120 rows"}).total_rows
        == 120
    )


def test_a_round_number_of_rows_is_a_hint_unless_the_statement_asked_for_it() -> None:
    result = {
        "content": [
            {"type": "text", "text": json.dumps([{"a": n} for n in range(100)])}
        ]
    }
    assert any("may have a limit" in note for note in read(result).tables[0].notes)
    assert not read(result, sql="SELECT a FROM t LIMIT 100").tables[0].notes


def test_the_frame_carries_the_notice() -> None:
    frame = table_of({"rows": ROWS, "truncated": True}).to_pandas()
    assert frame.attrs["mcp"]["truncated"]


def cut_of(body: str, **options: Any) -> Table:
    (table,) = read({"content": [{"type": "text", "text": body}]}, **options).tables
    return table


def test_a_limit_that_the_server_put_into_the_statement_is_a_cut() -> None:
    rows = [{"id": n} for n in range(1000)]
    body = json.dumps(
        {"query": "SELECT * FROM (SELECT id FROM t) AS q LIMIT 1000", "rows": rows}
    )
    assert "added LIMIT 1,000" in cut_of(body, sql="SELECT id FROM t").truncated
    assert not cut_of(body, sql="SELECT id FROM t LIMIT 1000").truncated


def test_as_many_rows_as_an_argument_allows_may_not_be_all() -> None:
    body = json.dumps([{"id": n} for n in range(7)])
    assert "`max_rows` allows" in " ".join(
        cut_of(body, arguments={"sql": "SELECT id FROM t", "max_rows": 7}).notes
    )
    assert not cut_of(body, arguments={"max_rows": 8}).notes
    own = cut_of(body, sql="SELECT id FROM t LIMIT 7", arguments={"max_rows": 7})
    assert not own.notes


def test_a_report_about_one_object_counts_no_rows_of_it() -> None:
    assert not cut_of(
        json.dumps({"dataset": "p", "total_rows": 30, "columns": 4})
    ).truncated


@pytest.mark.parametrize(
    "body",
    [
        "Query result is empty\n\n**Column names:** id, name",
        "## Query Results\n**SQL:** `SELECT id, name FROM t`\n**Rows:** 0\n\n*No rows returned.*",
        '{"id": "f4", "status": "success", "message": "Query executed successfully. No results returned."}',
        "The query returned no rows.",
    ],
)
def test_words_for_no_rows_are_an_empty_table_with_the_columns_of_the_statement(
    body: str,
) -> None:
    table = cut_of(body, sql="SELECT id, name FROM t")
    assert (table.data.column_names, table.data.num_rows) == (["id", "name"], 0)


def test_columns_named_beside_words_for_no_rows_are_taken() -> None:
    assert cut_of(
        "Query result is empty\n\n**Column names:** id, name"
    ).data.column_names == ["id", "name"]


def test_a_text_that_says_that_it_is_the_shorter_one_cuts_nothing():
    """Structured content is whole; its text is a part and says so."""
    rows = [[n, f"name {n}"] for n in range(60)]
    lines = [f"{n},{name}" for n, name in rows[:40]]
    closing = "(60 rows)\n(this text holds the first 40 of them, the structured content holds all 60)"
    result = {
        "content": [{"type": "text", "text": "\n".join(["id,name", *lines, closing])}],
        "structuredContent": {
            "columns": [
                {"name": "id", "type": "integer", "declared": "INTEGER"},
                {"name": "name", "type": "text", "declared": "TEXT"},
            ],
            "rows": rows,
            "truncated": False,
        },
    }
    reading = read(result)
    (table,) = reading.tables
    assert table.shape == (60, 2)
    assert (table.truncated, table.notes, reading.text) == ("", (), "")


@pytest.mark.parametrize("text", ["COUNT(*)\n955\n(1 row)", "COUNT(*)\n--------\n955"])
def test_a_text_that_repeats_one_value_is_not_told_beside_it(text):
    reading = read(
        {
            "content": [{"type": "text", "text": text}],
            "structuredContent": {"columns": ["COUNT(*)"], "rows": [[955]]},
        }
    )
    assert reading.text == ""
    assert reading.tables[0].data.to_pylist() == [{"COUNT(*)": 955}]
