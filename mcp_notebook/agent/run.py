"""The agent loop as a generator of events: what the view shows, the ledger records and
the tests check.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal

import anthropic
import httpx2

from mcp_notebook.agent.backends import Backend, usage_of
from mcp_notebook.agent.caller import Caller
from mcp_notebook.agent.conversation import (
    Block,
    Conversation,
    summarize_result,
    tool_result,
    tool_uses,
    trim_results,
    without_foreign,
)
from mcp_notebook.agent.failures import (
    LONGEST_WAIT,
    explain_failure,
    is_transient,
    raise_for_credentials,
    requested_wait,
    retry_reason,
)
from mcp_notebook.agent.pictures import draw_svgs
from mcp_notebook.agent.request import MOST_TAKEN_OUT, Recovery, Request, admit_reply
from mcp_notebook.agent.sealing import seal_block
from mcp_notebook.agent.toolset import choose_tools
from mcp_notebook.agent.web import Footnotes, tell_block, web_refusal, web_tools
from mcp_notebook.errors import (
    BackendError,
    BudgetError,
    ContextFull,
    NotebookError,
    RequestRefused,
)
from mcp_notebook.events import (
    Event,
    Footer,
    Note,
    Stop,
    TextDelta,
    TextDiscarded,
    ThinkingDelta,
    ToolCall,
    ToolResult,
    Usage,
    Working,
)
from mcp_notebook.policy import Budget
from mcp_notebook.secrets import seal_text

NOT_RUN = "Not run: the reply was cut off before the call was complete."
OVER_LIMIT = "Not run: the limit of tool calls is reached."
CANCELLED = "Interrupted by the person before it finished."
SUM_UP = (
    "The limit of this cell is reached ({limit}). Call no more tools; sum up what you "
    "found and what is open."
)
STOP_TRYING = (
    "Stop here: {failed}. Call no more tools, and do not offer to try again. Answer what "
    "the results so far answer; then say what could not be found, why the calls failed, "
    "and what the person can do about it."
)
STOPS = {
    "max_tokens": (
        "The answer was cut at the reply's token limit; raise MCPNotebook.max_tokens."
    ),
    "refusal": "The model refused to answer.",
    "model_context_window_exceeded": (
        "The conversation no longer fits the model; go on with %%claude --new."
    ),
}


async def run(
    conversation: Conversation,
    prompt: Sequence[Block],
    *,
    request: Request,
    caller: Caller,
) -> AsyncGenerator[Event, None]:
    """Ask, let Claude call tools, and yield what happens; the conversation is valid
    after every kind of end.

    `caller.budget` says where it stops. Cancelling it (an interrupt) keeps the finished
    text and the finished calls. Raises BackendError when the model's service fails; the
    conversation is then as it was before the prompt if nothing was answered. Raises
    BudgetError when the notebook's budget is used up.
    """
    budget = caller.budget
    if used_up := budget.limit_reached_before():
        raise BudgetError(
            f"This notebook's budget is used up ({used_up}); raise it with "
            "%config MCPNotebook."
        )

    before = conversation.snapshot()
    if conversation.model not in ("", request.backend.model):
        conversation.messages = without_foreign(conversation.messages)

    conversation.model = request.backend.model
    conversation.ask(prompt)
    try:
        async with aclosing(_turns(conversation, request, caller, before)) as events:
            async for event in events:
                yield event
    finally:
        conversation.answer_all(conversation.open_calls(), CANCELLED)
        budget.close()

    yield footer(request.backend, budget)


async def _turns(
    conversation: Conversation,
    request: Request,
    caller: Caller,
    before: list[dict[str, Any]],
) -> AsyncGenerator[Event, None]:
    """Turns and calls until Claude is done or a limit is reached; ends with a Stop."""
    tools, caller.search = choose_tools(
        caller.toolset,
        above=request.search_above,
        api_searches=request.backend.searches,
        used=conversation.tool_names,
        asks=caller.person is not None,
    )
    if request.web:
        # in place: a search of ours holds this very list
        tools += web_tools(cites=request.schema is None)

    budget = caller.budget
    notes = Footnotes()
    limit = ""
    mended = False  # an answer of the wrong form is sent back once
    while True:
        turn = ModelTurn(
            request.backend,
            lambda final=bool(limit): request.build(conversation, tools, final=final),
            caller.toolset.own_name,
            notes if request.schema is None else None,
        )
        recovery = Recovery(conversation, tools, caller.toolset)
        taking = _take_turn(recovery, turn, budget, before)
        async with aclosing(taking) as events:
            async for event in events:
                yield event

        uses = tool_uses(turn.blocks)
        if _asks_for_calls(turn) and not limit:
            async with aclosing(_call_all(conversation, uses, caller)) as events:
                async for event in events:
                    yield event

            limit = _begin_end(conversation, budget, caller.failures.end_turn())
            continue

        conversation.answer_all(uses, NOT_RUN)
        problem = "" if mended else _problem(turn, request)
        if turn.stop_reason != "pause_turn" and not problem:
            break

        # A paused turn goes on, and a wrong form is mended, within the same limits.
        limit = limit or budget.limit_reached()
        if limit:
            break

        if problem:
            mended = True
            conversation.ask([{"type": "text", "text": problem}])

    sources = notes.list_sources()
    if sources is not None:
        yield sources

    yield _stop(limit, turn.stop_reason)


async def _take_turn(
    recovery: Recovery,
    turn: ModelTurn,
    budget: Budget,
    before: list[dict[str, Any]],
) -> AsyncGenerator[Event, None]:
    """Stream one reply into the conversation, whatever ends it."""
    conversation = recovery.conversation
    try:
        async with aclosing(_stream_accepted(recovery, turn)) as events:
            async for event in events:
                # Above the answer that was written for other data, not below it.
                if not isinstance(event, Working):
                    for note in _drift(turn.backend):
                        yield Note(note, "warning")

                yield event
    except (asyncio.CancelledError, GeneratorExit):
        conversation.interrupt(turn.partial)
        raise
    except NotebookError as error:
        if budget.spent.turns:
            conversation.interrupt(turn.partial)
        else:
            conversation.restore(before)

        if isinstance(error, RequestRefused):
            # Refused once more, the next cell goes on without this one's turns, or
            # without all that was before it.
            conversation.fallback = before if budget.spent.turns else []

        raise

    conversation.fallback = None
    turn.blocks = admit_reply(turn.blocks, conversation.calls())
    conversation.reply([seal_block(block) for block in turn.blocks])
    if turn.usage is not None:
        usage = turn.usage
        conversation.tokens = (
            usage.input + usage.cache_read + usage.cache_write + usage.output
        )
        budget.add_turn(usage)
        yield usage

    for note in _drift(turn.backend):
        yield Note(note, "warning")


async def _stream_accepted(
    recovery: Recovery, turn: ModelTurn
) -> AsyncGenerator[Event, None]:
    """The events of a turn; what the service refuses of the request is taken out, and
    the request goes again.
    """
    for taken_out in range(MOST_TAKEN_OUT + 1):
        try:
            stream = _stream_fitting(recovery.conversation, turn)
            async with aclosing(stream) as events:
                async for event in events:
                    yield event

            return
        except RequestRefused as error:
            no_web = web_refusal(error.said, recovery.tools, turn.backend.label)
            if no_web is not None:
                raise no_web from None

            note = recovery.take_out(error.said)
            if not note or taken_out == MOST_TAKEN_OUT:
                raise

        yield Note(note, "warning")


async def _stream_fitting(
    conversation: Conversation, turn: ModelTurn
) -> AsyncGenerator[Event, None]:
    """The events of a turn; when the conversation no longer fits, once more without its
    old results.
    """
    try:
        async with aclosing(turn.events()) as events:
            async for event in events:
                yield event

        return
    except ContextFull:
        saved = trim_results(conversation, keep=1)
        if not saved:
            raise

    yield Note(
        f"The conversation no longer fitted: {saved:,} bytes of old results were taken out.",
        "warning",
    )
    async with aclosing(turn.events()) as events:
        async for event in events:
            yield event


def _asks_for_calls(turn: ModelTurn) -> bool:
    # A reply that was cut off holds a call, too, but half of one.
    return turn.stop_reason == "tool_use" and bool(tool_uses(turn.blocks))


def _begin_end(conversation: Conversation, budget: Budget, failed: str) -> str:
    """The limit that is reached, or what failed alike too often; Claude is told, and
    its next reply is the last.
    """
    limit = budget.limit_reached()
    if limit:
        conversation.ask([{"type": "text", "text": SUM_UP.format(limit=limit)}])
    elif failed:
        conversation.ask([{"type": "text", "text": STOP_TRYING.format(failed=failed)}])

    return limit or failed


def _problem(turn: ModelTurn, request: Request) -> str:
    """What is wrong with a whole answer that was to have a form."""
    if turn.stop_reason == "end_turn" and not tool_uses(turn.blocks):
        return request.problem(turn.partial)
    return ""


def _stop(limit: str, stop_reason: str) -> Stop:
    if limit:
        return Stop("limit", f"{limit}; the answer sums up what was found.")
    if stop_reason == "refusal":
        return Stop("refused", STOPS[stop_reason])
    if stop_reason in STOPS:
        return Stop("limit", STOPS[stop_reason])

    return Stop("done")


async def _call_all(
    conversation: Conversation, uses: list[Block], caller: Caller
) -> AsyncGenerator[Event, None]:
    """Run the calls of one reply side by side; every one gets its result, in order,
    also after an interrupt.
    """
    left = caller.budget.calls_left()
    if left is None:
        run = uses
    else:
        run = uses[:left]

    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    gate = asyncio.Semaphore(caller.budget.cell.parallel)
    results = {
        use["id"]: ToolResult(use["id"], "cancelled", OVER_LIMIT, 0.0)
        for use in uses[len(run) :]
    }

    async def one(call: ToolCall) -> None:
        async with gate:
            result = await caller.perform(call, queue.put_nowait)

        results[call.id] = await _draw_for_model(result, caller)
        caller.failures.note(call, result)
        conversation.summaries[call.id] = summarize_result(
            call.server, call.tool, result
        )
        queue.put_nowait(result)

    calls = [caller.announce(use) for use in run]
    names = {use["name"]: caller.toolset.own_name(use["name"]) for use in run}
    conversation.tool_names.update(names)
    tasks = [asyncio.create_task(one(call)) for call in calls]
    done = asyncio.gather(*tasks)
    done.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        if len(run) < len(uses):
            yield Note(
                f"{len(uses) - len(run)} of {len(uses)} calls are not run: the limit of "
                "tool calls.",
                "warning",
            )

        for call in calls:
            yield call

        while (event := await queue.get()) is not None:
            if isinstance(event, ToolResult):
                caller.budget.add_call(event)

            yield event

        await done
    finally:
        for task in tasks:
            task.cancel()

        try:
            await asyncio.gather(done, *tasks, return_exceptions=True)
        finally:  # also when a second interrupt ends the wait
            conversation.answer(_blocks(uses, results))


async def _draw_for_model(result: ToolResult, caller: Caller) -> ToolResult:
    """The result with its drawings as pictures that a model sees; the person has them
    as they came.
    """
    if not any("svg" in kind.lower() for kind, _ in result.images):
        return result

    veil = caller.shaping.veil

    def hide_words(words: str) -> str:
        return seal_text(veil.hide(words))

    # drawing takes a moment, and other sessions go on meanwhile
    images = await asyncio.to_thread(draw_svgs, result.images, hide_words)
    return replace(result, images=images)


def _blocks(uses: list[Block], results: dict[str, ToolResult]) -> list[Block]:
    blocks = []
    for use in uses:
        call_id = use["id"]
        result = results.get(call_id)
        if result is None:
            result = ToolResult(call_id, "cancelled", CANCELLED, 0.0)

        succeeded = result.outcome == "ok"
        if succeeded:
            images = result.images
        else:
            images = ()

        blocks.append(
            tool_result(call_id, result.shown, error=not succeeded, images=images)
        )

    return blocks


def _drift(backend: Backend) -> list[str]:
    """Differences between the recorded and the live tool results that came up since the
    last turn, in words.
    """
    if backend.kind != "replay":
        return []

    news = [line for one in backend.transport.drift for line in one.lines()]
    backend.transport.drift.clear()
    return news


def footer(backend: Backend, budget: Budget) -> Footer:
    """The line below the answer."""
    spent = budget.spent
    return Footer(
        backend=backend.source,
        calls=spent.calls,
        turns=spent.turns,
        input_tokens=spent.input,
        output_tokens=spent.output,
        cached_tokens=spent.cached,
        dollars=spent.dollars,
        seconds=spent.seconds,
        kept_bytes=spent.kept_bytes,
        web_searches=spent.web_searches,
        web_pages=spent.web_pages,
    )


# One turn of the model: a streamed request with its retries.
#
# Facts that shape it (anthropic 2.12): a stream that is closed cleanly in the middle
# raises nothing and leaves `stop_reason` None; an `error` event inside a 200 stream
# raises a bare `APIStatusError` when the SDK's own retries are over; assistant blocks go
# back to the API as they came, thinking and its signature included.

ATTEMPTS = 3
PAUSE = 0.5  # seconds before the second attempt, doubled for the third

StreamEvent = Working | ThinkingDelta | TextDelta | TextDiscarded | Note


# Blocks that give nothing to read while they come.
_SILENT: dict[str, Literal["thinking", "writing"]] = {
    "thinking": "thinking",
    "redacted_thinking": "thinking",
    "tool_use": "writing",
    "server_tool_use": "writing",
}


class ModelTurn:
    """One request to the model; lives until its reply is whole. `build` makes the
    request anew for each attempt, `own_name` says what the person calls a tool.

    After `events()` is exhausted `blocks`, `stop_reason` and `usage` are set. When it
    is cancelled `partial` is the text that arrived.
    """

    def __init__(
        self,
        backend: Backend,
        build: Callable[[], dict[str, Any]],
        own_name: Callable[[str], str] = lambda name: name,
        notes: Footnotes | None = None,
    ) -> None:
        self.backend = backend
        self._build = build
        self._own_name = own_name
        self._notes = notes  # where what is cited is numbered; None: it is not shown
        self.blocks: list[dict[str, Any]] = []
        self.stop_reason = ""
        self.usage: Usage | None = None
        self.partial = ""

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Stream the reply, trying again when it was cut. Raises BackendError in one
        clear sentence.
        """

        for attempt in range(1, ATTEMPTS + 1):
            started = time.monotonic()
            wait = PAUSE * 2 ** (attempt - 1)
            try:
                async with aclosing(self._stream_once()) as deltas:
                    async for delta in deltas:
                        yield delta
            except (
                anthropic.AnthropicError,
                httpx2.TransportError,
                TypeError,
            ) as error:
                asked = requested_wait(error)
                if asked is not None:
                    wait = asked

                hopeless = attempt == ATTEMPTS or not is_transient(error)
                if hopeless or wait > LONGEST_WAIT:
                    raise explain_failure(error, self.backend) from error

                reason = retry_reason(error, self.partial)
            except Exception as error:
                # boundary: each cloud's package has exceptions of its own for
                # credentials
                raise_for_credentials(error, self.backend)
                raise
            else:
                if self.stop_reason:
                    self._count_usage(time.monotonic() - started)
                    return

                # A stream that is closed cleanly in the middle raises nothing.
                reason = "the reply was cut off"

            if self.partial:
                yield TextDiscarded(reason)
                self.partial = ""

            if wait >= 1:
                soon = f" in {wait:.0f} s"
            else:
                soon = ""

            yield Note(f"Trying again{soon}: {reason}.")
            await asyncio.sleep(wait)

        raise BackendError(
            "The model's reply was cut off three times; run the cell again."
        )

    def _count_usage(self, seconds: float) -> None:
        self.usage = usage_of(
            self._message, self._request_id, seconds, free=self.backend.free
        )

    async def _stream_once(self) -> AsyncGenerator[StreamEvent, None]:
        self.partial, self.blocks, self.stop_reason = "", [], ""
        yield Working("asking", self.backend.name)
        async with self.backend.client.messages.stream(**self._build()) as stream:
            async for event in stream:
                if event.type == "text":
                    self.partial += event.text
                    yield TextDelta(event.text)
                elif event.type == "thinking":
                    yield ThinkingDelta(event.thinking)
                elif event.type == "content_block_start":
                    block = event.content_block
                    if block.type in _SILENT:
                        subject = self._own_name(getattr(block, "name", ""))
                        yield Working(_SILENT[block.type], subject)
                elif event.type == "content_block_stop":
                    for delta in self._end_block(event.content_block):
                        yield delta

            message = stream.current_message_snapshot
            self._request_id = stream.request_id or ""

        self._message = message
        self.stop_reason = message.stop_reason or ""
        self.blocks = [
            b.model_dump(mode="json", exclude={"parsed_output"}, exclude_none=True)
            for b in message.content
        ]

    def _end_block(self, block: Any) -> Iterator[StreamEvent]:
        """What is told at the end of a block: its footnotes, what was looked up."""
        if block.type not in ("text", "server_tool_use") and "tool_result" not in (
            block.type
        ):
            return

        plain = block.model_dump(mode="json")
        note = tell_block(plain)
        if note is not None and self.partial:
            yield TextDelta("\n\n")  # what was said before is a paragraph of its own

        if note is not None:
            yield note

        marks = self._notes.mark(plain) if self._notes is not None else ""
        if marks:
            yield TextDelta(marks)
