"""Identical calls within one cell: noticed, and answered from the first result instead
of running again.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_notebook.events import ToolResult

REPEATED = (
    "(The same call as before in this cell: it was not run again, this is its first result. "
    "If the answer may have changed since, make the call once more and it runs.)"
)

First = ToolResult | asyncio.Future[ToolResult]


def key_of(name: str, arguments: Mapping[str, Any]) -> str:
    """What makes two calls the same."""
    return f"{name} {json.dumps(arguments, sort_keys=True, ensure_ascii=True, default=str)}"


@dataclass
class Repeats:
    """The calls of one cell that succeeded, and those that run."""

    _done: dict[str, ToolResult] = field(default_factory=dict)
    _running: dict[str, "asyncio.Future[ToolResult]"] = field(default_factory=dict)

    def first(self, key: str) -> First | None:
        """The first call's result when this call need not run; asked for once more, the
        call will run.
        """
        return self._running.get(key) or self._done.pop(key, None)

    def begin(self, key: str) -> None:
        """The call will run; a twin in the same reply waits for it."""
        self._running[key] = asyncio.get_running_loop().create_future()

    def end(self, key: str, result: ToolResult, *, changes: bool) -> None:
        """The call ended. `changes`: it may have changed something, so what was
        answered before may be stale.
        """
        if changes:
            self._done.clear()

        if result.outcome == "ok":
            self._done[key] = result

        future = self._running.pop(key, None)
        if future is not None and not future.done():
            future.set_result(result)

    def drop(self, key: str) -> None:
        """The call was cancelled; so are its twins."""
        future = self._running.pop(key, None)
        if future is not None:
            future.cancel()


async def repeat_result(first: First, call_id: str) -> ToolResult:
    """The result of a repeated call."""
    if isinstance(first, ToolResult):
        result = first
    else:
        result = await asyncio.shield(first)

    if result.outcome == "ok":
        shown = f"{REPEATED}\n\n{result.shown}"
    else:
        shown = result.shown

    return replace(result, id=call_id, shown=shown, seconds=0.0, received_bytes=0)
