"""What the person must mend, as one tree of exceptions; each shows as one sentence,
without a traceback.

    NotebookError
    ├── ConfigError      a server description or an option is wrong
    ├── ConnectError     a server did not start or cannot be reached
    ├── SessionError     a connected server failed, closed or is unknown
    │   └── CallTimeout  a call took longer than its limit
    ├── CallError        a tool that the person called by hand returned an error
    ├── DataError        a table, variable or query is not usable
    ├── CheckFailed      a table is not what it was when it was frozen
    ├── BackendError     no model answers, or it refused the request
    │   ├── ContextFull  the conversation no longer fits the model
    │   └── ReplayMiss   the recorded turns do not hold this prompt
    └── BudgetError      a limit forbids to start

What Claude can mend is none of these: it is a tool result with `is_error`, which our own
servers make of a `ToolError`. Bugs keep their traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mcp_notebook.secrets import hide


class NotebookError(Exception):
    """One clear sentence that says what to do next.

    `detail` (for example a server's last lines on stderr) is shown below the sentence.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        # what is raised is shown, logged and told to models
        self.message, self.detail = _clean(message), _clean(detail)
        super().__init__(self.message)

    def alone(self) -> NotebookError:
        """The same exception without what led to it.

        IPython prints the whole native traceback when an ExceptionGroup is anywhere in
        the chain, and failures of servers come out of task groups.
        """
        self.__context__ = self.__cause__ = None
        return self

    def _render_traceback_(self) -> list[str]:
        # IPython shows what this returns in place of the traceback.
        lines = [f"{type(self).__name__}: {self.message}"]
        if self.detail:
            lines += ["", *(f"    {line}" for line in self.detail.splitlines())]
        return lines


def _clean(text: str) -> str:
    """Without secrets, and without what a terminal would obey: servers wrote a part."""
    text = hide(text)
    if text.isascii() and text.isprintable():
        return text

    # judges addresses too, for which it loads what the command line need not
    from mcp_notebook.untrusted_text import visible

    return visible(text, lines=True)


class ConfigError(NotebookError):
    """A server description or an option is wrong."""


class ConnectError(NotebookError):
    """A server did not start or cannot be reached."""


class SessionError(NotebookError):
    """A connected server failed, closed its connection or is unknown."""


class CallTimeout(SessionError):
    """A call took longer than its limit."""


class CallError(NotebookError):
    """A tool that the person called by hand returned an error."""


class DataError(NotebookError):
    """A table, variable or query is not usable."""


class CheckFailed(NotebookError):
    """A table is not what it was when it was frozen."""


class BackendError(NotebookError):
    """No model answers, or it refused the request."""


class RequestRefused(BackendError):
    """The model's service finds the request wrong; `said`: what it says of it."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class ContextFull(BackendError):
    """The conversation no longer fits the model."""


class ReplayMiss(BackendError):
    """The recorded turns do not hold this prompt."""


class BudgetError(NotebookError):
    """A limit forbids to start."""


class Stopped(KeyboardInterrupt):
    """The person interrupted the cell; sessions and conversation are intact."""

    def _render_traceback_(self) -> list[str]:
        return [
            str(self)
            or "Stopped. Servers stay connected and the conversation can go on."
        ]


def unknown_option(option: str, known: Iterable[str]) -> str:
    """`Unknown option --modle; did you mean --model?`"""
    near = difflib.get_close_matches(option.partition("=")[0], list(known), 1, 0.6)
    if near:
        guess = f"; did you mean {near[0]}?"
    else:
        guess = "."

    return f"Unknown option {option}{guess}"


class ToolError(Exception):
    """What the model can mend: the text becomes a tool result with `is_error`."""


def near(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` known names close to `name`, best first; letter case does not matter."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    wanted = name.lower()
    close = difflib.get_close_matches(wanted, by_lower, n=count, cutoff=0.6)
    parts = [lower for lower in sorted(by_lower) if _shares(wanted, lower)]
    return [by_lower[lower] for lower in dict.fromkeys([*close, *parts])][:count]


def _shares(one: str, other: str) -> bool:
    """One is a part of the other, and long enough for that to mean something."""
    return min(len(one), len(other)) > 2 and (one in other or other in one)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with a leading space that offers the near misses, or "" when nothing is near."""
    found = near(name, known)
    if found:
        return f" Did you mean {' or '.join(found)}?"
    return ""
