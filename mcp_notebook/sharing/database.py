"""The bundled database server: `query_database`, `list_tables`, `describe_table` and
`explain` over one engine.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import stat
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mcp_types as types
import pyarrow as pa

from mcp_notebook.errors import ConfigError, ToolError, did_you_mean
from mcp_notebook.results.columns import declared
from mcp_notebook.sharing.answer import (
    AS_FILE,
    AS_JSON,
    OUTPUT_SCHEMA,
    AnswerColumn,
    RowsAnswer,
    TableAnswer,
    as_answer,
    size_of,
    to_json,
)
from mcp_notebook.sharing.engines import Engine, StatementLimits, TableInfo, open_engine
from mcp_notebook.sharing.engines.interface import ColumnInfo
from mcp_notebook.sharing.tools import (
    Tool,
    Transport,
    build_server,
    serve,
    to_result,
    token_from,
)
from mcp_notebook.sql_words import names_among
from mcp_notebook.values import column_values
from mcp_notebook.veil import (
    DIALECT,
    FAILED_ON_VALUES,
    VIEWS,
    covers,
    masked_columns,
    mentions,
)

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

# Large answers for a host on this machine that offers a folder are an Arrow file and a
# link to it, instead of JSON. The host names the folder in the environment and removes
# each file when it has read it; what is left goes when the server ends.
VARIABLE = "MCP_NOTEBOOK_HANDOVER"
STANDS_IN = "mcp_notebook/stands_in"  # of a text: the file says it all
ARROW = "application/vnd.apache.arrow.file"
SMALL_ROWS = 1_000  # answers up to both sizes are worth no file
SMALL_BYTES = 100_000
PREVIEW_ROWS = 5


class Handover:
    """Writes answers into the folder that the host offered."""

    def __init__(self, folder: Path) -> None:
        """Raises `ConfigError` when the folder is not there, not this user's, or open to others."""
        try:
            told = folder.stat()
        except OSError as error:
            raise ConfigError(
                f"{VARIABLE} names {folder}, which is not there."
            ) from error

        others = os.name == "posix" and (
            told.st_uid != os.getuid() or told.st_mode & 0o077
        )
        if not stat.S_ISDIR(told.st_mode) or others:
            raise ConfigError(
                f"{VARIABLE} must name a folder that only this user can open."
            )

        self._folder = folder
        self._written: set[Path] = set()
        atexit.register(self.clean)

    @classmethod
    def find_offered(cls, environ: Mapping[str, str] = os.environ) -> Handover | None:
        """The host's folder, None when it offers none."""
        if environ.get(VARIABLE):
            return cls(Path(environ[VARIABLE]))
        return None

    def write_answer(self, answer: TableAnswer) -> types.CallToolResult:
        """The answer as a file, with a preview in words and a link."""
        # for a host that follows no links; who maps the file leaves it out
        words = types.TextContent(text=preview(answer), _meta={STANDS_IN: True})
        notices = [line for line in (answer.truncated, *answer.notes) if line]
        texts = [types.TextContent(text=f"Notice: {line}.") for line in notices]
        link = self.write_table(answer.data)
        return types.CallToolResult(content=[words, *texts, link])

    def write_table(self, table: pa.Table) -> types.ResourceLink:
        """A table as a file, and the link to it."""
        path = self._folder / f"{uuid.uuid4().hex}.arrow"
        self._written = {known for known in self._written if known.exists()} | {path}
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(handle, "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)

        return types.ResourceLink(
            uri=path.as_uri(),
            name="rows",
            mime_type=ARROW,
            size=path.stat().st_size,
            description="All rows, as Arrow",
        )

    def clean(self) -> None:
        """Remove the files that the host left."""
        for path in self._written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._written.clear()


def preview(answer: TableAnswer) -> str:
    """Shape, columns and first rows as prose: the host must not take it for a second table."""
    data = answer.data
    columns = ", ".join(
        f"{n} {k}" for n, k in zip(data.column_names[:40], answer.types, strict=False)
    )
    said = [
        f"{data.num_rows:,} rows of {data.num_columns} columns ({columns}), handed "
        "over as an Arrow file."
    ]
    head = data.slice(0, PREVIEW_ROWS)
    first = zip(*map(column_values, head.columns[:12]), strict=True)
    for number, row in enumerate(first, 1):
        values = ", ".join(
            f"{name} {str(to_json(value))[:40]}"
            for name, value in zip(head.column_names, row, strict=False)
        )
        said.append(f"Row {number} holds {values}.")

    return " ".join(said)


def is_small(answer: RowsAnswer | TableAnswer) -> bool:
    """Whether JSON carries the answer as well."""
    if isinstance(answer, TableAnswer):
        return answer.data.num_rows <= SMALL_ROWS and answer.data.nbytes <= SMALL_BYTES

    return (
        len(answer.rows) <= SMALL_ROWS
        and sum(sum(map(size_of, row)) for row in answer.rows) <= SMALL_BYTES
    )


def as_table(answer: RowsAnswer) -> TableAnswer:
    """Rows of Python values as Arrow columns, in the types that the database declares
    where every value has them.
    """
    if answer.rows:
        columns = zip(*answer.rows, strict=True)
    else:
        columns = ((),) * len(answer.columns)

    pairs = zip(columns, answer.columns, strict=True)
    arrays = [_array(list(values), column.type) for values, column in pairs]
    fields = [
        pa.field(column.name, array.type)
        for column, array in zip(answer.columns, arrays, strict=True)
    ]
    notice = answer.notice
    return TableAnswer(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)),
        tuple(column.type for column in answer.columns),
        notice if answer.truncated else "",
        () if answer.truncated or not notice else (notice,),
    )


def _array(values: list[Any], type_: str) -> pa.Array:
    family = declared.kind(type_)
    if family is not None:
        converted = declared.convert(values, family, type_)
        if converted is not None:
            return converted

    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array(
            [None if value is None else str(to_json(value)) for value in values],
            pa.string(),
        )


# Hosts put a server's instructions into the system prompt: the text is compact, capped
# and the same on every start.
OVERVIEW_BYTES = 4_000
SAMPLE_ROWS = 3
SURVEYED_TABLES = 40
_DESCRIPTION_COLUMNS = (
    AnswerColumn("column", "TEXT"),
    AnswerColumn("type", "TEXT"),
    AnswerColumn("nullable", "BOOLEAN"),
    AnswerColumn("key", "BOOLEAN"),
    AnswerColumn("references", "TEXT"),
    AnswerColumn("values", "TEXT"),
    AnswerColumn("from", "TEXT"),
    AnswerColumn("to", "TEXT"),
    AnswerColumn("samples", "TEXT"),
)
_SQL = {
    "type": "string",
    "description": (
        "One SELECT statement (WITH ... SELECT and VALUES work too). No "
        "semicolon-separated statements, no parameters."
    ),
    "minLength": 1,
    "maxLength": 100_000,
    "examples": [
        "SELECT status, count(*) AS orders FROM orders GROUP BY status ORDER BY orders DESC"
    ],
}
_TABLE = {
    "type": "string",
    "description": "Name of a table or view as list_tables gives it.",
    "examples": ["orders"],
}


async def serve_database(
    url: str = "",
    *,
    transport: Transport = "stdio",
    host: str = "127.0.0.1",
    port: int = 0,
    token_env: str = "",
    max_rows: int = 0,
    timeout: float = 15.0,
    tables: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Serve the database at `url` (default: the environment's `DATABASE_URL`) until the
    client leaves.

    `max_rows` are the rows of an answer at most (0: what its carrier takes, see
    `answer.AS_JSON`), `timeout` is in seconds a statement, `tables` the only tables and
    views that may be read (all when None), and `token_env` names the variable that
    holds the bearer token for http and sse. Raises `ConfigError`.
    """
    url = url or environ.get("DATABASE_URL", "")
    if not url:
        raise ConfigError(
            "Which database? Give --url sqlite:///path/to/file.db or set DATABASE_URL."
        )

    engine = open_engine(url, tables=tables)
    token = token_from(token_env, environ)
    try:
        # Only who started this process shares its folders: a client over HTTP gets what
        # fits into JSON.
        if transport == "stdio":
            handover = Handover.find_offered(environ)
        else:
            handover = None

        most = AS_JSON if handover is None else AS_FILE
        limits = StatementLimits(max_rows or most.rows, most.bytes, timeout)
        # of whoever started this process
        masked = tuple(json.loads(environ.get("MCP_NOTEBOOK_MASK") or "[]"))
        server = await build_database_server(engine, limits, handover, masked)
        await serve(server, transport=transport, host=host, port=port, token=token)
    finally:
        await engine.close()


async def build_database_server(
    engine: Engine,
    limits: StatementLimits | None = None,
    handover: Handover | None = None,
    masked: tuple[str, ...] = (),
) -> Server[Any]:
    """The MCP server over an engine; its instructions hold the schema as it is now.

    With `handover` answers that JSON would have to cut go to the host as a file. Of
    columns that a pattern of `masked` covers no description shows a value.
    """
    hidden = await hidden_columns(engine, masked)
    surveyed = await survey_tables(engine)
    tables = [_without_values(t, hidden, masked) for t in surveyed]
    return build_server(
        "mcp-notebook-database",
        DatabaseTools(engine, limits or StatementLimits(), handover, masked).tools(),
        title=f"{engine.name} (read-only)",
        instructions=instructions(engine, tables),
    )


async def survey_tables(engine: Engine) -> list[TableInfo]:
    """Every table, with a look at the rows of each unless there are too many tables."""
    tables = await engine.schema()
    if len(tables) > SURVEYED_TABLES:
        return list(tables)

    return [await engine.survey(table) for table in tables]


def instructions(engine: Engine, tables: list[TableInfo]) -> str:
    """What the host's model is told of the database: how to ask, then the schema, at
    most about 4.5 kB.
    """
    return (
        f"{engine.name} is a read-only {engine.dialect} database. Ask it with "
        "query_database and one SELECT in that "
        f"dialect; aggregate in SQL. {engine.hints}\nTables:\n{overview(tables)}"
    )


class DatabaseTools:
    """The four tools over one engine; the schema is read anew for each call."""

    def __init__(
        self,
        engine: Engine,
        limits: StatementLimits,
        handover: Handover | None = None,
        masked: tuple[str, ...] = (),
    ) -> None:
        self._masked = masked
        self._engine = engine
        self._limits = limits
        self._handover = handover

    def tools(self) -> list[Tool]:
        """The tools with descriptions for this engine."""
        most = self._limits
        dialect, rows, megabytes = self._engine.dialect, most.rows, most.bytes / 1e6
        return [
            Tool(
                "query_database",
                "Query the database",
                f"Run one read-only SELECT in the {dialect} dialect and get the rows "
                "with their column types. "
                f"Aggregate and filter in SQL: at most {rows:,} rows or {megabytes:g} "
                "MB come back, and a statement "
                f"may take {self._limits.seconds:g} seconds. {self._engine.hints}",
                self.query_database,
                {"sql": _SQL},
                # a file is no structured content
                OUTPUT_SCHEMA if self._handover is None else None,
            ),
            Tool(
                "list_tables",
                "List tables",
                "List every table and view with its kind, row count and columns. "
                "Takes no arguments.",
                self.list_tables,
            ),
            Tool(
                "describe_table",
                "Describe a table",
                "Describe the columns of one table or view: type, nullability, key, "
                "reference to another table, the "
                "values of few-valued text columns, the first and last date of date "
                "columns; with sample rows.",
                self.describe_table,
                {"table": _TABLE},
            ),
            Tool(
                "explain",
                "Explain a query plan",
                "Show how the database would run one SELECT, without running it. Use "
                "it when a query is slow.",
                self.explain,
                {"sql": _SQL},
                # Models take its plan for an answer.
                hidden=True,
            ),
        ]

    async def query_database(self, sql: str) -> RowsAnswer | types.CallToolResult:
        if not self._masked:
            return await self._query(sql)

        try:
            result = to_result(await self._query(sql))
        except ToolError as error:
            return await self._tell_failure(sql, error)

        views = _views_in(sql, await self._engine.views())
        return result.model_copy(
            update={"meta": {DIALECT: self._engine.dialect, VIEWS: views}}
        )

    async def _tell_failure(self, sql: str, error: ToolError) -> types.CallToolResult:
        """The failure, and whether it is of values beside masked ones: then the
        database's words may be made of them. A statement that can be planned is sound.
        """
        text = types.TextContent(text=str(error))
        failed = types.CallToolResult(content=[text], is_error=True)
        if not str(error).startswith(f"{self._engine.dialect} says"):
            return failed

        try:
            await self._engine.explain(sql, self._limits)
        except ToolError as again:
            if str(again) == str(error):
                return failed

        if not await self._reads_masked(sql):
            return failed

        return failed.model_copy(update={"meta": {FAILED_ON_VALUES: True}})

    async def _reads_masked(self, sql: str) -> bool:
        """Whether the statement names a table or a view that has a masked column."""
        hidden = await hidden_columns(self._engine, self._masked)
        holding = [
            name.rpartition(".")[2] for name, columns in hidden.items() if columns
        ]
        return bool(names_among(sql, holding))

    async def _query(self, sql: str) -> RowsAnswer | types.CallToolResult:
        if self._handover is None:
            return await self._engine.query(sql, self._limits)

        found = await self._engine.table(sql, self._limits)
        if not is_small(found):
            return await asyncio.to_thread(_hand_over, self._handover, found)

        if isinstance(found, RowsAnswer):
            return found

        return as_answer(found, rows=self._limits.rows, max_bytes=self._limits.bytes)

    async def explain(self, sql: str) -> RowsAnswer:
        return await self._engine.explain(sql, self._limits)

    async def list_tables(self) -> RowsAnswer:
        tables = await survey_tables(self._engine)
        columns = (
            AnswerColumn("table", "TEXT"),
            AnswerColumn("kind", "TEXT"),
            AnswerColumn("rows", "INTEGER"),
            AnswerColumn("columns", "TEXT"),
        )
        return RowsAnswer(columns, [_list_row(table) for table in tables])

    async def describe_table(self, table: str) -> RowsAnswer:
        surveyed = await self._engine.survey(await self._find(table))
        hidden = await hidden_columns(self._engine, self._masked)
        found = _without_values(surveyed, hidden, self._masked)
        sample = await self._sample(found)
        hidden_here = hidden.get(table.casefold(), frozenset())
        rows = [
            _describe(found, index, sample, column.name in hidden_here)
            for index, column in enumerate(found.columns)
        ]
        return RowsAnswer(_DESCRIPTION_COLUMNS, rows, preface=full_line(found))

    async def _find(self, name: str) -> TableInfo:
        tables = {table.name: table for table in await self._engine.schema()}
        by_lower = {known.lower(): table for known, table in tables.items()}
        if name.lower() not in by_lower:
            raise ToolError(
                f"There is no table {name!r}.{did_you_mean(name, tables)} Tables: "
                f"{', '.join(tables)}."
            )

        return by_lower[name.lower()]

    async def _sample(self, table: TableInfo) -> RowsAnswer:
        sql = f"SELECT * FROM {table.source} LIMIT {SAMPLE_ROWS}"  # noqa: S608 - quoted identifiers
        return await self._engine.query(sql, self._limits)


def _hand_over(
    handover: Handover, found: RowsAnswer | TableAnswer
) -> types.CallToolResult:
    if isinstance(found, RowsAnswer):
        found = as_table(found)

    return handover.write_answer(found)


def _views_in(sql: str, views: Mapping[str, str]) -> dict[str, str]:
    """Those of the views that a statement names, and those that they read."""
    found: dict[str, str] = {}
    texts = [sql]
    while texts:
        for name in names_among(texts.pop(), views.keys() - found.keys()):
            found[name] = views[name]
            texts.append(views[name])

    return {name.casefold(): query for name, query in found.items()}


async def hidden_columns(
    engine: Engine, masked: tuple[str, ...]
) -> dict[str, frozenset[str]]:
    """By table and view, in small letters, the columns of which no value is told: those
    that a pattern names, and what a view made of them.
    """
    if not masked:
        return {}

    views = await engine.views()
    found = {}
    for table in await engine.schema():
        everything = f"select * from {table.source}"  # noqa: S608 - it is never run
        found[table.name.casefold()] = masked_columns(
            everything,
            [column.name for column in table.columns],
            partial(covers, masked),
            engine.dialect,
            _views_in(everything, views),
        )

    return found


def _list_row(table: TableInfo) -> list[Any]:
    names = ", ".join(column.name for column in table.columns)
    return [table.name, table.kind, table.rows, names]


def _without_values(
    table: TableInfo, hidden: Mapping[str, frozenset[str]], masked: tuple[str, ...]
) -> TableInfo:
    hidden_here = hidden.get(table.name.casefold(), frozenset())
    covered = partial(covers, masked)
    columns = []
    for column in table.columns:
        # a text that names a masked field may be JSON with its value
        is_about = any(mentions(value, covered) for value in column.values)
        if is_about or column.name in hidden_here:
            columns.append(replace(column, values=(), span=None))
        else:
            columns.append(column)

    return replace(table, columns=tuple(columns))


def _describe(
    table: TableInfo, index: int, sample: RowsAnswer, is_masked: bool
) -> list[Any]:
    column = table.columns[index]
    start, end = column.span or (None, None)
    # the table may have lost columns between its description and the sample
    sampled = [row[index] for row in sample.rows if index < len(row)]
    shown = [str(value)[:60] for value in sampled if value is not None]
    if is_masked:
        if shown:
            shown = ["masked"]
        else:
            shown = []

    return [
        column.name,
        column.type or "ANY",
        column.nullable and not column.primary_key,
        column.primary_key,
        column.references or None,
        " | ".join(column.values) or None,
        start,
        end,
        " | ".join(shown) or None,
    ]


def overview(tables: Sequence[TableInfo], max_bytes: int = OVERVIEW_BYTES) -> str:
    """One line a table, with as much detail as fits: values and spans, else types, else
    names, else how many.
    """
    for line_of in (full_line, _typed_line, _name_line):
        text = "\n".join(line_of(table) for table in tables)
        if len(text.encode()) <= max_bytes:
            return text

    names = ", ".join(table.name for table in tables)
    if len(names.encode()) <= max_bytes:
        return f"{names}\n(describe_table gives the columns)"

    return (
        f"{len(tables)} tables and views: list_tables names them, describe_table gives "
        "their columns."
    )


def full_line(table: TableInfo) -> str:
    """`orders (9,412 rows): id INTEGER key, status TEXT: paid|shipped, order_date DATE
    2024-12-01..2026-11-22`.
    """
    return _line(table, describe_column)


def _typed_line(table: TableInfo) -> str:
    return _line(table, _describe_type)


def _name_line(table: TableInfo) -> str:
    return _line(table, lambda column: column.name)


def _describe_type(column: ColumnInfo) -> str:
    # a column of SQLite may have no type at all
    return f"{column.name} {column.type}".strip() + _reference(column)


def describe_column(column: ColumnInfo) -> str:
    """Name, type, key, reference and what its values are, in a few words."""
    words = f"{column.name} {column.type}".strip()
    if column.primary_key:
        words += " key"

    words += _reference(column)
    if column.values:
        words += ": " + "|".join(column.values)

    if column.span:
        words += " " + "..".join(column.span)

    return words


def _line(table: TableInfo, column: Callable[[ColumnInfo], str]) -> str:
    if table.kind != "table":
        facts = [table.kind]
    else:
        facts = []

    if table.rows is not None:
        facts.append(f"{table.rows:,} rows")

    if facts:
        heading = f"{table.name} ({', '.join(facts)})"
    else:
        heading = table.name

    return f"{heading}: {', '.join(map(column, table.columns))}"


def _reference(column: ColumnInfo) -> str:
    if column.references:
        return f" -> {column.references}"

    return ""
