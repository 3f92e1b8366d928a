"""Which shells have our extension: it says how to get their state, and nothing is made
before somebody asks.
"""

from collections.abc import Callable
from typing import Any

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
