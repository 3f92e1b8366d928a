"""The fake Messages API without sockets: an HTTP transport that calls its ASGI app,
byte for byte the same answers.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2

from tests.fake_messages import FakeMessages


class InProcess(httpx2.AsyncBaseTransport):
    """Runs `api`'s app for each request in a task of the caller's loop; `closed` waits
    until the last has ended.
    """

    def __init__(self, api: FakeMessages) -> None:
        self._api = api
        self._tasks: set[asyncio.Task[None]] = set()

    def client(
        self, transport: httpx2.AsyncBaseTransport | None = None
    ) -> anthropic.AsyncAnthropic:
        """An ordinary client over this transport, or over one that wraps it."""
        http = httpx2.AsyncClient(transport=transport or self)
        return anthropic.AsyncAnthropic(
            base_url="http://fake", api_key="test-key", http_client=http, max_retries=0
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = _Exchange(await request.aread())
        headers = [(k.lower().encode(), v.encode()) for k, v in request.headers.items()]
        scope = {"type": "http", "path": request.url.path, "headers": headers}
        exchange.task = asyncio.create_task(
            self._api._app(scope, exchange.receive, exchange.send)
        )
        self._tasks.add(exchange.task)
        exchange.task.add_done_callback(self._tasks.discard)
        exchange.task.add_done_callback(exchange.ended)
        try:
            start = await exchange.queue.get()
        except asyncio.CancelledError:
            await exchange.aclose()
            raise
        if start is None:
            raise httpx2.ReadError("connection reset", request=request)
        return httpx2.Response(
            start["status"], headers=start["headers"], stream=exchange, request=request
        )

    async def closed(self) -> None:
        """Wait for the app's own tasks, which end soon after their client is gone."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        # What the app cancelled at its end, and generators of the HTTP client that
        # Python closes when it collects
        # them, are gone a few turns of the loop later.
        for _ in range(4):
            await asyncio.sleep(0)


class _Exchange(httpx2.AsyncByteStream):
    """One request and its streamed answer; `transport` and the rest stand for what a
    reset needs of uvicorn.
    """

    task: asyncio.Task[None]

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._asked = False
        self._gone = asyncio.Event()
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(1)
        self.transport = self

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        if not self._gone.is_set():
            await self.queue.put(event)

    def ended(self, task: "asyncio.Task[None]") -> None:
        """An app that failed answers nobody: whoever waits sees the connection go."""
        if not task.cancelled() and task.exception() is not None:
            self.abort()

    def get_extra_info(self, _: str) -> "_Exchange":
        return self

    def setsockopt(self, *_: Any) -> None:
        return None

    def abort(self) -> None:
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (event := await self.queue.get()) is not None:
            yield event["body"]
            if not event.get("more_body"):
                return
        raise httpx2.ReadError("connection reset")

    async def aclose(self) -> None:
        self._gone.set()
        while not self.queue.empty():
            self.queue.get_nowait()
        await asyncio.wait([self.task])
