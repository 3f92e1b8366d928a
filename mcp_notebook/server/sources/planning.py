"""The request that makes a plan, answered in the worker process for a model's SQL and
in this one for the person's.

`{"plan": sql, "dialect", "rows", "tables": {name: {"schema": `columns.packed`, "view":
name or ""}}}` -> the plan as JSON, and under "judged" the names and types that DuckDB
gives the answer's columns ("" when only the engine can tell). sqlglot is not hardened
against statements made to exhaust it, so a stranger's statement is parsed where a
deadline kills.
"""

from typing import Any

import pyarrow as pa

from mcp_notebook.server import duck, sqlguard
from mcp_notebook.server.mend import ToolError
from mcp_notebook.server.sources import guard, plan
from mcp_notebook.server.sources.columns import packed, unpacked
from mcp_notebook.server.sources.pruning import named_columns
from mcp_notebook.values import value_kind


def planned(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; raises `ToolError` for a statement that is not to run."""
    schemas = {
        name: unpacked(table["schema"]) for name, table in request["tables"].items()
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
    made = _made(sql, request["dialect"], columns, views, request["rows"])
    if not made.judge:
        return {**made.as_json(), "judged": ""}
    sqlguard.check(connection, sql, tuple(schemas))
    # Names and types are right or wrong there as here, and a wrong one is explained as
    # for any other table.
    empty = {name: schema.empty_table() for name, schema in schemas.items()}
    judged = duck.run(connection, sql, empty, rows=0, max_bytes=1 << 20)
    return {
        **made.as_json(),
        "judged": packed(judged.data.schema),
        "types": judged.types,
    }


def _made(
    sql: str,
    dialect: str,
    columns: dict[str, dict[str, str]],
    views: dict[str, str],
    rows: int,
) -> plan.Plan:
    try:
        return plan.make(sql, dialect, columns, rows=rows, views=views)
    except guard.UnreadableError:
        if not guard.is_in(sql, dialect):
            raise
        return plan.make(sql, dialect, columns, rows=rows, read=dialect, views=views)


def answer(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to any of this module's requests."""
    if "plan" in request:
        return planned(connection, request)
    return named(request) if "columns_of" in request else reads(request)


def reads(request: dict[str, Any]) -> dict[str, Any]:
    """`{"reads": sql, "dialect"}` -> whether the text is that dialect's and not DuckDB's."""
    try:
        guard.parse(request["reads"], "duckdb")
    except ToolError:
        return {"reads": guard.is_in(request["reads"], request["dialect"])}
    return {"reads": False}


def named(request: dict[str, Any]) -> dict[str, Any]:
    """`{"columns_of": sql, "tables": {name: [columns]}}` -> which of them the statement
    can need, by table.
    """
    return {"columns": named_columns(request["columns_of"], request["tables"])}


_WORDS = {"boolean": "bool", "narrow float": "float", "duration": "interval"}
_KNOWN = frozenset(
    [
        "integer",
        "float",
        "decimal",
        "text",
        "bool",
        "date",
        "timestamp",
        "map",
        "list",
        "struct",
        "interval",
    ]
)


def kind_word(kind: pa.DataType) -> str:
    """What kind of values a column holds, in the words of `exact.Kinds`."""
    name = value_kind(kind).name
    word = _WORDS.get(name, name)
    return word if word in _KNOWN else "other"
