"""Turns recorded from a live server come back through the same client, without it."""

import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import jsonschema
import pytest

from mcp_notebook.errors import BackendError, ReplayMiss
from mcp_notebook.replay.sidecar import describe, load, sidecar_for
from mcp_notebook.replay.transports import RecordTransport, ReplayTransport
from tests.fake_messages import FakeMessages, Fault, Reply, text, thinking, use
from tests.replay.conversations import TOOL, ask, words


def count_rows(body: dict[str, Any], n: int) -> Reply:
    """A model that queries once a prompt and reads the answer from the result."""
    last = body["messages"][-1]["content"]
    if last[0]["type"] == "text":
        return Reply(
            [
                thinking("Count."),
                text("I look. "),
                use("shop__query", {"sql": f"-- {last[0]['text']}\nselect 1"}),
            ]
        )
    return Reply([text(f"There are {last[0]['content']}.")], usage={"output_tokens": 7})


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    return tmp_path / "demo.claude.json"


async def record(
    path: Path,
    *prompts: str,
    script: Any = count_rows,
    source: str = "",
    **options: Any,
) -> list[Any]:
    with FakeMessages(script) as api:
        return await ask(
            RecordTransport(path, source=source), *prompts, url=api.url, **options
        )


async def miss(
    path: Path,
    *prompts: str,
    others: Sequence[Path] = (),
    strict: bool = False,
    **options: Any,
) -> str:
    player = ReplayTransport(path, pace=0, others=others, strict=strict)
    with pytest.raises(anthropic.AnthropicError) as caught:
        await ask(player, *prompts, **options)
    assert isinstance(caught.value.__cause__, ReplayMiss)
    return caught.value.__cause__.message


def read(path: Path) -> str:
    return path.read_text() if path.exists() else '{"turns": []}'


def turns(path: Path) -> list[dict[str, Any]]:
    return json.loads(read(path))["turns"]


async def test_a_conversation_replays_word_for_word_without_the_server(sidecar: Path):
    live = await record(sidecar, "How many orders?", "And customers?")
    player = ReplayTransport(sidecar, pace=0)
    replayed = await ask(player, "How many orders?", "And customers?")
    assert (
        [words(m) for m in replayed]
        == [words(m) for m in live]
        == ["There are rows: 300."] * 2
    )
    assert replayed[0].usage.output_tokens == 7
    assert player.drift == []


async def test_the_label_names_date_and_source(sidecar: Path):
    await record(sidecar, "How many orders?")
    assert "claude-test · live" in ReplayTransport(sidecar).recording_label
    assert "recorded 20" in ReplayTransport(sidecar).recording_label


def edit_bytes(text: str, chance: random.Random) -> bytes:
    """The file with a few bytes changed, cut or doubled."""
    data = bytearray(text.encode())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        data[at : at + chance.randint(0, 9)] = chance.choice(
            [b"", chance.randbytes(1), data[at : at + 20], b"null", b'"', b"[" * 3000]
        )
    return bytes(data)


def edit_field(text: str, chance: random.Random) -> bytes:
    """The file with one field, at any depth, gone or another."""
    content = json.loads(text)
    places = []

    def walk(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    walk(content)
    holder, key = chance.choice(places)
    new: list[Any] = [None, 7, -1, 1e400, True, "", "other", [], {}, [[]], [None]]
    new += [{"type": "text"}, {"": 0}, "x" * 10_000, 10**400, "\ud800"]
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = chance.choice(new)

    return json.dumps(content).encode()


@pytest.mark.parametrize("file", ["recorded", "shipped"])
async def test_the_published_schema_is_that_of_the_files(file: str, sidecar: Path):
    """What is written fits it; what it refuses of the same file is not loaded."""
    root = Path(__file__).parent.parent.parent
    schema = json.loads((root / "docs" / "recordings.schema.json").read_text())
    if file == "recorded":
        await record(sidecar, "How many orders?")
    else:
        shutil.copy(root / "notebooks" / "01_quickstart.claude.json", sidecar)

    whole = sidecar.read_text()
    jsonschema.validate(json.loads(whole), schema)
    checker = jsonschema.Draft202012Validator(schema)
    refused = 0
    for seed in range(200):
        edited = edit_field(whole, random.Random(seed))
        sidecar.write_bytes(edited)
        # 1e400 is no JSON, and is read as infinity
        if not checker.is_valid(json.loads(edited)):
            refused += 1
            with pytest.raises(BackendError):
                load(sidecar)

    assert refused


async def play_or_fail(path: Path) -> tuple[Any, BackendError | None]:
    """The answer, or the sentence that the person reads in its place."""
    try:
        player = ReplayTransport(path, pace=0)
        (answer,) = await ask(player, "How many orders?")
    except BackendError as error:
        return None, error
    except anthropic.AnthropicError as error:
        if isinstance(error.__cause__, BackendError):
            return None, error.__cause__
        raise

    said = [player.recording_label, *map(str, player.drift)]
    return answer, None if all(said) else BackendError("nothing said")


@pytest.mark.filterwarnings("ignore:Pydantic serializer:UserWarning")
@pytest.mark.parametrize("edit", [edit_bytes, edit_field])
async def test_an_edited_file_replays_or_says_what_is_wrong(edit: Any, sidecar: Path):
    await record(sidecar, "How many orders?")
    whole = sidecar.read_text()
    replayed = 0
    for seed in range(250):
        sidecar.write_bytes(edit(whole, random.Random(seed)))
        answer, error = await play_or_fail(sidecar)
        replayed += answer is not None
        # anything else is raised, and is a failure here
        assert answer is not None or sidecar.name in str(error), seed

    assert 0 < replayed < 250


async def test_scripted_turns_are_called_so(sidecar: Path):
    await record(sidecar, "How many orders?", source="scripted")
    assert (
        ReplayTransport(sidecar).recording_label
        == "replayed (scripted turns: no model wrote them)"
    )


async def test_a_result_that_changed_is_drift_and_shown_with_both_sides(sidecar: Path):
    await record(sidecar, "How many orders?")
    player = ReplayTransport(sidecar, pace=0)
    (answer,) = await ask(
        player, "How many orders?", result=lambda arguments: "rows: 290"
    )
    assert words(answer) == "There are rows: 300."
    (drift,) = player.drift
    assert (drift.recorded, drift.live) == ("rows: 300", "rows: 290")
    assert drift.call.startswith("shop__query(sql=")
    assert "rows: 300" in str(drift)
    assert "rows: 290" in str(drift)


async def test_strict_an_answer_to_other_data_is_a_miss(sidecar: Path):
    await record(sidecar, "How many orders?")
    player = ReplayTransport(sidecar, pace=0, strict=True)
    (answer,) = await ask(player, "How many orders?")
    assert words(answer) == "There are rows: 300."
    said = await miss(
        sidecar, "How many orders?", strict=True, result=lambda arguments: "rows: 290"
    )
    assert "rows: 290" in said
    assert "The replay is strict" in said
    # another system prompt is no other data
    (answer,) = await ask(player, "How many orders?", system="Another.")
    assert words(answer) == "There are rows: 300."


async def test_the_same_drift_is_told_once(sidecar: Path):
    await record(sidecar, "How many orders?", "And customers?")
    told = []

    class Fresh(ReplayTransport):
        """As a notebook makes one for each cell: nothing is known of what was told before."""

        async def handle_async_request(
            self, request: httpx2.Request
        ) -> httpx2.Response:
            player = ReplayTransport(sidecar, pace=0)
            response = await player.handle_async_request(request)
            told.extend(player.drift)
            return response

    await ask(
        Fresh(sidecar),
        "How many orders?",
        "And customers?",
        result=lambda arguments: "rows: 290",
    )
    assert [drift.call.count("customers") for drift in told] == [0, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"system": "You are someone else."}, "another system prompt"),
        (
            {"tools": [{**TOOL, "description": "Run any SQL"}]},
            "other tool descriptions",
        ),
        (
            {"tools": [{**TOOL, "input_schema": {"type": "object"}}]},
            "other tool arguments",
        ),
        (
            {"tools": [TOOL, {**TOOL, "name": "new__tool"}]},
            "other tools: new now new__tool",
        ),
    ],
)
async def test_another_setup_plays_and_is_said(
    sidecar: Path, change: dict[str, Any], said: str
):
    await record(sidecar, "How many orders?")
    player = ReplayTransport(sidecar, pace=0)
    await ask(player, "How many orders?", **change)
    assert [d.kind for d in player.drift] == ["setup"]
    assert said in str(player.drift[0])


async def test_a_new_tool_of_the_notebook_itself_is_no_difference(sidecar: Path):
    """It came with a newer version of the package; shared notebooks stay quiet."""
    await record(sidecar, "How many orders?")
    player = ReplayTransport(sidecar, pace=0)
    own = {**TOOL, "name": "notebook__chart"}
    await ask(player, "How many orders?", tools=[TOOL, own])
    assert player.drift == []


async def test_a_recorded_call_of_a_missing_tool_says_what_to_connect(sidecar: Path):
    await record(sidecar, "How many orders?")
    said = await miss(
        sidecar, "How many orders?", tools=[{**TOOL, "name": "other__query"}]
    )
    assert "shop__query" in said
    assert "%mcp_connect shop" in said


async def test_a_miss_lists_the_recorded_prompts_near_ones_first(sidecar: Path):
    await record(sidecar, "Monthly revenue", "How many orders?\nsecond line")
    said = await miss(sidecar, "How many orders were there?")
    assert "'How many orders were there?' was not recorded" in said
    assert said.index("'How many orders?'") < said.index("'Monthly revenue'")
    assert "second line" not in said


async def test_a_miss_is_not_retried(sidecar: Path):
    await record(sidecar, "How many orders?")
    asked = 0

    class Counting(ReplayTransport):
        async def handle_async_request(
            self, request: httpx2.Request
        ) -> httpx2.Response:
            nonlocal asked
            asked += 1
            return await super().handle_async_request(request)

    with pytest.raises(anthropic.AnthropicError):
        await ask(Counting(sidecar), "Something else")
    assert asked == 1


async def test_a_prompt_out_of_order_is_answered_and_says_so(sidecar: Path):
    await record(sidecar, "First?", "Second?")
    replay = ReplayTransport(sidecar)
    await ask(replay, "Second?")
    (note,) = replay.drift
    assert "at another place of the conversation" in str(note)


async def test_the_same_request_twice_plays_both_replies_in_order(sidecar: Path):
    with FakeMessages([Reply([text("one")]), Reply([text("two")])]) as api:
        recorder = RecordTransport(sidecar)
        await ask(recorder, "Say", url=api.url)
        await ask(
            RecordTransport(sidecar.with_name("unused"), recorder), "Say", url=api.url
        )
    player = ReplayTransport(sidecar, pace=0)
    said = [words((await ask(player, "Say"))[0]) for _ in range(3)]
    assert said == ["one", "two", "one"]


async def test_recording_a_prompt_again_replaces_its_turns_only(sidecar: Path):
    await record(sidecar, "How many orders?")
    await record(sidecar, "Another?")
    await record(sidecar, "How many orders?", script=[Reply([text("300, I know.")])])
    assert [(t["prompt"], t["replies"][0]["stop_reason"]) for t in turns(sidecar)] == [
        ("How many orders?", "end_turn"),
        ("Another?", "tool_use"),
        ("Another?", "end_turn"),
    ]


@pytest.mark.parametrize(
    "fault",
    [Reply([text("half of it")], breaks="cut", after=4), Fault(529), Fault(400)],
)
async def test_cut_and_refused_replies_are_not_recorded(sidecar: Path, fault: Any):
    script = [fault, Reply([text("whole")]), Reply([text("whole")])]
    with FakeMessages(script) as api:
        recorder = RecordTransport(sidecar)
        try:
            message = (await ask(recorder, "Say", url=api.url))[0]
        except anthropic.BadRequestError:
            message = None
    kept = [
        reply["content"][0]["text"]
        for turn in turns(sidecar)
        for reply in turn["replies"]
    ]
    assert kept == ([words(message)] if message and message.stop_reason else [])


async def test_secrets_headers_and_long_results_stay_out_of_the_file(
    sidecar: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SHOP_TOKEN", "correct-horse-battery")
    secret = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"
    row = f"token correct-horse-battery, key {secret}, " + "x" * 9000
    await record(sidecar, "My key is " + secret, result=lambda arguments: row)
    file = read(sidecar)
    assert "correct-horse" not in file
    assert secret not in file
    assert "test-key" not in file
    assert "authorization" not in file.lower()
    assert len(turns(sidecar)[1]["results"][0]["text"]) < 4100
    player = ReplayTransport(sidecar, pace=0)
    await ask(player, "My key is " + secret, result=lambda arguments: row)
    assert player.drift == []


async def test_counting_tokens_and_other_paths_have_a_clear_error(sidecar: Path):
    await record(sidecar, "How many orders?")
    http = anthropic.DefaultAsyncHttpxClient(transport=ReplayTransport(sidecar))
    async with anthropic.AsyncAnthropic(api_key="x", http_client=http) as client:
        with pytest.raises(anthropic.AnthropicError) as caught:
            await client.messages.count_tokens(
                model="m", messages=[{"role": "user", "content": "x"}]
            )
    assert "cannot count tokens" in str(caught.value.__cause__)


async def test_without_streaming_too(sidecar: Path):
    with FakeMessages([Reply([text("hi")])]) as api:
        for transport in (RecordTransport(sidecar), ReplayTransport):
            transport = (
                transport
                if isinstance(transport, RecordTransport)
                else transport(sidecar)
            )
            http = anthropic.DefaultAsyncHttpxClient(transport=transport)
            async with anthropic.AsyncAnthropic(
                api_key="test-key", base_url=api.url, http_client=http
            ) as client:
                message = await client.messages.create(
                    model="m",
                    max_tokens=9,
                    messages=[{"role": "user", "content": "hello"}],
                )
            assert words(message) == "hi"
    assert len(api.requests) == 1


async def test_a_file_recorded_meanwhile_is_played(sidecar: Path):
    await record(sidecar, "First?")
    player = ReplayTransport(sidecar, pace=0)
    await record(sidecar, "Second?")
    assert words((await ask(player, "Second?"))[0]) == "There are rows: 300."


async def test_describe_names_prompts_turns_and_sources(sidecar: Path):
    await record(sidecar, "How many orders?", source="qwen · llama.cpp")
    (prompt,) = describe(sidecar).prompts
    assert (prompt.prompt, prompt.turns, prompt.source) == (
        "How many orders?",
        2,
        "qwen · llama.cpp",
    )
    assert "How many orders?" in str(describe(sidecar))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "not a file of recorded turns"),
        ("[]", "not a file of recorded turns"),
        ('{"format": "mcp-notebook recorded turns", "version": 9}', "version 9"),
        (
            '{"format": "mcp-notebook recorded turns", "version": 1, "turns": [{}]}',
            "damaged",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(
    sidecar: Path, content: str, said: str
):
    sidecar.write_text(content)
    for transport in (ReplayTransport, RecordTransport):
        with pytest.raises(BackendError, match=said):
            transport(sidecar)


def test_the_sidecar_stands_beside_the_notebook():
    assert sidecar_for(Path("a/b.c.ipynb")) == Path("a/b.c.claude.json")


RECORDING = """
import sys
from pathlib import Path
from mcp_notebook.replay.keys import fingerprint
from mcp_notebook.replay.transports import RecordTransport

kept = RecordTransport(Path(sys.argv[1]))
for number in range(15):
    words = [{"type": "text", "text": f"prompt {sys.argv[2]} {number}"}]
    messages = [{"role": "user", "content": words}]
    body = {"model": "m", "system": "s", "tools": [], "messages": messages}
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "end_turn",
        "usage": {},
        "content": [{"type": "text", "text": "x" * 2000}],
    }
    kept._keep(body, message, "scripted")
"""


@pytest.mark.slow
def test_kernels_that_record_into_one_file_lose_no_turn(sidecar: Path):
    kernels = ["a", "b", "c"]
    command = [sys.executable, "-c", RECORDING, str(sidecar)]
    running = [subprocess.Popen([*command, name]) for name in kernels]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    recorded = [prompt.prompt for prompt in describe(sidecar).prompts]
    wanted = [f"prompt {name} {number}" for name in kernels for number in range(15)]
    assert sorted(recorded) == sorted(wanted)
    # no lock and no half-written file among the person's files
    assert list(sidecar.parent.iterdir()) == [sidecar]


class Held(httpx2.AsyncByteStream):
    """A response's body that knows whether it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("turns", range(6))
async def test_an_interrupt_at_any_moment_leaves_no_connection_open(
    sidecar: Path, turns: int
) -> None:
    """The moment is counted in turns of the loop."""
    made: list[Held] = []

    class Inner(httpx2.AsyncBaseTransport):
        async def handle_async_request(
            self, request: httpx2.Request
        ) -> httpx2.Response:
            await asyncio.sleep(0)
            made.append(Held())
            return httpx2.Response(200, stream=made[-1], request=request)

    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "a"}],
    }
    request = httpx2.Request("POST", "http://api.test/v1/messages", json=body)
    sending = asyncio.create_task(
        RecordTransport(sidecar, Inner()).handle_async_request(request)
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    sending.cancel()
    done = await asyncio.gather(sending, return_exceptions=True)
    if isinstance(done[0], httpx2.Response):
        await done[0].aclose()

    assert all(held.closed for held in made)
