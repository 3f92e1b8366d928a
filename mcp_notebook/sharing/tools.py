"""Tools as values, and the low-level MCP server that serves them.

The SDK's decorator server is not used: it configures the root logger and derives
schemas from signatures, while these tools publish exact schemas with formats and
examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventStore
from mcp.server.transport_security import (
    RequestBodyLimitMiddleware,
    TransportSecuritySettings,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_notebook import __version__
from mcp_notebook.errors import ConfigError, ToolError, did_you_mean
from mcp_notebook.secrets import hide
from mcp_notebook.sharing.answer import (
    OUTPUT_SCHEMA,
    RowsAnswer,
    as_text,
    structured_content,
)

logger = logging.getLogger(__name__)

READ_ONLY = types.ToolAnnotations(
    read_only_hint=True,
    destructive_hint=False,
    idempotent_hint=True,
    open_world_hint=False,
)
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


@dataclass(frozen=True)
class Tool:
    """A tool: `parameters` maps each argument to its JSON Schema; all without a
    "default" are required.

    `run` takes the checked arguments as keywords and gives an `Answer` or a finished
    `CallToolResult`; it raises `ToolError` for what the model can mend.
    """

    name: str
    title: str
    description: str
    run: Callable[..., Awaitable[RowsAnswer | types.CallToolResult]]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = field(
        default_factory=lambda: OUTPUT_SCHEMA
    )
    annotations: types.ToolAnnotations = field(default_factory=lambda: READ_ONLY)
    # for the person alone: a host does not offer it to its model
    hidden: bool = False

    def definition(self) -> types.Tool:
        """The tool as `tools/list` announces it."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.input_schema(),
            output_schema=dict(self.output_schema) if self.output_schema else None,
            annotations=self.annotations,
            # MCP Apps (SEP-1865) has the word for what a model does not see
            _meta={"ui": {"visibility": ["app"]}} if self.hidden else None,
        )

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments; unknown arguments are refused."""
        return {
            "type": "object",
            "properties": {
                name: dict(schema) for name, schema in self.parameters.items()
            },
            "required": [
                name
                for name, schema in self.parameters.items()
                if "default" not in schema
            ],
            "additionalProperties": False,
        }


class ChangingServer(Server[Any]):
    """A server that announces to clients of the handshake eras, too, that its list of
    resources changes.
    """

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        *words: Any,
        **named: Any,
    ) -> Any:
        changing = notification_options or NotificationOptions(resources_changed=True)
        return super().create_initialization_options(changing, *words, **named)


def build_server(
    name: str,
    tools: Sequence[Tool],
    *,
    title: str,
    instructions: str,
    resources_change: bool = False,
    **handlers: Any,
) -> Server[Any]:
    """A low-level MCP server over the tools; `handlers` are further `on_*` handlers of
    the SDK's `Server`.

    `resources_change`: its list of resources changes while it runs, and it tells so.
    """
    by_name = {tool.name: tool for tool in sorted(tools, key=lambda tool: tool.name)}

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[tool.definition() for tool in by_name.values()]
        )

    async def call_tool(
        context: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        result = await call(by_name, params.name, params.arguments or {})
        return await asyncio.to_thread(_hide_secrets, result)

    if resources_change:
        kind = ChangingServer
    else:
        kind = Server

    return kind(
        name,
        title=title,
        instructions=instructions,
        version=__version__,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda tool: (
            by_name[tool].input_schema() if tool in by_name else None
        ),
        **handlers,
    )


def build_recorded_server(name: str, entry: Mapping[str, Any]) -> Server[Any]:
    """A server that says of itself and its tools what was recorded, for a notebook that
    plays their results; a call that reaches it was not recorded.
    """
    tools = [types.Tool.model_validate(tool) for tool in entry["tools"]]

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(
        context: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        said = f"{name}.{params.name} is a recording: this call is not in it."
        content = types.TextContent(type="text", text=said)
        return types.CallToolResult(content=[content], is_error=True)

    return Server(
        name,
        title=entry["title"],
        version="",
        instructions=entry["instructions"] or None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def call(
    tools: Mapping[str, Tool], name: str, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    """Run one tool call; every failure comes back as a result with `is_error` that says
    what to change.
    """
    try:
        if name not in tools:
            raise ToolError(
                f"There is no tool {name!r}.{did_you_mean(name, tools)} Tools: {', '.join(tools)}."
            )

        check_arguments(tools[name], arguments)
        outcome = await tools[name].run(**arguments)
    except ToolError as error:
        return types.CallToolResult(
            content=[types.TextContent(text=str(error))], is_error=True
        )
    except Exception:
        # boundary: a bug in a tool must not end the server, nor show its insides to the
        # client
        logger.exception("tool %s failed", name)
        text = f"{name} failed unexpectedly; the server's log has the details."
        return types.CallToolResult(
            content=[types.TextContent(text=text)], is_error=True
        )

    return to_result(outcome)


def _hide_secrets(result: types.CallToolResult) -> types.CallToolResult:
    """What a client gets, which may be on another machine: without known secrets."""
    for block in result.content:
        if isinstance(block, types.TextContent):
            block.text = hide(block.text)

    if result.structured_content is not None:
        result.structured_content = hide(result.structured_content)

    return result


def to_result(answer: RowsAnswer | types.CallToolResult) -> types.CallToolResult:
    """The answer as a tool result: structured content whole, text as a capped CSV."""
    if isinstance(answer, types.CallToolResult):
        return answer

    return types.CallToolResult(
        content=[types.TextContent(text=as_text(answer))],
        structured_content=structured_content(answer),
    )


def check_arguments(tool: Tool, arguments: Mapping[str, Any]) -> None:
    """Refuse unknown, missing and wrongly typed arguments; raises `ToolError`."""
    for given in arguments:
        if given not in tool.parameters:
            known = ", ".join(tool.parameters) or "none"
            raise ToolError(
                f"{tool.name} has no argument {given!r}. Its arguments: {known}."
            )

    for name, schema in tool.parameters.items():
        if name in arguments:
            _check_type(tool.name, name, arguments[name], schema)
        elif "default" not in schema:
            raise ToolError(
                f"{tool.name} needs the argument {name!r} "
                f"({schema.get('description', schema['type'])})."
            )


def _check_type(tool: str, name: str, value: Any, schema: Mapping[str, Any]) -> None:
    expected = _PYTHON_TYPES[schema["type"]]
    if not isinstance(value, expected) or (
        isinstance(value, bool) and bool not in expected
    ):
        raise ToolError(
            f"The argument {name!r} of {tool} must be of type {schema['type']}, not "
            f"{type(value).__name__}."
        )

    if value not in schema.get("enum", [value]):
        raise ToolError(
            f"The argument {name!r} of {tool} must be one of {', '.join(map(str, schema['enum']))}."
        )

    if isinstance(value, int | float) and not schema.get(
        "minimum", value
    ) <= value <= schema.get("maximum", value):
        raise ToolError(
            f"The argument {name!r} of {tool} must lie in "
            f"{schema.get('minimum')}..{schema.get('maximum')}."
        )


# Serve an MCP server over stdio, Streamable HTTP or legacy HTTP+SSE, on loopback unless
# told otherwise.
#
# Over HTTP: requests must name our own host and, when they come from a page, our own
# origin (DNS rebinding); a bearer token, when one is set, is compared in constant time;
# `/health` answers without it. Nothing is logged below WARNING.


Transport = Literal["stdio", "http", "sse"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BODY_BYTES = 1 << 20  # of a request; statements have 20,000 characters at most
CONNECTIONS = 400  # at a time; further ones are told that the server is busy (503)
HEADER_SECONDS = 5.0  # for the head of a request, and between two
TOO_MANY = -32000  # JSON-RPC's code for what a server defines itself
MAX_SESSIONS = 1_000  # of the handshake eras


async def serve(
    server: Server[Any],
    *,
    transport: Transport = "stdio",
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
) -> None:
    """Serve until the client leaves (stdio) or the process is told to stop (http, sse).

    Both HTTP transports are always there: Streamable HTTP at `/mcp`, HTTP+SSE at
    `/sse`; `transport` chooses the address that is announced on stderr. `port` 0 takes
    a free one. Raises `ConfigError` when the port is taken, or when there is no token
    on a host that is not loopback.
    """
    if transport == "stdio":
        await serve_stdio(server)
        return

    if host not in LOOPBACK and not token:
        raise ConfigError(
            f"Serving on {host} needs a token: name its environment variable with --token-env."
        )

    listener = listen(host, port)
    bound = listener.getsockname()[1]
    # an IPv6 address stands in brackets in a URL
    if ":" in host:
        name = f"[{host}]"
    else:
        name = host

    if transport == "sse":
        path = "sse"
    else:
        path = "mcp"

    address = f"http://{name}:{bound}/{path}"
    sys.stderr.write(f"Serving {server.title or server.name} at {address}\n")
    sys.stderr.flush()
    await http_server(build_app(server, host=host, port=bound, token=token)).serve(
        sockets=[listener]
    )


async def serve_stdio(server: Server[Any]) -> None:
    """Serve one client over standard input and output until it leaves."""
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def http_server(app: ASGIApp) -> uvicorn.Server:
    """A quiet uvicorn server that ends within a second or two of being told to."""
    logging.getLogger("uvicorn.error").setLevel(
        logging.CRITICAL
    )  # it reports every open stream as a failure at its end
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        limit_concurrency=CONNECTIONS,
    )
    config.load()
    config.http_protocol_class = _with_header_timeout(config.http_protocol_class)
    return uvicorn.Server(config)


def _with_header_timeout(protocol: Any) -> Any:
    """The protocol, with connections closed that begin a request and do not end its
    head: each of them counts among `CONNECTIONS`, and no token is needed for one.
    """

    class HeaderTimeout(protocol):
        _waits: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_watching()

        def _watch(self) -> None:
            asked = self.cycle is not None and not self.cycle.response_complete
            if asked:
                self._stop_watching()
            elif self._waits is None:
                self._waits = self.loop.call_later(HEADER_SECONDS, self._give_up)

        def _stop_watching(self) -> None:
            if self._waits is not None:
                self._waits.cancel()
                self._waits = None

        def _give_up(self) -> None:
            self._waits = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return HeaderTimeout


def build_app(
    server: Server[Any],
    *,
    host: str,
    port: int,
    token: str = "",
    event_store: EventStore | None = None,
    retry_interval: int | None = None,
) -> ASGIApp:
    """One ASGI app with `/mcp`, `/sse`, `/messages/` and `/health`; only requests to
    this very host and port pass.

    With `event_store` a client of the handshake eras can take up a stream that broke,
    and is told to come back after `retry_interval` milliseconds; none of our servers
    holds a stream open long enough to need it.
    """
    security = own_address_only(host, port)
    http = server.streamable_http_app(
        host=host,
        transport_security=security,
        event_store=event_store,
        retry_interval=retry_interval,
        max_request_body_size=BODY_BYTES,
        max_sessions=MAX_SESSIONS,
    )
    sse = SseServerTransport("/messages/", security_settings=security)

    async def handle_sse(request: Request) -> Response:
        async with sse.connect_sse(request.scope, request.receive, request._send) as (
            read,
            write,
        ):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "server": server.name})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    routes = [
        *http.routes,
        Route("/sse", handle_sse, methods=["GET"]),
        Mount(
            "/messages/",
            app=RequestBodyLimitMiddleware(sse.handle_post_message, BODY_BYTES),
        ),
        Route("/health", health, methods=["GET"]),
    ]
    # within the gate: who has no token takes no place of those who have one
    app = ClientLimits(Starlette(routes=routes, lifespan=lifespan))
    if token:
        return BearerGate(app, token)

    return app


def own_address_only(host: str, port: int) -> TransportSecuritySettings:
    """Accept only requests addressed to this host and port; the loopback names stand
    for each other.
    """
    if host in LOOPBACK:
        hosts = ["127.0.0.1", "localhost", "[::1]"]
    else:
        hosts = [host]

    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[f"{name}:{port}" for name in hosts],
        allowed_origins=[f"http://{name}:{port}" for name in hosts],
    )


class BearerGate:
    """Lets requests with the token through; a plain ASGI wrapper, because Starlette's
    middleware base buffers SSE.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health" or self._admits(scope):
            await self._app(scope, receive, send)
            return

        refusal = JSONResponse(
            {"error": "invalid_token"}, 401, headers={"WWW-Authenticate": "Bearer"}
        )
        await refusal(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(scheme.capitalize() + b" " + token, self._expected)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one client may take: requests at a time, and of requests and of bytes of
    answers so many at once and so many a second after that.
    """

    at_a_time: int = 64
    requests: float = 1_000
    requests_a_second: float = 100
    bytes: float = 500e6
    bytes_a_second: float = 20e6


class _Account:
    """What a client has left of its allowance."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.open = 0
        self.requests, self.bytes = allowance.requests, allowance.bytes
        self.seen = time.monotonic()

    def refill(self) -> None:
        """Add what the time since the last request gives."""
        most, now = self._allowance, time.monotonic()
        passed, self.seen = now - self.seen, now
        self.requests = min(
            most.requests, self.requests + passed * most.requests_a_second
        )
        self.bytes = min(most.bytes, self.bytes + passed * most.bytes_a_second)

    def refusal(self) -> tuple[str, int]:
        """Why no further request is taken, and the seconds to wait; ("", 0) when one is."""
        most = self._allowance
        if self.open >= most.at_a_time:
            return (
                f"{most.at_a_time} requests of this client are open: end some first",
                1,
            )

        if self.requests < 1:
            limit = f"{most.requests_a_second:g} requests a second"
            return f"this client sends more than {limit}: wait, and ask less often", 1

        if self.bytes <= 0:
            wait = math.ceil(-self.bytes / most.bytes_a_second) + 1
            return (
                "this client read more than "
                f"{most.bytes_a_second / 1e6:g} MB a second: aggregate in SQL, or select "
                f"fewer rows, and ask again in {wait} s"
            ), wait

        return "", 0


class ClientLimits:
    """Answers 429, with what to do, to a client that takes more than its allowance.

    A client is the address that it comes from and what it calls itself. It holds the
    token, so this is against a loop that runs away and not against one that lies.
    """

    MOST_KNOWN = 200  # clients; the ones not seen longest are forgotten

    def __init__(self, app: ASGIApp, allowance: Allowance | None = None) -> None:
        self._app = app
        self._allowance = allowance or Allowance()
        self._accounts: dict[tuple[str, bytes], _Account] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return

        account = self._account_of(scope)
        account.refill()
        why, seconds = account.refusal()
        if why:
            await _too_many(why, seconds)(scope, receive, send)
            return

        async def send_counted(message: Any) -> None:
            account.bytes -= len(message.get("body", b""))
            await send(message)

        account.open += 1
        account.requests -= 1
        try:
            await self._app(scope, receive, send_counted)
        finally:
            account.open -= 1

    def _account_of(self, scope: Scope) -> _Account:
        host = (scope.get("client") or ("", 0))[0]
        name = dict(scope["headers"]).get(b"user-agent", b"")
        # the last seen stands last
        found = self._accounts.pop((host, name), None) or _Account(self._allowance)
        self._accounts[host, name] = found
        if len(self._accounts) > self.MOST_KNOWN:
            idle = (key for key, account in self._accounts.items() if not account.open)
            self._accounts.pop(next(idle), None)

        return found


def _too_many(why: str, seconds: int) -> Response:
    error = {"code": TOO_MANY, "message": f"Too many requests: {why}."}
    return JSONResponse(
        {"jsonrpc": "2.0", "id": None, "error": error},
        429,
        headers={"Retry-After": str(seconds)},
    )


def token_from(environ_name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The token in the named environment variable ("" for no name); raises
    `ConfigError` when it is unset or short.
    """
    if not environ_name:
        return ""

    token = environ.get(environ_name, "")
    if len(token) < 16:
        raise ConfigError(
            f"The environment variable {environ_name} must hold a token of at least 16 characters."
        )

    return token


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises `ConfigError` when the address is taken or not ours."""
    if ":" in host:
        family = socket.AF_INET6
    else:
        family = socket.AF_INET

    # Named as TCP: for protocol 0 asyncio leaves Nagle's delay on, which costs 40 ms a call.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # from here on a client may come: the address is announced before the server
        # loops
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port."
        ) from error

    return listener
