"""Named MCP connections, each owned by one task on the background loop.

    registry         Sessions: connect, disconnect, find by name
    session          Session: calls and questions; what the rest of the package uses;
                     its tools, pinned, and how they change while it lives
    requests         one request, with its time limit and every way it can fail
    restart          its connection, restarted with growing pauses; its counters
    opening          the ways to connect, in their order, and what to mend where none works
    connection       one live connection: the owner task around the SDK's Client
    process, death_watch    a server's process, and the supervisor that leaves no orphans
    http, sse, stdio        the transports: Streamable HTTP, older SSE, and pipes
    reply_repair     what passes between a transport and the SDK, mended where it can be
    oauth, sign_in   sign-in to HTTP servers, and where tokens stay between kernels
    tools            tools and outcomes as values, their schemas, and what is odd there;
                     what a server may ask of us
    log              private logs of servers; silence of the SDK
    handover         large answers of our own servers, as files

Importing this package does not import the MCP SDK: that takes more than a second and
happens on the first connect.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.sessions.registry import Sessions
    from mcp_notebook.sessions.session import Session
    from mcp_notebook.sessions.tools import (
        CallOutcome,
        SessionHooks,
        ToolChange,
        ToolInfo,
    )

_HOMES = {
    "CallOutcome": "tools",
    "Session": "session",
    "SessionHooks": "tools",
    "Sessions": "registry",
    "ToolChange": "tools",
    "ToolInfo": "tools",
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
