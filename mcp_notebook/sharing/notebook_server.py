"""The notebook's own MCP server: its tables, read-only, as tools, resources and prompts.

In process (`form="arrow"`) an answer holds its whole table as an embedded Arrow
resource: exact types, no JSON, and the host shows the model a preview. For clients
outside (`form="json"`) it is structured content with SQL types, as the database server
gives it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
)

from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.prompts import Prompts
from mcp_notebook.sharing.query import SqlRunner
from mcp_notebook.sharing.resources import Resources
from mcp_notebook.sharing.table_tools import SECONDS, Form, TableTools
from mcp_notebook.sharing.tools import build_server

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
    timeout: float = SECONDS,
) -> "Server[Any]":
    """The server over a catalog.

    `runner` holds the worker process (by default one of its own, which ends with its
    last client), `mask` gives the patterns of columns whose values no client ever gets,
    `timeout` is in seconds a statement.
    """
    # one for the server's life, so that tokens agree from query to query
    key = Masks().key

    def current_masks() -> Masks:
        return Masks(tuple(mask()), key)

    running = runner or SqlRunner()
    tools = TableTools(catalog, running, form, current_masks, timeout)
    resources = Resources(catalog, current_masks)
    prompts = Prompts(catalog, lambda names: current_masks().columns(names))
    bus, sessions = InMemorySubscriptionBus(), HandshakeClients()
    announcing = ChangeAnnouncer(catalog, bus, sessions)

    @asynccontextmanager
    async def lifespan(server: "Server[Any]") -> AsyncIterator[dict[str, Any]]:
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
