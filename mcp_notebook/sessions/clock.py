"""Time limits of calls that can stand still while a person is asked something."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Clock:
    """The running limits of one session."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """`asyncio.timeout(seconds)` whose clock `stopped` can hold; raises TimeoutError."""
        async with asyncio.timeout(seconds) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold every running limit, and let each go on with the time it had left."""
        loop = asyncio.get_running_loop()
        held = [
            (limit, at - loop.time())
            for limit in self._limits
            if (at := limit.when()) is not None
        ]
        for limit, _ in held:
            limit.reschedule(None)
        try:
            yield
        finally:
            for limit, left in held:
                if limit in self._limits and not limit.expired():
                    limit.reschedule(loop.time() + left)
