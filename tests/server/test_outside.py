"""Clients outside the notebook: what they see, what they need, and that nothing is left when it stops."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from mcp_notebook.errors import ConfigError, ConnectError
from mcp_notebook.server.outside import Address, OutsideServer, client_configuration, read_connection
from tests.server.notebooks import Notebook, sample

ROOT = Path(__file__).parents[2]


def shared_notebook() -> Notebook:
    notebook = Notebook(private=sample(), sales=sample())
    notebook.catalog.add("sales", origin="shared")
    return notebook


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Address]:
    server = OutsideServer(shared_notebook().catalog)
    yield await server.start(tmp_path)
    await server.stop()


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Client]:
    url, token = read_connection(address.connection_file)
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
    async with http, Client(streamable_http_client(url, http_client=http)) as client:
        yield client


async def test_only_shared_tables_are_listed_and_queried(outside: Address):
    """A result of the conversation cannot be seen from outside, shared tables come with types."""
    async with connected(outside) as client:
        listed = (await client.call_tool("list_tables", {})).structured_content["rows"]
        asked = (await client.call_tool("query", {"sql": "select sum(id) as n from sales"})).structured_content
        refused = await client.call_tool("query", {"sql": "select * from private"})
    assert [row[0] for row in listed] == ["sales"]
    assert asked["rows"] == [[6]]
    assert refused.is_error
    assert "private" not in refused.content[0].text.replace("'private'", "")


async def test_without_the_token_nothing_is_served(outside: Address):
    """Neither transport, and not with another token."""
    async with httpx2.AsyncClient() as http:
        for url in (outside.url, outside.sse_url):
            assert (await http.get(url)).status_code == 401
            assert (await http.get(url, headers={"Authorization": "Bearer nonsense"})).status_code == 401


@pytest.mark.parametrize(
    ("header", "value", "status"), [("Host", "evil.example", 421), ("Origin", "http://localhost:1", 403)]
)
async def test_a_page_of_another_origin_is_refused_even_with_the_token(
    outside: Address, header: str, value: str, status: int
):
    """The token in hand does not open the door to DNS rebinding."""
    _, token = read_connection(outside.connection_file)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream", header: value}
    async with httpx2.AsyncClient() as http:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        assert (await http.post(outside.url, json=call, headers=headers)).status_code == status


async def test_the_token_is_for_this_user_alone_and_shown_nowhere(outside: Address):
    """The connection file is private; neither repr nor configuration holds the token."""
    _, token = read_connection(outside.connection_file)
    assert os.name == "nt" or outside.connection_file.stat().st_mode & 0o777 == 0o600
    configurations = client_configuration(outside.connection_file)
    assert set(configurations) == {"Claude Desktop", "Claude Code", "VS Code"}
    assert token not in repr(outside) + json.dumps(configurations)


async def test_a_client_that_speaks_stdio_goes_through_the_bridge(outside: Address):
    """The printed configuration works as it stands."""
    command = client_configuration(outside.connection_file)["Claude Desktop"]["mcpServers"]["notebook"]
    arguments = ["-m", "mcp_notebook.server.commands", *command["args"][1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=environment)) as client:
        assert sorted(tool.name for tool in (await client.list_tools()).tools) == [
            "describe_table",
            "list_tables",
            "profile_table",
            "query",
        ]
        content = (await client.call_tool("query", {"sql": "select count(*) as n from sales"})).structured_content
        assert content["rows"] == [[3]]
        (resource,) = (await client.list_resources()).resources
        assert "sales" in str((await client.read_resource(resource.uri)).contents[0].uri)


async def test_many_clients_side_by_side_lose_nothing(outside: Address):
    """20 clients with 5 queries each: 100 right answers."""

    async def ask(number: int) -> list[int]:
        async with connected(outside) as client:
            results = [await client.call_tool("query", {"sql": f"select {number * 10 + i} as n"}) for i in range(5)]
        return [result.structured_content["rows"][0][0] for result in results]

    answers = await asyncio.gather(*(ask(number) for number in range(20)))
    assert answers == [[number * 10 + i for i in range(5)] for number in range(20)]


async def test_stopping_leaves_nothing_and_it_starts_again(tmp_path: Path):
    """The port is free, the file is gone, and a second start works."""
    server = OutsideServer(shared_notebook().catalog)
    for _ in range(2):
        address = await server.start(tmp_path)
        assert await server.start(tmp_path) == address
        await server.stop()
        await server.stop()
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(httpx2.ConnectError):
            async with httpx2.AsyncClient() as http:
                await http.get(address.url)


async def test_a_port_that_is_taken_is_one_clear_sentence(tmp_path: Path):
    """The person is told to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another"):
            await OutsideServer(shared_notebook().catalog).start(tmp_path, port=taken.getsockname()[1])


def test_a_stale_connection_file_says_what_to_do(tmp_path: Path):
    """After the notebook stopped serving."""
    with pytest.raises(ConnectError, match="%mcp_serve"):
        read_connection(tmp_path / "gone.json")
