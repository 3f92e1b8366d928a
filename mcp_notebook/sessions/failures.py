"""From what went wrong to one sentence that says what to do next."""

import re

from mcp_notebook.secrets import NameLevel, is_secret_name

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
