"""Which servers there are: a command line, a URL, or a config file, read into plain values.

specs      the values, and how they are shown without their secrets
options    the options of one connection, each declared once
target     what stands after the name in %mcp_connect: a command or a URL; ${VAR} in it
entries    one server's entry in a config file
files      .mcp.json and the files of other hosts: where each keeps its servers, and
           which of those files exist here: listed, never connected
userfiles  what the notebook itself remembers between kernels
"""

from __future__ import annotations

from mcp_notebook.config.files import (
    Found,
    discover,
    find_file,
    find_server,
    load_each,
    load_servers,
    usable_name,
)
from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.config.specs import (
    HttpServer,
    InProcessServer,
    ServerSpec,
    StdioServer,
    check_name,
    describe,
    identity_parts,
    learn_secrets,
    mask,
    origin_of,
    secrets_of,
    spec_fingerprint,
)
from mcp_notebook.config.target import build_server, resolve_command

__all__ = [
    "ConnectOptions",
    "Found",
    "HttpServer",
    "InProcessServer",
    "ServerSpec",
    "StdioServer",
    "build_server",
    "check_name",
    "describe",
    "discover",
    "find_file",
    "find_server",
    "identity_parts",
    "learn_secrets",
    "load_each",
    "load_servers",
    "mask",
    "origin_of",
    "resolve_command",
    "secrets_of",
    "spec_fingerprint",
    "usable_name",
]
