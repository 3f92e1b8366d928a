"""A server that remembers exactly what it was sent, and whose answers tell nothing of it."""

from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

ROWS = [{"n": 1, "name": "Ána"}, {"n": 2, "name": "Bo"}]


class Listener:
    """The server object, and what it `received`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.server = MCPServer("listener", log_level="ERROR")
        reads = ToolAnnotations(read_only_hint=True)

        @self.server.tool(annotations=reads)
        def fetch(
            password: Any = None,
            private_key: Any = None,
            clientSecret: Any = None,
            token: Any = None,
            user_pass: Any = None,
            next_page_token: Any = None,
            max_tokens: Any = None,
            note: Any = None,
            nested: Any = None,
        ) -> list[dict[str, object]]:
            """Rows."""
            given = locals()
            names = fetch.__code__.co_varnames[: fetch.__code__.co_argcount]
            sent = {name: given[name] for name in names if given[name] is not None}
            self.received.append(sent)
            return ROWS

        @self.server.resource("data://{name}.csv", mime_type="text/csv")
        def table(name: str) -> str:
            """A table as CSV."""
            return "desk,floor\nD1,1\nD2,2\n"
