"""Plays recorded turns to an ordinary Anthropic client, as the API would stream them."""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2

from mcp_notebook import wire
from mcp_notebook.errors import BackendError, ReplayMiss
from mcp_notebook.replay.keys import TurnFingerprint, fingerprint, other_places
from mcp_notebook.replay.sidecar import Drift, Turn, drift_of, first_line, load

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
        for turns in groups.values():
            if replies < len(turns):
                return turns[replies]

        return None

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
