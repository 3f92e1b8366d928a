"""Named MCP connections, each owned by one task on the background loop.

    registry    Sessions: connect, disconnect, find by name
    starting    a session from a description, with the SDK imported beside the server's start
    session     Session: calls and questions; what the rest of the package uses
    upkeep, toollist, health    its connection, restarted with backoff; its tools, pinned; its counters
    connection  one live connection: the owner task around the SDK's Client
    tap, tapped, floods, brokenlines    what passes between a transport and the SDK: sizes, replies that cannot be read
    stdio, process, lifeline, lines      our stdio transport and the supervisor that leaves no orphans
    http, sse   Streamable HTTP with ordinary errors; the older SSE transport
    values, changes, pages      tools as values, pinned; listings page by page
    oauth, signin, tokens       authorization of HTTP servers, and where it stays between kernels
    hooks, schema, failures     callbacks, output schemas, error sentences
    log, leftovers, quiet       private logs, those of killed kernels, silence

Importing this package does not import the MCP SDK: that takes more than a second and
happens on the first connect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.sessions.changes import ToolChange
    from mcp_notebook.sessions.hooks import SessionHooks
    from mcp_notebook.sessions.registry import Sessions
    from mcp_notebook.sessions.session import Session
    from mcp_notebook.sessions.values import CallOutcome, ToolInfo

_HOMES = {
    "CallOutcome": "values",
    "Session": "session",
    "SessionHooks": "hooks",
    "Sessions": "registry",
    "ToolChange": "changes",
    "ToolInfo": "values",
}

__all__ = [
    "CallOutcome",
    "Session",
    "SessionHooks",
    "Sessions",
    "ToolChange",
    "ToolInfo",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
