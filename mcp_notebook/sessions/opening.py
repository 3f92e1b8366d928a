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
from mcp_notebook.sessions.start_hints import find_start_hint

# answers to a POST that the specification takes as "try SSE"
OLDER_TRANSPORT = (400, 404, 405, 406, 415)
EXIT_WAIT = 0.3  # seconds to learn how a server ended
# Noise that a failed start may quote: words only, nothing that could be a host, a user or a key
HARMLESS = re.compile(r"[A-Za-z0-9 ,.!()'-]{1,80}")
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
    attempts = _list_attempts(opening.spec, legacy)
    while True:
        attempt = attempts.pop(0)
        connection = Connection(opening, attempt)
        try:
            await connection.wait_until_ready(timeout, tick)
        except Exception as error:
            # boundary: the SDK raises anything; the next lines tell it apart
            cause = _find_leaf(error)
        else:
            return connection

        if _may_sign_in(connection):
            # What other hosts do without being told: the server said that it has a sign-in.
            opening.spec = replace(opening.spec, oauth={})  # type: ignore[type-var]
            attempts.insert(0, attempt)
            continue

        hint = await _find_hint(connection)
        failure = await _explain_failure(name, connection, cause, timeout, hint)
        # A hint is what the server's own words say: the older handshake mends nothing.
        if not attempts and not hint and _died_on_probe(connection, cause):
            attempts.append(replace(attempt, mode="legacy"))

        if not attempts or not _is_worth_another(connection, cause):
            raise failure from None

        opening.log.write("[notebook] trying again: " + str(attempts[0]))


def describe_exit(code: int | None) -> str:
    """How a process ended, in words; negative: the signal that ended it."""
    if code is None:
        return "closed its connection"
    if code < 0:
        return f"was ended by signal {-code}"
    return f"exited with code {code}"


def _list_attempts(spec: ServerSpec, legacy: bool) -> list[Attempt]:
    if legacy:
        mode = "legacy"
    else:
        mode = "auto"

    if isinstance(spec, InProcessServer):
        return [Attempt(mode, "in-process")]
    if isinstance(spec, StdioServer):
        return [Attempt(mode, "stdio")]

    # The older transport never speaks the new protocol, and a probe there makes old
    # servers log errors.
    http, sse = Attempt(mode, "http"), Attempt("legacy", "sse")
    if spec.transport != "auto":
        if spec.transport == "http":
            return [http]
        return [sse]

    path = spec.url.split("?")[0].rstrip("/")
    if path.endswith("/sse"):
        return [sse, http]

    return [http, sse]


def _may_sign_in(connection: Connection) -> bool:
    """Whether the server named a sign-in that nobody has configured or ruled out."""
    spec = connection.opening.spec
    if not isinstance(spec, HttpServer) or spec.oauth is not None:
        return False
    if connection.opening.authorize is None or not connection.trouble.sign_in:
        return False

    headers = {name.lower() for name in spec.headers}
    return spec.auth is None and "authorization" not in headers


def _died_on_probe(connection: Connection, cause: BaseException) -> bool:
    """Some servers (rmcp) end when asked what they do not know; with the older
    handshake they work.
    """
    is_probe = connection.attempt == Attempt("auto", "stdio")
    return is_probe and _is_closed(connection, cause)


def _is_closed(connection: Connection, cause: BaseException) -> bool:
    """Whether the server closed the connection: the SDK may say so before the tap has
    seen the end.
    """
    if connection.tap.closed.is_set():
        return True
    return isinstance(cause, MCPError) and cause.code == CONNECTION_CLOSED


def _is_worth_another(connection: Connection, cause: BaseException) -> bool:
    # A second way would take the whole time again.
    if isinstance(cause, TimeoutError):
        return False
    if connection.attempt.transport in ("http", "sse"):
        return connection.trouble.status in OLDER_TRANSPORT
    return True


async def _find_hint(connection: Connection) -> str:
    """What to do about a server that ended, by its own last words."""
    if await _wait_for_exit(connection) is None:
        return ""
    last_words = connection.opening.log.last_words(connection.log_start)
    return find_start_hint(connection.opening.spec, last_words)


async def _wait_for_exit(connection: Connection) -> int | None:
    if connection.process is None:
        return None
    return await connection.process.exit_code(EXIT_WAIT)


async def _explain_failure(
    name: str, connection: Connection, cause: BaseException, timeout: float, hint: str
) -> ConnectError:
    if isinstance(cause, ConnectError):
        return cause

    spec, log = connection.opening.spec, connection.opening.log
    code = await _wait_for_exit(connection)
    sentence = _describe_failure(connection, cause, code, timeout)
    if not sentence.endswith("?"):
        sentence += "."

    if hint:
        sentence += f" {hint}"

    return ConnectError(
        mask(f"server {name!r} {sentence}", secrets_of(spec)),
        detail=log.last_words(connection.log_start),
    )


def _describe_failure(
    connection: Connection, cause: BaseException, code: int | None, timeout: float
) -> str:
    """What the server did, as the rest of a sentence that begins with its name."""
    spec, text = connection.opening.spec, str(cause)
    noise = _describe_noise(connection)
    # What HTTP itself said is nearer to the cause than what the SDK made of it.
    if isinstance(spec, HttpServer) and connection.trouble.sentence:
        return f"cannot be reached: {connection.trouble.sentence}"

    if isinstance(cause, TimeoutError):
        described = describe(spec)
        return (
            f"did not answer within {timeout:g} s{noise}; is {described} an MCP server?"
        )

    if connection.process is not None and _is_closed(connection, cause):
        return f"{describe_exit(code)} before it answered{noise}"

    if "protocol version" in text:
        theirs = text.rsplit(":", 1)[-1].strip()
        ours = LATEST_PROTOCOL_VERSION
        return f"speaks MCP {theirs}, this notebook speaks versions up to {ours}"

    if isinstance(cause, MCPError):
        if text.startswith("Unexpected content type"):
            told = text.lower()
            return f"cannot be reached: the address is not an MCP server ({told})"
        return f"refused the connection: {text}"

    if isinstance(cause, OSError) and sys.platform != "win32":
        return f"did not start: {cause.strerror or cause}"

    return f"could not be connected ({type(cause).__name__}: {text[:200]})"


def _describe_noise(connection: Connection) -> str:
    """What came on stdout that is no message, quoted when that gives nothing away."""
    lines, first = connection.tap.noise_lines, connection.tap.first_noise
    if not lines:
        return ""

    quoted = ""
    if HARMLESS.fullmatch(first) and not is_secret_name(first, NameLevel.NOISE):
        quoted = f": {first!r}"

    return f" (its stdout held {lines} line(s) that are not MCP{quoted})"


def _find_leaf(error: BaseException) -> BaseException:
    """The first real failure inside nested exception groups (anyio's task groups make
    them); a cancellation is only what the failure did to its neighbours.
    """
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        failures = [e for e in error.exceptions if not _is_cancellation(e)]
        error = (failures or error.exceptions)[0]

    return error


def _is_cancellation(error: BaseException) -> bool:
    return type(error).__name__ == "CancelledError"
