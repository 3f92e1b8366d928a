"""One call, however it is made, is told of alike everywhere, and no secret is told.

Secrets are planted in calls by Claude, by hand, of the person's SQL and of a resource:
under names of every level that an argument is judged by, in shapes that are known, and
as the value of a secret environment variable. Then card, text for Claude, the log's
file, the frames' attrs, the recording and the frozen code are compared: what the server
got stands in none of them, and each tells the same.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mcp_notebook
from mcp_notebook import loop
from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.display.card import render_call
from mcp_notebook.display.tables import view_result
from mcp_notebook.display.widgets import call_payload
from mcp_notebook.events import Event, ToolCall, ToolResult
from mcp_notebook.notebook import by_hand, resources
from mcp_notebook.notebook.call_path import NotebookCalls
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.freeze_cells import Freeze, freeze
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.secrets import MASK, NameLevel, is_secret_name, seal_arguments
from tests.fake_messages import FakeMessages, Fault, Reply, text, use
from tests.notebook.scripted import notebook
from tests.servers.listener import Listener

IN_ENVIRONMENT = "planted-in-environment-7f3a"
SHAPED = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2"
SECRETIVE = ("password", "private_key", "clientSecret", "token", "user_pass")
READABLE = {"next_page_token": "page-two", "max_tokens": 4096}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
secrets = st.text(LETTERS, min_size=6, max_size=20).map(lambda end: f"planted-{end}")
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "***", "Ána\n'\"", "select 'x' -- y", "${HOME}", "\u202e"]),
)


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments with a secret under a name, one in a text, one deep inside."""
    made: dict[str, Any] = dict(READABLE)
    for name in draw(st.sets(st.sampled_from(SECRETIVE), min_size=1, max_size=3)):
        made[name] = draw(secrets)
    planted = draw(st.sampled_from([IN_ENVIRONMENT, SHAPED]))
    made["note"] = f"with {planted} inside"
    deep = draw(st.sampled_from(["accessToken", "db_password", "x-api-key"]))
    made["nested"] = {"odd": draw(odd), "list": [{deep: draw(secrets), "n": 1}]}
    return made


@dataclass
class World:
    """A notebook, a server that listens, a model that is scripted, and all that is kept."""

    state: Notebook
    listener: Listener
    model: FakeMessages
    replies: list[Reply | Fault]
    folder: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, way: str, given: dict[str, Any], into: str) -> list[Event]:
        """Make a call in this way; returns its events as they are shown."""
        events: list[Event] = []
        if way == "claude":
            return self._ask(given, into)
        keep = by_hand.keep_into(self.state, into)
        calls = NotebookCalls(self.state, keep=keep, show=events.append)
        if way == "hand":
            loop.run(by_hand.perform(calls, "listener", "fetch", given))
        elif way == "sql":
            loop.run(
                by_hand.perform_own_sql(self.state, calls, given, self.state.catalog)
            )
        else:
            read = resources.read_resource(
                self.state, "listener", given["uri"], keep=keep
            )
            loop.run(read)
        return events

    def _ask(self, given: dict[str, Any], into: str) -> list[Event]:
        self.replies += [Reply([use("listener__fetch", given)]), Reply([text("Done.")])]
        asked = AskOptions(prompt=f"Fetch {next(self.numbers)}.", into=into)
        # of its own, so that requests and recording stay small
        self.model.requests.clear()
        assert self.state.recording is not None
        self.state.recording.unlink(missing_ok=True)
        run = CellRun(self.state, asked, conversation=Conversation(), shown="none")
        run.start()
        run.run_blocking()
        return run.seen


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("one_source")
    replies: list[Reply | Fault] = []
    with FakeMessages(lambda body, n: replies.pop(0)) as model:
        environ = {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": model.api_key,
            "PLANTED_TOKEN": IN_ENVIRONMENT,
        }
        with notebook(folder, environ) as state:
            state.settings.log_file = str(folder / "calls.jsonl")
            state.recording = folder / "recorded.claude.json"
            listener = Listener()
            mcp_notebook.connect("listener", listener.server, allow=["fetch"])
            yield World(state, listener, model, replies, folder)


def told_in(world: World, events: list[Event]) -> dict[str, str]:
    """Everything that is shown, sent to the model or written, by its place."""
    state = world.state
    calls = [event for event in events if isinstance(event, ToolCall)]
    ends = [event for event in events if isinstance(event, ToolResult)]
    records = [view_result(c, r) for c, r in zip(calls, ends, strict=False)]
    names = tuple(name for end in ends for name in end.names)
    recorded = state.recording
    assert recorded is not None
    frozen = freeze(state, Freeze(names=names, show=True)).source if names else ""
    return {
        "events": repr(events),
        "card": "".join(
            str(render_call(record)) + str(call_payload(record, buttons=False))
            for record in records
        ),
        "text for Claude": "".join(state.shown[name] for name in names),
        "requests": json.dumps(world.model.requests),
        "log": repr(state.ledger.calls) + str(state.ledger.frame().to_dict()),
        "log file": (world.folder / "calls.jsonl").read_text(),
        "attrs": "".join(str(state.shell.user_ns[name].attrs) for name in names),
        "recording": recorded.read_text() if recorded.exists() else "",
        "frozen": frozen,
    }


def planted_in(value: Any) -> Iterator[str]:
    """The secrets among arguments."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from planted_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from planted_in(inner)
    elif isinstance(value, str) and value.startswith("planted-"):
        yield value


def check(world: World, way: str, given: dict[str, Any], into: str) -> None:
    """One call, made and then looked for everywhere."""
    events = world.run(way, given, into)
    places = told_in(world, events)
    for secret in (*planted_in(given), IN_ENVIRONMENT, SHAPED):
        for place, content in places.items():
            assert secret not in content, f"{secret} in the {place} of {way}"
    told = seal_arguments(given)
    (logged,) = world.state.ledger.calls[-1:]
    assert logged.outcome == "ok"
    assert logged.arguments == told
    (name,) = logged.names
    frame = world.state.shell.user_ns[name]
    provenance = frame.attrs["mcp"]
    assert provenance["arguments"] == told
    assert provenance["call_id"] == logged.call_id
    assert logged.rows == len(frame)
    last = json.loads(places["log file"].splitlines()[-1])
    if way != "claude":
        assert last["arguments"] == json.loads(json.dumps(told))
    for event in events:
        if isinstance(event, ToolCall):
            assert event.arguments == told
    if way in ("claude", "hand"):
        assert world.listener.received[-1] == {
            key: value for key, value in given.items() if value is not None
        }
    if way == "claude":
        (sent,) = _uses(world.model.requests[-1]["messages"])[-1:]
        assert sent["input"] == json.loads(json.dumps(told))
        (kept,) = _uses(_replies(places["recording"]))[-1:]
        assert kept["input"] == json.loads(json.dumps(told))


def _uses(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks = [b for message in messages for b in message["content"]]
    return [block for block in blocks if block["type"] == "tool_use"]


def _replies(recording: str) -> list[dict[str, Any]]:
    turns = json.loads(recording)["turns"]
    return [reply for turn in turns for reply in turn["replies"]]


QUICK = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.mark.slow
@QUICK
@given(given=arguments(), into=st.sampled_from(["", "rows"]))
@pytest.mark.parametrize("way", ["claude", "hand"])
def test_a_call_of_a_tool_tells_no_secret_and_the_same_everywhere(
    world: World, way: str, given: dict[str, Any], into: str
) -> None:
    check(world, way, given, into)


@QUICK
@given(planted=st.sampled_from([IN_ENVIRONMENT, SHAPED]), limit=st.integers(1, 3))
def test_sql_of_the_persons_tells_no_secret_and_the_same_everywhere(
    world: World, planted: str, limit: int
) -> None:
    sql = f"select n from orders where '{planted}' <> 'x'"
    check(world, "sql", {"sql": sql, "limit": limit}, "answer")


@QUICK
@given(
    planted=st.sampled_from([IN_ENVIRONMENT, SHAPED]), into=st.sampled_from(["", "r"])
)
def test_a_resource_tells_no_secret_and_the_same_everywhere(
    world: World, planted: str, into: str
) -> None:
    check(world, "resource", {"uri": f"data://{planted}.csv"}, into)


def test_what_pages_are_turned_with_and_what_is_counted_stays_readable() -> None:
    assert seal_arguments(READABLE) == READABLE
    assert seal_arguments({"token": "x", "tokens": ["y"]}) == {
        "token": MASK,
        "tokens": MASK,
    }


NAMES = st.lists(
    st.sampled_from(
        [
            "api",
            "private",
            "access",
            "secret",
            "key",
            "token",
            "password",
            "pass",
            "pin",
            "page",
            "next",
            "max",
            "tokens",
            "auth",
            "session",
            "signature",
            "user",
            "id",
            "credentials",
            "cookie",
            "login",
            "count",
            "x",
        ]
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.slow
@given(words=NAMES, joint=st.sampled_from(["_", "-", " ", ""]), camel=st.booleans())
def test_each_level_of_names_holds_those_before_it(
    words: list[str], joint: str, camel: bool
) -> None:
    name = "".join(w.capitalize() for w in words) if camel else joint.join(words)
    found = [is_secret_name(name, level) for level in NameLevel]
    assert found == sorted(found)
