"""Servers behind a URL: killed, restarted, refusing, not MCP at all."""

import asyncio
from collections.abc import Callable

import httpx2
import pytest

from mcp_notebook.config import HttpServer
from mcp_notebook.errors import ConnectError, SessionError
from mcp_notebook.sessions import Session, Sessions
from mcp_notebook.sessions.http import (
    MOST_RETURNS,
    HttpTrouble,
    SofteningClient,
    find_reason,
    refusal_sentence,
    retry_after,
)
from tests.sessions.support import HttpProcess, free_port

Start = Callable[..., HttpProcess]
SIZE = 3_000_000


async def echo(session: Session, text: str = "hi") -> str:
    return (
        (await session.call("echo", {"text": text}, timeout=20)).result.content[0].text
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "legacy"), [("http", False), ("http", True), ("sse", False)]
)
async def test_a_server_that_is_killed_and_restarted_is_used_again(
    kind: str, legacy: bool, http_server: Start, sessions: Sessions
) -> None:
    server = http_server(kind)
    session = await sessions.connect("web", HttpServer(server.url), legacy=legacy)
    assert await echo(session) == "hi"
    running = asyncio.create_task(session.call("wait", {"seconds": 30}, timeout=20))
    await asyncio.wait([running], timeout=0.3)
    await asyncio.to_thread(server.kill)
    with pytest.raises(SessionError):
        await running
    with pytest.raises(SessionError, match=r"refused; is the server running"):
        await echo(session)
    await asyncio.to_thread(server.start)
    assert await echo(session, "again") == "again"
    assert session.state == "ready"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "legacy"), [("http", False), ("http", True), ("sse", False)]
)
async def test_a_reply_of_several_megabytes_comes_whole(
    kind: str, legacy: bool, http_server: Start, sessions: Sessions
) -> None:
    session = await sessions.connect(
        "web", HttpServer(http_server(kind).url), legacy=legacy
    )
    assert len(await echo(session, "x" * SIZE)) == SIZE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_reply_over_the_cap_is_refused_and_the_session_goes_on(
    kind: str, http_server: Start
) -> None:
    sessions = Sessions(cap=SIZE)
    session = await sessions.connect("web", HttpServer(http_server(kind).url))
    with pytest.raises(SessionError):
        await echo(session, "x" * (SIZE + 1000))
    assert await echo(session) == "hi"
    await sessions.close_all()


async def test_an_address_of_the_older_transport_is_found_by_itself(
    http_server: Start, sessions: Sessions
) -> None:
    session = await sessions.connect("old", HttpServer(http_server("sse").url))
    assert session.transport == "sse"
    assert session.state == "ready"


async def test_nobody_listens(sessions: Sessions) -> None:
    port = free_port()
    with pytest.raises(ConnectError, match=rf"127\.0\.0\.1:{port} was refused"):
        await sessions.connect("web", HttpServer(f"http://127.0.0.1:{port}/mcp"))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/html", "not an MCP server"),
        ("/404", r"HTTP 404\); the address of an MCP server often ends in /mcp"),
        ("/401", r"asks for authorization \(HTTP 401\)"),
        ("/403/mcp", r"asks for authorization \(HTTP 403\)"),
        ("/500/mcp", "HTTP 500"),
        ("/cut", "broke in the middle of the reply|cannot be reached"),
        ("/json", "cannot be reached|refused the connection"),
    ],
)
async def test_an_address_that_is_no_server_says_what_is_there(
    path: str, sentence: str, odd: tuple[str, list[str]], sessions: Sessions
) -> None:
    with pytest.raises(ConnectError, match=sentence):
        await sessions.connect("web", HttpServer(odd[0] + path), timeout=20)
    assert all(path in line for line in odd[1])


async def test_headers_are_sent_and_never_shown(
    odd: tuple[str, list[str]], sessions: Sessions
) -> None:
    spec = HttpServer(
        odd[0] + "/401?token=query-secret", {"Authorization": "Bearer header-secret"}
    )
    with pytest.raises(ConnectError) as failure:
        await sessions.connect("web", spec)
    assert "Bearer header-secret" in odd[1][0]
    shown = failure.value.message + failure.value.detail + repr(spec)
    assert "header-secret" not in shown
    assert "query-secret" not in shown


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", ""),
        (b"plan  does not\n allow this", "plan does not allow this"),
        (b'{"error": "nope"}', "nope"),
        (b'{"error": {"code": 7, "message": "the key has no scope x"}}', "the key has"),
        (b'{"error": "a", "error_description": "b"}', "b"),
        (
            b"<html><style>p {}</style><p>Access <b>denied</b></p></html>",
            "Access denied",
        ),
        (b"token=sk-ant-api03-abcdefghijklmnop0123456789 is wrong", "token="),
        (b"x" * 500, "x" * 200 + "\u2026"),
        (b"a\x1b[31mb", "a\\x1b[31mb"),
    ],
)
def test_what_a_refusal_says_is_told_on_one_line(body: bytes, reason: str) -> None:
    found = find_reason(body)
    assert found.startswith(reason) if reason else found == ""
    assert "abcdefghijklmnop" not in found
    if reason:
        assert found in refusal_sentence(403, "https://x.example/mcp", found)


class Busy:
    """A server that answers its first requests with a status, and the others well."""

    def __init__(self, status: int, times: int, asks: str | None) -> None:
        self._status, self._left, self._asks = status, times, asks
        self.requests = 0

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        self._left -= 1
        if self._left < 0:
            return httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": {}})

        headers = {} if self._asks is None else {"retry-after": self._asks}
        return httpx2.Response(self._status, headers=headers, text="busy")

    async def ask(self, method: str) -> tuple[httpx2.Response, str]:
        trouble, transport = HttpTrouble(), httpx2.MockTransport(self.answer)
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}
        async with SofteningClient(trouble, 10_000, transport=transport) as client:
            return await client.post(
                "http://busy.test/mcp", json=body
            ), trouble.sentence


PAST = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
@pytest.mark.parametrize("asks", ["0", PAST])
@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_busy_server_is_asked_again_when_it_says(
    status: int, asks: str, method: str
) -> None:
    """But no tool that may have run already, behind a gateway."""
    busy = Busy(status, MOST_RETURNS, asks)
    response, sentence = await busy.ask(method)
    if status == 502 and method == "tools/call":
        assert busy.requests == 1
        assert "gateway" in sentence
        return

    assert busy.requests == MOST_RETURNS + 1
    assert response.json()["result"] == {}


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        (None, "HTTP 503"),
        ("soon", "HTTP 503"),
        ("90", "ask again in 90 s"),
        ("600", "in 10 minutes"),
    ],
)
async def test_who_asks_for_nothing_or_for_too_long_is_not_waited_for(
    asks: str | None, said: str
) -> None:
    busy = Busy(503, 1, asks)
    _, sentence = await busy.ask("tools/call")
    assert busy.requests == 1
    assert said in sentence


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        (PAST, 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_wait_that_is_asked_for(asked: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": asked}) == seconds


async def test_a_server_that_stays_busy_is_left_after_some_times() -> None:
    busy = Busy(429, 100, "0")
    _, sentence = await busy.ask("tools/call")
    assert busy.requests == MOST_RETURNS + 1
    assert "too many requests" in sentence
