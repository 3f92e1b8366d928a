"""Large answers over the side channel: a file for the host that offers a folder, capped
text for any other.
"""

import datetime as dt
import decimal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from mcp import Client

from mcp_notebook.agent.call_values import Origin, Shaping
from mcp_notebook.agent.calls import shape
from mcp_notebook.config import StdioServer
from mcp_notebook.config.target import OWN_START
from mcp_notebook.errors import ConfigError
from mcp_notebook.results import read
from mcp_notebook.sessions import Session, Sessions, handover
from mcp_notebook.sharing.database import Handover, build_database_server
from mcp_notebook.sharing.engines import StatementLimits, open_engine
from tests.sharing.conftest import query

ROWS = 5_000


@pytest.fixture(scope="module", params=["sqlite", "duckdb"])
def url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A database of either kind with 5,000 rows of awkward types."""
    path = tmp_path_factory.mktemp("large") / f"large.{request.param}"
    types = "n BIGINT, d DATE, p DECIMAL(10,2), t TEXT, f DOUBLE, s TIMESTAMP"
    rows = [
        (2**53 + n, f"2026-01-{n % 28 + 1:02d}", n / 4, None if n % 7 == 0 else f"text {n}", n * 0.5,
         f"2026-01-01 00:{n % 60:02d}:00")
        for n in range(ROWS)
    ]  # fmt: skip
    if request.param == "sqlite":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"create table big ({types})")
            connection.executemany("insert into big values (?, ?, ?, ?, ?, ?)", rows)
    else:
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create table big ({types})")
            connection.executemany(
                "insert into big values (?, ?, ?, ?, ?, ?)", rows[:50]
            )
            connection.execute(
                f"insert into big select big.* from big, range({ROWS // 50 - 1})"
            )
    return f"{request.param}:///{path}"


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    sessions = Sessions()
    yield sessions
    await sessions.close_all(0.2)


async def connected(sessions: Sessions, url: str, *, offer: bool = True) -> Session:
    spec = StdioServer(sys.executable, (*OWN_START, "serve", "database", "--url", url))
    return await sessions.connect(
        "db", handover.offer_folder(spec) if offer else spec, timeout=60, trusted=True
    )


async def shaped(session: Session, sql: str) -> tuple[Any, list[Any]]:
    """The result of a call as a cell gets it, and its tables."""
    tool = next(tool for tool in session.tools if tool.name == "query_database")
    outcome = await session.call("query_database", {"sql": sql})
    kept: list[Any] = []

    def keep(tables: Any, origin: Origin, write: Any) -> Any:
        names = tuple(f"t{index}" for index in range(len(tables)))
        kept.extend(tables)
        return names, write(names)

    origin = Origin("db", tool.name, {"sql": sql}, "1", "", 0.0)
    return await shape(outcome, tool, origin, keep, Shaping(), session), kept


@pytest.mark.slow
async def test_a_large_answer_comes_as_a_file_and_equals_the_answer_in_json(
    sessions: Sessions, url: str
):
    """Every value and type; the model is shown a preview; no file is left, and the
    table stays readable.
    """
    session = await connected(sessions, url)
    (folder,) = handover.offered_folders(session.spec)
    result, (table,) = await shaped(session, "select * from big order by n")
    assert result.outcome == "ok"
    assert result.reading.reader == "arrow file"
    assert (
        result.received_bytes > table.data.nbytes
    )  # what came beside the answer counts
    assert "5,000 rows × 6 columns" in result.shown
    # not the words for hosts that cannot read the file
    assert "Row 1 holds" not in result.reading.text
    assert list(folder.iterdir()) == []
    engine = open_engine(url)
    async with Client(
        await build_database_server(engine, StatementLimits(rows=ROWS))
    ) as client:
        (same,) = read(await query(client, "select * from big order by n")).tables
    await engine.close()
    assert table.data.to_pylist() == same.data.to_pylist()
    assert table.data.schema.field("d").type == pa.date32()
    row = table.data.slice(1, 1).to_pylist()[0]
    assert row["n"] > 2**53 - 1
    assert isinstance(row["p"], decimal.Decimal)
    assert isinstance(row["s"], dt.datetime)


@pytest.mark.slow
async def test_a_small_answer_stays_in_json_and_a_cut_one_says_so(
    sessions: Sessions, url: str
):
    """A file is for what is worth it; its cap is a million rows."""
    session = await connected(sessions, url)
    outcome = await session.call(
        "query_database", {"sql": "select count(*) as n from big"}
    )
    assert outcome.result.structured_content["rows"] == [[ROWS]]
    result, (table,) = await shaped(session, "select a.n from big a, big b")
    assert table.data.num_rows == 1_000_000
    assert "cut after 1,000,000 rows" in result.shown


@pytest.mark.slow
async def test_a_host_that_offers_no_folder_gets_capped_rows_and_text_with_a_notice(
    sessions: Sessions, url: str
):
    """Any other host, honestly."""
    session = await connected(sessions, url, offer=False)
    sql = "select a.n from big a, (select 1 union all select 2 union all select 3) b"
    outcome = await session.call("query_database", {"sql": sql})
    content = outcome.result.structured_content
    assert (content["row_count"], content["truncated"]) == (10_000, True)
    assert "cut after 10,000 rows" in content["notice"]
    assert "this text holds the first" in outcome.result.content[0].text


def test_only_a_private_folder_of_this_user_is_taken(tmp_path: Path):
    """A folder that others can open, or none, is refused in one sentence."""
    assert Handover.find_offered({}) is None
    open_ = tmp_path / "open"
    open_.mkdir(mode=0o777)
    open_.chmod(0o777)
    for folder, why in [(open_, "only this user"), (tmp_path / "none", "not there")]:
        with pytest.raises(ConfigError, match=why):
            Handover.find_offered({"MCP_NOTEBOOK_HANDOVER": str(folder)})


def test_what_the_host_left_goes_when_the_server_ends(tmp_path: Path):
    """A host that died between call and reading leaves no rows behind."""
    from mcp_notebook.sharing.answer import TableAnswer

    tmp_path.chmod(0o700)
    handing = Handover(tmp_path)
    handing.write_answer(TableAnswer(pa.table({"a": [1]}), ("INTEGER",)))
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    handing.clean()
    assert list(tmp_path.iterdir()) == []


def test_only_files_below_the_folder_are_removed(tmp_path: Path):
    """A link of a server to anything else is left alone."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
        (folder / "x.arrow").write_text("x")
    (mine / "link").symlink_to(other / "x.arrow")
    uris = [
        (mine / "x.arrow").as_uri(),
        (other / "x.arrow").as_uri(),
        (mine / "link").as_uri(),
        "https://x/y",
    ]
    handover.remove_handed_files(uris, (mine,))
    assert (other / "x.arrow").exists()
    assert (mine / "link").is_symlink()
    assert not (mine / "x.arrow").exists()


def test_a_server_at_a_url_is_offered_nothing():
    """Only a process on this machine shares our folders."""
    spec = StdioServer("x")
    assert handover.offered_folders(spec) == ()
    assert handover.offer_folder(replace(spec, env={"A": "b"})).env.keys() == {
        "A",
        handover.VARIABLE,
    }
