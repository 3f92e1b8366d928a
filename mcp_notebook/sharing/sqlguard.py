"""SQL that a model wrote for DuckDB: checked to be one plain SELECT over the offered tables,
and run on a locked connection.

The check is the second line and the better error message; the guard itself is the worker
process, the locked connection and the read-only transaction. DuckDB's own statement
type is no read-only test: `WITH t AS (DELETE ... RETURNING ...) SELECT` has type SELECT
and deletes. So the parsed tree is walked (`json_serialize_sql`) and what is not known
to be harmless is refused.
https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.errors import ToolError, did_you_mean
from mcp_notebook.sharing.answer import TableAnswer
from mcp_notebook.sql_functions import ACTING_FUNCTIONS

MAX_LENGTH = 20_000  # characters

_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
# where a node's own name is visible
_SEES_ITSELF = {("RECURSIVE_CTE_NODE", "right"), ("CTE_NODE", "child")}
_TABLE_FUNCTIONS = {
    "range",
    "generate_series",
    "unnest",
    "repeat",
    "json_each",
    "json_tree",
    "summary",
}
_SCHEMA_TABLES = {"information_schema.tables", "information_schema.columns"}
# What acts, and what tells of settings and the session, fails or waits on purpose
REFUSED_FUNCTIONS = ACTING_FUNCTIONS["duckdb"] | frozenset(
    [
        "getenv",
        "current_setting",
        "getvariable",
        "current_query",
        "currval",
        "sleep_ms",
        "error",
        "json_serialize_sql",
        "json_deserialize_sql",
        "json_serialize_plan",
        "parse_duckdb_log_message",
    ]
)
_ONE_SELECT = (
    "Write one SELECT (WITH, FROM-first, VALUES, DESCRIBE and SUMMARIZE work too)."
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A checked statement: its text without a closing semicolon, the offered tables
    that it names, in their own spelling, and whether it looks at the list of all
    tables."""

    sql: str
    tables: tuple[str, ...]
    lists_tables: bool = False


def check(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    offered: Collection[str],
    *,
    macros: Collection[str] = (),
) -> Statement:
    """The statement, parsed and found harmless; raises `ToolError` that says what is
    wrong and what works.

    A table outside the default schema is offered as `schema.table`. `macros` are
    functions of the database's own that may not be called, since they can read tables
    that are not offered.
    """
    text = _single_select(connection, sql)
    tree = _tree(connection, text)
    names = {name.lower(): name for name in offered}
    used: dict[str, None] = {}
    lists = False
    for node, common in _nodes(tree):
        _refuse_unknown_parts(node)
        _refuse_macros(node, macros)
        if node.get("type") == "BASE_TABLE" and not _schema_table(node):
            used |= dict.fromkeys(_table(node, names, common))

        lists |= node.get("type") == "SHOW_REF" or _schema_table(node)

    return Statement(text, tuple(used), lists)


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """No setting of the connection can be changed any more."""
    connection.execute("SET lock_configuration = true")


OUT_OF_MEMORY = (
    "The statement needs more memory and temporary disk than it may use: filter or "
    "aggregate earlier, or take fewer columns."
)
# On the disk, of all that a statement puts aside when its memory is full.
MAX_SPILL = "2GB"


def configuration(*, threads: int, memory: str, spill: str = "") -> dict[str, Any]:
    """Settings of a connection that cannot reach files, the network, extensions or
    Python variables, and puts what its memory cannot hold into the folder `spill`
    (nowhere without one): DuckDB's own choice is beside the person's database.
    """
    return {
        "enable_external_access": False,
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "temp_directory": spill,
        "max_temp_directory_size": MAX_SPILL if spill else "0KB",
        "threads": threads,
        "memory_limit": memory,
    }


def _single_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    if len(sql) > MAX_LENGTH:
        raise ToolError(
            f"The statement has {len(sql):,} characters; {MAX_LENGTH:,} are allowed."
        )

    try:
        statements = connection.extract_statements(sql)
    except (duckdb.Error, ValueError, RuntimeError, UnicodeEncodeError) as error:
        raise ToolError(
            f"DuckDB cannot read the statement: {first_lines(error)}"
        ) from error

    if len(statements) != 1:
        raise ToolError(f"{len(statements)} statements were given. {_ONE_SELECT}")
    if statements[0].type == duckdb.StatementType.MULTI:
        raise ToolError(
            "PIVOT is not available: write sum(x) FILTER (WHERE kind = 'a') AS a for each column."
        )

    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        raise ToolError(
            f"Refused: {kind} is not a SELECT, and the tables are read-only. {_ONE_SELECT}"
        )

    return statements[0].query.strip().rstrip(";")


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    try:
        row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
        if row:
            tree = json.loads(row[0])
        else:
            tree = {"error": True}
    except (duckdb.Error, ValueError, RecursionError) as error:
        raise ToolError(
            f"DuckDB cannot read the statement: {first_lines(error)}"
        ) from error

    if tree.get("error"):
        raise ToolError(
            f"Refused: {tree.get('error_message', 'not a SELECT')} {_ONE_SELECT}"
        )

    return tree


def _nodes(tree: Any) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every object of the tree with the names of WITH that are visible there.

    Without recursion: a tree may be a thousand levels deep. A name is a WITH's only
    where DuckDB, too, takes it for that; anywhere else it is a table, which may be one
    that is not offered.
    """
    waiting: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while waiting:
        value, visible = waiting.pop()
        if isinstance(value, dict):
            yield value, visible
            waiting.extend(reversed(list(_inside(value, visible))))
        elif isinstance(value, list):
            waiting.extend((item, visible) for item in reversed(value))


def _inside(
    node: dict[str, Any], visible: frozenset[str]
) -> Iterator[tuple[Any, frozenset[str]]]:
    """What stands in an object, each with the names that are visible there."""
    table = node.get("cte_map")
    for entry in table.get("map", []) if isinstance(table, dict) else []:
        # its own name is visible to the recursive part only
        yield entry["value"], visible
        visible |= {entry["key"].lower()}

    own = visible | {str(node.get("cte_name")).lower()}
    for key, value in node.items():
        if key != "cte_map":
            yield (
                value,
                own if (str(node.get("type")), key) in _SEES_ITSELF else visible,
            )


def _refuse_unknown_parts(node: dict[str, Any]) -> None:
    kind = node.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _NODES:
        raise ToolError(
            f"Refused: a part of the statement is {kind}, which does not only read. {_ONE_SELECT}"
        )

    if kind == "TABLE_FUNCTION":
        name = node["function"].get("function_name", "").lower()
        if name not in _TABLE_FUNCTIONS:
            raise ToolError(
                f"Refused: the table function {name} is not available, and files cannot be read."
            )

    if (
        kind == "SHOW_REF"
        and not node.get("query")
        and node.get("table_name", "").strip('"') != "tables"
    ):
        raise ToolError(
            "Refused: only SHOW TABLES, DESCRIBE table and SUMMARIZE table are available."
        )
    if (
        node.get("class") == "FUNCTION"
        and node.get("function_name", "").lower() in REFUSED_FUNCTIONS
    ):
        raise ToolError(
            f"Refused: the function {node['function_name']} is not available."
        )


def _refuse_macros(node: dict[str, Any], macros: Collection[str]) -> None:
    name = str(node.get("function_name", "")).lower()
    if name and name in macros:
        raise ToolError(
            f"Refused: {name} is a macro of the database, which may read other tables "
            "than the offered."
        )


def _schema_table(node: dict[str, Any]) -> bool:
    if node.get("type") != "BASE_TABLE" or node.get("catalog_name"):
        return False
    return (
        f"{node.get('schema_name', '')}.{node.get('table_name', '')}".lower()
        in _SCHEMA_TABLES
    )


def _table(
    node: dict[str, Any], names: dict[str, str], common: Collection[str]
) -> list[str]:
    name = node.get("table_name", "")
    qualified = ".".join(
        part
        for part in (node.get("catalog_name"), node.get("schema_name"), name)
        if part
    )
    if qualified.lower() in names:
        return [names[qualified.lower()]]
    if qualified == name and name.lower() in common:
        return []

    known = ", ".join(names.values()) or "none yet"
    raise ToolError(
        f"There is no table {qualified!r}.{did_you_mean(name, names.values())} Tables: {known}."
    )


def first_lines(error: Exception) -> str:
    """DuckDB's message without the picture of the statement below it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(
        line
        for line in lines
        if not line.startswith("LINE ") and (line.strip(" ^") or not line.strip())
    )[:600]


# One checked SELECT on a locked DuckDB connection, with a bounded answer as Arrow.


UTC = "UTC"
_OFFSET = re.compile(r"^[+-]\d\d:\d\d$")
_BATCH = 10_000  # rows


def connect(
    *, threads: int, memory: str, spill: str = "", database: str = "", zone: str = UTC
) -> duckdb.DuckDBPyConnection:
    """A locked connection: empty in memory, or to a database file, read-only.

    In memory its session is in the time zone `zone`, whatever the machine's is; raises
    `duckdb.Error` for a zone that it does not know.
    """
    config = configuration(threads=threads, memory=memory, spill=spill)
    connection = duckdb.connect(
        database or ":memory:", read_only=bool(database), config=config
    )
    if not database:
        # for all its cursors, each of which is a session of its own
        connection.execute("SET GLOBAL TimeZone = ?", [zone])

    lock(connection)
    return connection


def session_zone(schemas: Iterable[Iterable[tuple[str, Any]]]) -> tuple[str, str]:
    """The time zone in which a statement over tables of these (column, type) counts
    days and months, and a note where that is not the columns' own.
    """
    found: dict[str, str] = {}
    for schema in schemas:
        for name, type_ in schema:
            zone = getattr(type_, "tz", None)
            if zone is not None:
                found.setdefault(_OFFSET.sub(r"UTC\g<0>", str(zone)), name)

    if not found:
        return UTC, ""

    (zone, column), *others = found.items()
    if not others and (zone == UTC or _knows_zone(zone)):
        return zone, ""

    named = ", ".join(f"{name} is in {zone}" for zone, name in found.items())
    example = f"{column} AT TIME ZONE '{zone}'"
    return UTC, f"days and months are counted in UTC here ({named}): write {example}"


@lru_cache(maxsize=64)
def _knows_zone(zone: str) -> bool:
    with contextlib.closing(duckdb.connect()) as connection:
        try:
            connection.execute("SET TimeZone = ?", [zone])
        except duckdb.Error:
            return False
    return True


def run(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    tables: Mapping[str, Any],
    *,
    rows: int,
    max_bytes: int,
) -> TableAnswer:
    """Run a checked SELECT over the tables, which exist for this statement only; raises
    `ToolError`.

    A cursor's registrations are its own, so statements that run side by side see
    nothing of each other.
    """
    cursor = connection.cursor()
    try:
        for name, table in tables.items():
            cursor.register(name, table)

        cursor.execute("BEGIN TRANSACTION READ ONLY")
        # The statement was parsed as one whole SELECT, so it cannot end the
        # parenthesis; a comment ends at the newline.
        relation = cursor.sql(f"SELECT * FROM (\n{sql}\n) LIMIT {rows + 1:d}")  # noqa: S608
        types = tuple(str(kind) for kind in relation.types)
        data, cut = _take_bounded(relation.to_arrow_reader(_BATCH), rows, max_bytes)
        return TableAnswer(_computable(data, types), types, cut)
    except duckdb.OutOfMemoryException as error:
        # its own words advise settings that nobody can reach here
        raise ToolError(OUT_OF_MEMORY) from error
    # Arrow's reader passes an error amid the rows on as OSError
    except (
        duckdb.Error,
        ValueError,
        RuntimeError,
        OSError,
        pa.ArrowException,
    ) as error:
        if "Out of Memory" in str(error):  # as Arrow's reader passes it on
            raise ToolError(OUT_OF_MEMORY) from error
        raise ToolError(f"DuckDB says: {first_lines(error)}") from error
    finally:
        cursor.close()


def explain(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The plan of a checked SELECT, which does not run; raises `ToolError`."""
    cursor = connection.cursor()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        return "\n".join(
            str(row[-1]) for row in cursor.execute(f"EXPLAIN {sql}").fetchall()
        )
    except duckdb.Error as error:
        raise ToolError(f"DuckDB says: {first_lines(error)}") from error
    finally:
        cursor.close()


def _take_bounded(
    reader: pa.RecordBatchReader, rows: int, max_bytes: int
) -> tuple[pa.Table, str]:
    kept, count, size = [], 0, 0
    for batch in reader:
        size += batch.nbytes
        if size > max_bytes:
            cut = (
                f"cut after {count:,} rows because the answer reached "
                f"{max_bytes / 1e6:g} MB, there are more"
            )
            return pa.Table.from_batches(kept, reader.schema), cut

        kept.append(batch)
        count += batch.num_rows

    table = pa.Table.from_batches(kept, reader.schema)
    if count > rows:
        return table.slice(
            0, rows
        ), f"cut after {rows:,} rows, there are more: aggregate, filter or use OFFSET"

    return table, ""


def _computable(table: pa.Table, types: tuple[str, ...]) -> pa.Table:
    """Whole-number sums as int64 where they fit, and intervals without months as
    durations: what pandas can compute with.
    """
    for index, kind in enumerate(types):
        column = table.column(index)
        if kind in ("HUGEINT", "UHUGEINT"):
            table = _with_column(table, index, _narrow(column))
        elif kind == "INTERVAL":
            table = _with_column(table, index, _duration(column))

    return table


def _with_column(
    table: pa.Table, index: int, column: pa.ChunkedArray | pa.Array
) -> pa.Table:
    return table.set_column(index, table.schema.field(index).name, column)


def _narrow(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return column


def _duration(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Intervals without months as durations; a month has no length, so that it stays."""
    values = column.to_pylist()
    if any(value is not None and value.months for value in values):
        return column

    micros = [
        None if v is None else v.days * 86_400_000_000 + v.nanoseconds // 1000
        for v in values
    ]
    return pa.array(micros, pa.duration("us"))
