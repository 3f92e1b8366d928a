"""The notebook's own MCP server: its tables, read-only, as tools, resources and prompts.

In process (`form="arrow"`) an answer holds its whole table as an embedded Arrow
resource: exact types, no JSON, and the host shows the model a preview. For clients
outside (`form="json"`) it is structured content with SQL types, as the database server
gives it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import mcp_types as types
import pyarrow as pa
from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
)
from mcp.shared.exceptions import MCPError
from pyarrow import csv

from mcp_notebook.errors import DataError, did_you_mean
from mcp_notebook.kinds import kind_of
from mcp_notebook.secrets import KnownValues
from mcp_notebook.sharing.arrow import arrow_bytes, snapshot, to_arrow
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.database import Handover
from mcp_notebook.sharing.describing import UNREADABLE, look
from mcp_notebook.sharing.masks import NOTHING_KNOWN, Masks
from mcp_notebook.sharing.query import SqlRunner
from mcp_notebook.sharing.sources.local_tables import STORED, sample
from mcp_notebook.sharing.table_tools import SECONDS, Form, TableTools
from mcp_notebook.sharing.tools import build_server
from mcp_notebook.values import column_values, value_kind

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.lowlevel import Server


_INSTRUCTIONS = (
    "Tables in the person's notebook: results of earlier calls and DataFrames that "
    "the person shared, all read-only. "
    "`query` runs one SELECT in the DuckDB dialect over them and joins tables that "
    "came from different servers; "
    "the rows stay in the notebook."
)


# Since 2026-07-28 a client opens a `subscriptions/listen` stream and hears there. Before,
# a server sends `notifications/resources/list_changed` on the session's own channel,
# whenever it likes: so the sessions must be known.
class HandshakeClients:
    """The connections that made the handshake; a middleware of the SDK's server keeps
    it up to date.
    """

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> Any:
        """Remember a connection from the moment it is initialized until it ends."""
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized":
            # the SDK gives handlers no other way to a session's own channel
            connection = ctx.session._connection
            self._connections[id(connection)] = connection
            connection.exit_stack.callback(self._connections.pop, id(connection), None)

        return result

    async def announce(self) -> None:
        """Send `notifications/resources/list_changed` to all of them; a channel that is
        gone takes nothing.
        """
        for connection in list(self._connections.values()):
            await connection.send_resource_list_changed()


class ChangeAnnouncer:
    """While a client is connected, tells all of changes of the catalog, from whatever
    thread they come.

    Entered once for each transport that serves; a change is told once however many there are.
    """

    def __init__(
        self, catalog: Catalog, bus: InMemorySubscriptionBus, sessions: HandshakeClients
    ) -> None:
        self._catalog = catalog
        self._bus = bus
        self._sessions = sessions
        self._entered = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._entered:
            self._catalog.on_change(self._schedule_announcement)

        self._entered += 1

    def __exit__(self, *exc: object) -> None:
        self._entered -= 1
        if not self._entered:
            self._catalog.off_change(self._schedule_announcement)

    @property
    def serves(self) -> bool:
        """Whether a client is connected, or a transport open for one."""
        return self._entered > 0

    def _schedule_announcement(self) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._start_announcing)

    def _start_announcing(self) -> None:
        # the loop itself holds tasks only weakly
        task = asyncio.ensure_future(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self) -> None:
        await self._bus.publish(ResourcesListChanged())
        await self._sessions.announce()


def build_notebook_server(
    catalog: Catalog,
    *,
    form: Form = "arrow",
    runner: SqlRunner | None = None,
    mask: Callable[[], Sequence[str]] = tuple,
    known: KnownValues = NOTHING_KNOWN,
    timeout: float = SECONDS,
    folder: Path | None = None,
) -> Server[Any]:
    """The server over a catalog.

    `runner` holds the worker process (by default one of its own, which ends with its
    last client), `mask` gives the patterns of columns whose values no client ever gets,
    `timeout` is in seconds a statement; into `folder` large answers go as files.
    """
    # one for the server's life, so that tokens agree from query to query
    key = Masks().key

    def current_masks() -> Masks:
        patterns = tuple(mask())
        return Masks(patterns, key, known, len(known) if patterns else 0)

    running = runner or SqlRunner()
    handing = None if folder is None else Handover(folder)
    tools = TableTools(catalog, running, form, current_masks, timeout, handing)
    resources = Resources(catalog, current_masks)
    prompts = Prompts(catalog, lambda names: current_masks().columns(names))
    bus, sessions = InMemorySubscriptionBus(), HandshakeClients()
    announcing = ChangeAnnouncer(catalog, bus, sessions)

    @asynccontextmanager
    async def lifespan(server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            with announcing:
                yield {}
        finally:
            if runner is None and not announcing.serves:
                await running.rest()

    server = build_server(
        "mcp-notebook",
        tools.tools(),
        title="The notebook's tables",
        instructions=_INSTRUCTIONS,
        resources_change=True,
        lifespan=lifespan,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_list_prompts=prompts.list,
        on_get_prompt=prompts.get,
        on_completion=prompts.complete,
        on_subscriptions_listen=ListenHandler(bus),
    )
    server.middleware.append(sessions)
    return server


# Prompts for common analyses of the notebook's tables, and the completion of their
# arguments.
#
# A prompt is a request that a person can pick in their client; it holds the tables'
# columns as they are now, so that a model can begin with the first query.


MOST = 100  # values of one completion, as the protocol has it

_TABLES = {"table", "left", "right"}


@dataclass(frozen=True)
class Analysis:
    """A prompt: its arguments in order (name, description, required), and the text with
    their names in braces.
    """

    name: str
    title: str
    description: str
    arguments: tuple[tuple[str, str, bool], ...]
    text: str

    def as_prompt(self) -> types.Prompt:
        """The prompt as `prompts/list` announces it."""
        return types.Prompt(
            name=self.name,
            title=self.title,
            description=self.description,
            arguments=[
                types.PromptArgument(name=n, description=d, required=r)
                for n, d, r in self.arguments
            ],
        )


_TABLE = ("table", "Name of a table as list_tables gives it", True)
ANALYSES = (
    Analysis(
        "explore_table",
        "Explore a table",
        "What a table holds, what is typical and what is odd, with figures.",
        (_TABLE, ("question", "What you want to know in particular", False)),
        "Explore the table {table}.\n{schema}\n\nBegin with profile_table. Then use "
        "`query` for at most six "
        "SELECTs that show how the numbers are distributed, how the groups differ and "
        "how things develop over "
        "time where there is a date. Say what one row stands for, give the three most "
        "telling findings with "
        "their figures, and name what surprised you.{question}",
    ),
    Analysis(
        "compare_periods",
        "Compare two periods",
        "How a measure of a table changed between two periods, and which groups explain it.",
        (
            _TABLE,
            ("date_column", "Column with the dates", True),
            (
                "measure",
                "Column or SQL expression that is compared; number of rows when left out",
                False,
            ),
            ("group_by", "Column whose groups are to explain the change", False),
        ),
        "Compare the two latest complete periods of the table {table} by its column "
        "{date_column}.\n"
        "{schema}\n\nFind the span of {date_column} first and choose the period "
        "(month, quarter, year) that "
        "fits it; leave an unfinished last period out. Compare {measure} between the "
        "two: both figures, the "
        "difference, the change in percent. {group_by} Check that the groups sum to "
        "the whole. Say in two "
        "sentences what changed and what drove it.",
    ),
    Analysis(
        "find_data_problems",
        "Find data-quality problems",
        "Missing values, duplicates, impossible or inconsistent values of a table, "
        "each with its number of rows.",
        (_TABLE,),
        "Look for problems in the data of the table {table}.\n{schema}\n\nBegin with "
        "profile_table. Then check "
        "by `query`: whole rows and supposed keys that occur twice; columns with "
        "missing or constant values; "
        "numbers out of any plausible range; dates in the future or out of order; "
        "text that differs only in "
        "case or blanks; groups with one row. Report each problem that exists with "
        "the number of rows, an "
        "example, and the SELECT that finds them; do not report what you did not count.",
    ),
    Analysis(
        "join_tables",
        "Join two tables",
        "How two tables fit together: the columns to join on, what has no "
        "counterpart, and the joined result.",
        (
            ("left", "Name of the first table", True),
            ("right", "Name of the second table", True),
        ),
        "Join the tables {left} and {right}.\n{schema}\n\nFind the columns that they "
        "have in common by name "
        "and by values. Before joining, count with `query` how often each candidate "
        "key occurs on both sides, "
        "and how many rows of each side have no counterpart. Say whether the join is "
        "one to one, one to many "
        "or many to many, write the SELECT, run it with a small limit, and check that "
        "its number of rows is "
        "what the counts promise.",
    ),
)
_BY_NAME = {analysis.name: analysis for analysis in ANALYSES}


class Prompts:
    """The handlers of `prompts/list`, `prompts/get` and `completion/complete` over a catalog."""

    def __init__(
        self, catalog: Catalog, hidden: Callable[[Sequence[str]], Sequence[str]]
    ) -> None:
        """`hidden` picks the masked columns of those named."""
        self._catalog = catalog
        self._hidden = hidden

    async def list(self, context: Any, params: Any) -> types.ListPromptsResult:
        """All prompts; they are the same whatever tables there are."""
        return types.ListPromptsResult(
            prompts=[analysis.as_prompt() for analysis in ANALYSES]
        )

    async def get(
        self, context: Any, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """The prompt with its arguments; what is missing or wrong is the protocol's
        invalid-params error.
        """
        analysis = _BY_NAME.get(params.name)
        if analysis is None:
            raise _invalid(
                f"There is no prompt {params.name!r}.{did_you_mean(params.name, _BY_NAME)}"
            )

        given = dict(params.arguments or {})
        _check(analysis, given)
        tables = [given[name] for name, _, _ in analysis.arguments if name in _TABLES]
        schema = "\n".join(
            [await asyncio.to_thread(self._schema, table) for table in tables]
        )
        text = analysis.text.format(**_with_words(given), schema=schema)
        message = types.PromptMessage(role="user", content=types.TextContent(text=text))
        return types.GetPromptResult(
            description=analysis.description, messages=[message]
        )

    async def complete(
        self, context: Any, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        """Names of tables, or of columns of the table that was given already."""
        name, typed = params.argument.name, params.argument.value
        known = (params.context.arguments if params.context else None) or {}
        is_template = isinstance(params.ref, types.ResourceTemplateReference)
        if name in _TABLES or (is_template and name == "name"):
            offered = list(self._catalog.names())
        elif name in ("date_column", "measure", "group_by") and known.get("table"):
            offered = await asyncio.to_thread(self._columns, known["table"], name)
        else:
            offered = []

        fitting = [
            value for value in offered if value.lower().startswith(typed.lower())
        ]
        fitting += [
            value
            for value in offered
            if value not in fitting and typed.lower() in value.lower()
        ]
        found = types.Completion(
            values=fitting[:MOST], total=len(fitting), has_more=len(fitting) > MOST
        )
        return types.CompleteResult(completion=found)

    def _schema(self, table: str) -> str:
        fields = self._fields(table)
        hidden = set(self._hidden([field.name for field in fields]))
        words = (
            f"{f.name} {f.type}{' (masked)' if f.name in hidden else ''}"
            for f in fields
        )
        return f"Columns of {table}: {', '.join(words)}."

    def _columns(self, table: str, argument: str) -> Sequence[str]:
        try:
            fields = list(self._fields(table))
        except MCPError:
            return []

        kinds = {field.name: value_kind(field.type) for field in fields}
        dated = [name for name, kind in kinds.items() if kind.moment]
        numbers = [name for name, kind in kinds.items() if kind.number]
        if argument == "date_column" and dated:
            return dated

        if argument == "measure" and numbers:
            return numbers

        return [f.name for f in fields]

    def _fields(self, table: str) -> pa.Schema:
        try:
            return look(self._catalog.resolve(table)).schema
        except UNREADABLE as error:
            raise _invalid(
                error.message
                if isinstance(error, DataError)
                else f"{table} cannot be read now."
            ) from error


def _check(analysis: Analysis, given: Mapping[str, str]) -> None:
    names = [name for name, _, _ in analysis.arguments]
    for name in given:
        if name not in names:
            raise _invalid(
                f"{analysis.name} has no argument {name!r}. Its arguments: {', '.join(names)}."
            )

    for name, description, required in analysis.arguments:
        if required and not given.get(name):
            raise _invalid(
                f"{analysis.name} needs the argument {name!r} ({description})."
            )


def _with_words(given: Mapping[str, str]) -> dict[str, str]:
    """The arguments with words for those that were left out; braces inside a value are
    just braces.
    """
    asked, by = given.get("question"), given.get("group_by")
    words = {
        "measure": given.get("measure") or "the number of rows",
        "question": f" In particular: {asked}" if asked else "",
        "group_by": f"Break the difference down by {by}, largest part first."
        if by
        else "Break the difference down by the column whose groups explain most of it.",
    }
    return {**given, **words}


def _invalid(message: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, message)


# Each offered table as MCP resources: `notebook://tables/NAME` is its schema as JSON,
# `.../rows.csv` and `.../rows.arrow` are its first 100,000 rows, with tokens in masked
# columns.


SCHEME = "notebook://tables/"
ROWS = 100_000
_ARROW = "application/vnd.apache.arrow.file"


class Resources:
    """The handlers of `resources/list`, `resources/templates/list` and `resources/read`
    over a catalog.
    """

    def __init__(self, catalog: Catalog, masks: Callable[[], Masks] = Masks) -> None:
        self._catalog = catalog
        self._masks = masks

    async def list(self, context: Any, params: Any) -> types.ListResourcesResult:
        """One resource a table: its schema."""
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    uri=SCHEME + quote(entry.name, safe=""),
                    name=entry.name,
                    description=entry.description
                    or f"Schema of the table {entry.name}",
                    mime_type="application/json",
                )
                for entry in self._catalog.entries()
            ]
        )

    async def templates(
        self, context: Any, params: Any
    ) -> types.ListResourceTemplatesResult:
        """Where a table's rows are."""
        kinds = (("rows.csv", "text/csv"), ("rows.arrow", _ARROW))
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=f"{SCHEME}{{name}}/{leaf}",
                    name=leaf,
                    description=f"The first {ROWS:,} rows of a table",
                    mime_type=mime,
                )
                for leaf, mime in kinds
            ]
        )

    async def read(
        self, context: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """The schema or the rows of one table; an unknown address is the protocol's
        invalid-params error.
        """
        name, _, leaf = str(params.uri).removeprefix(SCHEME).partition("/")
        if not str(params.uri).startswith(SCHEME) or leaf not in (
            "",
            "rows.csv",
            "rows.arrow",
        ):
            raise MCPError(
                types.INVALID_PARAMS,
                f"There is no resource {params.uri}.",
                {"uri": str(params.uri)},
            )

        try:
            value = self._catalog.resolve(unquote(name))
        except DataError as error:
            raise MCPError(
                types.INVALID_PARAMS, error.message, {"uri": str(params.uri)}
            ) from error

        entry = self._catalog.find(unquote(name))
        if entry:
            scope = entry.name
        else:
            scope = unquote(name)

        try:
            contents = await asyncio.to_thread(
                _contents,
                str(params.uri),
                value,
                leaf,
                self._masks().for_entry(entry),
                scope,
            )
        except DataError as error:
            raise MCPError(
                types.INVALID_PARAMS, error.message, {"uri": str(params.uri)}
            ) from error

        return types.ReadResourceResult(contents=[contents])


def _contents(
    uri: str, value: object, leaf: str, masks: Masks, name: str
) -> types.TextResourceContents | types.BlobResourceContents:
    if not leaf:
        return types.TextResourceContents(
            uri=uri, mime_type="application/json", text=_schema(value, masks)
        )

    if kind_of(value) in STORED:
        whole = sample(value, ROWS)
    else:
        whole = to_arrow(snapshot(value), rows=ROWS)[0]

    table = masks.apply(whole, name)
    if leaf == "rows.arrow":
        blob = base64.b64encode(arrow_bytes(table)).decode("ascii")
        return types.BlobResourceContents(uri=uri, mime_type=_ARROW, blob=blob)

    return types.TextResourceContents(uri=uri, mime_type="text/csv", text=_csv(table))


def _schema(value: object, masks: Masks) -> str:
    schema = look(value).schema
    hidden = masks.columns(schema.names)
    fields = [
        {
            "name": f.name,
            "type": str(f.type),
            "nullable": f.nullable,
            **({"masked": True} if f.name in hidden else {}),
        }
        for f in schema
    ]
    return json.dumps({"columns": fields})


def _csv(table: pa.Table) -> str:
    """CSV; nested columns, which CSV cannot hold, as JSON text."""
    for index, field in enumerate(table.schema):
        if value_kind(field.type).nested:
            texts = [
                None if v is None else json.dumps(v, default=str)
                for v in column_values(table.column(index))
            ]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))

    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink)
    return sink.getvalue().to_pybytes().decode()
