"""Resources and prompts of a server in a real kernel: read, attached, completed, put
into a cell.
"""

import sys
from pathlib import Path

import pytest

from tests.fake_messages import FakeMessages, Reply, text, use
from tests.kernel.driver import Kernel, kernel

LIBRARY = Path(__file__).parents[1] / "servers" / "library.py"


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
    with kernel(tmp_path_factory.mktemp("library"), environ) as running:
        assert running.run("%load_ext mcp_notebook").status == "ok"
        ran = running.run(
            f"%mcp_connect library --allow '*' {sys.executable} {LIBRARY}"
        )
        assert ran.status == "ok", ran.text
        yield running


def completions(cells: Kernel, code: str) -> list[str]:
    reply = cells.client.complete(code, len(code), reply=True, timeout=60)
    return reply["content"]["matches"]


def test_resources_and_templates_are_listed(cells):
    ran = cells.run("%mcp_resources library")
    assert ran.status == "ok", ran.text
    for uri in ("data://orders.csv", "note://rules", "table://{name}"):
        assert uri in ran.text


@pytest.mark.parametrize(
    ("uri", "shape"),
    [
        ("data://orders.csv", "(3, 3)"),
        ("data://customers.json", "(2, 2)"),
        ("data://days.parquet", "(2, 2)"),
        ("table://people", "(2, 2)"),
    ],
)
def test_a_resource_with_rows_becomes_a_dataframe(cells, uri, shape):
    ran = cells.run(f"%mcp_read library {uri} --into table")
    assert ran.status == "ok", ran.text
    assert shape in cells.run("print(table.shape)").text


def test_a_resource_is_named_after_its_address_and_read_again_under_the_same_name(
    cells,
):
    for _ in range(2):
        assert (
            "orders: 3 rows × 3 columns"
            in cells.run("%mcp_read library data://orders.csv").text
        )


def test_a_text_is_printed(cells):
    assert "Totals are in euros." in cells.run("%mcp_read library note://rules").text


def test_what_is_not_there_is_one_sentence(cells):
    ran = cells.run("%mcp_read library note://nothing")
    assert ran.status == "error"
    assert "SessionError" in ran.text
    assert "Traceback" not in ran.text


@pytest.mark.slow
def test_a_mentioned_resource_is_attached_tables_as_previews_and_texts_without_secrets(
    cells, api
):
    first = len(api.requests)
    api.replies += [Reply([text("ok")])]
    ran = cells.run(
        "%%claude --new\nSum @library:data://orders.csv by the rules (@library:note://rules)."
    )
    assert ran.status == "ok", ran.text
    blocks = [b["text"] for b in api.requests[first]["messages"][0]["content"]]
    assert blocks.pop(1).startswith("Today is")
    assert (
        blocks[0]
        == "Sum @library:data://orders.csv by the rules (@library:note://rules)."
    )
    assert "`orders`" in blocks[1] or "orders:" in blocks[1]
    assert "3 rows" in blocks[1]
    assert "Totals are in euros." in blocks[2]
    assert "abcdefghijklmnop" not in str(api.requests[first])
    assert "(3, 3)" in cells.run("print(orders.shape)").text


def test_a_mention_that_cannot_be_read_ends_the_cell_before_the_model_is_asked(
    cells, api
):
    asked = len(api.requests)
    ran = cells.run("%%claude\nLook at @library:note://nothing please.")
    assert ran.status == "error"
    assert "@library:note://nothing cannot be attached" in ran.text
    assert len(api.requests) == asked


def test_a_table_that_a_result_links_to_comes_with_it(cells, api):
    first = len(api.requests)
    api.replies += [Reply([use("library__export", {})]), Reply([text("done")])]
    ran = cells.run("%%claude --new --into exported\nExport the orders.")
    assert ran.status == "ok", ran.text
    assert "(3, 3)" in cells.run("print(exported.shape)").text
    assert "3 rows" in str(api.requests[first + 1]["messages"][-1])


def test_a_prompt_goes_into_the_next_cell_and_names_only_its_own_servers_resources(
    cells,
):
    message = cells.start('%mcp_prompt library.report country=FI style="very long"')
    payload: list = []
    while not payload:
        reply = cells.client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == message:
            payload = reply["content"]["payload"]
    cell = payload[0]["text"]
    assert cell.startswith(
        "%%claude\nWrite a very long report on FI from @library:data://orders.csv"
    )
    assert "@shop" not in cell


def test_a_prompt_can_be_asked_at_once(cells, api):
    first = len(api.requests)
    api.replies += [Reply([text("The report.")])]
    ran = cells.run("%mcp_prompt --ask library.report country=FI")
    assert ran.status == "ok", ran.text
    assert "The report." in ran.text
    blocks = api.requests[first]["messages"][-1]["content"]
    assert "short report on FI" in blocks[0]["text"]
    blocks = [block for block in blocks if not block["text"].startswith("Today is")]
    assert "3 rows" in blocks[1]["text"]


def test_a_picture_of_a_prompt_is_a_variable_that_the_question_names(cells, api):
    first = len(api.requests)
    api.replies += [Reply([text("A dot.")]), Reply([text("Still a dot.")])]
    for _ in range(2):  # the same picture is the same variable
        ran = cells.run("%mcp_prompt --ask library.look what=it")
        assert ran.status == "ok", ran.text
    for request in api.requests[first:]:
        blocks = request["messages"][-1]["content"]
        assert "What is it?\n\n@look_picture\n\n[image]" in blocks[0]["text"]
        assert [b["type"] for b in blocks].count("image") == 1
    made = cells.run("print([n for n in dir() if n.startswith('look_')])").text
    assert "['look_picture']" in made


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("library.report", "needs country=…"),
        ("library.report country=FI colour=red", "has no argument 'colour'"),
        ("library.reprot", "its prompts: report, look"),
        ("library.report FI", "name=value"),
    ],
)
def test_a_wrong_prompt_line_says_what_is_wrong(cells, line, said):
    ran = cells.run(f"%mcp_prompt {line}")
    assert ran.status == "error"
    assert said in ran.text
    assert "Traceback" not in ran.text


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("%%claude\nSum @library:da", "@library:data://orders.csv"),
        ("%%claude\nSum @library:table://o", "@library:table://orders"),
        ("%mcp_read library note", "note://rules"),
        ("%mcp_prompt libr", "library.report"),
        ("%mcp_prompt library.report c", "country="),
        ("%mcp_prompt library.report country=F", "country=FI"),
        ("%mcp_resources lib", "library"),
    ],
)
def test_tab_completes_from_the_server(cells, code, wanted):
    assert wanted in completions(cells, code)
