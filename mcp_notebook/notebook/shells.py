"""Which shells have our extension: it says how to get their state, and nothing is made
before somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp_notebook.errors import ConfigError

_states: dict[int, Callable[[], Any]] = {}


def provide_state(shell: Any, state: Callable[[], Any]) -> None:
    """The extension is loaded in this shell; `state` gives its `Notebook`."""
    _states[id(shell)] = state


def withdraw_state(shell: Any) -> None:
    """The extension was unloaded."""
    _states.pop(id(shell), None)


def find_state(shell: Any) -> Any:
    """The shell's `Notebook`, or None where the extension is not loaded."""
    state = _states.get(id(shell))
    if state is not None:
        return state()
    return None


# An opt-in for pasted code that calls `asyncio.run(...)` in a cell; nothing of ours
# needs it.
#
# nest_asyncio2 and not nest_asyncio 1.6: under ipykernel 7 the latter loses queued
# execute requests for good.


def enable_nested_asyncio() -> None:
    """Let pasted `asyncio.run(...)` code work in a cell. The same as `%config
    MCPNotebook.nested_asyncio = True`.

    Raises ConfigError where the kernel's loop cannot be nested.
    """
    # only for those who ask for it: it swaps asyncio's Task class for the whole process
    import nest_asyncio2

    try:
        nest_asyncio2.apply()
    except ValueError as error:
        sentence = (
            f"This kernel's event loop cannot be nested ({error}); await the "
            "coroutine instead."
        )
        raise ConfigError(sentence) from None
