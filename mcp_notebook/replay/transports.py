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
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anthropic
import httpx2

from mcp_notebook import wire
from mcp_notebook.config.userfiles import lock_folder
from mcp_notebook.errors import BackendError, DataError, NotebookError, ReplayMiss
from mcp_notebook.replay.keys import (
    Evidence,
    LiveTable,
    TurnFingerprint,
    call_text,
    fingerprint,
    other_places,
)
from mcp_notebook.replay.sidecar import (
    Drift,
    SidecarContent,
    Turn,
    drift_of,
    first_line,
    load,
    notebook_of,
    read_sidecar,
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
# The tables that a call of this kernel gave, by the call's id.
LiveTables = Callable[[str], Sequence[LiveTable]]


class _Recording:
    """The turns of one file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = 0
        self.turns: dict[str, Turn] = {}
        # by digest: the text of each recorded result
        self.texts: dict[str, str] = {}
        self.content = SidecarContent()
        self._changes: dict[tuple[str, int], tuple[str, ...]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the file when it is another than before; raises BackendError."""
        # A recording made in this very kernel is played without a restart.
        if not self.path.exists():
            return

        stamp = self.path.stat().st_mtime_ns
        if stamp == self._stamp:
            return

        self.content = read_sidecar(self.path)
        self._stamp = stamp
        turns = self.content.turns
        self.turns = {turn.key: turn for turn in turns if turn.replies}
        self.texts = {
            result["digest"]: result["text"]
            for turn in turns
            for result in turn.results
        }

    def find_changes(
        self, result: Mapping[str, Any], live: Sequence[LiveTable]
    ) -> tuple[str, ...]:
        """What is different in the tables of a recorded result; raises BackendError
        where what is recorded of them is damaged.
        """
        traces = result.get("tables") or ()
        if not traces or not live:
            return ()

        # Of several files, and for the sentence, it is looked at more than once.
        place = (result["digest"], id(live[0].data))
        if place not in self._changes:
            self._changes[place] = self._compare(traces, live)

        return self._changes[place]

    def _compare(
        self, traces: Sequence[Mapping[str, Any]], live: Sequence[LiveTable]
    ) -> tuple[str, ...]:
        # pyarrow and pandas, which a replay without tables does not need
        tables = import_module("mcp_notebook.replay.tables")
        made = [
            tables.TableTrace(**{**trace, "hidden": tuple(trace["hidden"])})
            for trace in traces
        ]
        calls = [call for call in self.content.calls if call["key"] == live[0].key]
        kept = tables.find_recorded(calls, made, self.path.parent)
        said = []
        if len(traces) != len(live):
            said.append(f"{len(traces)} tables recorded, {len(live)} now")

        for at, (before, table) in enumerate(zip(made, live, strict=False)):
            rows = kept[at] if kept else None
            try:
                changes = tables.find_changes(before, table.data, table.hidden, rows)
            except DataError as error:
                raise BackendError(
                    f"{self.path} is damaged ({error.message}); record it again."
                ) from None

            name = table.name or f"table {at + 1}"
            said += [f"{name}: {change}" for change in changes]

        return tuple(said)

    def find_by_question(
        self, live: TurnFingerprint, own: dict[str, Any]
    ) -> Turn | None:
        """The turn of a cell that asked the same, as far on as this cell is."""
        asked = live.prompts[-1:]
        groups: dict[tuple[str, ...], list[Turn]] = {}
        for turn in self.turns.values():
            if asked and turn.prompts[-1:] == asked:
                groups.setdefault(turn.prompts, []).append(turn)

        replies = sum(message["role"] == "assistant" for message in own["messages"])
        for turns in groups.values():
            # A file that lost a cell's first turn must not answer before its calls.
            if replies < len(turns) and turns[replies].opens == (replies == 0):
                return turns[replies]

        return None


@dataclass(frozen=True)
class _Match:
    """A recorded turn that answers, the file it is in, and the request as it stands
    beside it.
    """

    recording: _Recording
    turn: Turn
    live: TurnFingerprint
    tables: LiveTables
    by_question: bool = False

    @property
    def missing_tools(self) -> list[str]:
        return sorted(self.turn.tools_called - self.live.setup.tools.keys())

    def drift(self) -> list[Drift]:
        found = drift_of(self.turn, self.live, self.recording.texts, self._find_changes)
        return list(found)

    def _find_changes(
        self, result: Mapping[str, Any], evidence: Evidence
    ) -> Sequence[str]:
        return self.recording.find_changes(result, self.tables(evidence.call_id))


def _refuse_other_data(drift: Iterable[Drift]) -> None:
    """Raises ReplayMiss where an answer was written for other results of tools: other
    descriptions of them, or another place, do not make it wrong.
    """
    other_data = [str(one) for one in drift if one.kind == "result"]
    if other_data:
        raise ReplayMiss(
            f"{' '.join(other_data)} The replay is strict, so the answer is not shown: "
            "record it again, or replay without MCPNotebook.strict (--strict)."
        )


def _distance(match: _Match) -> tuple[int, int]:
    """How far a recording is from now: tools that are missing, then differences."""
    return len(match.missing_tools), len(match.drift())


class ReplayTransport(httpx2.AsyncBaseTransport):
    """A transport that answers from files of recorded turns and never touches the network.

    `path` is the notebook's own file, None where it has none; `others` are asked, all
    of them, for what it does not hold: files are found by what is in them, for a
    notebook may have been renamed or copied, and nbclient tells no name. `file_notes`:
    what was said of them already, which is said once. `strict`: an answer that was
    written for other results than those of now is a miss.

    `drift` collects, each once, the differences between the recorded and the live
    world; take them out with `clear`. `pace` is seconds between two words. For a
    request that was not recorded the client raises an AnthropicError, not retried,
    whose `__cause__` is the ReplayMiss.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        pace: float = PACE,
        others: Sequence[Path] = (),
        has_name: bool = True,
        file_notes: set[str] | None = None,
        strict: bool = False,
        tables: LiveTables = lambda call_id: (),
    ) -> None:
        self._tables = tables
        self._own = _Recording(Path(path)) if path is not None else None
        self._other_paths = tuple(others)
        self._others: dict[Path, _Recording] = {}
        self._unreadable: dict[Path, str] = {}
        self._strict = strict
        self._has_name = has_name  # whether the notebook's name is known
        self._file_notes = set() if file_notes is None else file_notes
        self._answered: dict[Path, _Recording] = {}
        self._asked: tuple[str, ...] = ()  # the question that was answered last
        self.drift: list[Drift] = []
        self._pace = pace
        self._told: set[Drift] = set()
        self._played: dict[tuple[Path, str], int] = {}

    @property
    def recording_label(self) -> str:
        """What to say of the answers, e.g. "replayed (recorded 2026-11-23,
        claude-sonnet-5-5 · live)": of the files that answered, before any did of the
        notebook's own.
        """
        files = list(self._answered.values()) or self._files()[:1]
        turns = [turn for file in files for turn in file.turns.values()]
        sources = sorted({turn.source for turn in turns})
        dates = sorted({turn.recorded for turn in turns})
        if sources == [SCRIPTED]:
            return "replayed (scripted turns: no model wrote them)"

        when = " to ".join(dict.fromkeys([*dates[:1], *dates[-1:]]))
        if sources:
            return f"replayed (recorded {when}, {' and '.join(sources)})"

        return "replayed (no recorded turns)"

    def recorded_result(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The text of a call's recorded result, first of the question that is answered
        now; "" where none succeeded.
        """
        wanted = call_text(name, arguments)
        turns = [
            turn for file in self._answered.values() for turn in file.turns.values()
        ]
        turns.sort(key=lambda turn: turn.prompts[-1:] != self._asked)
        results = [result for turn in turns for result in turn.results]
        return next(
            (
                result["text"]
                for result in results
                if result["call"] == wanted and not result["error"]
            ),
            "",
        )

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

        body = json.loads(await request.aread())
        # Aside: large tables may have to be compared.
        match = await asyncio.to_thread(self._find, body)
        self._answered[match.recording.path] = match.recording
        self._asked = match.turn.prompts[-1:]
        self._note(self._say_file(match.recording))
        drift = await asyncio.to_thread(match.drift)
        self._note(drift)
        if self._strict:
            _refuse_other_data(drift)

        message = self._next_reply(match)
        headers = {"request-id": f"replay-{match.turn.key}"}
        if not body.get("stream"):
            return httpx2.Response(200, headers=headers, json=message, request=request)

        headers["content-type"] = "text/event-stream; charset=utf-8"
        return httpx2.Response(
            200, headers=headers, stream=_Paced(message, self._pace), request=request
        )

    def _find(self, body: dict[str, Any]) -> _Match:
        """The turn that answers: the notebook's own at any place before that of another
        file; raises ReplayMiss.
        """
        whole = fingerprint(body)
        match = None
        if self._own is not None:
            self._own.refresh()
            match = self._find_in([self._own], whole, body)

        # Other files are read only where the notebook's own has no answer.
        if match is None:
            match = self._find_in(self._read_others(), whole, body)
        if match is None:
            raise ReplayMiss(self._miss(whole))

        self._check_tools(match)
        if match.by_question and not match.live.news:
            self._note([AT_ANOTHER_PLACE])

        return match

    def _find_in(
        self, files: Sequence[_Recording], whole: TurnFingerprint, body: dict[str, Any]
    ) -> _Match | None:
        """By all that was said before, else by the same cell after fewer others, else
        by the same question.
        """
        if not files:
            return None

        for live in self._places(whole, body):
            found = [
                _Match(file, file.turns[live.key], live, self._tables)
                for file in files
                if live.key in file.turns
            ]
            if found:
                return self._choose(found)

        own = list(other_places(body))[-1:] or [body]
        live = fingerprint(own[0])
        found = []
        for file in files:
            turn = file.find_by_question(live, own[0])
            if turn is not None:
                evidence = turn.evidence[len(turn.evidence) - len(live.evidence) :]
                turn = dataclasses.replace(turn, evidence=evidence)
                found.append(_Match(file, turn, live, self._tables, by_question=True))

        return self._choose(found) if found else None

    def _choose(self, found: list[_Match]) -> _Match:
        """Of several files that answer at the same place the one whose tools and data
        are most like those of now; says which, where they answer differently.
        """
        best = min(found, key=_distance)
        rivals = [
            match.recording.path.name
            for match in found
            if match.turn.replies != best.turn.replies
        ]
        if rivals:
            name = best.recording.path.name
            self._announce(
                f"{name} and {', '.join(rivals)} hold this question with different "
                f"answers; that of {name} is shown. MCPNotebook.replay_file chooses "
                "another."
            )

        return best

    def _places(
        self, whole: TurnFingerprint, body: dict[str, Any]
    ) -> Iterator[TurnFingerprint]:
        yield whole
        for other in other_places(body):
            yield fingerprint(other)

    def _read_others(self) -> list[_Recording]:
        """The other files that can be read; the rest is named when nothing answers."""
        for path in self._other_paths:
            try:
                if path in self._others:
                    self._others[path].refresh()
                else:
                    self._others[path] = _Recording(path)
            except (BackendError, OSError) as error:
                self._others.pop(path, None)
                self._unreadable[path] = str(error)

        return list(self._others.values())

    def _files(self) -> list[_Recording]:
        if self._own is not None:
            return [self._own]
        return self._read_others()

    def _say_file(self, recording: _Recording) -> Iterator[Drift]:
        """Whose words these are, where they are not the notebook's own."""
        if recording is self._own:
            return

        name = recording.path.name
        notebook = notebook_of(recording.path)
        if self._own is not None:
            words = (
                f"{self._own.path.name} does not hold this question; {name} in the same "
                "folder does, and answers"
            )
        elif not notebook.exists():
            words = (
                f"{name} answers: its notebook {notebook.name} is gone. If that is this "
                "notebook under its old name, rename the file with it"
            )
        elif self._has_name:
            words = f"{name} answers: this notebook has no recording of its own"
        else:
            return

        if words not in self._file_notes:
            self._file_notes.add(words)
            yield Drift("file", name, "", f"{words}.")

    def _announce(self, words: str) -> None:
        if words not in self._file_notes:
            self._file_notes.add(words)
            self._note([Drift("file", "", "", words)])

    def _check_tools(self, match: _Match) -> None:
        missing = match.missing_tools
        if missing:
            servers = sorted({name.partition("__")[0] for name in missing})
            raise ReplayMiss(
                f"The recorded answer to {first_line(match.live.prompt, 60)!r} calls "
                f"{', '.join(missing)}, which is not "
                f"connected; run %mcp_connect {servers[0]} ... first."
            )

    def _miss(self, live: TurnFingerprint) -> str:
        files = [self._own] if self._own is not None else []
        files += self._read_others()
        turns = [turn for file in files for turn in file.turns.values()]
        names = " and ".join(file.path.name for file in files) or "no file here"
        broken = " ".join(self._unreadable.values())
        if not turns:
            return f"No model to ask, and {names} holds no recorded turns. {broken}".strip()

        wanted = first_line(live.prompt, 60)
        prompts = list(dict.fromkeys(turn.prompt for turn in turns if turn.opens))
        if any(turn.prompts == live.prompts for turn in turns):
            why = "went on differently when it was recorded"
        elif live.prompt in prompts:
            why = (
                "was recorded at another point of the conversation; run the cells "
                "in order, or this one with --new"
            )
        else:
            why = "was not recorded"

        hold = "holds" if len(files) == 1 else "hold"
        said = (
            f"No model to ask: {wanted!r} {why}. {names} {hold}: "
            f"{_list_prompts(live.prompt, prompts)}. "
            "Set ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL to ask something else."
        )
        return f"{said} {broken}".strip()

    def _note(self, differences: Iterable[Drift]) -> None:
        for drift in differences:
            if drift not in self._told:
                self._told.add(drift)
                self.drift.append(drift)

    def _next_reply(self, match: _Match) -> dict[str, Any]:
        place = (match.recording.path, match.turn.key)
        played = self._played.get(place, 0)
        self._played[place] = played + 1
        return match.turn.replies[played % len(match.turn.replies)]


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
        tables: LiveTables = lambda call_id: (),
    ) -> None:
        self.path = Path(path)
        self._tables = tables
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

        try:
            body = json.loads(await request.aread())
            live = fingerprint(body)
            # Aside, and now: the tables are those of the calls before this turn.
            results = await asyncio.to_thread(self._results, live)
        except BaseException:
            # An interrupt may come here: nobody else knows of the response yet, and its
            # connection would stay open.
            await response.aclose()
            raise

        source = self._source or unquote(response.headers.get(SOURCE_HEADER, ""))

        def finish(raw: bytes) -> None:
            message = _message(raw, bool(body.get("stream")))
            self._keep(body, message, source, results)

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

    def _results(self, live: TurnFingerprint) -> list[dict[str, Any]]:
        def trace(evidence: Evidence) -> list[dict[str, Any]]:
            tables = self._tables(evidence.call_id)
            if not tables:
                return []

            # pyarrow and pandas, which the first turns do not need
            make = import_module("mcp_notebook.replay.tables").trace_table
            return [dataclasses.asdict(make(one.data, one.hidden)) for one in tables]

        return result_texts(live.evidence, live.news, KEPT, trace)

    def _keep(
        self,
        body: dict[str, Any],
        message: dict[str, Any] | None,
        source: str,
        results: list[dict[str, Any]] | None = None,
    ) -> None:
        if message is None or not message.get("stop_reason"):
            return

        live = fingerprint(body)
        told = self._results(live) if results is None else results
        new = _turn(live, told, message, source)
        # Two kernels may record into one file: a copy of a notebook does.
        with lock_folder(self.path.parent):
            content = SidecarContent()
            if self.path.exists():
                content = read_sidecar(self.path)

            turns = self._merge_turn(list(content.turns), new)
            save(self.path, turns, servers=content.servers, calls=content.calls)

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


def _turn(
    live: TurnFingerprint,
    results: list[dict[str, Any]],
    message: dict[str, Any],
    source: str,
) -> Turn:
    return Turn(
        key=live.key,
        prompts=live.prompts,
        prompt=live.prompt,
        source=source or f"{message.get('model', 'unknown model')} · live",
        recorded=datetime.date.today().isoformat(),
        setup=live.setup,
        evidence=tuple(e.digest for e in live.evidence),
        results=tuple(results),
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
