"""Questions that wait for the person: opened on the background loop, answered from the
cell's thread.
"""

import asyncio
import time


class Approvals:
    """The open questions of one cell."""

    def __init__(self) -> None:
        self._waiting: dict[
            str, tuple[asyncio.AbstractEventLoop, asyncio.Future[str]]
        ] = {}
        self._waited = 0.0
        self._since = 0.0

    def open(self, call_id: str) -> None:
        """Register a question before it is shown, so that no answer can come too early."""
        loop = asyncio.get_running_loop()
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting[call_id] = (loop, loop.create_future())

    def is_open(self, call_id: str) -> bool:
        """Whether the question still waits for its answer."""
        return call_id in self._waiting

    async def settled(self) -> None:
        """Wait until an answer that was just given has done what it does: turns of the
        loop, no time.
        """
        for _ in range(4):
            await asyncio.sleep(0)

    def close(self, call_id: str) -> None:
        """Take a question back: it need not be answered any more."""
        self._waited = self.waited()
        self._since = time.monotonic()
        self._waiting.pop(call_id, None)

    async def wait(self, call_id: str) -> str:
        """The person's answer: `once`, `always`, `server`, `deny` or `deny: reason`."""
        _, future = self._waiting[call_id]
        try:
            return await future
        finally:
            self.close(call_id)

    def answer(self, call_id: str, answer: str) -> None:
        """Answer a question from any thread; a second answer to the same question does nothing."""
        if call_id in self._waiting:
            loop, future = self._waiting[call_id]
            loop.call_soon_threadsafe(
                lambda: future.done() or future.set_result(answer)
            )

    def waited(self) -> float:
        """Seconds during which at least one question was open."""
        return self._waited + (time.monotonic() - self._since if self._waiting else 0.0)
