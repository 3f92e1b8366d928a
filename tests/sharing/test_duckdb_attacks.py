"""Statements to the notebook's query tool and to a DuckDB file: nothing is changed,
read, left or outlived.
"""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import pytest_asyncio
from mcp import Client

from mcp_notebook.sharing.database import build_database_server
from mcp_notebook.sharing.engines import StatementLimits, open_engine
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.attacks import cases, statement
from tests.sharing.conftest import query
from tests.sharing.notebooks import Notebook

DEADLINE = 3.0
FILE_DEADLINE = 1.5


@pytest.mark.parametrize("case", cases("sql_duckdb.jsonl"))
async def test_attack_on_the_notebook(case: dict, runner: SqlRunner, tmp_path: Path):
    """Variables and files are the same afterwards; controls give rows, attacks are
    refused, all within the deadline.
    """
    notebook = Notebook(df=pd.DataFrame({"id": [1, 2], "name": ["a", "b"]}))
    notebook.variables |= {
        "api_keys": pd.DataFrame({"k": ["of-no-one-elses-business"]}),
        "In": ["of-no-one-elses-business"],
    }
    notebook.catalog.add("base", variable="df")
    (tmp_path / "a.csv").write_text("x\n1\n")
    before, files = notebook.variables["df"].copy(), sorted(tmp_path.rglob("*"))
    await runner.start()
    async with Client(
        build_notebook_server(notebook.catalog, runner=runner, timeout=DEADLINE)
    ) as client:
        started = time.monotonic()
        result = await client.call_tool("query", {"sql": statement(case, W=tmp_path)})
        seconds = time.monotonic() - started
        control = await client.call_tool("query", {"sql": "select * from df"})
    assert not control.is_error
    assert sorted(tmp_path.rglob("*")) == files
    pd.testing.assert_frame_equal(notebook.variables["df"], before)
    assert seconds < DEADLINE + 7  # a hang guard; the machine may be busy
    assert "of-no-one-elses-business" not in str(result.content[0])
    if case["expected"] != "harmless":
        assert result.is_error == (case["expected"] == "refused"), result.content[0]


CANARY = "canary-of-a-masked-column"


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("sql_duckdb.jsonl"))
async def test_attack_on_the_notebook_with_a_masked_column(
    case: dict, runner: SqlRunner, tmp_path: Path
):
    """The same statements while `name` is masked: refused and answered as before, and
    no form of a masked value is in an answer or an error.
    """
    frame = pd.DataFrame({"id": [1, 2], "name": [CANARY, CANARY.upper()]})
    notebook = Notebook(df=frame)
    notebook.catalog.add("base", variable="df")
    (tmp_path / "a.csv").write_text("x\n1\n")
    await runner.start()
    server = build_notebook_server(
        notebook.catalog, runner=runner, timeout=DEADLINE, mask=lambda: ["name"]
    )
    async with Client(server) as client:
        result = await client.call_tool("query", {"sql": statement(case, W=tmp_path)})
        control = await client.call_tool("query", {"sql": "select * from df"})
    assert not control.is_error
    for answer in (result, control):
        said = answer.model_dump_json().lower()
        for form in (CANARY, CANARY[3:-3], CANARY.encode().hex(), CANARY[::-1]):
            assert form not in said, case["statement"]
    if case["expected"] != "harmless":
        assert result.is_error == (case["expected"] == "refused"), result.content[0]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Path, Any]]:
    path = tmp_path_factory.mktemp("file") / "small.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table df as select * from (values (1, 'a'), (2, 'b')) v(id, name)"
        )
        connection.execute("create view base as select * from df")
    engine = open_engine(f"duckdb:///{path}")
    server = await build_database_server(engine, StatementLimits(seconds=FILE_DEADLINE))
    async with Client(server) as client:
        # Its worker starts now: that may take long where others run, and is no hang.
        await query(client, "select 1")
    yield path, server
    await engine.close()


@pytest.mark.parametrize("case", cases("sql_duckdb.jsonl"))
async def test_attack_on_a_duckdb_file(
    case: dict, served_file: tuple[Path, Any], tmp_path: Path
):
    """The same statements to the database server: the file's bytes and the folder are
    the same afterwards.
    """
    path, server = served_file
    (tmp_path / "a.csv").write_text("x\n1\n")
    before, files = path.read_bytes(), sorted(tmp_path.rglob("*"))
    async with Client(server) as client:
        started = time.monotonic()
        result = await query(client, statement(case, W=tmp_path))
        seconds = time.monotonic() - started
        control = await query(client, "select count(*) from df")
    assert control.structured_content["rows"] == [[2]]
    assert path.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == files
    assert sorted(path.parent.iterdir()) == [path]
    assert seconds < FILE_DEADLINE + 7  # a hang guard; the machine may be busy
    if case["expected"] != "harmless":
        assert result.is_error == (case["expected"] == "refused"), result.content[
            0
        ].text
