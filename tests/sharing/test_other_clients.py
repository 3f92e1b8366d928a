"""Clients that others wrote reach the shared tables with the token and by our
configuration, and not without it.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcp_notebook.sharing.http_server import (
    Address,
    OutsideServer,
    client_configuration,
    read_connection,
)
from tests.sharing.node_clients import installed, node
from tests.sharing.notebooks import Notebook, sample

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def clients() -> Path:
    return installed()


@pytest.fixture
def notebook() -> Notebook:
    notebook = Notebook(private=sample(), sales=sample())
    notebook.catalog.add("sales", origin="shared")
    return notebook


@pytest.fixture
async def outside(notebook: Notebook, tmp_path: Path) -> AsyncIterator[Address]:
    server = OutsideServer(notebook.catalog)
    yield await server.start(tmp_path)
    await server.stop()


async def run(
    *words: str, on_line: Any = None, **environment: str
) -> tuple[int, str, str]:
    """A program's exit code, output and errors; `on_line` sees each line of output as it comes."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        limit=1 << 20,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.ensure_future(process.stderr.read())
    lines = []
    async with asyncio.timeout(120):
        while line := (await process.stdout.readline()).decode():
            lines.append(line)
            if on_line is not None:
                on_line(line)
        return await process.wait(), "".join(lines), (await errors).decode()


async def inspect(clients: Path, *words: str) -> tuple[int, str, str]:
    """The MCP Inspector's command line."""
    binary = clients / "node_modules" / ".bin" / "mcp-inspector"
    path = f"{clients / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    return await run(node(clients), str(binary.resolve()), "--cli", *words, PATH=path)


async def test_the_typescript_sdk_lists_queries_pages_and_hears_of_changes(
    clients: Path, outside: Address, notebook: Notebook
):
    """Over Streamable HTTP and over SSE: tools, typed rows, cursors, resources,
    prompts, completion, list changes.
    """
    _, token = read_connection(outside.connection_file)

    def change(line: str) -> None:
        if line.startswith("connected"):
            notebook.catalog.add(
                f"after_{line.split()[1]}", variable="sales", origin="shared"
            )

    script = str(clients / "other_client.mjs")
    code, out, errors = await run(
        node(clients), script, outside.url, outside.sse_url, token, on_line=change
    )
    assert code == 0, errors
    said = json.loads(out.splitlines()[-1])
    for transport in ("http", "sse"):
        seen = said[transport]
        assert "error" not in seen, seen
        assert seen["tools"] == [
            "chart",
            "describe_table",
            "list_tables",
            "profile_table",
            "query",
        ]
        assert "private" not in seen["tables"]
        assert "sales" in seen["tables"]
        assert seen["rows"] == [[1, "a"], [2, "b"], [3, "c"]]
        assert "id" in seen["csv"]
        assert seen["prompt"] == 1
        assert seen["completed"][0] == "sales"
        assert seen["change"] == "heard", transport


async def test_the_typescript_sdk_is_refused_without_the_token_and_with_another(
    clients: Path, outside: Address
):
    """On both transports."""
    script = str(clients / "other_client.mjs")
    for token in ([], ["x" * 43]):
        _, out, _ = await run(
            node(clients), script, outside.url, outside.sse_url, *token
        )
        said = json.loads(out.splitlines()[-1])
        assert all(
            "401" in said[transport]["message"] + said[transport]["error"]
            for transport in ("http", "sse")
        )


async def test_the_inspector_lists_and_queries_with_the_token_and_is_refused_without(
    clients: Path, outside: Address
):
    """Its command line, over Streamable HTTP."""
    _, token = read_connection(outside.connection_file)
    at = (outside.url, "--transport", "http")
    header = ("--header", f"Authorization: Bearer {token}")
    code, out, errors = await inspect(clients, *at, *header, "--method", "tools/list")
    assert code == 0, errors
    assert [tool["name"] for tool in json.loads(out)["tools"]][-1] == "query"
    asked = (
        "--method",
        "tools/call",
        "--tool-name",
        "query",
        "--tool-arg",
        "sql=select sum(id) as n from sales",
    )
    code, out, errors = await inspect(clients, *at, *header, *asked)
    assert code == 0, errors
    assert json.loads(out)["structuredContent"]["rows"] == [[6]]
    code, out, errors = await inspect(clients, *at, "--method", "tools/list")
    assert code != 0
    assert json.loads(errors)["error"]["code"] == "auth_required"
    assert "query" not in out


async def test_the_inspector_starts_what_the_printed_configuration_says(
    clients: Path, outside: Address, tmp_path: Path
):
    """The configuration for Claude Desktop, Claude Code and Cursor, read by a program
    that is not ours.
    """
    for client, (_, held) in client_configuration(outside.connection_file).items():
        if "mcpServers" not in held:
            continue
        file = tmp_path / "config.json"
        file.write_text(json.dumps(held))
        words = (
            "--config",
            str(file),
            "--server",
            "notebook",
            "--method",
            "tools/call",
            "--tool-name",
            "list_tables",
        )
        code, out, errors = await inspect(clients, *words)
        assert code == 0, f"{client}: {errors}"
        assert [row[0] for row in json.loads(out)["structuredContent"]["rows"]] == [
            "sales"
        ], client
        assert held["mcpServers"]["notebook"]["command"] == sys.executable


async def claude(clients: Path, home: Path, *words: str) -> tuple[int, str, str]:
    """Claude Code's command line, which needs no key for this, with a home folder of its own."""
    binary = clients / "node_modules" / ".bin" / "claude"
    quiet = {
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    own = {
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "MCP_TIMEOUT": "100000",
    }
    return await run(str(binary), *words, **quiet, **own)


def health(out: str) -> dict[str, str]:
    """What `claude mcp list` says of each server."""
    lines = [line.partition(": ") for line in out.splitlines() if " - " in line]
    return {name: rest.rpartition(" - ")[2] for name, _, rest in lines}


async def test_claude_code_takes_the_configuration_and_connects(
    clients: Path, outside: Address, tmp_path: Path
):
    """The bridge as printed, HTTP with the token and without, and the database server;
    it checks by connecting.
    """
    _, token = read_connection(outside.connection_file)
    sqlite3.connect(tmp_path / "shop.db").execute(
        "create table sales (id integer)"
    ).connection.close()
    database = [
        "-m",
        "mcp_notebook",
        "serve",
        "database",
        "--url",
        f"sqlite:///{tmp_path / 'shop.db'}",
    ]
    _, held = client_configuration(outside.connection_file)["Claude Code"]
    web = {"type": "http", "url": outside.url}
    servers = {
        **held["mcpServers"],
        "web": {**web, "headers": {"Authorization": f"Bearer {token}"}},
        "stranger": web,
        "database": {"type": "stdio", "command": sys.executable, "args": database},
    }
    for name, server in servers.items():
        code, out, errors = await claude(
            clients, tmp_path, "mcp", "add-json", name, json.dumps(server)
        )
        assert code == 0, f"{name}: {out} {errors}"
    code, _, errors = await claude(
        clients, tmp_path, "mcp", "add-json", "wrong", json.dumps({"type": "odd"})
    )
    assert code != 0, "it checks nothing"
    _, out, errors = await claude(clients, tmp_path, "mcp", "list")
    said = health(out)
    assert {name: "Connected" in said.get(name, "") for name in servers} == {
        "notebook": True,
        "web": True,
        "stranger": False,
        "database": True,
    }, f"{out} {errors}"


# What VS Code's own schema of mcp.json says of a server that it starts, as far as ours
# uses it: no other property.
# https://github.com/microsoft/vscode/blob/main/src/vs/workbench/contrib/mcp/common/mcpConfiguration.ts
_VS_CODE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "inputs": {"type": "array"},
        "servers": {
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "command"],
                "properties": {
                    "type": {"enum": ["stdio"]},
                    "command": {"type": "string"},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "cwd": {"type": "string"},
                    "envFile": {"type": "string"},
                    "env": {
                        "additionalProperties": {"type": ["null", "string", "number"]}
                    },
                },
            },
        },
    },
    "required": ["servers"],
}


def test_the_configuration_for_vs_code_follows_its_schema(tmp_path: Path):
    """By notebook and by connection file."""
    for kernel in ("", "report.ipynb"):
        held = client_configuration(tmp_path / "connection.json", kernel)
        jsonschema.validate(held["VS Code"][1], _VS_CODE)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(held["Claude Code"][1], _VS_CODE)
