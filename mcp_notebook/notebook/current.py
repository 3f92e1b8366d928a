"""The state behind the functions of the package: the notebook's where there is one,
else one of this process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from IPython.core.getipython import get_ipython

from mcp_notebook import loop
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook import shells
from mcp_notebook.notebook.asker import is_attended
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.state import Notebook

logger = logging.getLogger(__name__)
T = TypeVar("T")


class PlainShell:
    """What a script has in place of IPython's shell: no person, no variables that
    tables would go into.
    """

    kernel = None

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {}


_plain: Notebook | None = None


def notebook() -> Notebook:
    """The state; in IPython the extension is loaded for it, so that magics and
    functions share everything.
    """
    global _plain
    shell = get_ipython()
    if shell is not None:
        found = shells.find_state(shell)
        if found is None:
            manager: Any = shell.extension_manager
            manager.load_extension("mcp_notebook")
            found = shells.find_state(shell)

        return found

    # a script, or a thread of one: no shell, and no magics to share anything with
    if _plain is None:
        _plain = Notebook(PlainShell(), MCPNotebook())

    return _plain


def is_interactive(state: Notebook) -> bool:
    """Whether there is a notebook, or a terminal with IPython, to show something in."""
    return not isinstance(state.shell, PlainShell)


def run(state: Notebook, work: Coroutine[Any, Any, T]) -> T:
    """Run work on the background loop and block for its result; an interrupt cancels it first."""
    _check_thread(work)
    attended = is_interactive(state) and is_attended(state.shell)
    with state.asker.in_cell(attended=attended, buttons=False):
        return loop.wait(loop.submit(work), state.asker.pump)


async def run_awaited(state: Notebook, work: Coroutine[Any, Any, T]) -> T:
    """The same from a coroutine: the caller's own loop goes on meanwhile."""
    _check_thread(work)
    attended = is_interactive(state) and is_attended(state.shell)
    with state.asker.in_cell(attended=attended, buttons=False):
        return await loop.wait_in_cell(loop.submit(work), state.asker.pump)


def _check_thread(work: Coroutine[Any, Any, Any]) -> None:
    # That thread runs the loop: it would wait for itself.
    if threading.current_thread().name == loop.THREAD:
        work.close()
        raise ConfigError(
            "This was called from inside a server's callback, which cannot wait for another call."
        )
