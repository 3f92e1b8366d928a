"""What changes while a connection lives: the server's tools, listed anew at most once a
second, and our folders.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import anyio
from mcp import MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

from mcp_notebook.errors import SessionError
from mcp_notebook.sessions.connection import NEWER_PROTOCOL, Connection

logger = logging.getLogger(__name__)

PAUSE = 1.0  # seconds between two listings
TELL = 5.0  # seconds to tell a server something
AGAIN = 5.0  # seconds before a lost subscription is asked for again
LISTING = 30.0  # seconds for one listing


async def watch_lists(
    connection: Connection, stale: asyncio.Event, refresh: Callable[[], Awaitable[None]]
) -> None:
    """Runs beside a connection until it ends; `stale` is set by notifications of either era."""
    listener = asyncio.create_task(_listen(connection, stale))
    try:
        while not connection.closed.is_set():
            await _wait_for_first(stale, connection.closed)
            if connection.closed.is_set():
                return

            with contextlib.suppress(SessionError, TimeoutError):
                async with asyncio.timeout(LISTING):
                    await refresh()

            stale.clear()
            await asyncio.sleep(PAUSE)
    except Exception:
        # boundary: a background task; the session's next call shows what is wrong
        logger.exception("watching the tools of a server failed")
    finally:
        listener.cancel()


async def announce_roots(connection: Connection) -> None:
    """To a server that may ask for the folders; in the newer protocol it gets them anew
    with each request.
    """
    client = connection.client
    if client.protocol_version >= NEWER_PROTOCOL:
        return
    if "list_roots_callback" not in connection.opening.callbacks:
        return

    try:
        async with asyncio.timeout(TELL):
            await client.send_roots_list_changed()
    except (
        MCPError,
        TimeoutError,
        anyio.ClosedResourceError,
        anyio.BrokenResourceError,
    ):
        logger.info("a server was not told that the folders changed", exc_info=True)


async def _listen(connection: Connection, stale: asyncio.Event) -> None:
    """The newer protocol tells changes only on a stream that was asked for."""
    client = connection.client
    tools = client.server_capabilities.tools
    if tools is None or not tools.list_changed:
        return
    if client.protocol_version < NEWER_PROTOCOL:
        return

    while connection.alive:
        try:
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    stale.set()
        except ListenNotSupportedError:
            return
        except (MCPError, SubscriptionLost, TimeoutError):
            logger.info("the subscription to changes ended", exc_info=True)

        await asyncio.sleep(AGAIN)


async def _wait_for_first(*events: asyncio.Event) -> None:
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
