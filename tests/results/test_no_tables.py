"""Errors and prose never become a table, in whatever words or shape they come."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_notebook.results import Reading, read

ERROR_TEXTS = [
    'Error: relation "nope" does not exist\nLINE 1: SELECT * FROM nope\n                      ^',
    "Database error: no such table: nope",
    "Error executing query: 1146 (42S02): Table 'demo.nope' doesn't exist",
    'Error: (psycopg2.errors.UndefinedTable) relation "nope" does not exist\n\n[SQL: SELECT * FROM nope]',
    "SQL Error [42P01]: ERROR: relation does not exist, position: 15",
    '❌ Query failed: syntax error at or near "FORM"',
    "Failed to execute query: timeout, retry later",
    "Only SELECT statements are allowed.",
    "Only SELECT, SHOW and EXPLAIN queries are allowed in read-only mode",
    "Security violation: DELETE is not permitted",
    "Table nope does not exist",
    'ProgrammingError: (1064, "You have an error in your SQL syntax")',
    'psycopg2.errors.SyntaxError: syntax error at or near "x"',
    'sqlite3.OperationalError: near "FORM": syntax error',
    "Code: 60. DB::Exception: Unknown table expression identifier 'nope'. (UNKNOWN_TABLE)",
    "ORA-00942: table or view does not exist",
    "Msg 208, Level 16, State 1: Invalid object name 'nope'. Error 208",
    'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nValueError: a, b',
    "Fehler: Tabelle nope existiert nicht",
    "Erreur : la table nope n'existe pas",
    "错误：表不存在",
    "表 'nope' 不存在或查询失败",
    "Permission denied for table secrets",
    "Access denied - path outside allowed directories: /etc/passwd",
    "Rate limit exceeded, try again in 3, 2, 1",
    "Invalid query: expected a, b, c",
    "Connection refused: could not connect to server",
    'error processing request: unable to execute query: ERROR: relation "nope" does not exist (SQLSTATE 42P01)',
    "Error\n-----\nno such table",
    "[ERROR] id, name: columns not found",
    "SQLSTATE[42S02]: Base table or view not found: 1146 Table 'a.nope' doesn't exist",
    "(1146, \"Table 'a.nope' doesn't exist\")",
    "Catalog Error: Table with name nope does not exist!\n\nLINE 1: SELECT id",
    'Binder Error: Referenced column "a" not found in FROM clause!',
    "Unknown column 'a' in 'field list'",
    "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid object name 'nope'. (208)",
    "ERREUR:  la relation « nope » n'existe pas",
    "FEHLER:  Relation »nope« existiert nicht",
    'ОШИБКА:  отношение "nope" не существует',
    'ERRO:  relação "nope" não existe',
    "Lost connection to MySQL server during query",
    "canceling statement due to statement timeout",
    "database is locked",
    "attempt to write a readonly database",
    'insert or update on table "t" violates foreign key constraint "x"',
    "Query must start with SELECT",
    "division by zero",
    "Sorry, I could not run the query: bad",
    "Rejected: multiple statements",
    "1 validation error for call[query]\nsql\n  Field required [type=missing]",
]

ERROR_VALUES: list[Any] = [
    {"error": "no such table"},
    {"success": False, "error": "no such table", "rows": []},
    {"success": False, "message": "no such table", "data": None},
    {"ok": False, "reason": "denied"},
    {"status": "error", "message": "no such table"},
    {"status": "failed", "detail": "no such table", "rows": []},
    {"result": [{"error": "no such table"}]},
    {"result": {"error": "no such table"}},
    [{"error": "no such table"}],
    [{"Error": "no such table"}],
    {"error": {"code": -32000, "message": "no such table"}},
    {
        "errors": [
            {"message": "no such table", "locations": [{"line": 1, "column": 2}]}
        ],
        "data": None,
    },
    {"code": "ER_NO_SUCH_TABLE", "message": "no such table", "sqlState": "42S02"},
    {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such table",
    },
    {"statusCode": 500, "message": "Internal error"},
    {"isError": True, "message": "no such table"},
    {
        "sql": "SELECT 1",
        "success": False,
        "rows": 0,
        "columns": None,
        "data": None,
        "error": "[Error]: no such table",
    },
    {"success": False, "data": {"rows": [], "count": 0}, "error": "no such table"},
    {"error": "Rate limit exceeded", "retry_after": 5},
]

PROSE = [
    "The sum of 1 and 2 is 3.",
    "Hello, world\nThis is, a test",
    "Dear all,\nthe meeting is at ten, bring cake,\nregards, Ana",
    "Commit: 530f0b4b\nAuthor: n <a@b>\nDate: 2026-11-23\nMessage: first | commit, with comma",
    "On branch main\nnothing to commit, working tree clean",
    "[DIR] src\n[FILE] a.csv\n[FILE] b.csv",
    "Title\n-----\nA paragraph of text below a heading.\nAnd more of it.",
    "Title\n=====\n\nSome text.",
    "- one, two\n- three, four\n- five, six",
    "1. First, do this\n2. Then, do that\n3. Finally, rest",
    "Use `a | b` to pipe,\nor `c | d` if you like.",
    "size: 390\ncreated: Mon Nov 23 2026 02:13:06\nisFile: true",
    "import os\nx = {'a': 1}\nprint(x, os)",
    "Please see https://example.org/a,b?c=d for more, thanks",
    "/etc/passwd",
    "http://127.0.0.1:9/x.csv",
    "gASVKAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjA10b3VjaCAvdG1wL3B3lIWUUpQu",
    "Echo: a,b\n1,2",
    "<p>Hello <b>you</b></p>",
    '<!DOCTYPE l [<!ENTITY a "aa">]><l>&a;</l>',
    'You can call it with {"limit": 5} as argument.',
    'Example:\n{"limit": 5}\nThat is all.',
    "x",
    "Roses are red,\nviolets are blue,\nsugar is sweet,\nand so are you",
    "name\nAna\nBo",
    "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+hi",
]


def of_text(text: str) -> Reading:
    return read({"content": [{"type": "text", "text": text}], "isError": False})


@pytest.mark.parametrize("text", ERROR_TEXTS)
def test_an_error_told_as_text(text: str) -> None:
    reading = of_text(text)
    assert not reading.tables
    assert reading.error


@pytest.mark.parametrize("value", ERROR_VALUES, ids=str)
def test_an_error_told_as_an_object(value: Any) -> None:
    for result in (
        {"content": [{"type": "text", "text": json.dumps(value)}]},
        {"content": [{"type": "text", "text": repr(value)}]},
        {"content": [], "structuredContent": {"result": value}},
        {"content": [], "structuredContent": {"result": json.dumps(value)}},
    ):
        reading = read(result)
        assert not reading.tables
        assert reading.error


@pytest.mark.parametrize("text", PROSE)
def test_prose_stays_text(text: str) -> None:
    reading = of_text(text)
    assert not reading.tables
    assert reading.text == text
    assert reading.error is None


def test_a_flagged_error_wins_over_a_table() -> None:
    reading = read(
        {"content": [{"type": "text", "text": '[{"a": 1}]'}], "isError": True}
    )
    assert not reading.tables
    assert reading.error


@pytest.mark.parametrize(
    "body",
    [
        '[{"id": 1, "error": "timeout"}, {"id": 2, "error": null}]',
        '[{"id": 7, "level": "warn", "error": "disk full", "host": "a"}]',
        "error,count\ntimeout,3\nrefused,5\n",
        "| error | count |\n|---|---|\n| timeout | 3 |",
        "error   | count\n--------+------\ntimeout | 3",
        '{"success": true, "error": null, "rows": [{"a": 1}]}',
        '{"rows": [{"a": 1}], "errors": []}',
        '{"status": "ok", "data": [{"status": "failed", "n": 3}]}',
    ],
)
def test_a_table_about_errors_is_a_table(body: str) -> None:
    reading = of_text(body)
    assert reading.error is None
    assert len(reading.tables) == 1


@pytest.mark.parametrize(
    ("body", "sql"),
    [
        ("error\ndisk full\n", "select error from log"),
        ("message\nfailed to open\n", "select message from log"),
        ("error | n\n---------\ndisk | 2", "select error, n from log"),
        ('[{"n": 1, "status": "error"}]', ""),
        ('[{"n": 1, "status": "failed"}, {"n": 2, "status": "ok"}]', ""),
        ('[{"level": "error", "msg": "Query failed"}]', ""),
    ],
)
def test_rows_that_only_speak_of_errors_are_rows(body: str, sql: str) -> None:
    reading = read({"content": [{"type": "text", "text": body}]}, sql=sql)
    assert reading.error is None
    assert len(reading.tables) == 1


def test_a_long_text_about_databases_is_no_error() -> None:
    page = (
        "How we fixed a deadlock.\n\nThe database is locked whenever two writers meet.\n"
        * 4
    )
    assert read({"content": [{"type": "text", "text": page}]}).error is None


def test_an_error_column_that_was_asked_for_is_data() -> None:
    reading = read(
        {"content": [{"type": "text", "text": '[{"error": "x"}]'}]},
        sql="SELECT error FROM log LIMIT 1",
    )
    assert reading.error is None
    assert reading.tables[0].data.to_pylist() == [{"error": "x"}]


def test_a_partly_failed_answer_keeps_its_rows_and_says_so() -> None:
    blocks = ["fail to marshal: unsupported value: +Inf", '{"id": 2, "v": 1.5}']
    reading = read({"content": [{"type": "text", "text": block} for block in blocks]})
    assert reading.tables[0].approximate
    assert "1 of 2 blocks are errors" in "".join(reading.tables[0].notes)
