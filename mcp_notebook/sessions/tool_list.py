"""The tools of one server: listed, checked, pinned when first seen and compared at each
listing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp import MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

from mcp_notebook.errors import SessionError
from mcp_notebook.sessions.connection import NEWER_PROTOCOL, Connection
from mcp_notebook.sessions.requests import ask_once, fetch_all_pages
from mcp_notebook.sessions.tools import (
    ToolChange,
    ToolInfo,
    find_changes,
    make_tool_info,
)


class ToolList:
    """Mixed into Session, whose `name` it reads."""

    name: str

    def __init__(self) -> None:
        self.tools: tuple[ToolInfo, ...] = ()
        # what is odd about the server, for the person
        self.notices: tuple[str, ...] = ()
        # tool name -> what the model's service said of it: it is not offered again
        self.left_out: dict[str, str] = {}
        self.pinned: dict[str, ToolInfo] = {}
        self.changed_tools: tuple[ToolChange, ...] = ()

    def accept_changes(self, *names: str) -> None:
        """Pin the present definition of these tools (all when none is named): the
        person has seen the diff.
        """
        for tool in self.tools:
            if not names or tool.name in names:
                self.pinned[tool.name] = tool

        self.compare_with_pinned()

    def compare_with_pinned(self) -> None:
        """Say again which tools are not as they are pinned."""
        self.changed_tools = find_changes(self.pinned, self.tools)

    def tool(self, name: str) -> ToolInfo | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    async def _list_tools(self, connection: Connection) -> None:
        client = connection.client
        # A server without tools answers the question with an error.
        if client.server_capabilities.tools is None:
            self.tools = ()
            return

        def fetch(cursor: str | None) -> Any:
            return client.list_tools(cursor=cursor, cache_mode="bypass")

        pages = fetch_all_pages(fetch, "tools")
        found, note = await ask_once(self.name, connection, pages)
        notices = [
            f"tool {name!r} is not usable: {why}"
            for name, why in connection.tap.refused.items()
        ]
        tools: dict[str, ToolInfo] = {}
        for tool in found:
            # A second one could shadow the one that was looked at.
            if tool.name in tools:
                notices.append(
                    f"tool {tool.name!r} is listed twice; the second one is refused"
                )
                continue

            tools[tool.name] = make_tool_info(self.name, tool)

        if note:
            notices.append(note)

        # Sorted, so that a server that lists them in another order changes nothing.
        self.tools = tuple(tools[name] for name in sorted(tools))
        self.notices = tuple(dict.fromkeys(notices))
        for info in self.tools:
            self.pinned.setdefault(info.name, info)

        self.compare_with_pinned()


# What changes while a connection lives: the server's tools, listed anew at most once a
# second, and our folders.


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
