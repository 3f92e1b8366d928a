"""Fixtures of the server tests: the sample database, a small database that attacks
know, an in-process client.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp import Client

from mcp_notebook.sharing.database import build_database_server
from mcp_notebook.sharing.engines import StatementLimits, open_engine
from mcp_notebook.sharing.query import SqlRunner

SHOP = Path(__file__).parents[2] / "notebooks" / "data" / "shop.db"


@pytest.fixture
def small_database(tmp_path: Path) -> Path:
    """A database with awkward contents: what a statement must not change, and values
    that are hard to carry.
    """
    path = tmp_path / "small.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            create table t (a INTEGER, b TEXT);
            insert into t values (1, 'x'), (2, 'y');
            create table secrets (k TEXT);
            insert into secrets values ('hidden');
            create table typed (n INTEGER, d DATE, p DECIMAL(10,2), f BOOLEAN, x BLOB, loose INTEGER, s TIMESTAMP);
            insert into typed values (9007199254740993, '2026-05-01', 12.5, 1, x'00ff', 'text', '2026-05-01 10:00:00');
            insert into typed values (null, null, null, null, null, 3, null);
            """
        )
    return path


@asynccontextmanager
async def database_client(
    path: Path, *, tables: list[str] | None = None, **limits: Any
) -> AsyncIterator[Client]:
    """A client connected in process to the database server of a SQLite file."""
    engine = open_engine(f"sqlite:///{path}", tables=tables)
    async with Client(
        await build_database_server(engine, StatementLimits(**limits))
    ) as client:
        yield client


async def query(client: Client, sql: str) -> Any:
    """Call `query_database`."""
    return await client.call_tool("query_database", {"sql": sql})


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SqlRunner]:
    """A SQL worker that ends with the file: its start is most of what a test costs, so
    who asks for it names `pytest.mark.asyncio(loop_scope="module")`.
    """
    runner = SqlRunner()
    yield runner
    await runner.close()
