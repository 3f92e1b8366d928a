"""`mcp-notebook serve notebook --kernel NAME`: a running notebook's shared tables for
clients that speak stdio.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
)
from mcp.shared.exceptions import MCPError

from mcp_notebook import __version__
from mcp_notebook.errors import ConnectError
from mcp_notebook.sharing.http_server import read_connection
from mcp_notebook.sharing.notebook_server import HandshakeClients
from mcp_notebook.sharing.serve import serve_stdio
from mcp_notebook.sharing.tools import ChangingServer

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

SECONDS = 120.0


async def serve_bridge(connection_file: Path) -> None:
    """Serve on stdio what the notebook of the connection file serves, until the client leaves.

    Raises `ConnectError` when there is no such file or nothing answers at its address.
    """
    url, token = read_connection(connection_file)
    http = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS, trust_env=False
    )
    try:
        async with (
            http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            await serve_stdio(build_forwarding_server(client))
    except* (httpx2.HTTPError, ConnectionError, MCPError) as group:
        raise ConnectError(
            "The notebook does not answer: serve its tables again with %mcp_serve."
        ) from group


def build_forwarding_server(client: Client) -> "Server[Any]":
    """A server whose every answer comes from the client's own server, and which passes
    on that its list changed.
    """
    answers, sessions = _Answers(client), HandshakeClients()
    bus = InMemorySubscriptionBus()
    server = ChangingServer(
        "mcp-notebook",
        title="The notebook's tables",
        instructions=client.instructions,
        version=__version__,
        lifespan=lambda server: _pass_on_while_open(client, bus, sessions),
        on_list_tools=answers.list_tools,
        on_call_tool=answers.call_tool,
        on_list_resources=answers.list_resources,
        on_list_resource_templates=answers.list_templates,
        on_read_resource=answers.read_resource,
        on_list_prompts=answers.list_prompts,
        on_get_prompt=answers.get_prompt,
        on_completion=answers.complete,
        on_subscriptions_listen=ListenHandler(bus),
    )
    server.middleware.append(sessions)
    return server


class _Answers:
    """What another server answers, a method for each request; each gets the request's
    context, which is ours alone.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list_tools(self, context: Any, params: Any) -> types.ListToolsResult:
        return await self._client.list_tools()

    async def call_tool(
        self, context: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return await self._client.call_tool(params.name, params.arguments)

    async def list_resources(
        self, context: Any, params: Any
    ) -> types.ListResourcesResult:
        return await self._client.list_resources(cache_mode="bypass")

    async def list_templates(
        self, context: Any, params: Any
    ) -> types.ListResourceTemplatesResult:
        return await self._client.list_resource_templates()

    async def read_resource(
        self, context: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        return await self._client.read_resource(params.uri, cache_mode="bypass")

    async def list_prompts(self, context: Any, params: Any) -> types.ListPromptsResult:
        return await self._client.list_prompts()

    async def get_prompt(
        self, context: Any, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        return await self._client.get_prompt(params.name, params.arguments)

    async def complete(
        self, context: Any, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        if params.context:
            known = params.context.arguments
        else:
            known = None

        argument = {"name": params.argument.name, "value": params.argument.value}
        return await self._client.complete(
            params.ref, argument, context_arguments=known
        )


@contextlib.asynccontextmanager
async def _pass_on_while_open(
    client: Client, bus: InMemorySubscriptionBus, sessions: HandshakeClients
) -> AsyncIterator[dict[str, Any]]:
    listening = asyncio.ensure_future(_pass_on(client, bus, sessions))
    try:
        yield {}
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _pass_on(
    client: Client, bus: InMemorySubscriptionBus, sessions: HandshakeClients
) -> None:
    async with client.listen(resources_list_changed=True) as events:
        async for _ in events:
            await bus.publish(ResourcesListChanged())
            await sessions.announce()
