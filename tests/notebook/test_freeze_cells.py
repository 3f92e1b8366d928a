"""Freezing to files: what is written for a server behind a token, and which files and
folders are possible.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import mcp_notebook
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook.freeze_cells import Freeze, freeze
from tests.servers.office import build
from tests.sharing.test_serve import TOKEN, served


def run(file: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, file.name]
    return subprocess.run(
        command,
        cwd=file.parent,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
async def test_a_server_behind_a_token_is_reached_with_the_variable_and_the_token_is_nowhere(
    state,
    tmp_path: Path,
    monkeypatch,
):
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    async with served("--transport", "http", "--token-env", "SHOP_TOKEN") as address:
        shop = await mcp_notebook.aconnect(
            "shop", address, headers={"Authorization": "Bearer ${SHOP_TOKEN}"}
        )
        state.shell.user_ns["orders"] = await shop.aio.query_database(
            sql="select count(*) as n from orders"
        )
        frozen = freeze(
            state, Freeze(names=("orders",), to=str(tmp_path / "frozen.py"))
        )
        freeze(state, Freeze(names=("orders",), to=str(tmp_path / "frozen.ipynb")))
        for file in ("frozen.py", "frozen.ipynb"):
            assert TOKEN not in (tmp_path / file).read_text()
            assert "Bearer ${SHOP_TOKEN}" in (tmp_path / file).read_text()
        done = await asyncio.to_thread(run, tmp_path / "frozen.py", dict(os.environ))
        assert done.returncode == 0, done.stderr
        without = {k: v for k, v in os.environ.items() if k != "SHOP_TOKEN"}
        done = await asyncio.to_thread(run, tmp_path / "frozen.py", without)
        assert (
            "needs the environment variable SHOP_TOKEN, which is not set" in done.stderr
        )
    assert "runs in its own folder" in "\n".join(frozen.said)


def test_a_server_object_of_the_persons_own_is_named_as_what_it_is(
    state, tmp_path: Path
):
    state.shell.user_ns["people"] = mcp_notebook.connect(
        "office", build()
    ).list_people()
    for name in ("people.py", "people.ipynb"):
        freeze(state, Freeze(names=("people",), to=str(tmp_path / name)))
        assert (
            "office is a server object of your own code"
            in (tmp_path / name).read_text()
        )


def test_a_resource_is_read_again(state, tmp_path: Path):
    mcp_notebook.connect("office", build())
    state.shell.user_ns["desks"] = mcp_notebook.resource("office", "data://desks.csv")
    freeze(state, Freeze(names=("desks",), to=str(tmp_path / "desks.ipynb")))
    sources = [
        c.source for c in nbformat.read(tmp_path / "desks.ipynb", as_version=4).cells
    ]
    assert "%mcp_read office data://desks.csv --into desks" in sources
    source = freeze(state, Freeze(names=("desks",), show=True)).source
    assert 'desks = mcp_notebook.resource("office", "data://desks.csv")' in source


def test_a_setting_that_a_call_needs_is_kept(state, tmp_path: Path):
    state.shell.user_ns["people"] = mcp_notebook.connect(
        "office", build()
    ).list_people()
    state.settings.tool_timeout = 120
    assert (
        "settings.tool_timeout = 120"
        in freeze(state, Freeze(names=("people",), show=True)).source
    )
    freeze(state, Freeze(names=("people",), to=str(tmp_path / "x.ipynb")))
    assert (
        "%config MCPNotebook.tool_timeout = 120" in (tmp_path / "x.ipynb").read_text()
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Freeze(to="report.html"), "should end with .ipynb or .py"),
        (Freeze(to="nowhere/report.py"), "There is no folder"),
        (Freeze(data=True), "--with-data writes rows beside a file"),
    ],
)
def test_a_place_that_cannot_be_is_one_sentence(state, options, words):
    with pytest.raises(ConfigError, match=words):
        freeze(state, options)
