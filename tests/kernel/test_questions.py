"""A server's questions in a real kernel: asked in the input box, declined without a
person, consented to, paid for.
"""

import sys
from pathlib import Path

import pytest

from tests.fake_messages import FakeMessages, Reply, text
from tests.kernel.driver import Kernel, kernel

CURIOUS = Path(__file__).parents[1] / "servers" / "curious.py"
PLAIN = CURIOUS.with_name("plain.py")
CONNECT = f"%mcp_connect curious --legacy --allow '*' {sys.executable} {CURIOUS}"


@pytest.fixture(scope="module")
def api():
    """A scripted model; tests put their replies into `api.replies`."""
    replies: list = []
    with FakeMessages(lambda body, n: replies[n]) as server:
        server.replies = replies
        yield server


@pytest.fixture(scope="module")
def cells(api, tmp_path_factory):
    """A kernel with the server connected; the tests share it."""
    environ = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": api.api_key}
    with kernel(tmp_path_factory.mktemp("questions"), environ) as running:
        assert running.run("%load_ext mcp_notebook").status == "ok"
        running.run("%config MCPNotebook.roots = ['.']")
        running.run("%config MCPNotebook.sampling = True")
        ran = running.run(CONNECT)
        assert ran.status == "ok", ran.text
        yield running


def answered(cells: Kernel, code: str, *lines: str):
    """Run a cell and type one line after the other into its input box."""
    waiting = list(lines)
    message = cells.start(code, stdin=True)

    def type_next(_kernel, _ran) -> None:
        pass

    client = cells.client
    original = client.stdin_channel.msg_ready

    def ready() -> bool:
        if original() and waiting:
            client.stdin_channel.get_msg(timeout=1)
            client.input(waiting.pop(0))
        return False

    client.stdin_channel.msg_ready = ready
    try:
        return cells.finish(message, on_output=type_next, answer="")
    finally:
        del client.stdin_channel.msg_ready


@pytest.mark.slow
def test_a_form_is_asked_line_by_line_and_checked(cells):
    ran = answered(
        cells, "%mcp_call curious.order", "A", "Ada", "", "12", "3", "m", "milk", "y"
    )
    assert ran.status == "ok", ran.text
    assert "At least 2 characters." in ran.text
    assert "At most 9." in ran.text
    assert (
        "{'name': 'Ada', 'pieces': 3, 'size': 'm', 'extras': ['milk'], 'gift': True}"
        in ran.text
    )
    assert "sent: name, pieces, size, extras, gift" in ran.text


def test_a_form_can_be_declined(cells):
    ran = answered(cells, "%mcp_call curious.order", "/")
    assert "decline None" in ran.text


def test_without_a_person_a_form_is_declined_at_once(cells):
    ran = cells.run("%mcp_call curious.order")
    assert ran.status == "ok", ran.text
    assert "decline None" in ran.text


def test_a_page_is_opened_with_consent_only(cells):
    call = "%mcp_call curious.visit url=https://pay.example.org/x"
    opened = answered(cells, call, "y")
    assert "pay.example.org" in opened.text
    assert "accept" in opened.text
    assert "decline" in answered(cells, call, "n").text
    assert "decline" in cells.run(call).text


@pytest.mark.parametrize(
    "url",
    [
        "http://pay.example.org",
        "javascript:alert(1)",
        "https://a@b.example",
        "file:///etc",
    ],
)
def test_a_page_that_is_not_https_is_declined_without_asking(cells, url):
    ran = cells.run(f"%mcp_call curious.visit url={url}", answer="y")
    assert "decline" in ran.text
    assert "asks you to open" not in ran.text


@pytest.mark.slow
def test_a_servers_turn_of_the_model_needs_consent_and_is_counted(cells, api):
    first = len(api.requests)
    api.replies += [Reply([text("because")])]
    ran = answered(cells, "%mcp_call curious.think text='why is that'", "y")
    assert ran.status == "ok", ran.text
    assert "[user] why is that" in ran.text
    assert "because" in ran.text
    request = api.requests[first]
    assert request["system"] == "Be short."
    assert request["max_tokens"] == 50
    assert "tools" not in request
    counted = cells.run("from mcp_notebook.magics.extension import notebook_of\n"
                        "n = notebook_of(get_ipython()); print(n.spent.turns, n.ledger.turns[-1].cell)")  # fmt: skip
    assert "1 sampling for curious" in counted.text


def test_a_servers_turn_is_refused_without_a_person_and_over_budget(cells, api):
    asked = len(api.requests)
    assert "declined" in cells.run("%mcp_call curious.think text=why").text
    cells.run("%config MCPNotebook.sampling_turns = 0")
    assert "budget" in cells.run("%mcp_call curious.think text=why", answer="y").text
    assert len(api.requests) == asked


def test_the_folders_of_the_settings_are_told(cells):
    assert "file:///" in cells.run("%mcp_call curious.folders").text


def test_a_question_that_nobody_answers_in_time_is_cancelled(cells):
    ran = cells.run(
        "import asyncio\n"
        "from mcp_notebook import loop\n"
        "from mcp_notebook.display.questions import form_question\n"
        "from mcp_notebook.magics.extension import notebook_of\n"
        "asker = notebook_of(get_ipython()).asker\n"
        "with asker.in_cell(attended=True, buttons=True):\n"
        "    future = loop.submit(asker.ask(form_question('s', 'm', (), 0.3)))\n"
        "    print(loop.wait(future, asker.pump).choice)"
    )
    assert "cancel" in ran.text
    assert "not answered within 0.3 s" in ran.text


def test_status_says_all_that_is_known(cells):
    ran = cells.run("%mcp_status")
    for word in (
        "curious",
        "ready",
        "stdio",
        "2025-11-25",
        "uptime",
        "restarts",
        "p50 (ms)",
        "last error",
    ):
        assert word in ran.text


def test_status_of_one_server_shows_what_it_logged_and_no_stray_lines(cells):
    ran = cells.run("%mcp_status curious")
    assert "curious logged" in ran.text
    cells.run("from mcp_notebook.magics.extension import notebook_of\n"
              "n = notebook_of(get_ipython())")  # fmt: skip
    cells.run("n.sessions.get('curious').log.write('[stdout] password: x')")
    cells.run("n.sessions.get('curious').log.write('[warning] the shelf is empty')")
    ran = cells.run("%mcp_status curious")
    assert "the shelf is empty" in ran.text
    assert "password" not in ran.text
    assert cells.run("%mcp_status nobody").status == "error"


@pytest.mark.slow
def test_a_call_by_hand_shows_how_far_it_is(cells):
    assert cells.run(f"%mcp_connect plain {sys.executable} {PLAIN}").status == "ok"
    seen = []
    call = '%mcp_call plain.wait {"seconds": 2.5}'
    message = cells.start(call, stdin=True)  # a person is there
    ran = cells.finish(message, on_output=lambda _, now: seen.append(now.text))
    assert ran.status == "ok", ran.text
    assert any("running · 1 s" in text and "% · step " in text for text in seen)
    assert "running" not in ran.text
    assert (
        "its sign-in is forgotten" in cells.run("%mcp_disconnect plain --forget").text
    )


@pytest.mark.slow
def test_a_changed_tool_is_shown_and_needs_consent(cells):
    changed = f"{CONNECT} changed"
    refused = answered(cells, changed, "n")
    assert refused.status == "error"
    assert '+  "description": "Ask the model, and more."' in refused.text
    assert "not accepted" in refused.text
    assert "curious" not in cells.run("%mcp_tools").text
    assert cells.run(CONNECT).status == "ok"
    assert answered(cells, changed, "y").status == "ok"
    assert cells.run(changed).status == "ok"


@pytest.mark.slow
def test_tools_are_marked_as_safe_to_repeat(cells):
    line = CONNECT.replace("--legacy", "--legacy --safe 'order'").replace(
        "curious ", "two ", 1
    )
    assert cells.run(line).status == "ok"
    assert "{'order'}" in cells.run("print(n.sessions.get('two').safe_tools)").text
