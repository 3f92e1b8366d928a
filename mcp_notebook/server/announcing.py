"""Tells connected clients that the list of tables changed: those that listen, and those
of the handshake eras.

Since 2026-07-28 a client opens a `subscriptions/listen` stream and hears there. Before,
a server sends `notifications/resources/list_changed` on the session's own channel,
whenever it likes: so the sessions must be known.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged

from mcp_notebook.server.catalog import Catalog

if TYPE_CHECKING:
    from mcp.server.connection import Connection


class Sessions:
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


class Announcing:
    """While a client is connected, tells all of changes of the catalog, from whatever
    thread they come.

    Entered once for each transport that serves; a change is told once however many there are.
    """

    def __init__(
        self, catalog: Catalog, bus: InMemorySubscriptionBus, sessions: Sessions
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
            self._catalog.on_change(self._changed)
        self._entered += 1

    def __exit__(self, *exc: object) -> None:
        self._entered -= 1
        if not self._entered:
            self._catalog.off_change(self._changed)

    @property
    def serves(self) -> bool:
        """Whether a client is connected, or a transport open for one."""
        return self._entered > 0

    def _changed(self) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._publish)

    def _publish(self) -> None:
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        await self._bus.publish(ResourcesListChanged())
        await self._sessions.announce()
