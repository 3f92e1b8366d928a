"""From what went wrong to one sentence that says what to do next."""

import re
import shlex

from mcp_notebook.config import ServerSpec, StdioServer

MCP_ONE = re.compile(
    r"'Server' object has no attribute|FastMCP was renamed|cannot import name 'FastMCP'"
    r"|No module named 'mcp\.server\.fastmcp'|FastMCP\.__init__\(\) got an unexpected"
)
MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
# Noise that a failed start may quote: words only, nothing that could be a host, a user or a key
HARMLESS = re.compile(r"[A-Za-z0-9 ,.!()'-]{1,80}")
SECRETIVE = re.compile(r"passw|secret|token|key|credential", re.IGNORECASE)


def leaf(error: BaseException) -> BaseException:
    """The first real failure inside nested exception groups."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = next((e for e in error.exceptions if not _is_cancellation(e)), error.exceptions[0])
    return error


def remedy(spec: ServerSpec, stderr: str) -> str:
    """What to do about a failed start, when its last words are ones that we know."""
    if not isinstance(spec, StdioServer):
        return ""
    if MCP_ONE.search(stderr):
        return f"The server was written for mcp 1.x and got 2.x; start it with an older one: {_pinned(spec)}"
    if missing := MISSING_MODULE.search(stderr):
        package = missing[1].split(".")[0]
        return f"The server's environment lacks the package {package!r}; add it, for example with uvx --with {package}."
    return ""


def exit_sentence(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "closed its connection"
    return f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"


def harmless(line: str) -> str:
    """The line when it can be quoted without giving anything away, else nothing."""
    return line if HARMLESS.fullmatch(line) and not SECRETIVE.search(line) else ""


def _pinned(spec: StdioServer) -> str:
    name = spec.command.rsplit("/", 1)[-1]
    words = list(spec.args)
    if name == "uvx":
        return shlex.join(["uvx", "--with", "mcp<2", *words])
    if name.startswith("python") and words[:1] == ["-m"] and len(words) > 1:
        return shlex.join(["uvx", "--with", "mcp<2", words[1].replace("_", "-"), *words[2:]])
    return shlex.join(["uvx", "--with", "mcp<2", name, *words])


def _is_cancellation(error: BaseException) -> bool:
    return type(error).__name__ == "CancelledError"
