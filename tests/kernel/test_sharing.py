"""Sharing in a real kernel: by magics and functions, what the conversation and clients
outside see.
"""

import json
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.fake_messages import FakeMessages, Reply, text, use
from tests.kernel.driver import kernel

SETUP = (
    "%load_ext mcp_notebook\nimport pandas as pd, mcp_notebook\n"
    "sales = pd.DataFrame({'id': [1, 2, 3], 'email': ['x1', 'x2', None]})"
)


@pytest.fixture(scope="module")
def api():
    replies: list = []
    with FakeMessages(lambda body, n: replies[n]) as server:
        server.replies = replies
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sharing")


@pytest.fixture(scope="module")
def cells(folder, api):
    (folder / "more.csv").write_text("a,b\n1,2\n")
    environment = {
        "ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_API_KEY": api.api_key,
        "XDG_RUNTIME_DIR": str(folder),
        "JPY_SESSION_NAME": str(folder / "analysis.ipynb"),
    }
    with kernel(folder, environment) as running:
        assert running.run(SETUP).status == "ok"
        yield running


def rpc(folder: Path, tool: str, arguments: dict) -> dict:
    """A call of a client outside."""
    (file,) = folder.glob("mcp-notebook/*.json")
    return call_by_file(file, tool, arguments)


def call_by_file(file: Path, tool: str, arguments: dict) -> dict:
    held = json.loads(file.read_text())
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    body["params"]["_meta"] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Authorization": f"Bearer {held['token']}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    request = urllib.request.Request(held["url"], json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read().decode().rpartition("data: ")[2])["result"]


def test_a_table_is_shared_under_another_name_and_listed_with_what_it_is(cells):
    """Kind, rows, columns, masked columns, who sees it, when it was last used."""
    cells.run("%config MCPNotebook.mask = ['email']")
    ran = cells.run("%mcp_share sales --as revenue --about 'Sales of May'")
    assert ran.status == "ok", ran.text
    for word in (
        "revenue",
        "sales",
        "DataFrame",
        "email",
        "outside after %mcp_serve",
        "not yet",
        "Sales of May",
    ):
        assert word in ran.text, word


def test_the_persons_own_sql_sees_masked_values_and_its_result_is_kept_from_the_model(
    cells,
):
    """Under a new name the values would be seen; without them, a result goes to the
    conversation as ever.
    """
    ran = cells.run(
        "%%mcp_sql notebook --into one\nselect 'real: ' || email as e from revenue order by id limit 1"
    )
    assert "made from masked columns (email)" in ran.text
    assert cells.run("print(one.e[0])").text.strip() == "real: x1"
    cells.run("%%mcp_sql notebook --into plain\nselect id from revenue")
    listed = [
        line.split()[0]
        for line in cells.run("%mcp_shared").text.splitlines()[1:]
        if line.split()
    ]
    assert "plain" in listed
    assert "one" not in listed


def test_files_and_objects_are_shared_by_path_and_by_function(cells):
    """A data file under its stem; an object that no variable holds under the name it is
    given; taken back by name.
    """
    assert "more" in cells.run("%mcp_share more.csv").text
    assert (
        cells.run(
            "print(mcp_notebook.share(pd.DataFrame({'z': [7]}), as_='made'))"
        ).text.strip()
        == "made"
    )
    shared = cells.run(
        "one = mcp_notebook.share('sales')\n"
        "print(f\"{one} {mcp_notebook.share(sales, as_='again')}\")"
    )
    assert shared.text.strip() == "sales again"
    cells.run("%%mcp_sql notebook --into two\nselect z, a, b from made, more")
    assert cells.run("print(two.iloc[0].tolist())").text.strip() == "[7, 1, 2]"
    assert cells.run("mcp_notebook.unshare('made', 'again')").status == "ok"
    left = cells.run("%mcp_unshare more").text
    assert "made" not in left
    assert "again" not in left


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("%mcp_share", "Name the tables"),
        ("%mcp_share nowhere", "no table 'nowhere'"),
        ("%mcp_share gone.csv", "no file gone.csv"),
        ("%mcp_share sales --as", "one name for each"),
        ("%mcp_share sales --as 'a b'", "cannot be a table's name"),
        ("%mcp_share sales --into x", "--into is no option"),
        ("other = sales\n%mcp_share other --as revenue", "another table already"),
        ("number = 3\n%mcp_share number", "number holds int, no table"),
        ("mcp_notebook.share(sales.head(1))", "give it a name with as_"),
        ("%mcp_unshare nowhere", "no table 'nowhere'"),
        ("%mcp_serve --wrong", "%mcp_serve --status"),
    ],
)
def test_what_cannot_be_shared_is_one_sentence(cells, line: str, why: str):
    """And nothing changes."""
    ran = cells.run(line)
    assert ran.status == "error"
    assert why in ran.text
    assert "Traceback" not in ran.text


@pytest.mark.slow
def test_what_claude_made_and_what_a_question_names_goes_outside_only_when_it_is_shared(
    cells, api, folder
):
    """The conversation has them by themselves; a name in a question does not open a
    table to others.
    """
    cells.run("%mcp_share sales\nmine = pd.DataFrame({'secret': [1]})")
    api.replies += [
        Reply([use("notebook__query", {"sql": "select count(*) as n from mine"})]),
        Reply([text("One.")]),
    ]
    assert cells.run("%%claude --into counted\nCount @mine").status == "ok"
    served = cells.run("%mcp_serve")
    assert served.status == "ok", served.text
    listed = [
        row[0] for row in rpc(folder, "list_tables", {})["structuredContent"]["rows"]
    ]
    assert "sales" in listed
    assert "mine" not in listed
    assert rpc(folder, "query", {"sql": "select * from mine"})["isError"]
    cells.run("%mcp_share counted")
    assert "counted" in str(rpc(folder, "list_tables", {})["structuredContent"])
    api.replies += [
        Reply([use("notebook__query", {"sql": "select 5 as n from mine"})]),
        Reply([text("Five.")]),
    ]
    assert cells.run("%%claude --into counted\nAgain @mine").status == "ok"
    # It was the earlier table that the person shared, not its name.
    assert rpc(folder, "query", {"sql": "select n from counted"})["isError"]
    cells.run("%mcp_share --follow counted")
    assert rpc(folder, "query", {"sql": "select n from counted"})["structuredContent"][
        "rows"
    ] == [[5]]
    shown = cells.run("%mcp_shared").text
    assert "this conversation and clients outside" in shown
    assert "s ago" in shown or "min ago" in shown


def test_the_model_is_never_told_a_masked_value(cells, api):
    """Whatever its statement makes of the column: what is sent to the model holds none."""
    count = len(api.requests)
    sql = "select email as e, upper(email) as u, substr(email, 2) as s from sales"
    api.replies += [
        Reply([use("notebook__query", {"sql": sql})]),
        Reply([text("Done.")]),
    ]
    assert cells.run("%%claude\nShow @sales").status == "ok"
    sent = json.dumps(api.requests[count:], default=str)
    assert "masked:" in sent
    assert "x1" not in sent.replace("0x1", "")


def test_outside_clients_are_answered_while_a_cell_runs_and_see_what_is_served(cells):
    """The main thread computes; the answer comes before the cell's end. The
    configuration names the notebook.
    """
    cells.run("%mcp_share sales")
    cells.run("%mcp_serve")
    status = cells.run("%mcp_serve --status").text
    assert "Serving on http://127.0.0.1:" in status
    (file,) = Path(status.split("with the token in ")[1].split("\n")[0]).parent.glob(
        "*.json"
    )
    answers: list = []
    ask = threading.Thread(
        target=lambda: answers.append(
            call_by_file(file, "query", {"sql": "select count(*) from sales"})
        )
    )
    running = cells.start("import os, time\nuntil = time.time() + 60\n"
                          "while not os.path.exists('stop') and time.time() < until: sum(range(1000))\n"
                          "print(time.time() < until)")  # fmt: skip
    ask.start()
    ask.join(50)
    (file.parent.parent / "stop").write_text("")
    assert "True" in cells.finish(running).text
    assert answers[0]["structuredContent"]["rows"] == [[3]]
    configured = cells.run("%mcp_serve").text
    assert '"--kernel", "analysis"]' in configured
    assert json.loads(file.read_text())["token"] not in configured
    assert (
        cells.run("%mcp_serve --stop").text.strip()
        == "The shared tables are no longer served outside."
    )
    assert not file.exists()


def test_completion_in_the_sharing_magics(cells):
    """Tables for %mcp_share, shared names for %mcp_unshare, options."""

    def complete(line: str) -> list[str]:
        message = cells.client.complete(line, len(line))
        while True:
            answer = cells.client.get_shell_msg(timeout=60)
            if answer["parent_header"].get("msg_id") == message:
                return answer["content"]["matches"]

    assert "sales" in complete("%mcp_share sa")
    assert complete("%mcp_unshare rev") == ["revenue"]
    assert complete("%mcp_share sales --a") == [
        "--about",
        "--about-columns",
        "--as",
    ]
    assert complete("%mcp_serve --s") == ["--status", "--stop"]
