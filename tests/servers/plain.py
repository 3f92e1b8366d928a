"""A well-behaved server of the SDK for session tests: `python plain.py stdio|http|sse [port]`."""

import asyncio
import os
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError


def build() -> MCPServer:
    """A server with a few tools, resources and prompts."""
    server = MCPServer("plain")

    @server.tool()
    def echo(text: str) -> str:
        """Give the text back."""
        return text

    @server.tool()
    def process_id() -> int:
        """The server's process id."""
        return os.getpid()

    @server.tool()
    def environment() -> dict[str, str]:
        """The server's environment."""
        return dict(os.environ)

    @server.tool()
    def fail(text: str) -> str:
        """Fail with the text."""
        raise ToolError(text)

    @server.tool()
    async def wait(seconds: float, ctx: Context) -> str:
        """Wait, with progress."""
        for step in range(10):
            await ctx.report_progress(step + 1, 10, f"step {step + 1}")
            await asyncio.sleep(seconds / 10)
        return "waited"

    @server.resource("note://one", mime_type="text/plain")
    def note() -> str:
        """A note."""
        return "first note"

    @server.prompt()
    def greet(name: str) -> str:
        """Greet someone."""
        return f"Say hello to {name}"

    return server


if __name__ == "__main__":
    kind = sys.argv[1] if len(sys.argv) > 1 else "stdio"
    if kind == "stdio":
        build().run("stdio")
    elif kind == "http":
        build().run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        build().run("sse", host="127.0.0.1", port=int(sys.argv[2]))
