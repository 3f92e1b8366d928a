"""Servers behind a URL that break the protocol on purpose: one sentence each, bounded
memory, the session goes on.
"""

import resource
from collections.abc import Iterator
from typing import Any

import pytest

from mcp_notebook.config import HttpServer
from mcp_notebook.errors import SessionError
from mcp_notebook.sessions import SessionHooks, Sessions
from tests.servers.hostile import STORM, Hostile

ANSWERED = (
    "ok", "id_text", "twice", "session_moves", "session_gone", "slow_lines", "progress_back", "elicit_storm",
    "sample_storm", "changed_storm", "names", "schemas", "described", "cursor_same", "cursor_odd",
)  # fmt: skip
REFUSED = {  # name -> what the sentence says
    "id_other": "an id that nobody asked with",
    "id_null": "not valid JSON-RPC",
    "null_result": "not valid JSON-RPC",
    "batch": "not valid JSON-RPC",
    "empty": "not valid JSON",
    "not_json": "not valid JSON",
    "odd_events": "not valid JSON",
    "no_content": "with nothing in place of a result",
    "accepted": "gave no answer to it",
    "login_page": "text/html in place of a result; a sign-in page",
    "wrong_type": "text/plain in place of a result",
    "redirect": r"sends us on to http://localhost:\d+/ok/mcp, where nothing was sent",
    "redirect_loop": "sends us on to",
    "gzip_bomb": "larger than 1 MB",
    "gzip_lie": "not packed with gzip, as it says",
    "session_always_gone": "does not keep our session; connect again",
    "half_line": "closed its connection during t; the call may have run",
}
# name -> the names of the tools that can be used, and what is said of the others
NOTICED = {
    "schemas": ({"t", "deep", "remote"}, ["huge", "list", "bool", "number", "null"]),
    "cursor_same": ({"t"}, ["the listing of tools does not end"]),
    "cursor_odd": ({"t"}, ["the listing of tools does not end"]),
    "names": (None, ["'t' is listed twice", "has no name"]),
}


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with Hostile() as other, Hostile() as server:
        server.other = f"http://localhost:{other.server_port}"
        server.elsewhere = other.asked  # type: ignore[attr-defined]
        yield server


async def open_session(server: Hostile, name: str, sessions: Sessions) -> Any:
    return await sessions.connect(
        "s", HttpServer(server.url(name), {"Authorization": "Bearer of-one-server"})
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERED)
async def test_what_can_be_understood_is_answered(
    name: str, hostile: Hostile, sessions: Sessions
) -> None:
    session = await open_session(hostile, name, sessions)
    for _ in range(2):
        outcome = await session.call("t", timeout=60)
        assert outcome.result.content[0].text == "ok"
    assert session.state == "ready"


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_ends_its_call_in_one_sentence(
    name: str, hostile: Hostile
) -> None:
    sessions = Sessions(cap=1_000_000)
    session = await open_session(hostile, name, sessions)
    for _ in range(2):
        with pytest.raises(SessionError, match=REFUSED[name]) as failure:
            await session.call("t", timeout=60)
        assert "\n" not in failure.value.message
        assert "validation error" not in failure.value.message
        assert len(failure.value.message) < 300
    assert hostile.elsewhere == []  # type: ignore[attr-defined]
    if name not in ("session_always_gone", "half_line"):
        await session.refresh_tools()
        assert session.status()["restarts"] == 0
    await sessions.close_all(0.1)


@pytest.mark.parametrize("name", NOTICED)
async def test_a_listing_keeps_what_is_usable(
    name: str, hostile: Hostile, sessions: Sessions
) -> None:
    session = await open_session(hostile, name, sessions)
    usable, said = NOTICED[name]
    assert usable is None or {tool.name for tool in session.tools} == usable
    assert all(any(word in notice for notice in session.notices) for word in said)


async def test_a_huge_error_is_an_error_of_the_tool(
    hostile: Hostile, sessions: Sessions
) -> None:
    session = await open_session(hostile, "big_error", sessions)
    assert (await session.call("t", timeout=60)).result.is_error


async def test_a_stream_that_only_says_it_lives_ends_at_the_calls_limit(
    hostile: Hostile, sessions: Sessions
) -> None:
    session = await open_session(hostile, "silent_stream", sessions)
    with pytest.raises(SessionError, match="did not answer within"):
        await session.call("t", timeout=0.5)
    await session.refresh_tools()


@pytest.mark.slow
async def test_a_small_packed_reply_takes_no_large_memory(
    hostile: Hostile, sessions: Sessions
) -> None:
    assert len(hostile.bomb) < 300_000
    await (await open_session(hostile, "ok", sessions)).call("t")
    session = await open_session(hostile, "gzip_bomb", sessions)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SessionError, match="larger than 17 MB"):
        await session.call("t", timeout=60)
    # of 200 MB
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 100


async def test_a_session_that_the_server_forgot_is_opened_anew_once(
    hostile: Hostile, sessions: Sessions
) -> None:
    session = await open_session(hostile, "session_gone", sessions)
    await session.call("t", timeout=60)
    assert hostile.sessions == 2


async def test_a_storm_of_questions_is_answered_and_the_call_ends(
    hostile: Hostile,
) -> None:
    asked = 0

    async def elicit(server: str, params: Any) -> tuple[str, None]:
        nonlocal asked
        asked += 1
        return "decline", None

    sessions = Sessions(hooks=SessionHooks(elicit=elicit))
    session = await open_session(hostile, "elicit_storm", sessions)
    await session.call("t", timeout=60)
    await sessions.close_all(0.1)
    assert asked == 200


async def test_a_storm_of_list_changes_is_listed_a_few_times(
    hostile: Hostile, sessions: Sessions
) -> None:
    session = await open_session(hostile, "changed_storm", sessions)
    await session.call("t", timeout=60)
    listings = [asked for asked in hostile.asked if asked[3] == "tools/list"]
    assert len(listings) < STORM / 20
