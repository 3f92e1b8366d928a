"""Values that were given to servers stand in nothing that leaves, in no form.

Canaries are planted in every source that a server is given values by, and looked for at
every exit in every form. An exit is a function from a text to what leaves of it.
"""

import base64
import html
import io
import json
import logging
import random
import string
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote_plus

import anthropic
import httpx2
import mcp_types
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook import errors, secrets
from mcp_notebook.agent import failures
from mcp_notebook.agent.backends import backend_of_nobody
from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.agent.request import Request
from mcp_notebook.agent.sealing import hidden_arguments, seal_block, seal_result
from mcp_notebook.config import HttpServer, StdioServer, learn_secrets
from mcp_notebook.config.target import expand
from mcp_notebook.display.card import render_call
from mcp_notebook.display.tables import view_result
from mcp_notebook.events import ToolCall, ToolResult
from mcp_notebook.freeze.sealing import Sealer
from mcp_notebook.ledger import Ledger, _note_failure
from mcp_notebook.results import Reading, Table
from mcp_notebook.secrets import (
    KNOWN,
    KnownValues,
    hide,
    is_public,
    learn_secret,
    mask,
    mask_json,
    seal,
    seal_arguments,
    seal_text,
)
from mcp_notebook.sessions.log import ServerLog
from mcp_notebook.sharing.tools import Tool, call

CANARY = 'c4nary/"of<the>mine&+é7'

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda v: json.dumps({"a": v}),
    "JSON in JSON": lambda v: json.dumps(json.dumps({"a": v})),
    "URL": lambda v: f"https://x/?a={quote(v, safe='')}",
    "URL in small letters": lambda v: (
        quote(v, safe="").lower().replace("c4nary", "c4nary")
    ),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 one on": lambda v: base64.b64encode(b"x" + v.encode() + b"zz").decode(),
    "Basic": lambda v: "Basic " + base64.b64encode(f"me:{v}".encode()).decode(),
    "hex": lambda v: v.encode().hex(),
    "hex in capitals": lambda v: v.encode().hex().upper(),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "base64 in lines": lambda v: base64.encodebytes(v.encode() * 5).decode(),
    "HTML": html.escape,
    "HTML of JSON": lambda v: html.escape(json.dumps({"a": v})),
    "URL of JSON": lambda v: quote(json.dumps({"a": v})),
    "line break": lambda v: v[:9] + "\r\n    " + v[9:],
    "Python": repr,
}


def _remains(text: str) -> bool:
    """Whether the canary can be read out of a text, by a way of its own."""
    flat = text.replace("\r", "").replace("\n", "").replace("    ", "")
    texts = [flat, html.unescape(flat), flat.replace("\\", ""), unquote_plus(flat)]
    for word in "".join(c if c.isalnum() or c in "+/=" else " " for c in flat).split():
        for start in range(4):
            cut = word[start:]
            whole = cut[: len(cut) // 4 * 4]
            try:
                texts.append(base64.b64decode(whole).decode("utf-8", "replace"))
                texts.append(bytes.fromhex(word).decode("utf-8", "replace"))
            except ValueError:
                continue
    return any("c4nary" in one and "mine" in one for one in texts)


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    KNOWN.forget()
    learn_secret("X", CANARY)
    yield
    KNOWN.forget()


def _result(text: str = "", **more: Any) -> ToolResult:
    reading = Reading(reader="x", confidence="high", text=text, **more)
    return seal_result(ToolResult("c", "ok", text, 0.1, reading=reading))


def _table(values: Any) -> str:
    table = Table(pa.table({"a": values}))
    return repr(_result(tables=(table,)).reading.tables[0].data.to_pylist())


def _ledger(text: str) -> Ledger:
    ledger = Ledger()
    ledger.record(ToolCall("c", "s", "t", {"a": text}))
    ledger.record(ToolResult("c", "error", text, 0.1))
    return ledger


def _request(text: str, part: str) -> str:
    conversation = Conversation()
    blocks: list[dict[str, Any]] = [{"type": "text", "text": "go"}]
    tools: list[dict[str, Any]] = []
    system = "rules"
    if part == "system":
        system = text
    elif part == "prompt":
        blocks = [{"type": "text", "text": text}]
    elif part == "result":
        inner = [{"type": "text", "text": text}]
        blocks = [{"type": "tool_result", "tool_use_id": "x", "content": inner}]
    elif part == "input":
        blocks = [{"type": "tool_use", "id": "x", "name": "t", "input": {"a": [text]}}]
    elif part == "tool":
        tools = [{"name": "t", "description": text, "input_schema": {}}]
    else:
        schema = {"properties": {"a": {"examples": [text]}}}
        tools = [{"name": "t", "description": "", "input_schema": schema}]
    conversation.ask(blocks)
    request = Request(backend_of_nobody("m"), system)
    return json.dumps(
        request.build(conversation, tools, final=False), ensure_ascii=False
    )


def _raised(text: str) -> str:
    try:
        raise errors.ConnectError("no", detail=text)
    except errors.ConnectError as error:
        return "".join(error._render_traceback_()) + error.detail


def _native(text: str) -> str:
    try:
        raise errors.DataError(text)
    except errors.DataError:
        return traceback.format_exc().rpartition("DataError:")[2]


def _log_tail(text: str) -> str:
    log = ServerLog("gate")
    try:
        log.write(text)
        return log.tail()
    finally:
        log.close()


def _logged(text: str) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("mcp_notebook.gate")
    logger.addHandler(handler)
    try:
        logger.error("%s", errors.SessionError(text))
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


def _span(text: str, *, fail: bool = False) -> str:
    found: dict[str, Any] = {}
    span = SimpleNamespace(set_attribute=found.__setitem__)
    if fail:
        with pytest.raises(ValueError), _note_failure(span):
            raise ValueError(text)
    return repr(found)


async def _tool(text: str, *, structured: bool = False) -> str:
    from mcp_notebook.sharing.tools import _hide_secrets

    async def run() -> mcp_types.CallToolResult:
        block = mcp_types.TextContent(text="" if structured else text)
        held = {"rows": [[text]]} if structured else None
        return mcp_types.CallToolResult(content=[block], structured_content=held)

    tool = Tool("t", "t", "t", run)
    result = _hide_secrets(await call({"t": tool}, "t", {}))
    return repr(result.content[0].text) + repr(result.structured_content)


def _service(text: str) -> str:
    request = httpx2.Request("POST", "http://x")
    response = httpx2.Response(400, request=request)
    body = {"error": {"message": text}}
    error = anthropic.APIStatusError(text, response=response, body=body)
    return str(failures.explain_failure(error, backend_of_nobody("m")))


def _card(text: str, where: str) -> str:
    arguments = seal_arguments({"a": text if where == "argument" else "x"})
    record = view_result(ToolCall("c", "s", "t", arguments), _result(text))
    return str(render_call(record))


EXITS: dict[str, Callable[[str], Any]] = {
    "mask": mask,
    "seal_text of prose": seal_text,
    "seal_text of data": lambda t: seal_text(t, prose=False),
    "seal": lambda t: repr(seal({"a": [t]})),
    "mask_json": lambda t: repr(mask_json([t, {"b": t}])),
    "hide": lambda t: str(hide(t)),
    "hide of JSON": lambda t: repr(hide({"a": [t, 1]})),
    "name of a field": lambda t: repr(hide({t: 1})),
    "arguments": lambda t: repr(seal_arguments({"a": t})),
    "nested arguments": lambda t: repr(seal_arguments({"a": [{"b": t}]})),
    "hidden arguments": lambda t: repr(
        hidden_arguments({"a": t}, seal_arguments({"a": t}))
    ),
    "a block of a reply": lambda t: repr(
        seal_block({"type": "tool_use", "input": {"a": t}})
    ),
    "system prompt": lambda t: _request(t, "system"),
    "prompt": lambda t: _request(t, "prompt"),
    "tool result": lambda t: _request(t, "result"),
    "tool input": lambda t: _request(t, "input"),
    "description of a tool": lambda t: _request(t, "tool"),
    "schema of a tool": lambda t: _request(t, "schema"),
    "text of a result": lambda t: _result(t).shown,
    "reading of a result": lambda t: _result(t).reading.text,
    "error of a result": lambda t: str(_result(error=t).reading.error),
    "note of a result": lambda t: repr(_result(notes=(t,)).reading.notes),
    "cell": lambda t: _table([t, "x"]),
    "list in a cell": lambda t: _table([[t], ["x"]]),
    "struct in a cell": lambda t: _table([{"b": t}, {"b": "x"}]),
    "card's text": lambda t: _card(t, "result"),
    "card's argument": lambda t: _card(t, "argument"),
    "log": lambda t: repr(_ledger(t).calls),
    "log's frame": lambda t: repr(_ledger(t).frame().to_dict()),
    "error": lambda t: str(errors.NotebookError(t)),
    "error of a configuration": lambda t: str(errors.ConfigError(t)),
    "error's sentence": lambda t: errors.CallError(t).message,
    "detail of an error": _raised,
    "traceback": _native,
    "Python's log": _logged,
    "a server's last words": _log_tail,
    "telemetry": lambda t: _span(t, fail=True),
    "outside client's text": _tool,
    "outside client's rows": lambda t: _tool(t, structured=True),
    "the service's refusal": _service,
    "frozen argument": lambda t: Sealer({}).text(t, "a"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exit_", EXITS)
async def test_no_form_of_a_canary_leaves(exit_: str, form: str) -> None:
    written = FORMS[form](CANARY)
    assert _remains(written) or form == "URL" or "URL" in form
    left = EXITS[exit_](f"before {written} after")
    if not isinstance(left, str):
        left = await left
    assert not _remains(left), left
    assert quote(CANARY, safe="").lower() not in left.lower()


SOURCES: dict[str, Callable[[str], Any]] = {
    "env": lambda v: learn_secrets(StdioServer("x", env={"WHATEVER": v})),
    "a word after --token": lambda v: learn_secrets(StdioServer("x", ("--token", v))),
    "password of a URL": lambda v: learn_secrets(
        StdioServer("x", env={"U": f"pg://u:{v}@h/d"})
    ),
    "header": lambda v: learn_secrets(HttpServer("https://h/", {"X-Any": v})),
    "Bearer": lambda v: learn_secrets(
        HttpServer("https://h/", {"Authorization": f"Bearer {v}"})
    ),
    "Basic": lambda v: learn_secrets(
        HttpServer(
            "https://h/",
            {"Authorization": "Basic " + base64.b64encode(f"u:{v}".encode()).decode()},
        )
    ),
    "query": lambda v: learn_secrets(HttpServer(f"https://h/?any={v}")),
    "sign-in": lambda v: learn_secrets(
        HttpServer("https://h/", oauth={"client_secret": v})
    ),
    "variable": lambda v: expand("${ANY}", {"ANY": v}, where="x"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_value_of_every_source_is_known(source: str) -> None:
    value = "Zx9-plant3d-Qw7"
    SOURCES[source](value)
    assert value not in hide(f"it says {value} here")


PUBLIC = (
    "/home/me/data.csv production localhost:8888 api.example.com https://api.example.com/v1"
    " 12345678 2025-06-18 us-east-1 en_US.UTF-8 read-only information 3.11.7 ~/notes.txt"
).split()


@pytest.mark.parametrize("value", PUBLIC)
def test_what_is_evidently_public_counts_by_its_name_only(value: str) -> None:
    assert is_public(value)
    learn_secret("MODE", value)
    assert hide(f"it is {value} now") == f"it is {value} now"


@pytest.mark.parametrize(
    "value",
    [
        "hunter2hunter2",
        "https://hooks.example.com/T0/B0/a8Fh39fKq01mZp4",
        "x" * 40,
        "S3cret-word",
    ],
)
def test_what_could_be_a_secret_is_none_of_these(value: str) -> None:
    assert not is_public(value)


@given(st.text(min_size=8, max_size=30), st.text(max_size=50), st.text(max_size=50))
def test_any_value_is_found_and_the_rest_stays(
    value: str, before: str, after: str
) -> None:
    found = KnownValues()
    found.learn([value])
    hidden = found.hide(f"{before}\x00{value}\x00{after}")
    if value.strip("\r\n \t\\") == value and "\\n" not in value and "\n" not in value:
        assert f"\x00{value}\x00" not in hidden


def test_time_is_linear_in_the_text_and_hardly_grows_with_the_values() -> None:
    rng = random.Random(3)
    found = KnownValues()
    found.learn("".join(rng.choices(string.ascii_letters, k=24)) for _ in range(5_000))
    text = "".join(rng.choices(string.ascii_letters + " \n,.", k=100_000))
    found.hide(text)

    def seconds(size: int) -> float:
        rounds = []
        for _ in range(5):
            started = time.process_time()
            found.hide(text[:size])
            rounds.append(time.process_time() - started)
        return min(rounds)

    assert seconds(100_000) < 0.05
    assert seconds(100_000) < 12 * max(seconds(20_000), 0.001)


LONG = ("-" * 16_000, "a" * 50_000, "token" * 4_000, "key=" * 4_000, "--" * 8_000 + "=")
# What a key of a known shape or a secret's name begins with, again and again, with what
# may stand between two of them: a pattern that looks at the rest anew each time shows.
STARTS = (*secrets._SHAPES, *secrets._NAME_ENDS, "eyJaaaaaaaa", "-----BEGIN A")
BETWEEN = ("", "-", ".", " ", ":", '":', '": "', "@", "\n", "/a:")


@pytest.mark.parametrize("start", STARTS)
def test_no_beginning_of_a_secret_takes_long_when_it_is_repeated(start: str) -> None:
    started = time.process_time()
    for between in BETWEEN:
        one = start + between
        seal_text(one * (50_000 // len(one)))
    assert time.process_time() - started < 0.2 * len(BETWEEN)


def test_an_address_in_a_text_does_not_make_its_search_longer() -> None:
    def seconds(text: str) -> float:
        rounds = []
        for _ in range(5):
            started = time.process_time()
            secrets.mask(text)
            rounds.append(time.process_time() - started)
        return min(rounds)

    words = "some words of a page " * 5_000
    with_all = words + " ".join(secrets._SHAPES)
    assert seconds(with_all) < 3 * max(seconds(words), 0.002)


def test_a_text_that_was_clean_is_searched_again_for_what_is_learned_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each size, since a clean text is remembered; and for variables as they are."""
    for number, size in enumerate((0, 200, 19_000, 30_000)):
        value = f"kq{number}7Zt0-Wm4c"
        text = "y" * size + f" {value}"
        assert hide(text) == hide([text])[0] == text
        monkeypatch.setenv("THEIR_API_KEY", value)
        assert value not in hide(text) + hide([text])[0]
        monkeypatch.delenv("THEIR_API_KEY")
        assert hide(text) == text
        learn_secret("THEIR_API_KEY", value)
        assert value not in hide(text) + hide([text])[0]


def test_a_variable_that_holds_a_path_counts_from_when_the_path_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a-place-of-keys"
    place.touch()
    monkeypatch.setenv("THEIR_API_KEY", str(place))
    assert hide(str(place)) == str(place)
    place.unlink()
    assert hide(str(place)) == secrets.MASK


def test_a_secret_number_is_hidden_where_it_is_no_text() -> None:
    rows = [{"id": 1, "pin": 90817263, "ok": True, "part": 0.5}, [90817263]]
    assert hide(rows) == rows
    learn_secret("THEIR_PIN_TOKEN", "90817263")
    found = hide(rows)
    assert "90817263" not in json.dumps(found)
    assert found[0]["id"] == 1
    assert found[0]["ok"] is True


def test_what_is_remembered_as_clean_is_bounded() -> None:
    kept = secrets.CleanTexts()
    for number in range(3 * kept.MOST_TEXTS):
        fresh = kept.leave_out([f"{number:>19000}", f"{number:>30000}"], "v")
        kept.add(fresh, "v")
        _, texts = kept._kept
        assert len(texts) <= kept.MOST_TEXTS + 1
        assert sum(map(len, texts)) <= kept.MOST_CHARACTERS + kept.LONGEST


@pytest.mark.parametrize("text", LONG, ids=lambda t: t[:5])
def test_no_text_takes_long_to_be_searched(text: str) -> None:
    started = time.process_time()
    seal_text(text)
    secrets.mask_line(text)
    secrets.is_secret_name(text)
    secrets.is_secret_option(text)
    hide({text: text})
    assert time.process_time() - started < 1.0


def test_what_cannot_be_searched_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(secrets, "_mask_values", fail)
    assert hide(CANARY) == secrets.WITHHELD
