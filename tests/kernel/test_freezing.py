"""A run in a real kernel, frozen: what is written runs without a model and gives the
same tables.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.fake_messages import FakeMessages, Reply, text, use
from tests.kernel.driver import Kernel, kernel

pytestmark = pytest.mark.slow

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
OFFICE = Path(__file__).parents[1] / "servers" / "office.py"
SHOP = "%mcp_connect shop mcp-notebook serve database --url sqlite:///data/shop.db"
BY_COUNTRY = "select country,\n       count(*) as customers -- '100%' {braces}\nfrom customers\ngroup by 1"
JOINED = "select p.name, c.customers from people p join customers_by_country c using (country) order by p.name"


def script_of(model: dict[str, list]):
    """Replies by the question's first word, then one after the other."""
    played: dict[str, int] = {}

    def reply(body, n):
        said = [m["content"][0] for m in body["messages"] if m["role"] == "user"]
        word = (
            next(b["text"] for b in reversed(said) if b["type"] == "text")
            .split()[0]
            .strip(",.")
        )
        played[word] = played.get(word, 0) + 1
        return model[word][played[word] - 1]

    return reply


MODEL = {
    "Who": [
        Reply(
            [
                use("shop__list_tables"),
                use("office__list_people", {"status": "left", "limit": 2}),
            ]
        ),
        Reply([use("shop__query_database", {"sql": "select nope"})]),
        Reply(
            [
                use("shop__query_database", {"sql": BY_COUNTRY}),
                use("office__add_note", {"text": "seen"}),
            ]
        ),
        Reply([use("notebook__query", {"sql": JOINED})]),
        Reply([text("Ána and **Bo**.")]),
    ],
    "Report": [
        Reply([use("office__report"), use("office__get-rooms_v2", {"floor": 3})]),
        Reply([text("Done.")]),
    ],
    "Hidden": [
        Reply([use("office__motto", {"token": "hunter2hunter2"})]),
        Reply([text("Said.")]),
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("freezing")
    (path / "data").mkdir()
    shutil.copy(NOTEBOOKS / "data" / "shop.db", path / "data")
    return path


@pytest.fixture(scope="module")
def cells(folder):
    """A kernel in which the questions were asked; the tests freeze what it holds."""
    with FakeMessages(script_of(MODEL)) as api:
        environ = {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": api.api_key,
            "OFFICE_TOKEN": "hunter2hunter2",
        }
        with kernel(folder, environ) as running:
            for code in (
                "%load_ext mcp_notebook",
                SHOP,
                f"%mcp_connect office --allow '*' {sys.executable} {OFFICE}",
                "%%claude --into who\nWho left, and how many customers has their country?",
                "who.plot",
            ):
                ran = running.run(code)
                assert ran.status == "ok", ran.text
            yield running


def run_notebook(file: Path, **environ: str) -> nbformat.NotebookNode:
    """Execute a notebook as nbclient and papermill do: no model, no key, nobody there."""
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(file.parent)}}
    ).execute(env=clean(**environ))
    return notebook


def clean(**environ: str) -> dict[str, str]:
    names = ("ANTHROPIC", "OFFICE", "JPY_SESSION_NAME")
    return {k: v for k, v in os.environ.items() if not k.startswith(names)} | environ


def run_script(file: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, file.name],
        cwd=file.parent,
        env=clean(**environ),
        capture_output=True,
        text=True,
        timeout=120,
    )


def freeze(cells: Kernel, options: str) -> str:
    ran = cells.run(f"%mcp_freeze {options}")
    assert ran.status == "ok", ran.text
    return ran.text


def source_of(cells: Kernel, options: str) -> str:
    ran = cells.run(f"%mcp_freeze --print {options}")
    assert ran.status == "ok", ran.text
    return ran.data[0]["text/plain"]


def next_cell(cells: Kernel, code: str) -> str:
    """What a cell puts into the next one, where a frontend with a person is there."""
    message = cells.start(code, stdin=True)
    reply = cells.client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != message:
        reply = cells.client.get_shell_msg(timeout=60)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
    return next(
        p["text"]
        for p in reply["content"]["payload"]
        if p["source"] == "set_next_input"
    )


def test_what_contributed_is_frozen_and_what_is_left_out_is_said(cells):
    source = source_of(cells, "")
    assert [line.partition(" = ")[0] for line in source.splitlines() if " = " in line and line[0] not in " #"] == [
        "office", "shop", "people", "customers_by_country", "who",
    ]  # fmt: skip
    said = freeze(cells, "--print")
    assert "1 call (failed): shop.query_database" in said
    assert "1 call (only looked around): shop.list_tables" in said
    assert "# Not run: it may write" in source
    assert '# add_note = office.add_note(text="seen")' in source


def test_a_frozen_notebook_runs_alone_and_gives_the_same_tables(cells, folder):
    freeze(cells, "--to frozen.ipynb")
    sources = [
        c.source for c in nbformat.read(folder / "frozen.ipynb", as_version=4).cells
    ]
    assert f"%%mcp_sql shop --into customers_by_country\n{BY_COUNTRY}" in sources
    assert "%%mcp_sql notebook --into who" in "\n".join(sources)
    expected = cells.run("print(who.to_json())").text.strip()
    notebook = nbformat.read(folder / "frozen.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print(who.to_json())"))
    nbformat.write(notebook, folder / "frozen_and_shown.ipynb")
    ran = run_notebook(folder / "frozen_and_shown.ipynb")
    assert ran.cells[-1].outputs[0].text.strip() == expected
    assert "as frozen, 2 rows" in json.dumps(ran)


def test_a_frozen_script_runs_alone_and_fails_when_the_data_changed(cells, folder):
    freeze(cells, "who --to frozen.py --with-data")
    assert (folder / "frozen.frozen" / "who.parquet").exists()
    done = run_script(folder / "frozen.py")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    other = folder / "changed"
    shutil.copytree(folder / "data", other / "data")
    shutil.copytree(folder / "frozen.frozen", other / "frozen.frozen")
    source = (
        (folder / "frozen.py")
        .read_text()
        .replace("group by 1", "where country <> 'Sweden' group by 1")
    )
    (other / "frozen.py").write_text(source)
    done = run_script(other / "frozen.py")
    assert done.returncode == 1
    assert "customers_by_country is not what it was when it was frozen" in done.stderr
    assert "0 rows added, 1 removed" in done.stderr


def test_a_frozen_notebook_whose_check_fails_stops_with_what_changed(cells, folder):
    freeze(cells, "who --to strict.ipynb")
    file = folder / "strict.ipynb"
    file.write_text(file.read_text().replace("rows=2", "rows=3"))
    with pytest.raises(CellExecutionError, match="3 rows before, 2 now"):
        run_notebook(file)


def test_a_file_is_never_replaced_unasked(cells, folder):
    (folder / "there.py").write_text("mine")
    ran = cells.run("%mcp_freeze who --to there.py")
    assert ran.status == "error"
    assert "--force" in ran.text
    assert (folder / "there.py").read_text() == "mine"
    freeze(cells, "who --to there.py --force")
    assert "mcp_notebook" in (folder / "there.py").read_text()


def test_with_a_person_there_the_code_goes_into_the_next_cell(cells):
    code = next_cell(cells, "%mcp_freeze who --no-checks")
    assert 'shop = mcp_notebook.server("shop")' in code
    assert "mcp_notebook.connect" not in code
    ran = cells.run(code + "\nprint(len(who))")
    assert (ran.status, ran.text.strip()) == ("ok", "2"), ran.text


def test_tables_that_code_was_given_can_be_queried_in_the_next_cell(cells):
    cells.run(
        'import mcp_notebook\npeople_now = mcp_notebook.server("office").list_people()'
    )
    ran = cells.run("%%mcp_sql notebook --into n\nselect count(*) as n from people_now")
    assert ran.status == "ok", ran.text
    source = source_of(cells, "n")
    assert "people_now = office.list_people()" in source
    assert "people_now=people_now" in source


def test_help_and_completion(cells):
    shown = cells.client.execute("%mcp_freeze?")
    reply = cells.client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != shown:
        reply = cells.client.get_shell_msg(timeout=60)
    assert "--include-writes" in reply["content"]["payload"][0]["data"]["text/plain"]
    reply = cells.client.complete("%mcp_freeze wh", 14, reply=True, timeout=60)
    assert "who" in reply["content"]["matches"]
    reply = cells.client.complete("%mcp_freeze who --no", 20, reply=True, timeout=60)
    assert "--no-checks" in reply["content"]["matches"]


def test_several_tables_of_a_call_and_odd_tool_names(cells, folder):
    assert cells.run("%%claude\nReport, please.").status == "ok"
    source = source_of(cells, "")
    assert 'mcp_notebook.call("office.report", tables=True)' in source
    assert 'office["get-rooms.v2"](floor=3)' in source
    freeze(cells, "--to report.ipynb")
    run_notebook(folder / "report.ipynb")


def test_a_secret_argument_is_read_from_its_variable(cells, folder):
    assert cells.run("%%claude\nHidden, please.").status == "ok"
    freeze(cells, "--all --to hidden.py")
    source = (folder / "hidden.py").read_text()
    assert 'office.motto(token=os.environ["OFFICE_TOKEN"])' in source
    assert "hunter2" not in source
    assert (
        run_script(folder / "hidden.py", OFFICE_TOKEN="hunter2hunter2").returncode == 0
    )


def test_a_server_that_is_gone_is_connected_by_the_code(cells):
    cells.run("%mcp_disconnect shop")
    code = next_cell(cells, "%mcp_freeze who --no-checks")
    assert 'shop = mcp_notebook.connect("shop", "mcp-notebook serve database' in code
    ran = cells.run(code)
    assert ran.status == "ok", ran.text


def test_before_any_call_there_is_nothing_to_freeze(tmp_path):
    with kernel(tmp_path) as running:
        running.run("%load_ext mcp_notebook")
        ran = running.run("%mcp_freeze")
    assert ran.status == "error"
    assert "Nothing to freeze yet" in ran.text
    assert "Traceback" not in ran.text
