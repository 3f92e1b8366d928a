"""What is asked about a statement before it runs, answered where it can do no harm: in
the worker process for a model's SQL, in this process for the person's. sqlglot is not
hardened against statements made to exhaust it, so a stranger's statement is parsed
where a deadline kills.

`{"check": sql, "offered": [names], "macros": [names], "engines": [plan requests without
their "plan"]}` -> `{"sql", "tables", "lists_tables", "describes"}`. When all the tables
of the statement are on one of the engines the plan comes with it, as "planned", or as
"refused" the sentence on why there is none: one way to the worker for both.

`{"plan": sql, "dialect", "rows", "tables": {name: {"schema": `engine.pack_schema`,
"view": name or ""}}}` -> the plan as JSON, and under "judged" the names and types that
DuckDB gives the answer's columns ("" when only the engine can tell).

`{"columns_of": sql, "tables": {name: [columns]}}` -> which of them the statement can
need, by table. `{"reads": sql, "dialect"}` -> whether the text is that dialect's and
not DuckDB's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing import sqlguard
from mcp_notebook.sharing.sources.engine import pack_schema, unpack_schema
from mcp_notebook.values import value_kind

KINDS = {"check", "plan", "columns_of", "reads"}
_DESCRIBES = re.compile(r"\s*(describe|desc|show)\b", re.IGNORECASE)


def answer(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; raises `ToolError`."""
    if "check" in request:
        return _check_statement(connection, request)
    if "plan" in request:
        return make_plan(connection, request)
    if "columns_of" in request:
        named = _load_planning().named_columns(request["columns_of"], request["tables"])
        return {"columns": named}

    reads = _load_planning().is_only_in(request["reads"], request["dialect"])
    return {"reads": reads}


def _check_statement(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    macros = request.get("macros", ())
    statement = sqlguard.check(
        connection, request["check"], request["offered"], macros=macros
    )
    describes = _DESCRIBES.match(statement.sql) is not None
    said = {
        "sql": statement.sql,
        "tables": statement.tables,
        "lists_tables": statement.lists_tables,
        "describes": describes,  # columns, no rows
    }
    if describes:
        engine = None
    else:
        engine = _engine_of(statement.tables, request)

    if engine is None:
        return said

    tables = {name: engine["tables"][name] for name in statement.tables}
    planning = {**engine, "tables": tables, "plan": statement.sql}
    try:
        return {**said, "planned": make_plan(connection, planning)}
    except ToolError as error:
        return {**said, "refused": str(error)}


def _engine_of(named: Sequence[str], request: dict[str, Any]) -> dict[str, Any] | None:
    """The engine that has all the named tables, if they are on one."""
    engines = request.get("engines", ()) if named else ()
    return next((e for e in engines if set(named) <= e["tables"].keys()), None)


def make_plan(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; raises `ToolError` for a statement that is not to run."""
    schemas = {
        name: unpack_schema(table["schema"])
        for name, table in request["tables"].items()
    }
    columns = {
        name: {f.name: kind_word(f.type) for f in schema}
        for name, schema in schemas.items()
    }
    views = {
        name: table["view"]
        for name, table in request["tables"].items()
        if table["view"]
    }
    sql = request["plan"]
    made = _load_planning().make_as_read(
        sql, request["dialect"], columns, rows=request["rows"], views=views
    )
    if not made.judge:
        return {**made.as_json(), "judged": ""}

    sqlguard.check(connection, sql, tuple(schemas))
    # Names and types are right or wrong there as here, and a wrong one is explained as
    # for any other table.
    empty = {name: schema.empty_table() for name, schema in schemas.items()}
    judged = sqlguard.run(connection, sql, empty, rows=0, max_bytes=1 << 20)
    return {
        **made.as_json(),
        "judged": pack_schema(judged.data.schema),
        "types": judged.types,
    }


def _load_planning() -> Any:
    # It loads sqlglot, which statements over plain tables do not need.
    from mcp_notebook.sharing.sources import plan

    return plan


_WORDS = {"boolean": "bool", "narrow float": "float", "duration": "interval"}
_KNOWN = frozenset(
    """integer float decimal text bool date timestamp map list struct interval""".split()
)


def kind_word(kind: pa.DataType) -> str:
    """What kind of values a column holds, in the words of `dialect_rules.Kinds`."""
    name = value_kind(kind).name
    word = _WORDS.get(name, name)
    if word in _KNOWN:
        return word
    return "other"
