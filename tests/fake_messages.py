"""A small real Messages API on loopback: scripted replies over real SSE, the API's
rules for requests, its faults.

    with FakeMessages([Reply([use("shop__query", {"sql": "select 1"})]),
    Reply([text("One.")])]) as api:
        client = api.client()

A script is a list, one entry a request, or a callable `script(body, n)`; an entry is a
`Reply`, a `Fault` or a status.
"""

import asyncio
import hashlib
import itertools
import json
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn

from tests.message_cache import PromptCache
from tests.message_rules import blocks_of, refusal, typed_problem

HANG_GUARD = 30.0  # seconds a gate holds a stream at most
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

Block = dict[str, Any]
_ids = itertools.count(1)


def text(words: str) -> Block:
    """A text block."""
    return {"type": "text", "text": words}


def use(name: str, arguments: dict[str, Any] | None = None, *, id: str = "") -> Block:
    """A tool_use block with a fresh id."""
    return {
        "type": "tool_use",
        "id": id or f"toolu_{next(_ids):06}",
        "name": name,
        "input": arguments or {},
        "caller": {"type": "direct"},
    }


def thinking(words: str) -> Block:
    """A thinking block; its signature belongs to its text, and the server checks that
    it comes back unchanged.
    """
    return {"type": "thinking", "thinking": words, "signature": _signature(words)}


def server_use(name: str, arguments: dict[str, Any] | None = None) -> Block:
    """A server_tool_use block, as web search makes them."""
    return {
        "type": "server_tool_use",
        "id": f"srvtoolu_{next(_ids):06}",
        "name": name,
        "input": arguments or {},
    }


class Gate:
    """Holds a stream after `after` events until `release()`, so that a test can act at
    a known moment.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self.reached = threading.Event()
        self._open = threading.Event()

    def release(self) -> None:
        """Let the stream go on."""
        self._open.set()

    async def hold(self, gone: asyncio.Event) -> None:
        """Wait for `release`, or for the client to go away."""
        self.reached.set()
        waited = 0.0
        while not (self._open.is_set() or gone.is_set()) and waited < HANG_GUARD:
            await asyncio.sleep(0.01)
            waited += 0.01


@dataclass(frozen=True)
class Reply:
    """One model turn. `breaks` ends its stream after `after` events: closed cleanly,
    reset, or with an error event.
    """

    content: Sequence[Block] = ()
    stop_reason: str = ""  # "": tool_use when there is a tool_use block, else end_turn
    delay: float = 0.0  # seconds before each delta
    breaks: Literal["", "cut", "reset", "error"] = ""
    after: int = 3
    error: str = "overloaded_error"  # the type of the error event
    half_tool: bool = False  # the last tool's JSON ends in the middle, as at max_tokens
    gate: Gate | None = None
    usage: dict[str, Any] = field(default_factory=dict)  # laid over the counted usage
    model: str = ""  # "": the model asked for

    @property
    def why(self) -> str:
        """The stop reason that is sent."""
        return self.stop_reason or (
            "tool_use"
            if any(b["type"] == "tool_use" for b in self.content)
            else "end_turn"
        )


@dataclass(frozen=True)
class Fault:
    """A reply with an error status before any stream; status 0 resets the connection."""

    status: int
    message: str = "scripted fault"
    retry_after: float | None = 0.01  # seconds; None: no such header
    type: str = ""  # "": the API's usual type for this status


Script = (
    Sequence["Reply | Fault | int"]
    | Callable[[dict[str, Any], int], "Reply | Fault | int"]
)


class FakeMessages:
    """The server, on its own thread. `requests` are the bodies in order, `refused` the
    texts of its 400 answers.
    """

    def __init__(self, script: Script, *, api_key: str = "test-key") -> None:
        self.api_key = api_key
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.connections: set[Any] = set()  # from which address and port requests came
        self.disconnects = 0  # clients that went away in the middle of a stream
        self._script = script
        self._answered = 0
        self._cache = PromptCache()
        self._socket = socket.socket()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def client(self, **options: Any) -> Any:
        """An ordinary `AsyncAnthropic` that talks to this server."""
        import anthropic  # slow to import, and the server itself does not need it

        return anthropic.AsyncAnthropic(
            **{"base_url": self.url, "api_key": self.api_key, **options}
        )

    def __enter__(self) -> "FakeMessages":
        self._socket.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            log_level="error",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), daemon=True
        )
        self._thread.start()
        self._server.up.wait(HANG_GUARD)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(HANG_GUARD)
        self._socket.close()

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        raw = b""
        while (event := await receive())["type"] == "http.request":
            raw += event["body"]
            if not event.get("more_body"):
                break
        # without a socket there is none
        self.connections.add(tuple(scope.get("client", ())))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        wire = _Wire(receive, send, request_id=f"req_{next(_ids):08}")
        try:
            await self._route(scope["path"], headers, json.loads(raw or b"null"), wire)
        except _Gone:
            self.disconnects += 1

    async def _route(
        self, path: str, headers: dict[str, str], body: Any, wire: "_Wire"
    ) -> None:
        counting = path == "/v1/messages/count_tokens"
        if path != "/v1/messages" and not counting:
            return await wire.fault(Fault(404, f"Not found: {path}"))
        if self.api_key not in (
            headers.get("x-api-key"),
            headers.get("authorization", "").removeprefix("Bearer "),
        ):
            return await wire.fault(Fault(401, "invalid x-api-key"))
        if not counting:
            self.requests.append(body)
            self.headers.append(headers)
        typed = None if counting else typed_problem(body)
        if problem := refusal(body, counting=counting) or typed or _tampered(body):
            self.refused.append(problem)
            return await wire.fault(Fault(400, problem))
        if counting:
            return await wire.json(
                {"input_tokens": sum(PromptCache().usage(body).values())}
            )
        return await self._answer(body, wire)

    async def _answer(self, body: dict[str, Any], wire: "_Wire") -> None:
        n, self._answered = self._answered, self._answered + 1
        reply = self._next(body, n)
        if isinstance(reply, int):
            reply = Fault(reply)
        if isinstance(reply, Fault):
            return await wire.fault(reply)
        message = self._message(body, reply)
        if not body.get("stream"):
            return await wire.json({**message, "content": list(reply.content)})
        return await wire.stream(reply, message)

    def _next(self, body: dict[str, Any], n: int) -> "Reply | Fault | int":
        if callable(self._script):
            return self._script(body, n)
        return (
            self._script[n]
            if n < len(self._script)
            else Fault(500, f"the script has no reply {n + 1}", None)
        )

    def _message(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        usage = self._cache.usage(body)
        written = usage["cache_creation_input_tokens"]
        return {
            "id": f"msg_{next(_ids):06}",
            "type": "message",
            "role": "assistant",
            "model": reply.model or body["model"],
            "content": [],
            "stop_reason": reply.why,
            "stop_sequence": None,
            "usage": {
                **usage,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": written,
                    "ephemeral_1h_input_tokens": 0,
                },
                "output_tokens": sum(
                    len(json.dumps(block)) // 4 + 1 for block in reply.content
                ),
                "service_tier": "standard",
                **reply.usage,
            },
        }


class _Server(uvicorn.Server):
    """Tells its starter when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class _Gone(Exception):
    """The client closed the connection."""


class _Wire:
    """One HTTP exchange."""

    def __init__(self, receive: Any, send: Any, *, request_id: str) -> None:
        self._receive, self._send, self._id = receive, send, request_id

    async def fault(self, fault: Fault) -> None:
        if not fault.status:
            return self._reset()
        error = {
            "type": fault.type or ERROR_TYPES.get(fault.status, "api_error"),
            "message": fault.message,
        }
        headers = (
            {}
            if fault.retry_after is None
            else {"retry-after": f"{fault.retry_after:g}"}
        )
        body = {"type": "error", "error": error, "request_id": self._id}
        return await self.json(body, fault.status, headers)

    async def json(
        self, body: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        await self._start(
            status, {"content-type": "application/json", **(headers or {})}
        )
        await self._send(
            {"type": "http.response.body", "body": json.dumps(body).encode()}
        )

    async def stream(self, reply: Reply, message: dict[str, Any]) -> None:
        gone = asyncio.Event()
        watch = asyncio.create_task(self._watch(gone))
        try:
            await self._start(200, {"content-type": "text/event-stream; charset=utf-8"})
            async for event in _paced(reply, _events(reply, message), gone):
                if gone.is_set():
                    raise _Gone
                await self._send(
                    {
                        "type": "http.response.body",
                        "body": _sse(event),
                        "more_body": True,
                    }
                )
            if reply.breaks == "reset":
                return self._reset()
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            watch.cancel()

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        pairs = [
            (k.encode(), v.encode())
            for k, v in {**headers, "request-id": self._id}.items()
        ]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": pairs}
        )

    async def _watch(self, gone: asyncio.Event) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        gone.set()

    def _reset(self) -> None:
        # A real RST: uvicorn's send belongs to its request cycle, which holds the
        # connection's transport.
        transport = self._send.__self__.transport
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        transport.abort()


async def _paced(
    reply: Reply, events: Iterator[Block], gone: asyncio.Event
) -> AsyncIterator[Block]:
    for sent, event in enumerate(events):
        if reply.breaks and sent >= reply.after:
            break
        if reply.gate and sent == reply.gate.after:
            await reply.gate.hold(gone)
        if reply.delay and event["type"] == "content_block_delta":
            await asyncio.sleep(reply.delay)
        yield event
    if reply.breaks == "error":
        yield {"type": "error", "error": {"type": reply.error, "message": "Overloaded"}}


def _events(reply: Reply, message: dict[str, Any]) -> Iterator[Block]:
    usage = message["usage"]
    yield {
        "type": "message_start",
        "message": {
            **message,
            "stop_reason": None,
            "usage": {**usage, "output_tokens": 1},
        },
    }
    yield {"type": "ping"}
    for index, block in enumerate(reply.content):
        empty, deltas = _pieces(block)
        half = reply.half_tool and index == len(reply.content) - 1
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas[: len(deltas) // 2 + 1] if half else deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": reply.why, "stop_sequence": None}
    yield {
        "type": "message_delta",
        "delta": ending,
        "usage": {k: v for k, v in usage.items() if "tokens" in k},
    }
    yield {"type": "message_stop"}


def _pieces(block: Block) -> tuple[Block, list[Block]]:
    """The block as it starts, and the deltas that fill it."""
    kind = block["type"]
    if kind == "text":
        words = re.findall(r"\S+\s*|\s+", block["text"])
        return {**block, "text": ""}, [
            {"type": "text_delta", "text": word} for word in words
        ]
    if kind == "thinking":
        words = re.findall(r"\S+\s*|\s+", block["thinking"])
        deltas = [{"type": "thinking_delta", "thinking": word} for word in words]
        return {**block, "thinking": "", "signature": ""}, [
            *deltas,
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if kind in ("tool_use", "server_tool_use"):
        whole = json.dumps(block["input"]) if block["input"] else ""
        parts = ["", *(whole[i : i + 12] for i in range(0, len(whole), 12))]
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": part} for part in parts
        ]
    return block, []


def _sse(event: Block) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _signature(words: str) -> str:
    return "sig-" + hashlib.sha256(words.encode()).hexdigest()[:24]


def _tampered(body: dict[str, Any]) -> str | None:
    for i, message in enumerate(body["messages"]):
        for k, block in enumerate(blocks_of(message)):
            if block["type"] == "thinking" and block["signature"] != _signature(
                block["thinking"]
            ):
                return (
                    f"messages.{i}.content.{k}: Invalid `signature` in `thinking` block"
                )
    return None
