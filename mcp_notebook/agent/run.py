"""The agent loop as a generator of events: what the view shows, the ledger records and the tests check."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.calls import Caller
from mcp_notebook.agent.conversation import Block, Conversation, tool_result, tool_uses
from mcp_notebook.agent.turn import ModelTurn
from mcp_notebook.errors import NotebookError
from mcp_notebook.events import Event, Footer, Note, Stop, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from mcp_notebook.agent.backends import Backend

NOT_RUN = "Not run: the reply was cut off before the call was complete."
CANCELLED = "Interrupted by the person before it finished."
SUM_UP = "The limit of this cell is reached ({limit}). Call no more tools; sum up what you found and what is open."
STOPS = {
    "max_tokens": "The answer was cut at the reply's token limit; raise MCPNotebook.max_tokens.",
    "refusal": "The model refused to answer.",
    "model_context_window_exceeded": "The conversation no longer fits the model; go on with %%claude --new.",
}


@dataclass(frozen=True)
class Limits:
    """Where a cell stops. `dollars` None: no budget."""

    iterations: int = 12
    calls: int = 40
    seconds: float = 600.0
    tokens: int = 0  # input and output together; 0: no limit
    dollars: float | None = None
    parallel: int = 8


@dataclass
class Spent:
    """What one cell has taken so far."""

    started: float = field(default_factory=time.monotonic)
    turns: int = 0
    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    dollars: float | None = 0.0
    kept_bytes: int = 0

    def add_turn(self, usage: Usage) -> None:
        self.turns += 1
        self.input += usage.input + usage.cache_read + usage.cache_write
        self.cached += usage.cache_read
        self.output += usage.output
        known = self.dollars is not None and usage.dollars is not None
        self.dollars = self.dollars + usage.dollars if known else None  # type: ignore[operator]

    def add_call(self, result: ToolResult) -> None:
        self.calls += 1
        self.kept_bytes += max(0, result.received_bytes - len(result.shown.encode("utf-8", "replace")))

    def reached(self, limits: Limits) -> str:
        """The limit that is reached, in words, or an empty string."""
        if self.turns >= limits.iterations:
            return f"{limits.iterations} model turns"
        if self.calls >= limits.calls:
            return f"{limits.calls} tool calls"
        if time.monotonic() - self.started >= limits.seconds:
            return f"{limits.seconds:g} seconds"
        if limits.tokens and self.input + self.output >= limits.tokens:
            return f"{limits.tokens:,} tokens"
        if limits.dollars is not None and (self.dollars or 0.0) >= limits.dollars:
            return f"${limits.dollars:g}"
        return ""


@dataclass(frozen=True)
class Request:
    """What stays the same over the turns of one cell."""

    backend: "Backend"
    system: str
    max_tokens: int = 4096
    effort: str = ""

    def build(self, conversation: Conversation, tools: list[Block], *, final: bool) -> dict[str, Any]:
        """The arguments of `messages.stream`."""
        system: Block = {"type": "text", "text": self.system}
        request: dict[str, Any] = {
            "model": self.backend.model,
            "max_tokens": self.max_tokens,
            "system": [system],
            "messages": conversation.messages,
        }
        if tools:
            request["tools"] = tools
        if final and tools:
            request["tool_choice"] = {"type": "none"}
        if self.effort:
            request["output_config"] = {"effort": self.effort}
        if self.backend.caches:
            # One breakpoint after tools and system, one that moves with the last message.
            system["cache_control"] = {"type": "ephemeral"}
            request["cache_control"] = {"type": "ephemeral"}
        return request


async def run(
    conversation: Conversation, prompt: Sequence[Block], *, request: Request, caller: Caller, limits: Limits
) -> AsyncGenerator[Event, None]:
    """Ask, let Claude call tools, and yield what happens; the conversation is valid after every kind of end.

    Cancelling it (an interrupt) keeps the finished text and the finished calls. Raises BackendError when the model's
    service fails; the conversation is then as it was before the prompt if nothing was answered.
    """
    before = conversation.snapshot()
    conversation.ask(prompt)
    tools = caller.toolset.definitions()
    spent, limit = Spent(), ""
    while True:
        turn = ModelTurn(request.backend, request.build(conversation, tools, final=bool(limit)))
        async with aclosing(_take_turn(conversation, turn, spent, before)) as events:
            async for event in events:
                yield event
        for note in _drift(request.backend):
            yield Note(note, "warning")
        uses = tool_uses(turn.blocks)
        if turn.stop_reason != "tool_use" or not uses or limit:
            if uses:
                conversation.answer([tool_result(u["id"], NOT_RUN, error=True) for u in uses])
            if turn.stop_reason == "pause_turn" and not spent.reached(limits):
                continue
            break
        async with aclosing(_call_all(conversation, uses, caller, limits, spent)) as events:
            async for event in events:
                yield event
        limit = spent.reached(limits)
        if limit:
            conversation.ask([{"type": "text", "text": SUM_UP.format(limit=limit)}])
    yield _stop(limit, turn.stop_reason)
    yield footer(request.backend, spent)


async def _take_turn(
    conversation: Conversation, turn: ModelTurn, spent: Spent, before: list[dict[str, Any]]
) -> AsyncGenerator[Event, None]:
    """Stream one reply into the conversation, whatever ends it."""
    try:
        async with aclosing(turn.events()) as events:
            async for event in events:
                yield event
    except (asyncio.CancelledError, GeneratorExit):
        conversation.interrupt(turn.partial)
        raise
    except NotebookError:
        if spent.turns:
            conversation.interrupt(turn.partial)
        else:
            conversation.restore(before)
        raise
    conversation.reply(turn.blocks)
    if turn.usage is not None:
        spent.add_turn(turn.usage)
        yield turn.usage


def _stop(limit: str, stop_reason: str) -> Stop:
    if limit:
        return Stop("limit", f"Stopped at the limit of {limit}; the answer sums up what was found.")
    if stop_reason == "refusal":
        return Stop("refused", STOPS[stop_reason])
    if stop_reason in STOPS:
        return Stop("limit", STOPS[stop_reason])
    return Stop("done")


async def _call_all(
    conversation: Conversation, uses: list[Block], caller: Caller, limits: Limits, spent: Spent
) -> AsyncGenerator[Event, None]:
    """Run the calls of one reply side by side; every one gets its result, in order, also after an interrupt."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    gate = asyncio.Semaphore(limits.parallel)
    results: dict[str, ToolResult] = {}

    async def one(use: Block, call: ToolCall) -> None:
        async with gate:
            result = await caller.perform(call, use["name"], queue.put_nowait)
        results[call.id] = result
        queue.put_nowait(result)

    announced = [(use, caller.announce(use)) for use in uses]
    for _, call in announced:
        yield call
    tasks = [asyncio.create_task(one(use, call)) for use, call in announced]
    done = asyncio.gather(*tasks)
    done.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            if isinstance(event, ToolResult):
                spent.add_call(event)
            yield event
        await done
    except (asyncio.CancelledError, GeneratorExit):
        for task in tasks:
            task.cancel()
        await asyncio.gather(done, *tasks, return_exceptions=True)
        raise
    finally:
        conversation.answer(_blocks(uses, results))


def _blocks(uses: list[Block], results: dict[str, ToolResult]) -> list[Block]:
    blocks = []
    for use in uses:
        result = results.get(use["id"]) or ToolResult(use["id"], "cancelled", CANCELLED, 0.0)
        blocks.append(tool_result(use["id"], result.shown, error=result.outcome != "ok", images=result.images))
    return blocks


def _drift(backend: "Backend") -> list[str]:
    """Differences between the recorded and the live tool results that came up since the last turn, in words."""
    if backend.kind != "replay":
        return []
    news = [str(d) for d in backend.transport.drift]
    backend.transport.drift.clear()
    return news


def footer(backend: "Backend", spent: Spent) -> Footer:
    """The line below the answer."""
    return Footer(
        backend=backend.label,
        calls=spent.calls,
        turns=spent.turns,
        input_tokens=spent.input,
        output_tokens=spent.output,
        cached_tokens=spent.cached,
        dollars=spent.dollars,
        seconds=time.monotonic() - spent.started,
        kept_bytes=spent.kept_bytes,
    )
