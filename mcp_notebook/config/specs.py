"""A server, described: how to start it or where it is. Values of env and headers never
show in a repr.

`options` of each are those that it is connected with, of the person and of its file;
those that make another server of it are applied in the other fields already.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.errors import ConfigError
from mcp_notebook.secrets import is_secret_option, mask_line

HIDDEN = "•••"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class StdioServer:
    """A command that speaks MCP on stdin and stdout. `env` is added to a small default
    environment.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    options: ConnectOptions = field(default=ConnectOptions(), compare=False)
    # what the person should know before it starts
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return f"StdioServer({describe(self)})"


@dataclass(frozen=True)
class HttpServer:
    """A server at a URL; `auto` tries Streamable HTTP, then the older SSE transport."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: Literal["auto", "http", "sse"] = "auto"
    allow_insecure: bool = False  # plain http to another machine
    # path of a PEM file with the client's certificate (and key), for mTLS
    certificate: str | None = None
    key: str | None = None  # path of its key, when that is in a file of its own
    # path of a PEM file with the authority that the server's certificate is from
    ca: str | None = None
    # client_id, client_secret, scope, ...; None: no OAuth
    oauth: Mapping[str, str] | None = None
    options: ConnectOptions = field(default=ConnectOptions(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    # an httpx2.Auth of the person's own, instead of `oauth`
    auth: object | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"HttpServer({describe(self)})"


@dataclass(frozen=True)
class InProcessServer:
    """A server object of the MCP SDK in this process; `build` makes it."""

    build: Callable[[], object]
    options: ConnectOptions = field(default=ConnectOptions(), compare=False)


ServerSpec = StdioServer | HttpServer | InProcessServer


def check_name(name: str) -> str:
    """The name itself, or ConfigError: names become parts of tool names and of
    %mcp_call server.tool.
    """
    if NAME.fullmatch(name):
        return name

    raise ConfigError(
        f"server name {name!a} is not usable: 1 to 64 letters, digits, - or _ are."
    )


def describe(spec: ServerSpec) -> str:
    """The whole command or URL on one line, with secrets hidden: what a person is asked
    to approve.
    """
    if isinstance(spec, StdioServer):
        env = [f"{name}={HIDDEN}" for name in spec.env]
        hidden = secrets_of(spec)
        return " ".join(
            [
                *env,
                shlex.quote(spec.command),
                *(shlex.quote(mask(a, hidden)) for a in _hide(spec.args)),
            ]
        )

    if isinstance(spec, HttpServer):
        headers = "".join(f" {name}: {HIDDEN}" for name in spec.headers)
        return mask(spec.url, secrets_of(spec)) + headers

    return "in this notebook"


def secrets_of(spec: ServerSpec) -> tuple[str, ...]:
    """Values of the description that must never be shown (short ones would hide ordinary words)."""
    if isinstance(spec, StdioServer):
        values: Iterable[str] = spec.env.values()
    elif isinstance(spec, HttpServer):
        values = [
            *spec.headers.values(),
            *(v.split(" ", 1)[1] for v in spec.headers.values() if " " in v),
        ]
        values = [*values, *(spec.oauth or {}).values()]
    else:
        values = ()

    return tuple(sorted({v for v in values if len(v) >= 6}, key=len, reverse=True))


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, without user:password@ and without values
    named like secrets.
    """
    return mask_line(text, secrets, mark=HIDDEN)


def spec_fingerprint(spec: ServerSpec) -> str:
    """sha256 of what would run or be asked: command, arguments, names in env,
    directory, or URL and header names.

    An approval to start a server is bound to it, so that an edited config asks again.
    """
    if isinstance(spec, StdioServer):
        parts: object = [
            "stdio",
            spec.command,
            list(spec.args),
            sorted(spec.env),
            spec.cwd,
        ]
    elif isinstance(spec, HttpServer):
        parts = ["http", spec.url, sorted(spec.headers), spec.transport]
    else:
        parts = ["in-process", id(spec.build)]

    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _hide(args: Iterable[str]) -> Iterable[str]:
    # `--token VALUE` as two words
    hide_next = False
    for arg in args:
        yield HIDDEN if hide_next else arg
        hide_next = is_secret_option(arg)
