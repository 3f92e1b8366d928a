"""Forms met on servers that no reader was written for, each as a small text of its own."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pytest

from mcp_notebook.results import Reading, Table, read


def reading(text: str, sql: str = "") -> Reading:
    """What one text block gives."""
    return read({"content": [{"type": "text", "text": text}]}, sql=sql)


def table(text: str, sql: str = "") -> Table:
    """The only table of one text block."""
    (found,) = reading(text, sql).tables
    return found


def test_no_rows_beside_warnings_are_no_rows_and_not_the_warnings() -> None:
    text = '{"passed": true, "rows": [], "rowcount": 0, "warnings": [{"rule": "W2", "message": "no LIMIT"}]}'
    found = table(text, "SELECT id, name FROM t WHERE 1=0")
    assert (found.data.column_names, found.data.num_rows) == (["id", "name"], 0)


def test_rows_under_the_statements_names_by_their_numbers_are_columns() -> None:
    found = table(
        '{"id": {"0": 1, "1": 2}, "name": {"0": "a", "1": null}}',
        "SELECT id, name FROM t",
    )
    assert found.data.to_pylist() == [{"id": 1, "name": "a"}, {"id": 2, "name": None}]
    empty = table('{"id": {}, "name": {}}', "SELECT id, name FROM t")
    assert (empty.data.column_names, empty.data.num_rows) == (["id", "name"], 0)


def test_objects_under_the_statements_names_stay_cells() -> None:
    found = table('{"a": {"x": 1}, "b": {"x": 2}}', "SELECT a, b FROM t")
    assert found.data.to_pylist() == [{"a": {"x": 1}, "b": {"x": 2}}]


@pytest.mark.parametrize("wrong", [9007199254740993, 10**22])
def test_whole_numbers_that_javascript_prints_of_a_float_are_floats(wrong: int) -> None:
    found = table(json.dumps([{"f": 0.5}, {"f": 10**16}, {"f": 1e300}]))
    assert found.data.column("f").to_pylist() == [0.5, 1e16, 1e300]
    kind = table(f'[{{"f": 0.5}}, {{"f": {wrong}}}]').data.schema.types[0]
    assert pa.types.is_decimal(kind)


def test_a_declared_timestamp_in_javascripts_form_says_what_that_loses() -> None:
    text = json.dumps(
        {
            "fields": [{"name": "at", "type": "timestamp without time zone"}],
            "rows": [{"at": "2024-02-29T23:59:59.123Z"}, {"at": None}],
        }
    )
    found = table(text)
    assert found.data.column("at")[0].as_py() == dt.datetime(
        2024, 2, 29, 23, 59, 59, 123000, tzinfo=dt.UTC
    )
    assert any("`at` is written as JavaScript dates" in note for note in found.notes)


def test_a_refusal_with_a_key_of_its_own_is_an_error() -> None:
    found = reading(
        '{"error": "Destructive operation requires confirmation", "sql_type": "OTHER", "statement": "SELEC", '
        '"detail": "Unrecognized statement type. Set confirm=true to execute."}'
    )
    assert found.error == (
        "Destructive operation requires confirmation: "
        "Unrecognized statement type. Set confirm=true to execute."
    )
    assert not found.tables


def test_a_row_with_a_column_named_error_is_a_row() -> None:
    found = reading(
        '{"id": 7, "job": "nightly", "error": "none so far", "detail": "x"}'
    )
    assert found.error is None
    assert found.tables[0].data.num_rows == 1


def test_bars_in_a_markdown_table_of_one_column_are_in_its_values() -> None:
    found = table("| name |\n| --- |\n| Ada |\n| x | y |\n| Grace |")
    assert found.data.column("name").to_pylist() == ["Ada", "x | y", "Grace"]
    assert found.approximate
    assert any("`name`" in note for note in found.notes)


def test_numbers_under_a_rule_are_numbers_however_they_are_set() -> None:
    found = table(
        "  track_id\n----------\n         1\n        10\n       100",
        "SELECT track_id FROM t",
    )
    assert found.data.column("track_id").to_pylist() == [1, 10, 100]


def test_same_values_under_one_name_are_said_of_every_column() -> None:
    found = table("| id | id |\n| --- | --- |\n| 1 | 1 |\n| 2 | 2 |")
    assert any("`id`, `id_2` hold the same values" in note for note in found.notes)


def test_html_whose_names_are_padded_has_padded_values() -> None:
    text = "<table><tr><th>name  </th><th>  n</th></tr><tr><td>Ada   </td><td> 10</td></tr></table>"
    (table,) = read({"content": [{"type": "text", "text": text}]}).tables
    assert table.data.to_pylist() == [{"name": "Ada", "n": 10}]
    assert "spaces at the ends" in table.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        " id | name\n----+------\n 1  | a\n    | b\n 2  | c",
        "+------+\n| note |\n+------+\n| a    |\n| b    |\n+------+",
    ],
)
def test_a_line_that_may_go_on_with_the_row_above_is_said(text: str) -> None:
    (table,) = read({"content": [{"type": "text", "text": text}]}).tables
    assert table.approximate


def test_a_counted_psql_table_is_sure_of_its_rows() -> None:
    (table,) = read(
        {
            "content": [
                {
                    "type": "text",
                    "text": " id | n\n----+---\n 1  | a\n    | b\n(2 rows)",
                }
            ]
        }
    ).tables
    assert not table.approximate
