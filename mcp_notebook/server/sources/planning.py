"""The request that makes a plan, answered in the worker process for a model's SQL and in this one for the person's.

`{"plan": sql, "dialect", "rows", "tables": {name: path of an empty Arrow file with the table's columns}}` ->
the plan as JSON, and under "path" an empty Arrow file with the names and types that DuckDB gives the answer's columns
("" when only the engine can tell). sqlglot is not hardened against statements made to exhaust it, so a stranger's
statement is parsed where a deadline kills.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from mcp_notebook.server import duck, sqlguard
from mcp_notebook.server.mend import ToolError
from mcp_notebook.server.sources import guard, plan
from mcp_notebook.server.sources.pruning import named_columns


def planned(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; raises `ToolError` for a statement that is not to run."""
    empty = {name: _read(path) for name, path in request["tables"].items()}
    columns = {name: {f.name: kind_word(f.type) for f in table.schema} for name, table in empty.items()}
    sql = request["plan"]
    made = _made(sql, request["dialect"], columns, request["rows"])
    if not made.judge:
        return {**made.as_json(), "path": ""}
    sqlguard.check(connection, sql, tuple(empty))
    # Names and types are right or wrong there as here, and a wrong one is explained as for any other table.
    judged = duck.run(connection, sql, empty, rows=0, max_bytes=1 << 20)
    path = request["out"]
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, judged.data.schema) as writer:
        writer.write_table(judged.data.slice(0, 0))
    return {**made.as_json(), "path": path, "types": judged.types}


def _made(sql: str, dialect: str, columns: dict[str, dict[str, str]], rows: int) -> plan.Plan:
    try:
        return plan.make(sql, dialect, columns, rows=rows)
    except guard.UnreadableError:
        if not guard.is_in(sql, dialect):
            raise
        return plan.make(sql, dialect, columns, rows=rows, read=dialect)


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
    """`{"columns_of": sql, "tables": {name: [columns]}}` -> which of them the statement can need, by table."""
    return {"columns": named_columns(request["columns_of"], request["tables"])}


def kind_word(kind: pa.DataType) -> str:
    """What kind of values a column holds, in the words of `exact.Kinds`."""
    tests = (
        (pa.types.is_integer, "integer"), (pa.types.is_floating, "float"), (pa.types.is_decimal, "decimal"),
        (pa.types.is_string, "text"), (pa.types.is_large_string, "text"), (pa.types.is_boolean, "bool"),
        (pa.types.is_date, "date"), (pa.types.is_timestamp, "timestamp"), (pa.types.is_map, "map"),
        (pa.types.is_list, "list"), (pa.types.is_large_list, "list"), (pa.types.is_struct, "struct"),
        (pa.types.is_dictionary, "text"), (pa.types.is_duration, "interval"),
    )  # fmt: skip
    return next((word for test, word in tests if test(kind)), "other")


def _read(path: str) -> pa.Table:
    with pa.OSFile(str(Path(path))) as source:
        return pa.ipc.open_file(source).read_all()
