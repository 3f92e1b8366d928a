"""`--web`: the service's own search and pages, what they cost, what is cited, and what
is said where there is no such thing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mcp_notebook
from mcp_notebook.agent import backends
from mcp_notebook.agent.sealing import seal_request
from mcp_notebook.agent.web import Footnotes
from mcp_notebook.display.html_parts import safe_markdown
from mcp_notebook.display.outputs import footer_line
from mcp_notebook.errors import BackendError, ConfigError, DataError
from mcp_notebook.events import Note, TextDelta
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.veil import NO_VEIL
from tests.fake_messages import FakeMessages, Fault, Reply, server_use, text
from tests.notebook.scripted import notebook

# shaped like a key, as what is encrypted may well be
SEALED = "sk-ant-api03-" + "Ab3dE6gH9" * 40
RATE = "https://ecb.example/rates?day=2026-11-27"
PRICED = "claude-sonnet-5-5"


def found(call: dict[str, Any]) -> dict[str, Any]:
    hit = {"type": "web_search_result", "url": RATE, "title": "Rates *today*"}
    return {
        "type": "web_search_tool_result",
        "tool_use_id": call["id"],
        "content": [{**hit, "encrypted_content": SEALED, "page_age": None}],
    }


def cited(words: str, quoted: str = "1 EUR = 1.08 USD [x]") -> dict[str, Any]:
    citation = {
        "type": "web_search_result_location",
        "url": RATE,
        "title": "Rates *today*",
        "encrypted_index": SEALED,
        "cited_text": quoted,
    }
    return {**text(words), "citations": [citation]}


def answer(body: dict[str, Any], number: int) -> Any:
    said = json.dumps(body["messages"][-1])
    tools = [tool["name"] for tool in body["tools"]]
    if "refuse" in said and "web_search" in tools:
        return Fault(400, f"tools.{tools.index('web_search')}: not supported here")
    if "disabled" in said and "web_search" in tools:
        return Fault(400, "Web search is not enabled for this organization.")
    if "rate" not in said:
        return Reply([text("fine")])

    search = server_use("web_search", {"query": "EUR rate"})
    page = server_use("web_fetch", {"url": RATE})
    failed = {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"}
    paused = {
        "type": "web_fetch_tool_result", "tool_use_id": page["id"], "content": failed,
    }  # fmt: skip
    usage = {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}
    return Reply(
        [
            text("I look."),
            search,
            found(search),
            page,
            paused,
            cited("It is 1.08"),
            text(", as of Friday"),
            cited(" (so it says)"),
        ],
        usage=usage,
        model=PRICED,
    )


@pytest.fixture(scope="module")
def model() -> Iterator[FakeMessages]:
    with FakeMessages(answer) as running:
        yield running


@pytest.fixture
def state(
    model: FakeMessages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Notebook]:
    # the fake one stands for Claude's own service, not for a model of this machine
    monkeypatch.setattr(backends, "is_local", lambda url: False)
    monkeypatch.chdir(tmp_path)
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    with notebook(tmp_path, environ) as made:
        yield made


def run(state: Notebook, prompt: str, **options: Any) -> CellRun:
    one = CellRun(state, AskOptions(prompt, **options))
    one.in_blocking_cell()
    return one


def notes(one: CellRun) -> list[str]:
    return [event.text for event in one.seen if isinstance(event, Note)]


def test_off_unless_asked_for(state: Notebook, model: FakeMessages) -> None:
    run(state, "Hello.")
    assert "web_search" not in str(model.requests[-1]["tools"])
    state.settings.web = True
    run(state, "Hello.")
    named = {tool["name"]: tool for tool in model.requests[-1]["tools"]}
    assert named["web_search"]["type"] == "web_search_20260318"
    assert named["web_fetch"]["type"] == "web_fetch_20260318"
    # what a server's result names is no address to read
    sources = named["web_fetch"]["url_sources"]
    assert sources["client_tool_results"] == {"type": "none"}


def test_what_is_found_is_told_paid_for_and_cited(
    state: Notebook, model: FakeMessages, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = mcp_notebook.ask("What is the rate?", web=True)
    opening = "I look. It is 1.08¹, as of Friday (so it says)¹ -"
    assert " ".join(answered.text.split()).startswith(opening)
    line = r"- ¹ [Rates \*today\*](" + RATE + r"): “1 EUR = 1.08 USD \[x\]”"
    assert answered.text.endswith(line)
    assert line in safe_markdown(answered.text)
    usage = answered.usage
    assert (usage.web_searches, usage.web_pages) == (2, 1)
    assert "2 web searches · 1 web page · $0.0" in footer_line(usage)
    # a search costs a cent, beside the tokens
    assert usage.dollars is not None
    assert 0.02 < usage.dollars < 0.03
    costs = state.ledger.costs()
    assert (costs.web_searches.sum(), costs.web_pages.sum()) == (2, 1)
    assert costs.dollars.sum() == usage.dollars

    said = run(state, "And the rate again?", web=True)
    assert notes(said) == [
        "Web search: EUR rate",
        f"Web page: {RATE}",
        "The web could not be read: url not accessible.",
    ]
    # what is encrypted went back as it came, with and without the tools
    run(state, "Thanks.")
    assert str(model.requests[-1]["messages"]).count(SEALED) == 6


def test_what_is_typed_is_not_cited(state: Notebook, model: FakeMessages) -> None:
    Path("a.pdf").write_bytes(b"%PDF-1.4\n%%EOF")
    run(state, "Read @a.pdf")
    (document,) = [
        part
        for part in model.requests[-1]["messages"][0]["content"]
        if part["type"] == "document"
    ]
    assert document["citations"] == {"enabled": True}
    with pytest.raises(DataError):
        _ = mcp_notebook.ask("And a number?", form=int, web=True).value
    sent = model.requests[-1]
    assert '"citations": {"enabled": true}' not in json.dumps(sent["messages"])
    assert [t["citations"] for t in sent["tools"] if "citations" in t] == [
        {"enabled": False}
    ]


@pytest.mark.parametrize("prompt", ["Please refuse.", "It is disabled."])
def test_a_service_that_refuses_says_so_in_one_sentence(
    state: Notebook, model: FakeMessages, prompt: str
) -> None:
    before = len(model.requests)
    with pytest.raises(BackendError, match="does not search the web") as caught:
        run(state, prompt, web=True)
    assert "leave --web out" in str(caught.value)
    assert len(model.requests) == before + 1
    # the next cell works
    run(state, "Hello.")


def test_a_local_model_has_no_web(model: FakeMessages, tmp_path: Path) -> None:
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    before = len(model.requests)
    with (
        notebook(tmp_path, environ) as made,
        pytest.raises(ConfigError, match="mcp-notebook serve fetch"),
    ):
        run(made, "What is the rate?", web=True)

    assert len(model.requests) == before


def test_it_is_recorded_and_replayed(
    state: Notebook, model: FakeMessages, tmp_path: Path
) -> None:
    state.recording = tmp_path / "turns.claude.json"
    first = run(state, "What is the rate?", web=True)
    state.recording = None
    before = len(model.requests)
    state.branches["main"] = type(state.conversation)()
    state.settings.replay_file = str(tmp_path / "turns.claude.json")
    again = run(state, "What is the rate?", web=True, replay=True)
    assert len(model.requests) == before
    texts = [
        "".join(e.text for e in one.seen if isinstance(e, TextDelta | Note))
        for one in (first, again)
    ]
    assert texts[0] == texts[1]
    assert "1.08¹" in texts[1]


def test_passages_of_documents_are_numbered_by_their_place() -> None:
    made = Footnotes()
    of = {"type": "page_location", "document_index": 0, "document_title": "Q3 [a].pdf"}
    pages = [
        {**of, "start_page_number": 3, "end_page_number": 4, "cited_text": "a\nb"},
        {**of, "start_page_number": 5, "end_page_number": 8, "cited_text": "x" * 500},
        {**of, "start_page_number": 3, "end_page_number": 4, "cited_text": "c"},
    ]
    other = {"type": "char_location", "document_index": 1, "document_title": None}
    odd = {"type": "web_search_result_location", "url": "javascript:alert(1)"}
    assert made.mark({"citations": [*pages, other]}) == "¹·²·³"
    assert made.mark({"citations": None}) == ""
    assert made.mark({"citations": [odd, {}]}) == "⁴"
    listed = made.list_sources()
    assert listed is not None
    lines = listed.text.strip().splitlines()
    assert lines[0] == r"- ¹ Q3 \[a\].pdf, page 3: “a b”"
    assert lines[1].startswith(r"- ² Q3 \[a\].pdf, pages 5–7: “xxx")
    assert len(lines[1]) < 160
    assert lines[2] == "- ³ document 2"
    assert "javascript" not in listed.text
    assert made.list_sources() is None


def test_a_cited_text_is_sealed_without_its_marks() -> None:
    secret = "sk-ant-api03-" + "Zy8xW7v" * 12
    block = cited(f"The key is {secret}.")
    body = {
        "system": [text("x")],
        "messages": [{"role": "assistant", "content": [block]}],
    }
    (sealed,) = seal_request(body, NO_VEIL)["messages"][0]["content"]
    assert secret not in sealed["text"]
    assert sealed["citations"] == block["citations"]
