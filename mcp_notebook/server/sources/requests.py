"""What is asked about a statement before it runs, answered where it can do no harm: in
the worker process for a model's SQL, in this process for the person's.

`{"check": sql, "offered": [names], "macros": [names], "engines": [requests of
`planning` without their "plan"]}` -> `{"sql", "tables", "lists_tables", "describes"}`.
When all the tables of the statement are on one of the engines the plan comes with it,
as "planned", or as "refused" the sentence on why there is none: one way to the worker
for both. `{"plan": ...}`, `{"columns_of": ...}` and `{"reads": ...}` are `planning`'s.
"""

import re
from typing import Any

from mcp_notebook.server import sqlguard
from mcp_notebook.server.tool_errors import ToolError

KINDS = {"check", "plan", "columns_of", "reads"}
_DESCRIBES = re.compile(r"\s*(describe|desc|show)\b", re.IGNORECASE)


def answer(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; raises `ToolError`."""
    if "check" in request:
        return _checked(connection, request)
    # loads sqlglot, which other statements do not need
    from mcp_notebook.server.sources import planning

    return planning.answer(connection, request)


def _checked(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
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
    named = set(statement.tables)
    for engine in request.get("engines", ()):
        if named and named <= engine["tables"].keys() and not describes:
            tables = {name: engine["tables"][name] for name in statement.tables}
            try:
                return {
                    **said,
                    "planned": answer(
                        connection, {**engine, "tables": tables, "plan": statement.sql}
                    ),
                }
            except ToolError as error:
                return {**said, "refused": str(error)}
    return said
