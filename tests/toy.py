"""A session without a server: tools are functions, everything else is as in a real one."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mcp.types import CallToolResult, TextContent

from mcp_notebook.config import StdioServer, spec_fingerprint
from mcp_notebook.sessions.session import Session, ToolList
from mcp_notebook.sessions.tools import CallOutcome, ToolInfo, fingerprint, size_of


class ToySession(ToolList):
    """Answers calls with the functions it was given: a str, a CallToolResult, or an
    exception to raise.
    """

    instructions = ""
    server_title = "Toy"
    state = "ready"
    seconds_for = Session.seconds_for

    def __init__(
        self,
        name: str,
        tools: Mapping[str, Callable[..., Any]],
        *,
        trusted: bool = True,
    ) -> None:
        super().__init__()
        self.name = name
        self.trusted = trusted
        self.spec = StdioServer("toy", (name,))
        self.identity = spec_fingerprint(self.spec)
        self.safe_tools: set[str] = set()
        self._functions = dict(tools)
        self.tools = tuple(_info(name, tool) for tool in sorted(tools))
        self.accept_changes()
        self.called: list[tuple[str, dict[str, Any]]] = []

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, timeout=None, on_progress=None
    ) -> CallOutcome:
        self.called.append((tool, dict(arguments)))
        value = self._functions[tool](**arguments)
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, str):
            value = CallToolResult(content=[TextContent(type="text", text=value)])
        return CallOutcome(value, 0.01, size_of(value))


def _info(server: str, tool: str) -> ToolInfo:
    schema = {"type": "object", "properties": {"sql": {"type": "string"}}}
    definition = {"name": tool, "inputSchema": schema}
    return ToolInfo(
        server,
        tool,
        "",
        f"Tool {tool}.",
        schema,
        None,
        {},
        fingerprint(definition),
        definition,
    )
