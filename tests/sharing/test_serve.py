"""The server as a process: stdio, Streamable HTTP and HTTP+SSE, with token, Host and
Origin checks.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from starlette.responses import Response

from mcp_notebook.errors import ConfigError
from mcp_notebook.sharing import tools
from mcp_notebook.sharing.tools import Allowance, ClientLimits, serve, token_from
from tests.sharing.conftest import SHOP

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-tests-only"
COMMAND = [
    "-m",
    "mcp_notebook.sharing.commands",
    "database",
    "--url",
    f"sqlite:///{SHOP}",
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "SHOP_TOKEN": TOKEN}


@asynccontextmanager
async def served(*options: str) -> AsyncIterator[str]:
    """Start the server as a process and give the address that it announces."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *COMMAND,
        *options,
        env=ENVIRONMENT,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
        yield line.split(" at ")[-1].strip()
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def count_tables(client: Client) -> int:
    return (await client.call_tool("list_tables", {})).structured_content["row_count"]


@pytest.mark.slow
async def test_stdio():
    """A client that starts the command talks to the database."""
    parameters = StdioServerParameters(
        command=sys.executable, args=COMMAND, env=ENVIRONMENT
    )
    async with Client(parameters) as client:
        assert await count_tables(client) == 6


@pytest.mark.slow
async def test_streamable_http_and_sse_on_loopback():
    """Both HTTP transports answer at the same port, and `/health` says so."""
    async with served("--transport", "http") as address:
        assert address.startswith("http://127.0.0.1:")
        async with Client(address) as client:
            assert await count_tables(client) == 6
        async with Client(
            sse_client(address.replace("/mcp", "/sse")), mode="legacy"
        ) as client:
            assert await count_tables(client) == 6
        async with httpx2.AsyncClient() as http:
            assert (await http.get(address.replace("/mcp", "/health"))).json()[
                "status"
            ] == "ok"


@pytest.mark.slow
async def test_a_token_is_asked_for_and_compared():
    """Without the token or with another one: 401; with it: an answer."""
    async with served("--transport", "http", "--token-env", "SHOP_TOKEN") as address:
        async with httpx2.AsyncClient() as http:
            for headers in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": TOKEN},
            ):
                for path in ("/mcp", "/sse"):
                    url = address.replace("/mcp", path)
                    assert (await http.get(url, headers=headers)).status_code == 401
        with_token = httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"})
        async with Client(
            streamable_http_client(address, http_client=with_token)
        ) as client:
            assert await count_tables(client) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
    ],
)
async def test_other_hosts_and_origins_are_refused(
    headers: dict[str, str], status: int
):
    """DNS rebinding and pages of other local ports do not reach the tools."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accept = {"Accept": "application/json, text/event-stream"}
    async with served("--transport", "http") as address, httpx2.AsyncClient() as http:
        assert (
            await http.post(address, json=call, headers={**accept, **headers})
        ).status_code == status


async def test_serving_beyond_loopback_needs_a_token():
    """An open port without a token is refused before anything listens."""
    with pytest.raises(ConfigError, match="needs a token"):
        await serve(None, transport="http", host="0.0.0.0")  # type: ignore[arg-type]


def test_a_short_or_missing_token_is_refused():
    """The variable's name is in the message, its value is not."""
    with pytest.raises(ConfigError, match="SHOP_TOKEN") as caught:
        token_from("SHOP_TOKEN", {"SHOP_TOKEN": "short"})
    assert "short" not in str(caught.value).replace("SHOP", "")


@pytest.mark.slow
async def test_a_wrong_url_ends_the_process_with_one_sentence():
    """No traceback for what the person must mend."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *COMMAND[:-1],
        "sqlite:///nowhere.db",
        env=ENVIRONMENT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert err.decode().startswith("mcp-notebook serve: There is no database file")
    assert "Traceback" not in err.decode()


# ---- what one client may take


def _counted(allowance: Allowance, body: bytes = b"ok") -> ClientLimits:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05 if scope["path"] == "/slow" else 0)
        await Response(body)(scope, receive, send)

    return ClientLimits(answer, allowance)


def _http(app: ClientLimits, name: str = "one") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app)
    headers = {"User-Agent": name}
    return httpx2.AsyncClient(transport=transport, headers=headers, base_url="http://x")


async def test_more_requests_at_a_time_than_allowed_are_told_to_wait():
    """Those that are open end well, and another client is not touched."""
    app = _counted(Allowance(at_a_time=3))
    async with _http(app) as one, _http(app, "two") as two:
        asked = await asyncio.gather(
            *(one.get("/slow") for _ in range(8)), two.get("/slow")
        )
        after = await one.get("/slow")
    statuses = [found.status_code for found in asked]
    assert sorted(statuses[:8]) == [200] * 3 + [429] * 5
    assert statuses[8] == after.status_code == 200
    refused = next(found for found in asked if found.status_code == 429)
    assert "end some first" in refused.json()["error"]["message"]
    assert int(refused.headers["Retry-After"]) >= 1


async def test_a_client_that_asks_too_often_waits_and_then_is_answered():
    app = _counted(Allowance(requests=5, requests_a_second=50))
    async with _http(app) as http:
        statuses = [(await http.get("/")).status_code for _ in range(12)]
        assert (await http.get("/health")).status_code == 200
        await asyncio.sleep(0.1)
        assert (await http.get("/")).status_code == 200
    assert statuses[:5] == [200] * 5
    assert 429 in statuses


async def test_bytes_that_were_read_count_until_they_are_made_good():
    app = _counted(Allowance(bytes=2_500, bytes_a_second=100), b"x" * 1_000)
    async with _http(app) as http:
        statuses = [(await http.get("/")).status_code for _ in range(5)]
        refused = await http.get("/")
    assert statuses == [200, 200, 200, 429, 429]
    assert "aggregate in SQL" in refused.json()["error"]["message"]
    assert int(refused.headers["Retry-After"]) >= 5


async def test_clients_that_are_gone_are_forgotten():
    app = _counted(Allowance())
    for number in range(app.MOST_KNOWN + 50):
        async with _http(app, f"client {number}") as http:
            await http.get("/")
    assert len(app._accounts) == app.MOST_KNOWN


async def test_half_a_request_ends_and_a_whole_one_does_not(monkeypatch):
    """A head that never ends, or never begins, is let go of; a slow answer is not."""
    monkeypatch.setattr(tools, "HEADER_SECONDS", 0.2)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(0.6)
            await Response(b"there")(scope, receive, send)

    listener = tools.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = tools.http_server(slow)
    server.config.lifespan = "off"
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        for head in (b"", b"GET / HTTP/1.1\r\nHost: x", b"G", b"GET /"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            assert b" 200 " not in await asyncio.wait_for(reader.read(), 3)
            writer.close()
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{port}/")).text == "there"
    finally:
        server.should_exit = True
        await serving
