"""From a description to a live connection: which ways are tried, in which order, and
the sentence when none works.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace

from mcp import MCPError
from mcp.types import CONNECTION_CLOSED, LATEST_PROTOCOL_VERSION

from mcp_notebook.config import (
    HttpServer,
    InProcessServer,
    ServerSpec,
    StdioServer,
    describe,
    mask,
    secrets_of,
)
from mcp_notebook.errors import ConnectError
from mcp_notebook.secrets import NameLevel, is_secret_name
from mcp_notebook.sessions.connection import Attempt, Connection, Opening
from mcp_notebook.sessions.start_hints import remedy

# answers to a POST that the specification takes as "try SSE"
OLDER_TRANSPORT = (400, 404, 405, 406, 415)
EXIT_WAIT = 0.3  # seconds to learn how a server ended
Tick = Callable[[float], None]


async def open_connection(
    name: str,
    opening: Opening,
    *,
    legacy: bool,
    timeout: float,
    tick: Tick = lambda seconds: None,
) -> Connection:
    """The first way that works; ConnectError with the server's last words when none does."""
    attempts = _attempts(opening.spec, legacy)
    while True:
        attempt = attempts.pop(0)
        connection = Connection(opening, attempt)
        try:
            await connection.ready(timeout, tick)
        except Exception as error:
            # boundary: the SDK raises anything; the next lines tell it apart
            if _may_sign_in(connection):
                # What other hosts do without being told: the server said that it has a sign-in.
                opening.spec = replace(opening.spec, oauth={})  # type: ignore[type-var]
                attempts.insert(0, attempt)
                continue
            hint = await _hint(connection)
            failure = await _failure(name, connection, error, timeout, hint)
            if not attempts and not hint and _died_on_probe(connection, error):
                attempts.append(replace(attempt, mode="legacy"))
            if not attempts or not _worth_another(connection, error):
                raise failure from None
            opening.log.write("[notebook] trying again: " + str(attempts[0]))
        else:
            return connection


def _attempts(spec: ServerSpec, legacy: bool) -> list[Attempt]:
    mode = "legacy" if legacy else "auto"
    if isinstance(spec, InProcessServer):
        return [Attempt(mode, "in-process")]
    if isinstance(spec, StdioServer):
        return [Attempt(mode, "stdio")]
    # The older transport never speaks the new protocol, and a probe there makes old
    # servers log errors.
    ways = {"http": Attempt(mode, "http"), "sse": Attempt("legacy", "sse")}
    if spec.transport != "auto":
        return [ways[spec.transport]]
    first = "sse" if spec.url.split("?")[0].rstrip("/").endswith("/sse") else "http"
    return [ways[first], ways["http" if first == "sse" else "sse"]]


def _died_on_probe(connection: Connection, error: BaseException) -> bool:
    """Some servers (rmcp) end when asked what they do not know; with the older
    handshake they work.
    """
    return _is_closed(connection, leaf(error)) and connection.attempt == Attempt(
        "auto", "stdio"
    )


def _is_closed(connection: Connection, cause: BaseException) -> bool:
    """Whether the server closed the connection: the SDK may say so before the tap has
    seen the end.
    """
    return connection.tap.closed.is_set() or (
        isinstance(cause, MCPError) and cause.code == CONNECTION_CLOSED
    )


def _may_sign_in(connection: Connection) -> bool:
    spec = connection.opening.spec
    if (
        not isinstance(spec, HttpServer)
        or connection.opening.authorize is None
        or not connection.trouble.sign_in
    ):
        return False
    has_its_own = spec.auth is not None or any(
        name.lower() == "authorization" for name in spec.headers
    )
    return spec.oauth is None and not has_its_own


def _worth_another(connection: Connection, error: BaseException) -> bool:
    if isinstance(leaf(error), TimeoutError):
        return False
    if connection.attempt.transport in ("http", "sse"):
        return connection.trouble.status in OLDER_TRANSPORT
    return True


async def _hint(connection: Connection) -> str:
    """What to do about a server that ended, by its own last words."""
    if (
        connection.process is None
        or await connection.process.exit_code(EXIT_WAIT) is None
    ):
        return ""
    return remedy(
        connection.opening.spec, connection.opening.log.last_words(connection.log_start)
    )


async def _failure(
    name: str, connection: Connection, error: BaseException, timeout: float, hint: str
) -> ConnectError:
    spec = connection.opening.spec
    if isinstance(cause := leaf(error), ConnectError):
        return cause
    code = (
        await connection.process.exit_code(EXIT_WAIT)
        if connection.process is not None
        else None
    )
    sentence = _sentence(connection, cause, code, timeout)
    message = f"server {name!r} {sentence}{'' if sentence.endswith('?') else '.'}{f' {hint}' if hint else ''}"
    return ConnectError(
        mask(message, secrets_of(spec)),
        detail=connection.opening.log.last_words(connection.log_start),
    )


def _sentence(
    connection: Connection, cause: BaseException, code: int | None, timeout: float
) -> str:
    spec = connection.opening.spec
    if isinstance(spec, HttpServer) and connection.trouble.sentence:
        return f"cannot be reached: {connection.trouble.sentence}"
    if isinstance(cause, TimeoutError):
        return f"did not answer within {timeout:g} s{_noise(connection)}; is {describe(spec)} an MCP server?"
    if connection.process is not None and _is_closed(connection, cause):
        return f"{exit_sentence(code)} before it answered{_noise(connection)}"
    if "protocol version" in str(cause):
        theirs = str(cause).rsplit(":", 1)[-1].strip()
        return f"speaks MCP {theirs}, this notebook speaks versions up to {LATEST_PROTOCOL_VERSION}"
    if isinstance(cause, MCPError):
        return _said_no(str(cause))
    if isinstance(cause, OSError) and sys.platform != "win32":
        return f"did not start: {cause.strerror or cause}"
    return f"could not be connected ({type(cause).__name__}: {str(cause)[:200]})"


def _said_no(message: str) -> str:
    if message.startswith("Unexpected content type"):
        return (
            f"cannot be reached: the address is not an MCP server ({message.lower()})"
        )
    return f"refused the connection: {message}"


def _noise(connection: Connection) -> str:
    lines = connection.tap.noise_lines
    if not lines:
        return ""
    quoted = harmless(connection.tap.first_noise)
    return f" (its stdout held {lines} line(s) that are not MCP{f': {quoted!r}' if quoted else ''})"


# Noise that a failed start may quote: words only, nothing that could be a host, a user or a key
HARMLESS = re.compile(r"[A-Za-z0-9 ,.!()'-]{1,80}")


def leaf(error: BaseException) -> BaseException:
    """The first real failure inside nested exception groups."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = next(
            (e for e in error.exceptions if not _is_cancellation(e)),
            error.exceptions[0],
        )
    return error


def exit_sentence(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "closed its connection"
    return f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"


def harmless(line: str) -> str:
    """The line when it can be quoted without giving anything away, else nothing."""
    if not HARMLESS.fullmatch(line) or is_secret_name(line, NameLevel.NOISE):
        return ""
    return line


def _is_cancellation(error: BaseException) -> bool:
    return type(error).__name__ == "CancelledError"
