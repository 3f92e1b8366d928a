"""A server that changes its tools: heard in both eras, and compared with what was seen first."""

import asyncio
from collections.abc import Awaitable, Callable

from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ToolsListChanged

from mcp_notebook.config import InProcessServer
from mcp_notebook.sessions import Session, Sessions
from tests.sessions.support import misbehaving


async def until_changed(session: Session, again: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(10):
        while not session.changed_tools:
            await again()
            await asyncio.sleep(0.05)


async def test_the_older_protocol_sends_a_notification(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving("rug_pull"))

    async def change() -> None:
        await session.call("t", {"do": "change"})

    await until_changed(session, change)
    assert [change.name for change in session.changed_tools] == ["t"]


async def test_the_newer_protocol_is_listened_to(sessions: Sessions) -> None:
    bus = InMemorySubscriptionBus()
    server = MCPServer("changing", subscriptions=bus)

    def tool() -> str:
        """The first text."""
        return "x"

    server.add_tool(tool, name="t", description="the first text")
    session = await sessions.connect("s", InProcessServer(lambda: server))
    assert session.era == "2026-07-28"
    server.remove_tool("t")
    server.add_tool(tool, name="t", description="another text")
    await until_changed(session, lambda: bus.publish(ToolsListChanged()))
    assert '+  "description": "another text"' in session.changed_tools[0].diff()


async def test_a_restart_compares_with_what_was_seen_first(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving())
    pinned = session.pinned["t"]
    assert session.upkeep.connection is not None
    await session.upkeep.connection.close(0.1)
    await session.call("t")
    assert session.changed_tools == ()
    assert session.pinned["t"] is pinned
