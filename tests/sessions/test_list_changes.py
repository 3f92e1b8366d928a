"""A server that changes its tools: heard in both eras, and compared with what was seen first."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ToolsListChanged
from mcp.types import NotificationParams

from mcp_notebook.config import InProcessServer
from mcp_notebook.sessions import Session, SessionHooks, Sessions
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
    assert session.restarter.connection is not None
    await session.restarter.connection.close(0.1)
    await session.call("t")
    assert session.changed_tools == ()
    assert session.pinned["t"] is pinned


@pytest.mark.parametrize(("legacy", "told"), [(True, 1), (False, 0)])
async def test_a_server_of_the_older_protocol_is_told_when_the_folders_change(
    legacy: bool, told: int
) -> None:
    heard = asyncio.Event()
    count = 0

    async def changed(context: Any, params: Any) -> None:
        nonlocal count
        count += 1
        heard.set()

    async def folders(server: str) -> list[str]:
        return ["/a"]

    def server() -> MCPServer:
        made = MCPServer("curious")
        made._lowlevel_server.add_notification_handler(
            "notifications/roots/list_changed", NotificationParams, changed
        )
        return made

    for hooks, times in ((SessionHooks(), 0), (SessionHooks(roots=folders), told)):
        count = 0
        sessions = Sessions(hooks=hooks)
        await sessions.connect("s", InProcessServer(server), legacy=legacy)
        await sessions.announce_roots()
        if times:
            await asyncio.wait_for(heard.wait(), 10)
        await sessions.close_all()
        assert count == times


async def test_a_server_that_is_gone_is_not_started_to_be_told(
    sessions: Sessions,
) -> None:
    sessions.hooks = SessionHooks(roots=_nowhere)
    session = await sessions.connect("s", misbehaving())
    assert session.restarter.connection is not None
    await session.restarter.connection.close(0.1)
    await sessions.announce_roots()
    assert session.state == "crashed"


async def _nowhere(server: str) -> list[str]:
    return []
