"""The clients that we make for a model's service: kept from cell to cell, closed when
settings change and at the end.

Making one costs 30 ms of CPU (the certificates) and its connection a handshake; the
next cell finds both ready.
"""

import atexit
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mcp_notebook import loop
from mcp_notebook.errors import NotebookError

AT_EXIT = 1.0  # seconds to say goodbye when the kernel ends


@dataclass(eq=False)
class Held:
    """A client, what it was made from, and how many runs use it."""

    client: Any
    made_from: Hashable
    users: int = 0


class Clients:
    """Gives out one client for as long as it is made from the same. Lives on the
    background loop.
    """

    def __init__(self) -> None:
        # the last one is given out, the others are closed when their runs are over
        self._held: list[Held] = []

    def get(self, made_from: Hashable, make: Callable[[], Any]) -> Held | None:
        """The client that was made from the same, else a new one; None where none can be made."""
        if self._held and self._held[-1].made_from == made_from:
            return self._held[-1]
        if (client := make()) is None:
            return None
        if not self._held:
            atexit.register(self._at_exit)
        self._held.append(Held(client, made_from))
        return self._held[-1]

    @asynccontextmanager
    async def use(self, held: Held) -> AsyncIterator[None]:
        """Around a run. After one that failed the next starts with a client of its own:
        it may read a new login.
        """
        held.users += 1
        try:
            yield
        except NotebookError:
            held.made_from = object()
            raise
        finally:
            held.users -= 1
            await self._close_old()

    async def close(self) -> None:
        """Close all of them; a run that is still under way fails."""
        atexit.unregister(self._at_exit)
        held, self._held = self._held, []
        for one in held:
            await one.client.close()

    async def _close_old(self) -> None:
        for old in [held for held in self._held[:-1] if not held.users]:
            self._held.remove(old)
            await old.client.close()

    def _at_exit(self) -> None:
        concurrent.futures.wait([loop.submit(self.close())], timeout=AT_EXIT)
