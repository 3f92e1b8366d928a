"""Twelve recorded cells: with live tools and offline they give the same words and tables,
and where rows changed these are named.
"""

import contextlib
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mcp_notebook.notebook_commands import execute
from mcp_notebook.replay.sidecar import TABLES, read_sidecar
from tests.fake_messages import FakeMessages, Reply, text, use

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
CELLS = 12
SQL = {
    1: "select id, amount, email, day from orders",
    2: "select count(*) as n from orders",
    3: "select * from empty",
    4: "select broken from orders",
}
TABLES_OF = "t1 t2 hand mine"
SECRET = "sk-ant-api03-" + "a1B2" * 20


def sql_of(number: int) -> str:
    return SQL.get(number, f"select id, amount * {number} as a from orders limit 7")


def answer(body: dict[str, Any], _number: int) -> Reply:
    """A model that asks the shop once a cell, and says what it was shown."""
    last = body["messages"][-1]["content"]
    said = [block["text"] for block in last if block["type"] == "text"]
    if said:
        number = int(re.search(r"Question (\d+)", said[0])[1])
        return Reply([use("shop__query_database", {"sql": sql_of(number)})])

    shown = str(last[0]["content"])
    return Reply([text(f"It has {len(shown)} characters, and begins {shown[:90]!r}.")])


def write_shop(file: Path, changed: dict[int, float] | None = None) -> None:
    file.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "create table orders (id integer primary key, amount real, email text, "
            "day date, note text)"
        )
        database.execute("create table empty (a integer, b text)")
        amounts = {n: n * 1.5 for n in range(1, 501)} | (changed or {})
        rows = [
            (
                n,
                amount,
                f"person{n}@example.com",
                "2026-01-02",
                SECRET if n == 9 else "x",
            )
            for n, amount in amounts.items()
        ]
        database.executemany("insert into orders values (?, ?, ?, ?, ?)", rows)


def write_notebook(file: Path, first: str) -> None:
    sources = [
        f"%load_ext mcp_notebook\n%config MCPNotebook.mask = ['email']\n{first}",
        "%mcp_connect shop mcp-notebook serve database --url sqlite:///shop.db",
        *(f"%%claude\nQuestion {n}?" for n in range(1, CELLS + 1)),
        "%%mcp_sql shop --into hand\nselect id, email, note from orders limit 12",
        "import mcp_notebook\nmine = mcp_notebook.call('shop.query_database', {'sql': 'select 1 as one'})",
        "for name in [n for n in list(globals()) if not n.startswith('_')]:\n"
        "    value = globals()[name]\n"
        "    if type(value).__name__ == 'DataFrame':\n"
        "        shown = value.drop(columns=['email'], errors='ignore')\n"
        "        shown = shown.drop(columns=['note'], errors='ignore')\n"
        "        print(name, shown.dtypes.to_dict(), shown.to_csv())",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for number, cell in enumerate(cells):
        cell.id = f"cell{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)


def outputs(file: Path) -> list[str]:
    """What each cell shows as text, without how it is told where it comes from."""
    found = []
    for cell in nbformat.read(file, as_version=4).cells:
        said = [
            output.get("text") or output.get("data", {}).get("text/plain", "")
            for output in cell.outputs
        ]
        footers = ("tokens in", "recorded 20")
        kept = [line for line in said if not any(word in line for word in footers)]
        # what is printed comes in pieces as it happens
        found.append("".join(kept))
    return found


def play(file: Path, **options: Any) -> tuple[int, list[str], str]:
    out = file.with_name("ran.ipynb")
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = execute(file, save_to=out, quiet=True, backend="replay", **options)
    shown = outputs(out)
    out.unlink()
    return code, shown, said.getvalue()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Iterator[Path]:
    """A folder with a notebook, its recording, and no model."""
    folder = tmp_path_factory.mktemp("recorded")
    file = folder / "twelve.ipynb"
    write_shop(folder / "shop.db")
    write_notebook(file, "%claude_record on --tools")
    patch = pytest.MonkeyPatch()
    with FakeMessages(answer) as api:
        patch.setenv("ANTHROPIC_BASE_URL", api.url)
        patch.setenv("ANTHROPIC_API_KEY", api.api_key)
        assert execute(file, save_to=file, quiet=True) == 0

    for name in KEYS:
        patch.delenv(name, raising=False)
    (folder / "live.json").write_text(json.dumps(outputs(file)))
    write_notebook(file, "")
    yield file
    patch.undo()


WANTED = (
    "3 rows changed: id 17 (amount 25.5 → 1.0), id 203 (amount 304.5 → 2.0), "
    "id 499 (amount 748.5 → 3.25)"
)
pytestmark = pytest.mark.slow


def answers(shown: list[str]) -> list[str]:
    """What the questions gave; the person's card shows masked values that are here."""
    hidden = [re.sub(r"person\d+@example.com", "***", s) for s in shown]
    return [re.sub(r"[ -]+", " ", words) for words in hidden[2 : CELLS + 2]]


def test_twelve_cells_are_the_same_with_live_tools_and_offline(recorded: Path):
    live = json.loads((recorded.parent / "live.json").read_text())
    assert all("It has" in words for words in answers(live))
    code, shown, said = play(recorded, strict=True)
    assert (code, said) == (0, "")
    assert answers(shown) == answers(live)
    assert shown[-1] == live[-1]
    shop = recorded.parent / "shop.db"
    shop.rename(shop.with_suffix(".away"))
    try:
        code, shown, said = play(recorded, strict=True, offline=True)
    finally:
        shop.with_suffix(".away").rename(shop)

    assert (code, said) == (0, "")
    assert "from the recording, not started" in shown[1]
    assert answers(shown) == answers(live)
    assert shown[-1] == live[-1]


def test_nothing_secret_or_masked_is_recorded(recorded: Path):
    folder = recorded.parent
    files = [recorded.with_suffix(".claude.json"), *(folder / TABLES).iterdir()]
    whole = b"".join(file.read_bytes() for file in files)
    assert len(files) > 1
    assert b"person9@" not in whole
    assert SECRET.encode() not in whole
    content = read_sidecar(files[0])
    assert len(content.calls) == CELLS + 2
    assert content.servers.keys() == {"shop"}


def test_three_changed_rows_are_named(recorded: Path):
    shop = recorded.parent / "shop.db"
    write_shop(shop, {17: 1.0, 203: 2.0, 499: 3.25})
    try:
        code, shown, _ = play(recorded)
    finally:
        write_shop(shop)

    assert code == 0
    # above the answer that was written for other data
    assert 0 < shown[2].index(WANTED) < shown[2].index("It has")
