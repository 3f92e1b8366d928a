"""The older HTTP+SSE transport (protocol 2024-11-05): one long event stream down, one
POST a message up.

Our own, because the SDK's has a fixed cap of 1 MiB an event and dies as a whole when
one POST fails.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCRequest

from mcp_notebook.sessions.http import (
    REFUSED,
    HttpTrouble,
    SofteningClient,
    describe_failure,
    refusal_sentence,
)
from mcp_notebook.sessions.reply_repair.tap import Reader, Stream, Tap

logger = logging.getLogger(__name__)

QUEUE = 200  # messages read ahead


class NotSse(Exception):
    """The URL does not answer with an event stream; the sentence says what it did."""


class SseTransport:
    """The SDK's Transport protocol over one event stream."""

    def __init__(
        self, url: str, client: SofteningClient, tap: Tap, trouble: HttpTrouble
    ) -> None:
        self._url, self._client, self._tap, self._trouble = url, client, tap, trouble
        self._queue: asyncio.Queue[SessionMessage | None] = asyncio.Queue(QUEUE)
        self._endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stack = AsyncExitStack()
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> tuple[SseReader, SseWriter]:
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        try:
            response = await self._stack.enter_async_context(
                self._client.stream("GET", self._url, headers=headers)
            )
        except httpx2.TransportError as error:
            self._trouble.status, self._trouble.sentence = (
                None,
                describe_failure(error, self._url),
            )
            raise NotSse(self._trouble.sentence) from error

        if (
            response.status_code != 200
            or "text/event-stream" not in response.headers.get("content-type", "")
        ):
            await self._stack.aclose()
            raise NotSse(self._refusal(response))

        self._pump = asyncio.create_task(
            self._read(httpx2.EventSource(response, max_event_size=self._tap.cap))
        )
        return SseReader(self._queue, self._tap), SseWriter(self, self._tap)

    async def __aexit__(self, *error: object) -> None:
        # The reader first: it would report the closing of its own stream as a failure.
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        await self._stack.aclose()

    async def post(self, item: SessionMessage) -> None:
        """Send one message up; a failure answers its own request."""
        body = item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        response = await self._client.post(await self._endpoint, json=body)
        if isinstance(item.message, JSONRPCRequest):
            number = item.message.id
        else:
            number = None

        if response.status_code < 400 or number is None:
            return

        error = ErrorData(
            code=REFUSED,
            message=self._trouble.sentence
            or refusal_sentence(response.status_code, ""),
        )
        for message in self._tap.take_inbound(
            SessionMessage(JSONRPCError(jsonrpc="2.0", id=number, error=error))
        ):
            await self._queue.put(message)

    async def _read(self, events: httpx2.EventSource) -> None:
        try:
            async for event in events:
                await self._take(event)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.SSEError, NotSse) as error:
            self._trouble.sentence = (
                str(error)
                if isinstance(error, NotSse)
                else describe_failure(error, self._url)
            )
            if isinstance(error, httpx2.SSEError):
                self._trouble.sentence = (
                    f"a reply of more than {self._tap.cap / 1e6:.0f} MB was refused"
                )
        finally:
            if not self._endpoint.done():
                self._endpoint.set_exception(
                    NotSse(self._trouble.sentence or "the event stream ended at once")
                )
                self._endpoint.exception()  # nobody may be waiting for it

            self._tap.closed.set()
            self._queue.put_nowait(None) if not self._queue.full() else None

    async def _take(self, event: httpx2.ServerSentEvent) -> None:
        if event.event == "endpoint":
            endpoint = urljoin(self._url, event.data)
            if urlsplit(endpoint)[:2] != urlsplit(self._url)[:2]:
                raise NotSse(
                    "the event stream names an endpoint on another host, which is refused"
                )

            if not self._endpoint.done():
                self._endpoint.set_result(endpoint)
        elif event.event == "message" and event.data:
            for message in self._tap.take_line(
                event.data.encode("utf-8", "surrogatepass")
            ):
                await self._queue.put(message)

    def _refusal(self, response: httpx2.Response) -> str:
        self._trouble.status = response.status_code
        if response.status_code == 200:
            kind = response.headers.get("content-type", "no type").split(";")[0]
            self._trouble.sentence = (
                f"the address answers with {kind}, it is not an MCP server"
            )
        else:
            self._trouble.sentence = refusal_sentence(response.status_code, self._url)

        return self._trouble.sentence


class SseReader(Reader):
    """Messages from the event stream."""

    def __init__(self, queue: asyncio.Queue[SessionMessage | None], tap: Tap) -> None:
        self._queue, self._tap = queue, tap

    async def receive(self) -> SessionMessage:
        if self._queue.empty() and self._tap.closed.is_set():
            raise anyio.EndOfStream
        item = await self._queue.get()
        if item is None:
            raise anyio.EndOfStream
        return item


class SseWriter(Stream):
    """Messages as POSTs to the endpoint that the stream named."""

    def __init__(self, transport: SseTransport, tap: Tap) -> None:
        self._transport, self._tap = transport, tap

    async def send(self, item: SessionMessage, /) -> None:
        self._tap.note_outbound(item)
        await self._transport.post(item)
