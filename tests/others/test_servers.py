"""Servers by other people work through our sessions: they connect, list, and answer a call that becomes a table."""

import sqlite3
from pathlib import Path

import pytest

from mcp_notebook.config import parse_target
from mcp_notebook.results import read
from mcp_notebook.sessions import Sessions
from tests.others import installed
from tests.others.postgres import cluster

pytestmark = [pytest.mark.node, pytest.mark.slow]


@pytest.fixture
async def sessions():
    registry = Sessions()
    yield registry
    await registry.close_all()


async def connected(sessions: Sessions, *words: str):
    return await sessions.connect("other", parse_target(words), timeout=120)


async def test_mcp_server_sqlite_from_pypi_in_its_own_environment(sessions, tmp_path: Path):
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table orders (id integer, name text)")
        database.execute("insert into orders values (1, 'it''s'), (2, null)")
    command = installed.pypi("mcp-server-sqlite", "mcp-server-sqlite", "mcp<2")
    session = await connected(sessions, command, "--db-path", str(tmp_path / "a.db"))
    assert "read_query" in [t.name for t in session.tools]
    outcome = await session.call("read_query", {"query": "select * from orders order by id"})
    (table,) = read(outcome.result).tables
    assert table.data.to_pydict() == {"id": [1, 2], "name": ["it's", None]}


async def test_server_everything_from_npm(sessions):
    package = "@modelcontextprotocol/server-everything"
    session = await connected(sessions, *installed.npm(f"{package}/dist/index.js", package))
    assert len(session.tools) > 5
    outcome = await session.call("echo", {"message": "hello"})
    reading = read(outcome.result)
    assert "hello" in reading.text
    assert reading.tables == ()


async def test_dbhub_from_npm_on_postgresql(sessions):
    package = "@bytebase/dbhub"
    command = installed.npm(f"{package}/dist/index.js", package, "pg")
    with cluster() as url:
        session = await connected(sessions, *command, "--transport", "stdio", "--dsn", f"{url}?sslmode=disable")
        sql = "select g as n, 'x' || g as label, g * 1.5::numeric as price from generate_series(1, 3) g"
        outcome = await session.call("execute_sql", {"sql": sql})
    (table,) = read(outcome.result, sql=sql).tables
    assert table.data.num_rows == 3
    assert table.data.column("label").to_pylist() == ["x1", "x2", "x3"]
