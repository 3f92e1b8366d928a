"""Clients outside the notebook: what they see, what they need, and that nothing is left
when it stops.
"""

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
from mcp_types import PromptReference

from mcp_notebook.config import load_servers
from mcp_notebook.config.target import OWN_START
from mcp_notebook.errors import ConfigError, ConnectError
from mcp_notebook.sharing.http_server import (
    Address,
    OutsideServer,
    client_configuration,
    find_connection,
    read_connection,
    write_connection,
)
from tests.sharing.notebooks import Notebook, sample

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
    # Twenty clients on a busy machine wait longer than httpx's five seconds.
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=120)
    async with http, Client(streamable_http_client(url, http_client=http)) as client:
        yield client


async def test_only_shared_tables_are_listed_and_queried(outside: Address):
    """A result of the conversation cannot be seen from outside, shared tables come with types."""
    async with connected(outside) as client:
        listed = (await client.call_tool("list_tables", {})).structured_content["rows"]
        asked = (
            await client.call_tool("query", {"sql": "select sum(id) as n from sales"})
        ).structured_content
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
            assert (
                await http.get(url, headers={"Authorization": "Bearer nonsense"})
            ).status_code == 401


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("Host", "evil.example", 421), ("Origin", "http://localhost:1", 403)],
)
async def test_a_page_of_another_origin_is_refused_even_with_the_token(
    outside: Address, header: str, value: str, status: int
):
    """The token in hand does not open the door to DNS rebinding."""
    _, token = read_connection(outside.connection_file)
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        header: value,
    }
    async with httpx2.AsyncClient() as http:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        assert (
            await http.post(outside.url, json=call, headers=headers)
        ).status_code == status


async def test_the_token_is_for_this_user_alone_and_shown_nowhere(outside: Address):
    """The connection file is private; neither repr nor configuration holds the token."""
    _, token = read_connection(outside.connection_file)
    assert os.name == "nt" or outside.connection_file.stat().st_mode & 0o777 == 0o600
    configurations = client_configuration(outside.connection_file)
    assert set(configurations) == {"Claude Desktop", "Claude Code", "VS Code", "Cursor"}
    assert token not in repr(outside) + json.dumps(configurations)


@pytest.mark.slow
async def test_a_client_that_speaks_stdio_goes_through_the_bridge(outside: Address):
    """The printed configuration works as it stands."""
    _, held = client_configuration(outside.connection_file)["Claude Desktop"]
    command = held["mcpServers"]["notebook"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with Client(StdioServerParameters(**command, env=environment)) as client:
        assert sorted(tool.name for tool in (await client.list_tools()).tools) == [
            "chart",
            "describe_table",
            "list_tables",
            "profile_table",
            "query",
        ]
        content = (
            await client.call_tool("query", {"sql": "select count(*) as n from sales"})
        ).structured_content
        assert content["rows"] == [[3]]
        (resource,) = (await client.list_resources()).resources
        assert "sales" in str(
            (await client.read_resource(resource.uri)).contents[0].uri
        )
        prompt = await client.get_prompt("explore_table", {"table": "sales"})
        assert "id int64" in prompt.messages[0].content.text
        found = await client.complete(
            PromptReference(name="explore_table"), {"name": "table", "value": "s"}
        )
        assert found.completion.values == ["sales"]


@pytest.mark.slow
async def test_the_bridge_passes_on_that_the_list_changed(tmp_path: Path):
    """A client that speaks stdio, of either era, hears of a table that is shared while
    it is connected.
    """
    notebook = shared_notebook()
    server = OutsideServer(notebook.catalog)
    address = await server.start(tmp_path, notebook=str(tmp_path / "analysis.ipynb"))
    arguments = [*OWN_START, "serve", "notebook", "--kernel", "analysis"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    (tmp_path / "mcp-notebook").mkdir()
    address.connection_file.rename(
        tmp_path / "mcp-notebook" / address.connection_file.name
    )
    heard = asyncio.Event()

    async def hear(message: object) -> None:
        if type(message).__name__ == "ResourceListChangedNotification":
            heard.set()

    parameters = StdioServerParameters(
        command=sys.executable, args=arguments, env=environment
    )
    async with Client(parameters, mode="legacy", message_handler=hear) as client:
        assert [str(r.name) for r in (await client.list_resources()).resources] == [
            "sales"
        ]
        notebook.catalog.add("private", origin="shared")
        await asyncio.wait_for(heard.wait(), 30)
        assert [str(r.name) for r in (await client.list_resources()).resources] == [
            "private",
            "sales",
        ]
    await server.stop()


async def test_printed_configurations_are_read_by_our_own_reader_and_name_the_notebook(
    tmp_path: Path,
):
    """Each is the format of its client: `mcpServers`, VS Code's `servers` with a type."""
    for client, (_, held) in client_configuration(
        tmp_path / "x.json", "analysis"
    ).items():
        file = tmp_path / f"{client}.json"
        file.write_text(json.dumps(held))
        (server,) = load_servers(file).values()
        assert server.args[-2:] == ("--kernel", "analysis"), client
        assert ("servers" in held) == (client == "VS Code")


def test_a_kernel_is_found_by_its_notebook_and_files_of_dead_kernels_go(tmp_path: Path):
    """By name, path or process; several need a name, and none is said in words."""
    here = {"url": "http://x", "token": "t", "pid": os.getpid()}
    with pytest.raises(
        ConnectError, match="No kernel serves its tables: run %mcp_serve"
    ):
        find_connection(tmp_path)
    one = write_connection(
        tmp_path / "notebook-1.json", {**here, "notebook": "/home/ada/a.ipynb"}
    )
    assert (
        find_connection(tmp_path)
        == find_connection(tmp_path, "a")
        == find_connection(tmp_path, "a.ipynb")
        == one
    )
    write_connection(
        tmp_path / "notebook-2.json", {**here, "notebook": "/home/ada/b.ipynb"}
    )
    assert find_connection(tmp_path, "/home/ada/a.ipynb") == one
    with pytest.raises(
        ConnectError, match="Several kernels serve tables: name one with --kernel: a, b"
    ):
        find_connection(tmp_path)
    with pytest.raises(
        ConnectError, match=r"No kernel 'c' serves its tables.*Serving now: a, b"
    ):
        find_connection(tmp_path, "c")
    gone = write_connection(
        tmp_path / "notebook-3.json",
        {**here, "notebook": "/home/ada/c.ipynb", "pid": 2**22 + 1},
    )
    with pytest.raises(ConnectError, match="No kernel 'c'"):
        find_connection(tmp_path, "c")
    assert not gone.exists()


async def test_a_body_that_is_too_large_is_refused(outside: Address):
    """On both transports, before it is read whole."""
    _, token = read_connection(outside.connection_file)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(headers=headers) as http:
        for url in (
            outside.url,
            outside.url.replace("/mcp", "/messages/?session_id=0"),
        ):
            assert (
                await http.post(url, content=b"[" + b" " * 5_000_000)
            ).status_code == 413


@pytest.mark.slow
async def test_many_clients_side_by_side_lose_nothing(outside: Address):
    """20 clients with 5 queries each: 100 right answers."""

    async def ask(number: int) -> list[int]:
        async with connected(outside) as client:
            results = [
                await client.call_tool(
                    "query", {"sql": f"select {number * 10 + i} as n"}
                )
                for i in range(5)
            ]
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
            await OutsideServer(shared_notebook().catalog).start(
                tmp_path, port=taken.getsockname()[1]
            )


def test_a_stale_connection_file_says_what_to_do(tmp_path: Path):
    """After the notebook stopped serving."""
    with pytest.raises(ConnectError, match="%mcp_serve"):
        read_connection(tmp_path / "gone.json")
