"""The Messages API in front of a local model: `/v1/messages` (streamed or not), its
`count_tokens`, `/v1/models`.

Requests need the key (`Authorization: Bearer` or `x-api-key`); no other origin is
allowed, so no web page can ask.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mcp_notebook import wire
from mcp_notebook.errors import BackendError
from tests.local.server.prompt import next_step
from tests.local.server.turns import Turn

if TYPE_CHECKING:
    from tests.local.server.engine import Engine

# which model answers, percent-encoded: a recording keeps it
SOURCE_HEADER = "x-model-source"

WRONG_KEY = "the local model's key is missing or wrong"

logger = logging.getLogger(__name__)


class LocalApi:
    """The web application over one engine. One reply is written at a time, others wait."""

    def __init__(self, engine: "Engine", *, api_key: str, label: str) -> None:
        self._engine = engine
        self._key = api_key
        self._label = label
        # replies name it, whatever model was asked for
        self._model = label.partition(" · ")[0]
        self._turn = asyncio.Lock()
        self.app = Starlette(
            routes=[
                Route("/health", self._health, methods=["GET"]),
                Route("/v1/models", self._models, methods=["GET"]),
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count, methods=["POST"]),
            ]
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _models(self, request: Request) -> Response:
        if not self._known(request):
            return _error(401, "authentication_error", WRONG_KEY)
        model = {
            "type": "model",
            "id": self._model,
            "display_name": self._label,
            "created_at": "1970-01-01T00:00:00Z",
        }
        return JSONResponse(
            {
                "data": [model],
                "has_more": False,
                "first_id": self._model,
                "last_id": self._model,
            }
        )

    async def _messages(self, request: Request) -> Response:
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        headers = {SOURCE_HEADER: quote(self._label)}
        events = self._events(body)
        if body.get("stream"):
            return StreamingResponse(
                _encoded(events), headers=headers, media_type="text/event-stream"
            )
        collected = [event async for event in events]
        message = wire.assemble(collected)
        if message is None:
            return _error(500, "api_error", _failure(collected))
        return JSONResponse(message, headers=headers)

    async def _count(self, request: Request) -> Response:
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        return JSONResponse(
            {"input_tokens": await self._engine.count(list(next_step(body).messages))}
        )

    async def _events(
        self, body: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        try:
            async with (
                self._turn,
                aclosing(Turn(self._engine, body).events()) as events,
            ):
                async for event in events:
                    yield event
        except BackendError as error:
            yield {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": error.message},
            }
        except Exception:
            # boundary: the client must hear of any failure, the log has the rest
            logger.exception("a local turn failed")
            yield {
                "type": "error",
                "error": {
                    "type": "api_error",
                    "message": "The local model failed; see its log.",
                },
            }

    async def _body(self, request: Request) -> dict[str, Any] | Response:
        """The checked request, or the answer that refuses it."""
        if not self._known(request):
            return _error(401, "authentication_error", WRONG_KEY)
        try:
            body = json.loads(await request.body())
            problem = _problem(body)
        except (ValueError, TypeError, AttributeError, KeyError):
            problem = "the request is not JSON of the Messages API"
        return (
            _error(400, "invalid_request_error", problem)
            if problem
            else {**body, "model": self._model}
        )

    def _known(self, request: Request) -> bool:
        given = request.headers.get("x-api-key") or request.headers.get(
            "authorization", ""
        ).removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._key.encode())


def _problem(body: dict[str, Any]) -> str:
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return "messages: at least one message is required"
    if not isinstance(body.setdefault("max_tokens", 1024), int):
        return "max_tokens: Input should be a valid integer"
    kinds = {message["role"] for message in body["messages"]}
    return (
        f"messages: Unexpected role in {sorted(kinds)}"
        if kinds - {"user", "assistant"}
        else ""
    )


def _error(status: int, kind: str, message: str) -> Response:
    return JSONResponse(
        {"type": "error", "error": {"type": kind, "message": message}}, status
    )


def _failure(events: list[dict[str, Any]]) -> str:
    errors = [event["error"]["message"] for event in events if event["type"] == "error"]
    return errors[0] if errors else "the local model's reply did not come to its end"


async def _encoded(
    events: AsyncGenerator[dict[str, Any], None],
) -> AsyncGenerator[bytes, None]:
    async for event in events:
        yield wire.encode(event)
