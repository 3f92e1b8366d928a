"""Serve an MCP server over stdio, Streamable HTTP or legacy HTTP+SSE, on loopback
unless told otherwise.

Over HTTP: requests must name our own host and, when they come from a page, our own
origin (DNS rebinding); a bearer token, when one is set, is compared in constant time;
`/health` answers without it. Nothing is logged below WARNING.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import uvicorn
from mcp.server.lowlevel import Server
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

from mcp_notebook.errors import ConfigError

Transport = Literal["stdio", "http", "sse"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BODY_BYTES = 1 << 20  # of a request; statements have 20,000 characters at most
CONNECTIONS = 400  # at a time; further ones are told that the server is busy (503)
HEADER_SECONDS = 5.0  # for the head of a request, and between two
MAX_SESSIONS = 1_000  # of the handshake eras


async def serve(
    server: "Server[Any]",
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


async def serve_stdio(server: "Server[Any]") -> None:
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
    server: "Server[Any]",
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
    app = Starlette(routes=routes, lifespan=lifespan)
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
