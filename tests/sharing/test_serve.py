"""The server as a process: stdio, Streamable HTTP and HTTP+SSE, with token, Host and
Origin checks.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from mcp_notebook.errors import ConfigError
from mcp_notebook.sharing.tools import serve, token_from
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
