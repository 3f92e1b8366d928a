"""Whatever the model, the wire, the tools and the person do: the conversation is valid,
the ledger adds up, nothing is left behind, and no secret is where it must not be."""

import asyncio
import gc
import io
import json
import logging
import os
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from mcp_notebook.agent.caller import Caller
from mcp_notebook.agent.run import run
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.display.call_view import view_call
from mcp_notebook.display.questions import approval_question
from mcp_notebook.display.view import View
from mcp_notebook.display.widgets import call_payload
from mcp_notebook.errors import BackendError, SessionError
from mcp_notebook.events import Event, Footer, ToolCall, ToolResult, Usage
from mcp_notebook.events import Reply as Answer
from mcp_notebook.ledger import Ledger
from mcp_notebook.notebook.asker import Asker, CallApprovals
from mcp_notebook.policy import Budget, Limits
from mcp_notebook.replay.transports import RecordTransport
from mcp_notebook.sessions.tools import ToolInfo, fingerprint
from tests import SWEEP
from tests.agent.bench import ROWS, Bench
from tests.agent.inprocess import InProcess
from tests.agent.scripts import ENVIRONMENT, ODD, PLANTED, RESULT, Cell, conversations
from tests.fake_messages import FakeMessages, Fault, Reply
from tests.toy import ToySession

# seconds; a cell takes a tenth of one, on a machine that has nothing else to do
HANGS = 120
logger = logging.getLogger("mcp_notebook")


class Paper:
    """A screen that keeps everything that is ever shown."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def show(self, bundle: object) -> str:
        self.all.append(json.dumps(bundle, default=str))
        return str(len(self.all))

    def update(self, _: str, bundle: object) -> None:
        self.all.append(json.dumps(bundle, default=str))

    def write(self, text: str) -> None:
        self.all.append(text)


async def _slow(**_: object) -> str:
    for _ in range(5):
        await asyncio.sleep(0)
    return "done at last"


def _raises(**_: object) -> str:
    raise ValueError(f"password={RESULT}")


def _lost(**_: object) -> str:
    raise SessionError("the server stopped", detail=f"key {ENVIRONMENT}")


def _fails(**_: object) -> object:
    from mcp.types import CallToolResult, TextContent

    said = f'no login with {ENVIRONMENT}, {{"secret": "{RESULT}"}}'
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=True)


def _part(kind: str, value: Any) -> ContentBlock:
    """A part as the wire may bring it: nothing of it is checked."""
    if kind == "text":
        return TextContent.model_construct(type="text", text=value)
    if kind == "link":
        return ResourceLink.model_construct(type="resource_link", uri=value, name=value)

    mime, data = value
    if kind == "image":
        return ImageContent.model_construct(type="image", data=data, mime_type=mime)
    if kind == "audio":
        return AudioContent.model_construct(type="audio", data=data, mime_type=mime)

    blob = BlobResourceContents.model_construct(uri="a://b", blob=data, mime_type=mime)
    return EmbeddedResource.model_construct(type="resource", resource=blob)


def odd_session(tools: list[tuple[Any, ...]]) -> ToySession:
    """A server whose tools, names, schemas and results are as they come."""
    session = ToySession("odd", {})
    infos = []
    for name, said, schema, (parts, structured) in tools:
        definition = {"name": name, "description": said, "inputSchema": schema}
        mark = fingerprint(json.loads(json.dumps(definition)))
        infos.append(
            ToolInfo("odd", name, "", said, schema, None, {}, mark, definition)
        )
        result = CallToolResult.model_construct(
            content=[_part(*part) for part in parts],
            structured_content=structured,
            is_error=False,
        )
        session._functions[name] = lambda _result=result, **_: _result

    session.tools = tuple(infos)
    session.accept_changes()
    return session


def sessions() -> list[ToySession]:
    """A trusted and another server, whose tools do all that tools do."""
    secret_rows = [
        {"user": "ann", "password": RESULT, "note": f"uses {ENVIRONMENT}"},
        {"user": "bob", "password": ""},
    ]
    trusted = {
        "rows": lambda **_: ROWS,
        "secrets": lambda **_: json.dumps(secret_rows),
        "words": lambda **_: f"Lorem ipsum, api_key={RESULT} and {ENVIRONMENT}. " * 9,
        "quotes": lambda **_: json.dumps(
            {"config": json.dumps({"client_secret": RESULT})}
        ),
        "fails": _fails,
        "raises": _raises,
        "slow": _slow,
        "lost": _lost,
    }
    other = {"fetch": lambda **_: "a page", "post": lambda **_: "posted"}
    return [ToySession("shop", trusted), ToySession("web", other, trusted=False)]


class World:
    """Everything of one conversation, over its cells."""

    def __init__(self, cassette: Path, odd_tools: list[tuple[Any, ...]]) -> None:
        self.odd = odd_session(odd_tools)
        self.api = FakeMessages(())
        self.api._socket.close()
        self.wire = InProcess(self.api)
        self.cassette = cassette
        recorder = RecordTransport(cassette, self.wire, source="scripted")
        self.bench = Bench(self.api, *self.servers(), client=self.wire.client(recorder))
        self.ledger, self.paper = Ledger(file=cassette.with_suffix(".log")), Paper()
        self.log = io.StringIO()

    def servers(self) -> list[ToySession]:
        return [*sessions(), self.odd]

    def odd_name(self, number: int) -> str:
        """What the request calls a tool of the odd server."""
        named = [
            name
            for name, (session, _) in Toolset.of([self.odd]).by_name.items()
            if session is self.odd
        ]
        return named[number] if number < len(named) else "odd__gone"

    def with_names(self, turn: Reply | Fault) -> Reply | Fault:
        """The turn with the odd tools called by their names."""
        if isinstance(turn, Fault):
            return turn

        content = [dict(block) for block in turn.content]
        for block in content:
            name = block.get("name", "")
            if block["type"] == "tool_use" and name.startswith(ODD):
                block["name"] = self.odd_name(int(name.removeprefix(ODD)))

        return replace(turn, content=content)

    async def play(self, cell: Cell, number: int) -> list[Event]:
        """One cell, driven as the notebook drives it."""
        script = map(self.with_names, cell.turns)
        self.api._script = lambda body, n: next(
            script, Fault(400, "the script is over", None)
        )
        budget = Budget(Limits(**cell.limits))
        old = self.bench.caller
        caller = Caller(
            Toolset.of(self.servers()),
            self.bench,
            CallApprovals(Asker()),
            grants=old.grants,
            budget=budget,
        )
        view = View(
            mode="text" if number % 2 else "static",
            decide=caller.approvals.answer,
            screen=self.paper,
        )  # type: ignore[arg-type]
        seen: list[Event] = []
        task = asyncio.create_task(
            self._drive(cell, caller, seen, view, f"cell{number}")
        )
        if cell.way == "anywhere" and cell.interrupt is not None:
            for _ in range(cell.interrupt):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task], timeout=HANGS)
        assert task.done(), "the cell hangs"
        if not task.cancelled() and task.exception() is not None:
            assert isinstance(task.exception(), BackendError), task.exception()
        self.ledger.close(f"cell{number}")
        view.close()
        await self.wire.closed()
        return seen

    async def _drive(
        self, cell: Cell, caller: Caller, seen: list[Event], view: View, name: str
    ) -> None:
        answers = iter(cell.answers)
        prompt = [{"type": "text", "text": f"{cell.question} Question of {name}?"}]
        stream = run(
            self.bench.conversation, prompt, request=self.bench.request, caller=caller
        )
        async with aclosing(stream) as events:
            async for event in events:
                seen.append(event)
                self.ledger.record(event, cell=name)
                view.show(event)
                view.flush()
                if isinstance(event, ToolCall) and event.needs_approval:
                    asked = view_call(event)
                    self.paper.write(
                        approval_question(event).text
                        + repr(event)
                        + str(call_payload(asked, buttons=True))
                    )
                    answer = next(answers, "deny")
                    caller.approvals.answer(event.id, Answer(answer))
                if cell.way != "anywhere" and cell.interrupt == len(seen):
                    if cell.way == "close":
                        return
                    asyncio.current_task().cancel()  # type: ignore[union-attr]


async def settled() -> set[asyncio.Task[object]]:
    """The tasks that stay. Python closes a generator that the HTTP client dropped in a
    task of its own, whenever it collects it: such a task ends within a few turns of the
    loop, one that is left behind never does."""
    for _ in range(100):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            break
        await asyncio.sleep(0)
    return left


def check(world: World, seen: list[Event]) -> None:
    """What holds after every cell."""
    assert world.bench.is_valid()
    assert world.api.refused == []
    calls = [e for e in seen if isinstance(e, ToolCall)]
    logged = {c.call_id: c for c in world.ledger}
    assert len(logged) == len(world.ledger.calls)
    assert {c.id for c in calls} <= set(logged)
    for result in (e for e in seen if isinstance(e, ToolResult)):
        assert logged[result.id].outcome == result.outcome
    turns = [e for e in seen if isinstance(e, Usage)]
    footer = seen[-1] if seen and isinstance(seen[-1], Footer) else None
    if footer is not None:
        assert (footer.turns, footer.output_tokens) == (
            len(turns),
            sum(u.output for u in turns),
        )
        assert footer.calls == len(calls)
    places = {
        "request": json.dumps(world.api.requests),
        "ledger": repr(world.ledger.calls),
        "ledger's file": world.ledger.file.read_text()
        if world.ledger.file.exists()
        else "",
        "cassette": world.cassette.read_text() if world.cassette.exists() else "",
        "log": world.log.getvalue(),
        "output": "\n".join(world.paper.all),
    }
    for place, content in places.items():
        for secret in PLANTED:
            assert secret not in content, f"{secret} in the {place}"


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    planted = mock.patch.dict(os.environ, {"PLANTED_API_KEY": ENVIRONMENT})
    gc.collect()
    # what is loaded by now stays: looking at it again and again is a fifth of the time
    gc.freeze()
    with (
        asyncio.Runner() as running,
        mock.patch("mcp_notebook.agent.run.PAUSE", 0.0),
        planted,
    ):
        yield running
    gc.unfreeze()


# The widest of all random tests: it has most of the examples of the whole suite.
@pytest.mark.slow
@settings(max_examples=2000 if SWEEP else 300)
@given(script=conversations)
def test_whatever_happens_the_next_cell_can_go_on(runner, tmp_path_factory, script):
    cassette = tmp_path_factory.getbasetemp() / "random.claude.json"
    for file in (cassette, cassette.with_suffix(".log")):
        file.unlink(missing_ok=True)

    async def play() -> None:
        world = World(cassette, script.odd_tools)
        handler = logging.StreamHandler(world.log)
        logger.addHandler(handler)
        try:
            for number, cell in enumerate(script.cells):
                check(world, await world.play(cell, number))
                assert not await settled()
        finally:
            logger.removeHandler(handler)

    runner.run(play())
