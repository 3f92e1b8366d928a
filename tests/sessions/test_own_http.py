"""A program that is started for its stdin and stdout, and serves HTTP instead."""

import sys

import pytest

from mcp_notebook.config import StdioServer
from mcp_notebook.sessions import Sessions
from mcp_notebook.sessions.opening import find_addresses
from tests.sessions.support import SERVERS, free_port, none_left


def own_http(*kind: str) -> StdioServer:
    script = str(SERVERS / "own_http.py")
    return StdioServer(sys.executable, (script, str(free_port()), *kind))


async def pid_of(session) -> int:
    outcome = await session.call("pid")
    return int(outcome.result.content[0].text)


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_its_address_is_followed_and_its_process_ends_with_the_session(
    sessions: Sessions, kind: str
) -> None:
    session = await sessions.connect("s", own_http(kind), timeout=50)
    number = await pid_of(session)
    assert session.transport == kind
    assert any("serves HTTP by itself" in notice for notice in session.notices)
    assert not none_left([number], 0)
    await sessions.disconnect("s")
    assert none_left([number], 3)


async def test_it_is_started_and_followed_anew_after_it_died(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", own_http(), timeout=50)
    first = await pid_of(session)
    with pytest.raises(Exception, match="may have run"):
        await session.call("die")

    second = await pid_of(session)
    assert second != first
    await sessions.disconnect("s")
    assert none_left([first, second], 3)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (
            "INFO: Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C)",
            "http://127.0.0.1:8000/mcp",
        ),
        ("listening: http://localhost:3001/sse.", "http://localhost:3001/sse"),
        ("\x1b[1mServer:\x1b[0m http://[::1]:99/mcp/", "http://[::1]:99/mcp"),
        ("docs at https://example.com/mcp http://10.0.0.1:80/mcp", None),
        ("http://localhost.evil.example:80/mcp", None),
        ("http://127.0.0.1@evil.example/mcp", None),
    ],
)
def test_only_addresses_of_this_machine_are_found(
    words: str, first: str | None
) -> None:
    assert next(iter(find_addresses(words)), None) == first
