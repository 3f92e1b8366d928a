"""Servers by other people work through our sessions: they connect, list, and answer a
call that becomes a table.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcp_notebook.config import (
    ConnectOptions,
    StdioServer,
    build_server,
    resolve_command,
)
from mcp_notebook.results import read
from mcp_notebook.sessions import Session, Sessions
from mcp_notebook.sessions.process import server_environment
from tests.others import installed
from tests.others.catalog import Other, others, prepare
from tests.others.postgres import cluster

pytestmark = [pytest.mark.node, pytest.mark.slow]
# servers that start at the same time; more only slow each other down on a small machine
AT_ONCE = 3
PLAIN_LIMIT = 120.0  # seconds
TABLES = {"sqlite": {"id": [1, 2], "name": ["it's", None]}}


@pytest.fixture
async def sessions():
    registry = Sessions()
    yield registry
    await registry.close_all()


async def said(sessions: Sessions, other: Other) -> str:
    """Connect, list and call one; what is wrong in words, or an empty string."""
    session = await sessions.connect(other.name, other.spec(), timeout=180)
    if other.tool not in [tool.name for tool in session.tools]:
        return f"{other.name} lists no {other.tool}"
    outcome = await session.call(other.tool, dict(other.arguments), timeout=60)
    reading = read(outcome.result)
    text = str(outcome.result.content)
    await sessions.disconnect(other.name)
    if (
        outcome.result.is_error or reading.error is not None
    ) != other.fails or other.says not in text.replace("\\'", "'"):
        return f"{other.name} answered {text[:200]}"
    wanted = TABLES.get(other.name)
    return (
        ""
        if wanted is None or reading.tables[0].data.to_pydict() == wanted
        else f"{other.name} gave another table"
    )


async def test_a_dozen_servers_from_pypi_and_npm_connect_list_and_answer(
    sessions: Sessions, tmp_path: Path
):
    prepare(tmp_path)
    known = others(tmp_path)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(other: Other) -> str:
        async with gate:
            try:
                return await said(sessions, other)
            except Exception as error:
                # boundary: one server's failure must not hide the others'
                return f"{other.name}: {error} {getattr(error, 'detail', '')}"

    wrong = [
        line for line in await asyncio.gather(*(one(other) for other in known)) if line
    ]
    assert len(known) >= 12
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def nowhere() -> Iterator[TextIO]:
    with open(os.devnull, "w") as file:
        yield file


async def plainly_connects(spec: StdioServer, errors: TextIO) -> bool:
    """Whether the SDK's own session, with nothing of ours around it, connects and lists."""
    found = resolve_command(spec)
    parameters = StdioServerParameters(
        command=found.command,
        args=list(found.args),
        env=server_environment(found.env),
        cwd=found.cwd,
    )
    try:
        async with (
            asyncio.timeout(PLAIN_LIMIT),
            stdio_client(parameters, errlog=errors) as (read_end, write_end),
            ClientSession(read_end, write_end) as session,
        ):
            await session.initialize()
            await session.list_tools()
    except Exception:
        # boundary: whatever it is, the plain SDK does not connect this one
        return False

    return True


async def test_whatever_the_sdks_own_session_connects_we_connect(
    sessions: Sessions, tmp_path: Path, nowhere: TextIO
):
    prepare(tmp_path)
    wrong = []
    for other in others(tmp_path):
        spec = other.spec()
        if not isinstance(spec, StdioServer) or not await plainly_connects(
            spec, nowhere
        ):
            continue

        try:
            await sessions.connect(other.name, spec, timeout=180)
            await sessions.disconnect(other.name)
        except Exception as error:
            # boundary: one server's failure must not hide the others'
            wrong.append(f"{other.name}: {error}")

    assert not wrong, "\n".join(wrong)


async def test_a_server_that_needs_the_older_sdk_says_how_to_get_it(sessions: Sessions):
    # The same server started by a Python that has today's SDK: what a plain `pip install` gives.
    script = installed.pypi("mcp-server-sqlite")[0]
    python = str(installed.folder() / "py-mcp2" / "bin" / "python")
    packages = next((Path(script).parents[1] / "lib").glob("python*/site-packages"))
    code = f"import mcp, sys; sys.path.append({str(packages)!r}); import mcp_server_sqlite; mcp_server_sqlite.main()"
    with pytest.raises(Exception, match="mcp<2"):
        await sessions.connect(
            "old", build_server(ConnectOptions(words=(python, "-c", code))), timeout=180
        )


async def test_dbhub_from_npm_on_postgresql(sessions: Sessions):
    with cluster() as url:
        words = [
            *installed.npm("dbhub"),
            "--transport",
            "stdio",
            "--dsn",
            f"{url}?sslmode=disable",
        ]
        session: Session = await sessions.connect(
            "dbhub", build_server(ConnectOptions(words=tuple(words))), timeout=180
        )
        sql = "select g as n, 'x' || g as label, g * 1.5::numeric as price from generate_series(1, 3) g"
        outcome = await session.call("execute_sql", {"sql": sql})
    (table,) = read(outcome.result, sql=sql).tables
    assert table.data.num_rows == 3
    assert table.data.column("label").to_pylist() == ["x1", "x2", "x3"]
