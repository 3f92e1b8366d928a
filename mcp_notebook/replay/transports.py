"""Two transports for an ordinary Anthropic client: one plays recorded turns as the API
would stream them, one records the turns of a live model while they stream by.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import difflib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anthropic
import httpx2

from mcp_notebook import wire
from mcp_notebook.config.userfiles import lock_folder
from mcp_notebook.errors import BackendError, NotebookError, ReplayMiss
from mcp_notebook.replay.keys import TurnFingerprint, fingerprint, other_places
from mcp_notebook.replay.sidecar import (
    Drift,
    Turn,
    drift_of,
    first_line,
    load,
    result_texts,
    save,
)

PACE = 0.015  # seconds between words: a reader sees the answer grow
SCRIPTED = "scripted"
AT_ANOTHER_PLACE = Drift(
    "place",
    "at another place of the conversation",
    "",
    "it is given for the same question; what was said before it differs",
)
_LISTED = 12  # prompts in the message of a miss


class ReplayTransport(httpx2.AsyncBaseTransport):
    """A transport that answers from a file of recorded turns and never touches the network.

    `drift` collects, each once, the differences between the recorded and the live
    world; take them out with `clear`. `pace` is seconds between two words. For a
    request that was not recorded the client raises an AnthropicError, not retried,
    whose `__cause__` is the ReplayMiss.
    """

    def __init__(self, path: Path, *, pace: float = PACE) -> None:
        self.path = Path(path)
        self.drift: list[Drift] = []
        self._pace = pace
        self._told: set[Drift] = set()
        self._played: dict[str, int] = {}
        self._read()

    @property
    def recording_label(self) -> str:
        """What to say of the answers, e.g. "replayed (recorded 2026-11-23,
        claude-sonnet-5-5 · live)".
        """
        sources = sorted({turn.source for turn in self._turns.values()})
        dates = sorted({turn.recorded for turn in self._turns.values()})
        if sources == [SCRIPTED]:
            return "replayed (scripted turns: no model wrote them)"

        when = " to ".join(dict.fromkeys([*dates[:1], *dates[-1:]]))
        if sources:
            return f"replayed (recorded {when}, {' and '.join(sources)})"

        return "replayed (no recorded turns)"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request of the client."""
        try:
            return await self._answer(request)
        except BackendError as error:
            # The SDK passes its own errors on as they are; any other it would retry and
            # call a lost connection.
            raise anthropic.AnthropicError(error.message) from error

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/count_tokens"):
            raise BackendError(
                "Recorded turns cannot count tokens; connect a model for that."
            )
        if not request.url.path.endswith("/v1/messages"):
            raise BackendError(
                f"Recorded turns cannot answer {request.url.path}; connect a model for that."
            )

        self._refresh()
        body = json.loads(await request.aread())
        turn, live = self._find(body)
        self._note(drift_of(turn, live, self._texts))
        message = self._next_reply(turn)
        headers = {"request-id": f"replay-{turn.key}"}
        if not body.get("stream"):
            return httpx2.Response(200, headers=headers, json=message, request=request)

        headers["content-type"] = "text/event-stream; charset=utf-8"
        return httpx2.Response(
            200, headers=headers, stream=_Paced(message, self._pace), request=request
        )

    def _find(self, body: dict[str, Any]) -> tuple[Turn, TurnFingerprint]:
        """The turn that answers, and the request as it stands beside it: by all that was
        said before, else by the same cell after fewer others, else by the same question.
        """
        whole = fingerprint(body)
        for live in self._places(whole, body):
            turn = self._turns.get(live.key)
            if turn is not None:
                return self._check_tools(turn, live), live

        own = list(other_places(body))[-1:] or [body]
        live = fingerprint(own[0])
        turn = self._find_by_question(live, own[0])
        if turn is None:
            raise ReplayMiss(self._miss(whole))

        if not live.news:
            self._note([AT_ANOTHER_PLACE])

        evidence = turn.evidence[len(turn.evidence) - len(live.evidence) :]
        turn = dataclasses.replace(turn, evidence=evidence)
        return self._check_tools(turn, live), live

    def _places(
        self, whole: TurnFingerprint, body: dict[str, Any]
    ) -> Iterator[TurnFingerprint]:
        yield whole
        for other in other_places(body):
            yield fingerprint(other)

    def _find_by_question(
        self, live: TurnFingerprint, own: dict[str, Any]
    ) -> Turn | None:
        """The turn of a cell that asked the same, as far on as this cell is."""
        asked = live.prompts[-1:]
        groups: dict[tuple[str, ...], list[Turn]] = {}
        for turn in self._turns.values():
            if asked and turn.prompts[-1:] == asked:
                groups.setdefault(turn.prompts, []).append(turn)

        replies = sum(message["role"] == "assistant" for message in own["messages"])
        return next(
            (turns[replies] for turns in groups.values() if replies < len(turns)), None
        )

    def _check_tools(self, turn: Turn, live: TurnFingerprint) -> Turn:
        missing = sorted(turn.tools_called - live.setup.tools.keys())
        if missing:
            servers = sorted({name.partition("__")[0] for name in missing})
            raise ReplayMiss(
                f"The recorded answer to {first_line(live.prompt, 60)!r} calls "
                f"{', '.join(missing)}, which is not "
                f"connected; run %mcp_connect {servers[0]} ... first."
            )

        return turn

    def _miss(self, live: TurnFingerprint) -> str:
        if not self._turns:
            return f"No model to ask, and {self.path.name} holds no recorded turns."

        wanted = first_line(live.prompt, 60)
        prompts = list(
            dict.fromkeys(turn.prompt for turn in self._turns.values() if turn.opens)
        )
        if any(turn.prompts == live.prompts for turn in self._turns.values()):
            why = "went on differently when it was recorded"
        elif live.prompt in prompts:
            why = (
                "was recorded at another point of the conversation; run the cells "
                "in order, or this one with --new"
            )
        else:
            why = "was not recorded"

        return (
            f"No model to ask: {wanted!r} {why}. {self.path.name} holds: "
            f"{_list_prompts(live.prompt, prompts)}. "
            "Set ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL to ask something else."
        )

    def _note(self, differences: Iterable[Drift]) -> None:
        for drift in differences:
            if drift not in self._told:
                self._told.add(drift)
                self.drift.append(drift)

    def _next_reply(self, turn: Turn) -> dict[str, Any]:
        played = self._played.get(turn.key, 0)
        self._played[turn.key] = played + 1
        return turn.replies[played % len(turn.replies)]

    def _refresh(self) -> None:
        # A recording made in this very kernel is played without a restart.
        if self.path.exists() and self._stamp != self.path.stat().st_mtime_ns:
            self._read()

    def _read(self) -> None:
        turns = load(self.path)
        self._stamp = self.path.stat().st_mtime_ns
        self._turns = {turn.key: turn for turn in turns if turn.replies}
        self._texts = {
            result["digest"]: result["text"]
            for turn in turns
            for result in turn.results
        }


class _Paced(httpx2.AsyncByteStream):
    """A message as server-sent events, a word at a time."""

    def __init__(self, message: dict[str, Any], pace: float) -> None:
        self._message, self._pace = message, pace

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in wire.events(self._message):
            if self._pace and event["type"] == "content_block_delta":
                await asyncio.sleep(self._pace)
            yield wire.encode(event)


def _list_prompts(wanted: str, prompts: list[str]) -> str:
    """The recorded prompts, near matches first."""
    near = difflib.get_close_matches(wanted, prompts, n=3, cutoff=0.5)
    ordered = [*near, *(p for p in prompts if p not in near)]
    listed = "; ".join(repr(first_line(p)) for p in ordered[:_LISTED])
    more = len(ordered) - _LISTED
    if more > 0:
        return f"{listed}; and {more} more"

    return listed


# ---- recording

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
