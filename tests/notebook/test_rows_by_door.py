"""The same rows by every door: what a person's call, a magic and Claude's call give of
one large answer of the bundled servers, and what is said where an answer is cut.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.fake_messages import FakeMessages, Reply, text, use
from tests.sharing.postgres_server import running

MILLION, MANY, FEW = 1_000_000, 20_000, 7
SQL = {
    "sqlite": "with recursive r(n) as (select 1 union all select n + 1 from r where n < {rows}) select n from r",
    "duckdb": "select range as n from range({rows})",
    "postgres": "select generate_series(1, {rows}) as n",
    "notebook": "select range as n from range({rows})",
}  # fmt: skip
TOOLS = {
    name: "query" if name == "notebook" else "query_database"
    for name in [*SQL, "limited"]
}
# in a process of its own, as a kernel is: what it prints is what the person sees
SCRIPT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
import mcp_notebook
server, tool, sql, command, url = json.loads(sys.argv[1])
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "mcp_notebook")
if command:
    mcp_notebook.connect(server, command, allow=("*",))
place = f"{server}.{tool}"
given = {"sql": sql}
sizes = {"call": len(mcp_notebook.call(place, given))}
if server != "notebook":
    sizes["method"] = len(mcp_notebook.server(server)[tool](sql=sql))
shell.run_line_magic("mcp_call", f"{place} {json.dumps(given)} --into by_line")
sizes["line"] = len(shell.user_ns["by_line"])
shell.run_cell_magic("mcp_sql", f"{server} --into by_cell", sql)
sizes["cell"] = len(shell.user_ns["by_cell"])
if url:
    before = set(shell.user_ns)
    shell.run_cell_magic("claude", server, "How many?")
    (name,) = [n for n in set(shell.user_ns) - before if hasattr(shell.user_ns[n], "attrs")]
    sizes["claude"] = len(shell.user_ns[name])
    assert mcp_notebook.result().table is shell.user_ns[name]
print(json.dumps(sizes))
"""  # fmt: skip


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A database of each kind that a bundled server serves."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "x.db").touch()
    duckdb.connect(folder / "x.duckdb").close()
    urls = {
        "sqlite": f"sqlite:///{folder}/x.db",
        "duckdb": f"duckdb:///{folder}/x.duckdb",
        "notebook": "",
    }
    # another user runs the server, and a socket's path must be short
    place = Path(tempfile.mkdtemp(prefix="mcpn-pg-", dir="/tmp"))
    place.chmod(0o755)
    try:
        with running(place) as server:
            yield {**urls, "postgres": server.url("ro")}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_doors(
    server: str, sql: str, url: str, folder: Path, *options: str
) -> tuple[dict[str, int], str]:
    """The rows by each door, and all that was printed."""
    command: list[str] = []
    if url:
        command = ["mcp-notebook", "serve", "database"]
        command += ["--url", url, *options]

    # not the very call that was made by hand, which has its name already
    question = use(f"{server}__{TOOLS[server]}", {"sql": f"{sql} "})
    replies = iter([Reply([question]), Reply([text("Many.")])])
    with FakeMessages(lambda body, n: next(replies)) as model:
        given = json.dumps([server, TOOLS[server], sql, command, model.url])
        environ: dict[str, Any] = {
            **os.environ,
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": model.api_key,
            "MCP_NOTEBOOK_CONFIG_DIR": str(folder),
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, given],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.strip().splitlines()
    return json.loads(last), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("server", SQL)
def test_every_door_gives_all_rows(
    server: str, urls: dict[str, str], tmp_path: Path
) -> None:
    sql = SQL[server].format(rows=MILLION)
    sizes, said = run_doors(server, sql, urls[server], tmp_path)
    assert len(sizes) == (4 if server == "notebook" else 5)
    assert set(sizes.values()) == {MILLION}
    assert "cut" not in said


@pytest.mark.slow
def test_every_door_says_what_was_cut(urls: dict[str, str], tmp_path: Path) -> None:
    sql = SQL["duckdb"].format(rows=MANY)
    limit = ("--max-rows", str(FEW))
    sizes, said = run_doors("limited", sql, urls["duckdb"], tmp_path, *limit)
    assert set(sizes.values()) == {FEW}
    # from code it is a warning of the log, in a cell a line, in Claude's card a mark
    assert said.count(f"cut after {FEW} rows, there are more") >= len(sizes)
    assert "cut by the server" in said
