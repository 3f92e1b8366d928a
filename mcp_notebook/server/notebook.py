"""The notebook's own MCP server: its tables, read-only, by `list_tables`, `describe_table` and `query`.

In process (`form="arrow"`) an answer holds its whole table as an embedded Arrow resource: exact types, no JSON, and the
host shows the model a preview. For clients outside (`form="json"`) it is structured content with SQL types, as the
database server gives it.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

import mcp_types as types
import pyarrow as pa
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.results.preview import preview
from mcp_notebook.server.answer import OUTPUT_SCHEMA, Answer, Column, structured
from mcp_notebook.server.arrow import snapshot, to_arrow
from mcp_notebook.server.catalog import Catalog, Entry
from mcp_notebook.server.engines import quote
from mcp_notebook.server.mend import ToolError
from mcp_notebook.server.query import MAX_ROWS, SqlRunner
from mcp_notebook.server.resources import Resources, arrow_bytes
from mcp_notebook.server.sources.local import STORED, sample
from mcp_notebook.server.sources.look import look
from mcp_notebook.server.sources.places import is_away
from mcp_notebook.server.tabular import TableAnswer, as_answer
from mcp_notebook.server.tools import Tool, build_server

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

ARROW = "application/vnd.apache.arrow.file"
JSON_ROWS = 10_000
JSON_BYTES = 5_000_000
LISTING_BYTES = 20_000
SECONDS = 30.0
SAMPLE_ROWS = 5

Form = Literal["arrow", "json"]

_INSTRUCTIONS = (
    "Tables in the person's notebook: results of earlier calls and DataFrames that the person shared, all read-only. "
    "`query` runs one SELECT in the DuckDB dialect over them and joins tables that came from different servers; "
    "the rows stay in the notebook."
)
_SQL = {
    "type": "string",
    "description": (
        "One SELECT in the DuckDB dialect over the notebook's tables, named as list_tables names them; quote odd names "
        'with "double quotes". WITH, FROM-first, DESCRIBE and SUMMARIZE work; PIVOT, files and functions with effects '
        "do not. Tables that list_tables says are queried on Spark or another database run there: the DuckDB SQL is "
        "translated, fewer functions work, and joins with other tables bring small ones over."
    ),
    "examples": ["SELECT category, sum(revenue) AS revenue FROM sales GROUP BY category ORDER BY revenue DESC"],
}
_TABLE = {
    "type": "string",
    "description": "Name of a table as list_tables gives it.",
    "examples": ["sales"],
}


def build_notebook_server(
    catalog: Catalog,
    *,
    form: Form = "arrow",
    runner: SqlRunner | None = None,
    mask: Callable[[], Sequence[str]] = tuple,
    timeout: float = SECONDS,
) -> "Server[Any]":
    """The server over a catalog.

    `runner` holds the worker process (by default one of its own, which ends with the notebook), `mask` gives the
    patterns of columns whose values `describe_table` never shows, `timeout` is in seconds a statement.
    """
    tools = NotebookTools(catalog, runner or SqlRunner(), form, mask, timeout)
    resources = Resources(catalog)
    bus = InMemorySubscriptionBus()

    @asynccontextmanager
    async def lifespan(server: "Server[Any]") -> AsyncIterator[dict[str, Any]]:
        with _announcing(catalog, bus):
            yield {}

    return build_server(
        "mcp-notebook",
        tools.tools(),
        title="The notebook's tables",
        instructions=_INSTRUCTIONS,
        lifespan=lifespan,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_subscriptions_listen=ListenHandler(bus),
    )


class NotebookTools:
    """The three tools over one catalog."""

    def __init__(
        self, catalog: Catalog, runner: SqlRunner, form: Form, mask: Callable[[], Sequence[str]], timeout: float
    ) -> None:
        self._catalog = catalog
        self._runner = runner
        self._form = form
        self._mask = mask
        self._timeout = timeout

    def tools(self) -> list[Tool]:
        """The tools; in the json form they declare an output schema."""
        schema = OUTPUT_SCHEMA if self._form == "json" else None
        most = JSON_ROWS if self._form == "json" else MAX_ROWS
        limit = {
            "type": "integer",
            "description": f"Rows of the answer at most (1 to {most}); use ORDER BY and OFFSET in the SQL for more.",
            "default": most,
            "minimum": 1,
            "maximum": most,
            "examples": [1000],
        }
        return [
            Tool(
                "query",
                "Query the notebook's tables",
                "Run one read-only SELECT in the DuckDB dialect over the notebook's tables and get the rows with their "
                f"column types. A statement may take {self._timeout:g} seconds; aggregate and filter in SQL.",
                self.query,
                {"sql": _SQL, "limit": limit},
                schema,
            ),
            Tool(
                "list_tables",
                "List the notebook's tables",
                "List the tables that can be queried, with rows, columns and types. Takes no arguments.",
                self.list_tables,
                {},
                schema,
            ),
            Tool(
                "describe_table",
                "Describe a table of the notebook",
                "Describe one table: each column's type, nulls, range or most frequent values, and the first rows.",
                self.describe_table,
                {"table": _TABLE},
                schema,
            ),
        ]

    async def query(self, sql: str, limit: int = JSON_ROWS) -> Answer | types.CallToolResult:
        answer = await self._runner.query(self._catalog, sql, limit=limit, timeout=self._timeout)
        if self._form == "arrow":
            return await asyncio.to_thread(arrow_result, answer)
        return await asyncio.to_thread(as_answer, answer, rows=JSON_ROWS, max_bytes=JSON_BYTES)

    async def list_tables(self) -> types.CallToolResult:
        listed = [await asyncio.to_thread(summary, self._catalog, entry) for entry in self._catalog.entries()]
        columns = [
            Column("table", "TEXT"),
            Column("rows", "INTEGER"),
            Column("columns", "TEXT"),
            Column("about", "TEXT"),
        ]
        return self._described(
            "\n".join(_listing(listed)) or "There are no tables yet.", Answer(tuple(columns), listed)
        )

    async def describe_table(self, table: str) -> types.CallToolResult:
        entry = self._catalog.find(table)
        try:
            value = self._catalog.resolve(table)
        except DataError as error:
            raise ToolError(error.message) from error
        name = entry.name if entry else table
        if is_away(value) or kind_of(value) in STORED:
            text, fields = await self._described_elsewhere(value, name)
        else:
            text, fields = await asyncio.to_thread(_described_here, value, name, self._mask())
        if entry and entry.description:
            text = f"{entry.description}\n{text}"
        columns = (Column("column", "TEXT"), Column("type", "TEXT"), Column("nulls", "INTEGER"))
        return self._described(text, Answer(columns, fields))

    async def _described_elsewhere(self, value: object, name: str) -> tuple[str, list[list[Any]]]:
        """A table that is not in memory: its columns, and what its first rows show; it is not counted for that."""
        try:
            seen = await asyncio.to_thread(look, value)
            if is_away(value):
                first = f"SELECT * FROM {quote(name)} LIMIT {SAMPLE_ROWS}"  # noqa: S608 - the name is quoted
                rows = (await self._runner.query(self._catalog, first, limit=SAMPLE_ROWS, timeout=self._timeout)).data
            else:
                rows = await asyncio.to_thread(sample, value, SAMPLE_ROWS)
        except DataError as error:
            raise ToolError(error.message) from error
        shown = preview(rows, name, mask=self._mask()).partition("\n")[2]
        head = f"{name}: {counted(seen.rows)} × {len(seen.schema)} columns; query it by that name"
        about = f"{seen.said}; what follows is of its first {rows.num_rows} rows"
        return f"{head}\n{about}\n{shown}", [[field.name, str(field.type), None] for field in seen.schema]

    def _described(self, text: str, answer: Answer) -> types.CallToolResult:
        """Words for the model; in the json form the facts as structured content, too."""
        content = structured(answer) if self._form == "json" else None
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=content)


def arrow_result(answer: TableAnswer) -> types.CallToolResult:
    """The answer with its table as an embedded Arrow file; notice and notes also stand in the schema's metadata."""
    about = {"types": list(answer.types), "truncated": answer.truncated, "notes": list(answer.notes)}
    table = answer.data.replace_schema_metadata({"mcp_notebook": json.dumps(about)})
    blob = types.BlobResourceContents(
        uri="notebook://answer", mime_type=ARROW, blob=base64.b64encode(arrow_bytes(table)).decode("ascii")
    )
    said = [types.TextContent(text=line) for line in (answer.truncated, *answer.notes) if line]
    return types.CallToolResult(content=[types.EmbeddedResource(resource=blob), *said])


def summary(catalog: Catalog, entry: Entry) -> list[Any]:
    """Name, rows, columns with types, and where it comes from; a value that is no table any more says so."""
    try:
        seen = look(catalog.resolve(entry.name))
    except (DataError, pa.ArrowException, TypeError, ValueError, OSError) as error:
        return [entry.name, None, "", f"cannot be read now: {error}"]
    columns = ", ".join(f"{field.name} {field.type}" for field in seen.schema)
    about = [entry.description or ("shared" if entry.origin == "shared" else "result"), seen.said]
    return [entry.name, seen.rows, columns, "; ".join(filter(None, about))]


def describe(value: object, name: str, mask: Sequence[str]) -> tuple[str, list[list[Any]]]:
    """The preview of a table as text, and name, type and number of nulls of each column."""
    table, notes = to_arrow(snapshot(value))
    fields = [[field.name, str(field.type), table.column(i).null_count] for i, field in enumerate(table.schema)]
    return preview(table, name, mask=mask, notes=notes), fields


def counted(rows: int | None) -> str:
    """`1,234 rows`, or that they were not counted."""
    return "rows not counted" if rows is None else f"{rows:,} row{'' if rows == 1 else 's'}"


def _described_here(value: object, name: str, mask: Sequence[str]) -> tuple[str, list[list[Any]]]:
    try:
        return describe(value, name, mask)
    except DataError as error:
        raise ToolError(error.message) from error


def _listing(listed: Sequence[Sequence[Any]]) -> Iterator[str]:
    used = 0
    for number, (name, rows, columns, about) in enumerate(listed):
        line = f"{name} ({about}{f', {counted(rows)}' if columns else ''}): {columns}"
        used += len(line.encode())
        if used > LISTING_BYTES:
            yield f"… and {len(listed) - number} more tables; describe_table describes each"
            return
        yield line


class _announcing:
    """While a client is connected, tell it of changes of the catalog, from whatever thread they come."""

    def __init__(self, catalog: Catalog, bus: InMemorySubscriptionBus) -> None:
        self._catalog = catalog
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> None:
        self._catalog.on_change(self._changed)

    def __exit__(self, *exc: object) -> None:
        self._catalog.off_change(self._changed)

    def _changed(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._publish)

    def _publish(self) -> None:
        task = asyncio.ensure_future(self._bus.publish(ResourcesListChanged()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
