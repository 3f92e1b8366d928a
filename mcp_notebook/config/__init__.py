"""Which servers there are: a command line, a URL, or a config file, read into plain values.

    specs      the values, and how they are shown without their secrets
    expand     ${VAR} and its relatives
    target     what the person typed after the name in %mcp_connect
    files      .mcp.json and the files of other hosts
    jsonc, documents, entries   JSON with comments; where a host keeps its servers; one server's entry
    discovery  which of those files exist here; it lists, it never connects

Each is imported on first use, so that loading the extension stays a matter of milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.config.discovery import Found, discover
    from mcp_notebook.config.files import (
        find_file,
        find_server,
        load_each,
        load_servers,
    )
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

_HOMES = {
    **dict.fromkeys(("Found", "discover"), "discovery"),
    **dict.fromkeys(("find_file", "find_server", "load_each", "load_servers"), "files"),
    **dict.fromkeys(("parse_target", "resolve_command"), "target"),
    **dict.fromkeys(
        ("HttpServer", "InProcessServer", "ServerSpec", "StdioServer"), "specs"
    ),
    **dict.fromkeys(
        ("check_name", "describe", "mask", "secrets_of", "spec_fingerprint"), "specs"
    ),
}

__all__ = [
    "Found",
    "HttpServer",
    "InProcessServer",
    "ServerSpec",
    "StdioServer",
    "check_name",
    "describe",
    "discover",
    "find_file",
    "find_server",
    "load_each",
    "load_servers",
    "mask",
    "parse_target",
    "resolve_command",
    "secrets_of",
    "spec_fingerprint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
