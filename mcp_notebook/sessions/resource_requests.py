"""What a session can ask a server besides tool calls: resources, prompts, completions."""

from collections.abc import Callable
from typing import Any

from mcp.types import (
    CompleteResult,
    GetPromptResult,
    PromptReference,
    ReadResourceResult,
    ResourceTemplateReference,
)

from mcp_notebook.sessions.connection import Connection
from mcp_notebook.sessions.requests import fetch_all_pages


class ResourceRequests:
    """Mixed into Session, which brings `_ask` (one question with its limits) and
    `_connect_first`.
    """

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    async def _connect_first(self, on_progress: Any = None) -> Connection:
        raise NotImplementedError

    async def read_resource(self, uri: str) -> ReadResourceResult:
        """The contents of a resource; SessionError when the server has none of that address."""
        return await self._ask(lambda client: client.read_resource(uri))

    async def list_resources(self) -> list[Any]:
        """Every resource of the server (mcp.types.Resource), an empty list when it has none."""
        return await self._list_all(
            "resources",
            lambda client, cursor: client.list_resources(cursor=cursor),
            "resources",
        )

    async def list_resource_templates(self) -> list[Any]:
        """Every resource template of the server (mcp.types.ResourceTemplate)."""
        return await self._list_all(
            "resources",
            lambda client, cursor: client.list_resource_templates(cursor=cursor),
            "resource_templates",
        )

    async def list_prompts(self) -> list[Any]:
        """Every prompt of the server (mcp.types.Prompt)."""
        return await self._list_all(
            "prompts",
            lambda client, cursor: client.list_prompts(cursor=cursor),
            "prompts",
        )

    async def get_prompt(
        self, name: str, arguments: dict[str, str] | None = None
    ) -> GetPromptResult:
        """A prompt with its arguments filled in."""
        return await self._ask(lambda client: client.get_prompt(name, arguments))

    async def complete(
        self, ref: Any, argument: str, value: str, known: dict[str, str] | None = None
    ) -> list[str]:
        """The server's completions for one argument of a prompt or template (a
        PromptReference or its sibling).
        """
        named = {"name": argument, "value": value}
        result: CompleteResult = await self._ask(
            lambda client: client.complete(ref, named, known)
        )
        return list(result.completion.values)

    async def complete_prompt(
        self,
        prompt: str,
        argument: str,
        value: str,
        known: dict[str, str] | None = None,
    ) -> list[str]:
        """The server's completions for an argument of a prompt; `known` are the
        arguments given already.
        """
        return await self.complete(
            PromptReference(type="ref/prompt", name=prompt), argument, value, known
        )

    async def complete_resource(
        self,
        template: str,
        variable: str,
        value: str,
        known: dict[str, str] | None = None,
    ) -> list[str]:
        """The server's completions for a variable of a resource template; `known` are
        the ones before it.
        """
        reference = ResourceTemplateReference(type="ref/resource", uri=template)
        return await self.complete(reference, variable, value, known or None)

    async def _list_all(
        self, capability: str, fetch: Callable[[Any, str | None], Any], field: str
    ) -> list[Any]:
        """Items of every page; `fetch` asks a client for the page of a cursor."""
        connection = await self._connect_first()
        # A server that does not declare the capability answers with an error.
        if getattr(connection.client.server_capabilities, capability) is None:
            return []

        def ask(client: Any) -> Any:
            return fetch_all_pages(lambda cursor: fetch(client, cursor), field)

        items, _ = await self._ask(ask)
        return items
