"""Questions that wait for the person: opened on the background loop, answered from the cell's thread."""

import asyncio


class Approvals:
    """The open questions of one cell."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Future[str]]] = {}

    def open(self, call_id: str) -> None:
        """Register a question before it is shown, so that no answer can come too early."""
        loop = asyncio.get_running_loop()
        self._waiting[call_id] = (loop, loop.create_future())

    async def wait(self, call_id: str) -> str:
        """The person's answer: `once`, `always`, `deny` or `deny: reason`."""
        _, future = self._waiting[call_id]
        try:
            return await future
        finally:
            self._waiting.pop(call_id, None)

    def answer(self, call_id: str, answer: str) -> None:
        """Answer a question from any thread; a second answer to the same question does nothing."""
        if call_id in self._waiting:
            loop, future = self._waiting[call_id]
            loop.call_soon_threadsafe(lambda: future.done() or future.set_result(answer))
