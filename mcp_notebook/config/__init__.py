"""Which servers there are: a command line, a URL, or a config file, read into plain values.

specs      the values, and how they are shown without their secrets
expand     ${VAR} and its relatives
target     what the person typed after the name in %mcp_connect
files      .mcp.json, claude_desktop_config.json, VS Code, Cursor, Claude Code
discover   which of those files exist here; it lists, it never connects
"""

from mcp_notebook.config.discover import Found, discover
from mcp_notebook.config.files import find_server, load_servers
from mcp_notebook.config.specs import (
    HttpServer,
    InProcessServer,
    ServerSpec,
    StdioServer,
    check_name,
    describe,
    mask,
    secrets_of,
    spec_fingerprint,
)
from mcp_notebook.config.target import parse_target, resolve_command

__all__ = [
    "Found",
    "HttpServer",
    "InProcessServer",
    "ServerSpec",
    "StdioServer",
    "check_name",
    "describe",
    "discover",
    "find_server",
    "load_servers",
    "mask",
    "parse_target",
    "resolve_command",
    "secrets_of",
    "spec_fingerprint",
]
