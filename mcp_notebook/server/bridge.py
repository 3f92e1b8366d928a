"""`mcp-notebook serve notebook --connection FILE`: a running notebook's shared tables for clients that speak stdio."""

from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel import Server

from mcp_notebook.errors import ConnectError
from mcp_notebook.server import VERSION
from mcp_notebook.server.outside import read_connection
from mcp_notebook.server.serve import serve_stdio

SECONDS = 120.0


async def serve_bridge(connection_file: Path) -> None:
    """Serve on stdio what the notebook of the connection file serves, until the client leaves.

    Raises `ConnectError` when there is no such file or nothing answers at its address.
    """
    url, token = read_connection(connection_file)
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS, trust_env=False)
    try:
        async with http, Client(streamable_http_client(url, http_client=http)) as client:
            await serve_stdio(forwarding(client))
    except* (httpx2.HTTPError, ConnectionError) as group:
        raise ConnectError("The notebook does not answer: serve its tables again with %mcp_serve.") from group


def forwarding(client: Client) -> "Server[Any]":
    """A server whose every answer comes from the client's own server."""

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return await client.list_tools()

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await client.call_tool(params.name, params.arguments)

    async def list_resources(context: Any, params: Any) -> types.ListResourcesResult:
        return await client.list_resources()

    async def list_templates(context: Any, params: Any) -> types.ListResourceTemplatesResult:
        return await client.list_resource_templates()

    async def read_resource(context: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        return await client.read_resource(params.uri)

    return Server(
        "mcp-notebook",
        title="The notebook's tables",
        instructions=client.instructions,
        version=VERSION,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )
