"""Records the turns of a live model while they stream by."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2

from mcp_notebook import wire
from mcp_notebook.config.userfiles import lock_folder
from mcp_notebook.errors import NotebookError
from mcp_notebook.replay.keys import TurnFingerprint, fingerprint
from mcp_notebook.replay.sidecar import Turn, load, result_texts, save

KEPT = 4000  # characters of each tool result: enough to see what changed
# a server that knows what it runs says so (the local one does), percent-encoded
SOURCE_HEADER = "x-model-source"

logger = logging.getLogger(__name__)


class RecordTransport(httpx2.AsyncBaseTransport):
    """A transport that passes everything through and keeps each whole reply of the model in a file.

    `source` says what answers; empty: what the server says of itself, else the reply's
    model. Replies that were cut or refused are never kept. Asking a prompt again
    replaces its turns; the same request twice in one recording gives a list that is
    played in order. Raises BackendError when the file exists and is not one of recorded
    turns.
    """

    def __init__(
        self,
        path: Path,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        source: str = "",
    ) -> None:
        self.path = Path(path)
        self._inner = inner or httpx2.AsyncHTTPTransport()
        self._source = source
        self._mine: set[str] = set()  # keys recorded here, so not replaced but extended
        if self.path.exists():
            load(self.path)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request on, and read along."""
        wanted = request.url.path.endswith("/v1/messages")
        if wanted:
            # what is read along must be text
            request.headers["accept-encoding"] = "identity"

        response = await self._inner.handle_async_request(request)
        if not wanted or response.status_code != 200:
            return response

        body = json.loads(await request.aread())
        source = self._source or unquote(response.headers.get(SOURCE_HEADER, ""))

        def finish(raw: bytes) -> None:
            self._keep(body, _message(raw, bool(body.get("stream"))), source)

        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Tee(response, finish),
            extensions=response.extensions,
            request=request,
        )

    async def aclose(self) -> None:
        """Close the transport underneath."""
        await self._inner.aclose()

    def _keep(
        self, body: dict[str, Any], message: dict[str, Any] | None, source: str
    ) -> None:
        if message is None or not message.get("stop_reason"):
            return

        live = fingerprint(body)
        new = _turn(live, message, source)
        # Two kernels may record into one file: a copy of a notebook does.
        with lock_folder(self.path.parent):
            if self.path.exists():
                turns = load(self.path)
            else:
                turns = []

            save(self.path, self._merge_turn(turns, new))

        self._mine.add(live.key)

    def _merge_turn(self, turns: list[Turn], new: Turn) -> list[Turn]:
        if new.key in self._mine:
            earlier = next((t for t in turns if t.key == new.key), None)
            if earlier:
                replies = (*earlier.replies, *new.replies)
            else:
                replies = new.replies

            new = Turn(**{**vars(new), "replies": replies})
            if earlier:
                return [new if t.key == new.key else t for t in turns]

            return [*turns, new]

        stale = [
            t
            for t in turns
            if t.key == new.key or (new.opens and self._is_replaced(t, new))
        ]
        if stale:
            place = turns.index(stale[0])
        else:
            place = len(turns)

        return [
            *(t for t in turns[:place] if t not in stale),
            new,
            *(t for t in turns[place:] if t not in stale),
        ]

    def _is_replaced(self, old: Turn, new: Turn) -> bool:
        return old.prompts == new.prompts and old.key not in self._mine


def _turn(live: TurnFingerprint, message: dict[str, Any], source: str) -> Turn:
    return Turn(
        key=live.key,
        prompts=live.prompts,
        prompt=live.prompt,
        source=source or f"{message.get('model', 'unknown model')} · live",
        recorded=datetime.date.today().isoformat(),
        setup=live.setup,
        evidence=tuple(e.digest for e in live.evidence),
        results=tuple(result_texts(live.evidence, live.news, KEPT)),
        replies=(message,),
    )


def _message(raw: bytes, streamed: bool) -> dict[str, Any] | None:
    try:
        if streamed:
            return wire.assemble(wire.decode(raw))
        return json.loads(raw)
    except (ValueError, KeyError, IndexError, TypeError):
        logger.exception("a reply could not be read along and is not recorded")
        return None


class _Tee(httpx2.AsyncByteStream):
    """Passes a response's bytes on as they come and hands over the whole when it came
    to its end.
    """

    def __init__(
        self, response: httpx2.Response, finish: Callable[[bytes], None]
    ) -> None:
        self._response, self._finish = response, finish

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raw = bytearray()
        async for chunk in self._response.aiter_raw():
            raw += chunk
            if raw.endswith(b"\n\n") and b'"message_stop"' in raw[-100:]:
                self._done(raw)  # the client may read no further

            yield chunk

        self._done(raw)

    async def aclose(self) -> None:
        await self._response.aclose()

    def _done(self, raw: bytearray) -> None:
        whole, self._finish = self._finish, lambda _: None
        try:
            whole(bytes(raw))
        except (NotebookError, OSError):
            # The answer is worth more than its recording.
            logger.exception("the turn was not recorded")
