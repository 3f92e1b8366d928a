"""%%claude in a real kernel: streamed text, calls, interrupts, queued and nested cells."""

import json
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.fake_messages import FakeMessages, Gate, Reply, text, use
from tests.kernel.driver import Kernel, kernel

LOAD = "%load_ext mcp_notebook"
CONNECT = "%mcp_connect shop mcp-notebook serve database --url sqlite:///shop.db"
SLOW_SERVER = f"%mcp_connect slow --allow '*' {sys.executable} slow.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a small database and a server that takes its time."""
    path = tmp_path_factory.mktemp("cells")
    with sqlite3.connect(path / "shop.db") as database:
        database.execute(
            "create table orders (id integer primary key, total decimal(10,2), day date)"
        )
        database.executemany(
            "insert into orders values (?, ?, ?)",
            [(i, i * 1.5, "2026-01-02") for i in range(1, 41)],
        )
    (path / "slow.py").write_text(
        "import asyncio\n"
        "from mcp.server import MCPServer\n"
        "server = MCPServer('slow', log_level='ERROR')\n"
        "@server.tool()\n"
        "async def sleep(seconds: float) -> str:\n"
        "    await asyncio.sleep(seconds)\n"
        "    return 'slept'\n"
        "server.run('stdio')\n"
    )
    return path


@pytest.fixture
def api():
    """A scripted model; tests put their replies into `api.replies`."""
    replies: list = []
    with FakeMessages(lambda body, n: replies[n]) as server:
        server.replies = replies
        yield server


@pytest.fixture
def cells(folder, api):
    """A kernel with the extension, whose model is the scripted one."""
    with kernel(
        folder, {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": api.api_key}
    ) as running:
        assert running.run(LOAD).status == "ok"
        yield running


def ask(cells: Kernel, prompt: str = "How many orders?", options: str = ""):
    return cells.run(f"%%claude {options}\n{prompt}")


def query(sql: str):
    return use("shop__query_database", {"sql": sql})


@pytest.mark.slow
def test_a_question_gives_text_a_card_and_a_dataframe(cells, api):
    api.replies += [
        Reply([text("Let me look."), query("select * from orders")]),
        Reply([text("There are **40**.")]),
    ]
    assert cells.run(CONNECT).status == "ok"
    ran = ask(cells, options="--into orders_table")
    assert ran.status == "ok", ran.text
    assert "Let me look." in ran.text
    assert "There are **40**." in ran.text
    assert cells.run("print(orders_table.shape, orders_table.total.sum(), orders_table.day[0])").text.split() == [
        "(40,", "3)", "1230.0", "2026-01-02", "00:00:00",
    ]  # fmt: skip
    assert not any("application/vnd.jupyter.widget-view+json" in d for d in ran.data)
    told = api.requests[1]["messages"][-1]["content"][0]["content"][0]["text"]
    assert "40 rows" in told
    assert len(told) < 3000


@pytest.mark.slow
def test_the_prompt_is_sent_as_written(cells, api):
    api.replies += [Reply([text("ok")])]
    ask(cells, 'What is {"a": 1} and {secret} for $HOME?')
    assert (
        api.requests[0]["messages"][0]["content"][0]["text"]
        == 'What is {"a": 1} and {secret} for $HOME?'
    )


@pytest.mark.slow
def test_the_conversation_goes_on_until_new(cells, api):
    api.replies += [Reply([text("one")]), Reply([text("two")]), Reply([text("three")])]
    ask(cells, "first")
    ask(cells, "second")
    ask(cells, "third", "--new")
    assert [len(r["messages"]) for r in api.requests] == [1, 3, 1]


@pytest.mark.slow
@pytest.mark.parametrize("magic", ["%%time", "%%capture captured"])
def test_nested_in_another_magic_it_runs_synchronously(cells, api, magic):
    api.replies += [Reply([text("nested answer")])]
    ran = cells.run(f"{magic}\n%%claude\nhello")
    assert ran.status == "ok", ran.text
    if "capture" in magic:
        ran = cells.run("captured.show()")
    assert "nested answer" in ran.text


@pytest.mark.slow
def test_in_a_loop_it_runs_synchronously(cells, api):
    api.replies += [Reply([text("answer A")]), Reply([text("answer B")])]
    ran = cells.run(
        "for q in ('a', 'b'):\n    get_ipython().run_cell_magic('claude', '', q)"
    )
    assert ran.status == "ok", ran.text
    assert "answer A" in ran.text
    assert "answer B" in ran.text


@pytest.mark.slow
def test_queued_cells_run_after_it(cells, api):
    api.replies += [Reply([text("a slow answer with several words")], delay=0.05)]
    first = cells.start("%%claude\nhello")
    second = cells.start("print('queued cell')")
    assert cells.finish(first).status == "ok"
    assert cells.status_of(second) == "ok"


@pytest.mark.slow
def test_an_interrupt_while_the_model_streams_ends_the_cell_and_keeps_the_conversation(
    cells, api
):
    gate = Gate(after=7)
    api.replies += [
        Reply([text("one two three four five six seven eight")], gate=gate),
        Reply([text("going on")]),
    ]
    message = cells.start("%%claude\nTell me.")
    assert gate.reached.wait(60)
    cells.interrupt()
    ran = cells.finish(message)
    assert ran.status == "error"
    assert ran.seconds < 10
    assert "Stopped" in ran.text
    assert "Traceback" not in ran.text
    again = ask(cells, "Go on.")
    assert "going on" in again.text
    assert "[interrupted by the user]" in str(api.requests[1]["messages"])


@pytest.mark.slow
def test_an_interrupt_during_a_call_ends_the_cell_and_the_session_lives(cells, api):
    api.replies += [
        Reply([use("slow__sleep", {"seconds": 600})]),
        Reply([use("slow__sleep", {"seconds": 0})]),
        Reply([text("all good")]),
    ]
    assert cells.run(SLOW_SERVER).status == "ok"
    message = cells.start("%%claude\nSleep.")

    deadline = time.monotonic() + 60
    while len(api.requests) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    cells.interrupt()
    ran = cells.finish(message)
    assert ran.status == "error"
    assert ran.seconds < 10
    again = ask(cells, "Sleep less.")
    assert again.status == "ok", again.text
    assert "all good" in again.text
    assert "cancelled" in cells.run("%mcp_log").text


@pytest.mark.slow
def test_without_a_person_a_foreign_tool_is_denied(cells, api):
    api.replies += [
        Reply([use("slow__sleep", {"seconds": 0})]),
        Reply([text("I may not.")]),
    ]
    cells.run(SLOW_SERVER.replace("--allow '*' ", ""))
    ran = ask(cells, "Sleep.")
    assert "denied" in ran.text
    assert "I may not." in ran.text


@pytest.mark.slow
def test_a_person_is_asked_with_the_whole_call(cells, api):
    api.replies += [
        Reply([use("slow__sleep", {"seconds": 0})]),
        Reply([text("slept well")]),
    ]
    cells.run(SLOW_SERVER.replace("--allow '*' ", ""))
    cells.run("%config MCPNotebook.cards = 'static'")
    ran = cells.run("%%claude\nSleep.", answer="y")
    assert ran.status == "ok", ran.text
    assert "slept well" in ran.text


@pytest.mark.slow
def test_without_a_model_the_ways_out_are_named(folder):
    with kernel(folder) as running:
        running.run(LOAD)
        ran = ask(running)
    assert ran.status == "error"
    assert "ANTHROPIC_API_KEY" in ran.text
    assert "%%mcp_sql" in ran.text


@pytest.mark.slow
def test_nothing_of_ours_or_of_a_library_prints_into_a_cell(cells, api):
    api.replies += [Reply([query("select 1 as one")]), Reply([text("one")])]
    cells.run(CONNECT)
    ran = ask(cells)
    assert [o for o in ran.outputs if "name" in o] == []


def test_unloading_takes_everything_back(cells):
    assert cells.run("%unload_ext mcp_notebook").status == "ok"
    assert "not found" in cells.run("%mcp_tools").text
    assert cells.run(LOAD).status == "ok"
    assert cells.run("%mcp_tools").status == "ok"


@pytest.mark.slow
def test_sql_of_the_person_runs_over_the_notebooks_own_tables(cells):
    cells.run(
        "import pandas as pd; mine = pd.DataFrame({'a': [1, 2, 3]})\n%mcp_share mine"
    )
    ran = cells.run(
        "%%mcp_sql notebook --into doubled\nselect a * 2 as b from mine order by a"
    )
    assert ran.status == "ok", ran.text
    assert (
        cells.run(
            "print(doubled.b.tolist(), doubled.attrs['mcp']['server'])"
        ).text.strip()
        == "[2, 4, 6] notebook"
    )
    cells.run("mine.loc[0, 'a'] = 100")
    assert (
        "200"
        in cells.run("%%mcp_sql notebook\nselect max(a) * 2 as top from mine").text
    )
    assert "query" in cells.run("%mcp_log").text


@pytest.mark.slow
def test_shared_tables_are_served_outside_behind_a_token_that_is_not_shown(
    cells, tmp_path
):
    cells.run(
        "import pandas as pd; mine = pd.DataFrame({'a': [1, 2, 3]})\n%mcp_share mine"
    )
    ran = cells.run("%mcp_serve")
    assert ran.status == "ok", ran.text
    file = Path(
        next(
            line for line in ran.text.splitlines() if "with the token in" in line
        ).split(" in ")[-1]
    )
    connection = json.loads(file.read_text())
    assert file.stat().st_mode & 0o077 == 0
    assert connection["token"] not in ran.text
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(
            urllib.request.Request(connection["url"], data=b"{}", method="POST"),
            timeout=20,
        )
    assert cells.run("%mcp_serve --stop").status == "ok"
    assert not file.exists()


def test_pasted_asyncio_run_works_when_it_was_asked_for(cells):
    pasted = "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 42\nprint(asyncio.run(main()))"
    assert cells.run(pasted).status == "error"
    cells.run("%config MCPNotebook.nested_asyncio = True")
    assert cells.run(pasted).text.strip() == "42"
