"""The agent's own commands in a real kernel: budgets, typed answers, dry runs,
branches, costs, what is remembered.
"""

import json
import sys
from pathlib import Path

import pytest

from tests.fake_messages import FakeMessages, Reply, text, use
from tests.kernel.driver import kernel

SECRET = "hunter2-is-not-a-good-password"
VAULT = Path(__file__).parents[1] / "servers" / "vault.py"
LOAD = "%load_ext mcp_notebook\nimport pandas as pd\norders = pd.DataFrame({'n': [1, 2, 3]})"
SQL = {"sql": "select sum(n) as total from orders"}


def reply(body, n):
    """The scripted model: it looks once into the table `orders`, then answers in the
    form asked for.
    """
    said = str(body["messages"])
    if "forever" in said and body.get("tool_choice") is None:
        return Reply([use("notebook__query", {"sql": f"select {n} as x from orders"})])
    if "Sign in" in said and "tool_result" not in said:
        return Reply([use("vault__login", {"user": "ann", "password": SECRET})])
    if "slowly" in said:
        return Reply([text("one two three four")], delay=0.45)
    if body.get("output_config", {}).get("format"):
        wrong = "whimsical" in said and "not the value" not in said
        return Reply([text("I would say seven." if wrong else '{"value": [1, 2, 3]}')])
    if "total" in said and "tool_result" not in said:
        return Reply([use("notebook__query", SQL)], model="claude-sonnet-5-5")
    return Reply([text("It is **6**.")], model="claude-sonnet-5-5")


@pytest.fixture(scope="module")
def api():
    with FakeMessages(reply) as running:
        yield running


@pytest.fixture(scope="module")
def running(api, tmp_path_factory):
    environ = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": api.api_key}
    with kernel(tmp_path_factory.mktemp("agent"), environ) as started:
        assert started.run(LOAD).status == "ok"
        yield started


@pytest.mark.slow
def test_a_typed_answer_is_the_cells_value_and_binds_to_a_name(running):
    assert (
        running.run(
            "%%claude --new --as list[int] --into numbers\nWhich n are there?"
        ).status
        == "ok"
    )
    assert running.run("print(sum(numbers))").text.strip() == "6"
    shown = running.run("%%claude --new --as list[int]\nWhich n are there?")
    assert any(d.get("text/plain") == "[1, 2, 3]" for d in shown.data)
    assert running.run("print(max(_))").text.strip() == "3"


def test_an_answer_of_the_wrong_form_is_mended_once(running, api):
    ran = running.run("%%claude --new --as list[int] --into whims\nBe whimsical.")
    assert ran.status == "ok", ran.text
    assert running.run("print(whims)").text.strip() == "[1, 2, 3]"
    assert "not the value asked for" in str(api.requests[-1]["messages"][-1])


def test_a_type_that_is_none_is_told_in_one_line(running):
    ran = running.run("%%claude --as Nothing\nHello?")
    assert ran.status == "error"
    assert "--as Nothing" in ran.text
    assert "Traceback" not in ran.text


def test_a_dry_run_prints_what_would_be_sent_and_asks_nothing(running, api):
    before = len(api.requests)
    ran = running.run("%%claude --dry-run\nWhat is the total of @orders?")
    assert ran.status == "ok", ran.text
    assert "counted by the service" in ran.text
    assert "notebook__query" in ran.text
    assert "orders(n int64)" in ran.text
    assert len(api.requests) == before


def test_the_limit_that_ended_a_cell_is_shown(running):
    ran = running.run("%%claude --new --max-calls 2\nGo on forever.")
    assert "2 tool calls" in ran.text


def test_a_dollar_budget_without_a_price_refuses_to_start(running):
    # A client of the person's own: nothing says what it costs.
    running.run(
        "import anthropic\nmine = anthropic.AsyncAnthropic()\n%config MCPNotebook.client = 'mine'"
    )
    ran = running.run("%%claude --max-usd 0.2 -m house-model\nHello?")
    answered = running.run("%%claude --new\nHello?").text
    running.run("%config MCPNotebook.client = None")
    assert "No price is known for 'house-model'" in ran.text
    assert "AsyncAnthropic" in answered


def test_a_branch_goes_its_own_way_and_one_can_come_back(running):
    running.run("%%claude --new\nWhat is the total of @orders?")
    first = running.run("%claude_fork other").text
    assert "forked into 'other'" in first
    running.run("%%claude\nAnd again?")
    listed = running.run("%claude_fork").text
    back = running.run("%claude_fork main").text
    assert "* other" in listed
    assert "back in 'main'" in back
    assert "And again?" not in running.run("%claude_history").text


def test_costs_are_a_table_by_cell_server_and_tool(running):
    assert "turns" in running.run("%claude_cost").text
    ran = running.run(
        "print(sorted(get_ipython().run_line_magic('claude_cost', 'server').server))"
    )
    assert "notebook" in ran.text
    assert running.run("%claude_cost planets").status == "error"


def test_the_log_goes_to_disk_when_asked(running, tmp_path):
    file = tmp_path / "log.jsonl"
    running.run(f"%config MCPNotebook.log_file = '{file}'")
    running.run("%%claude --new\nWhat is the total of @orders?")
    running.run("%config MCPNotebook.log_file = ''")
    kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
    assert kinds.count("call") == 1
    assert kinds.count("turn") == 2


def test_what_is_allowed_for_good_is_listed(running):
    assert "No tool is allowed for good" in running.run("%mcp_approvals").text


ASK = "mcp_notebook.ask('What is the total of @orders?', new=True)"


def test_a_question_as_a_function_shows_like_a_cell_and_is_a_value(running):
    running.run("import mcp_notebook")
    shown = running.run(ASK)
    assert shown.status == "ok", shown.text
    assert shown.data[0]["text/plain"].startswith("sent: @orders (")
    assert [next(iter(d)) for d in shown.data[1:]] == [
        "text/html",
        "text/markdown",
        "text/html",
    ]
    assert "It is **6**." in shown.text
    awaited = running.run(
        f"answer = await {ASK}\nprint(answer.text, [t.total.tolist() for t in answer.tables.values()])"
    )
    assert awaited.text.strip() == "It is **6**. [[6]]"
    plain = running.run(
        f"def sums(n):\n    return [{ASK}.value.total[0] for _ in range(n)]\nprint(sum(sums(2)))"
    )
    assert plain.text.strip() == "12"
    streamed = running.run(ASK.replace("new=True", "new=True, show=True"))
    assert streamed.text.count("It is **6**.") == 1


def test_a_state_line_is_seen_while_a_person_waits_and_vanishes(running):
    seen = []
    running.run("%config MCPNotebook.cards = 'static'")
    ran = running.finish(
        running.start("%%claude --new\nAnswer slowly.", stdin=True),
        on_output=lambda _, ran: seen.append(ran.text),
    )
    running.run("%config MCPNotebook.cards = 'auto'")
    assert any("Asking claude-sonnet-5-5" in text for text in seen), seen
    assert [next(iter(d)) for d in ran.data] == ["text/markdown", "text/html"]
    assert "Asking" not in ran.text


def test_without_a_person_there_is_no_state_line(running):
    seen = []
    ran = running.finish(
        running.start("%%claude --new\nAnswer slowly."),
        on_output=lambda _, ran: seen.append(ran.text),
    )
    assert ran.status == "ok"
    assert "one two three four" in ran.text
    assert not any("Asking" in text or "Getting ready" in text for text in seen)


@pytest.mark.slow
def test_a_denial_typed_with_its_reason_reaches_claude_and_no_secret_is_in_the_output(
    running, api
):
    assert running.run(f"%mcp_connect vault {sys.executable} {VAULT}").status == "ok"
    running.run("%config MCPNotebook.cards = 'static'")
    ran = running.run(
        "%%claude --new\nSign in.", answer="n because the vault is closed"
    )
    running.run("%config MCPNotebook.cards = 'auto'\n%mcp_disconnect vault")
    assert ran.status == "ok", ran.text
    assert "password: ***" in ran.text
    assert "Secrets are sent but not shown: password (30 characters)." in ran.text
    assert (
        "2 tools of vault say that they only read; that is the server's claim."
        in ran.text
    )
    assert SECRET not in json.dumps(ran.outputs)
    assert "says: the vault is closed" in str(api.requests[-1]["messages"][-1])
    assert (
        "the vault is closed"
        in running.run(
            "print(get_ipython().run_line_magic('mcp_log', '').error.iloc[-1])"
        ).text
    )
