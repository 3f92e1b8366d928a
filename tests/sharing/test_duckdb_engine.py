"""A DuckDB file behind the same tools."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mcp import Client

from mcp_notebook.errors import ConfigError, ToolError
from mcp_notebook.sharing import worker
from mcp_notebook.sharing.database import build_database_server, survey_tables
from mcp_notebook.sharing.engines import Engine, StatementLimits, open_engine
from tests.sharing.conftest import query


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table base (a integer primary key, kind varchar, day date, price decimal(10,2))"
        )
        connection.execute(
            "insert into base values (1, 'x', '2026-05-01', 1.50), (2, 'y', '2026-06-01', null)"
        )
        connection.execute(
            "create table child (base integer references base(a), big hugeint)"
        )
        connection.execute("insert into child values (1, 9007199254740993)")
        connection.execute("create schema other")
        connection.execute('create view other."odd name" as select a, kind from base')
    return path


@pytest.fixture
async def engine(file: Path) -> AsyncIterator[Engine]:
    engine = open_engine(f"duckdb:///{file}")
    yield engine
    await engine.close()


@asynccontextmanager
async def served(engine: Engine) -> AsyncIterator[Client]:
    async with Client(
        await build_database_server(engine, StatementLimits(seconds=3.0))
    ) as client:
        yield client


async def test_types_are_declared_and_exact(engine: Engine):
    """DuckDB types every column of an answer."""
    async with served(engine) as client:
        content = (
            await query(client, "select *, a * 2 as e from base order by a")
        ).structured_content
        assert [(c["name"], c["type"]) for c in content["columns"]] == [
            ("a", "INTEGER"),
            ("kind", "VARCHAR"),
            ("day", "DATE"),
            ("price", "DECIMAL(10,2)"),
            ("e", "INTEGER"),
        ]
        assert content["rows"][0] == [1, "x", "2026-05-01", "1.50", 2]


async def test_integers_beyond_2_to_the_53_are_noticed(engine: Engine):
    """They stay exact, with the warning."""
    async with served(engine) as client:
        content = (await query(client, "select big from child")).structured_content
        assert content["rows"] == [[9007199254740993]]
        assert "beyond 2^53 in big" in content["notice"]


async def test_the_instructions_hold_the_schema(engine: Engine):
    """Keys, references, values, spans, and views of other schemas."""
    async with served(engine) as client:
        assert client.instructions
        assert (
            "base (2 rows): a INTEGER key, kind VARCHAR: x|y, day DATE 2026-05-01..2026-06-01"
            in client.instructions
        )
        assert "base INTEGER -> base.a" in client.instructions
        assert "other.odd name (view, 2 rows)" in client.instructions


async def test_tables_of_other_schemas_are_queried_and_described(engine: Engine):
    """By their qualified name."""
    async with served(engine) as client:
        assert (
            await query(client, 'select count(*) from other."odd name"')
        ).structured_content["rows"] == [[2]]
        described = await client.call_tool(
            "describe_table", {"table": "other.odd name"}
        )
        assert [row[0] for row in described.structured_content["rows"]] == ["a", "kind"]


async def test_explain_does_not_run(engine: Engine):
    """The plan comes as lines of text."""
    async with served(engine) as client:
        content = (
            await client.call_tool(
                "explain", {"sql": "select kind from base where a = 1"}
            )
        ).structured_content
        assert "base" in str(content["rows"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from bas", "Did you mean base?"),
        ("delete from base", "read-only"),
        ("with t as (delete from base returning *) select * from t", "Refused"),
        ("select * from read_csv('/etc/passwd')", "files cannot be read"),
        (
            "select levenshtein(repeat('a', 200000), repeat('b', 200000))",
            "stopped after 3 s",
        ),
    ],
)
async def test_refusals_and_the_deadline(
    engine: Engine, file: Path, sql: str, expected: str
):
    """The file is the same afterwards, and the next statement is answered."""
    async with served(engine) as client:
        before = file.read_bytes()
        result = await query(client, sql)
        assert result.is_error
        assert expected in result.content[0].text
        assert file.read_bytes() == before
        assert not (await query(client, "select 1")).is_error


async def test_only_named_tables_are_served(file: Path):
    """An allow-list hides the others from statements and listings."""
    engine = open_engine(f"duckdb:///{file}", tables=["base"])
    async with Client(await build_database_server(engine)) as client:
        assert (await query(client, "select * from child")).is_error
        assert (await query(client, "select * from information_schema.tables")).is_error
        assert not (await query(client, "select * from base")).is_error
    await engine.close()


async def test_a_file_that_is_no_database_is_one_clear_sentence(tmp_path: Path):
    """What the person must mend is a ConfigError at start."""
    path = tmp_path / "not.duckdb"
    path.write_text("hello " * 100)
    engine: Any = open_engine(f"duckdb:///{path}")
    with pytest.raises(ConfigError, match=r"not\.duckdb cannot be served"):
        await survey_tables(engine)
    await engine.close()


NARROWED = (
    "with a as (with secret as (select 1 as s) select * from secret) select * from a, secret",
    "select * from (from secret) where 1 in (with secret as (select 1) from secret)",
    "with secret as (select * from secret) select * from secret",
    "with x as (select * from secret), secret as (select 1 as s) select * from x",
    "with recursive secret as (select s from secret union all select s from secret) select * from secret",
    "select reads()",
    "select df.id, main.reads() as r from df",
    "select upper(s) from reading()",
    "from range(1)",
    "select lower('x')",
    "select * from over_secret",
)


@pytest.fixture(scope="module")
async def narrowed(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Engine]:
    """One table of a file whose views and macros reach for another."""
    path = tmp_path_factory.mktemp("narrowed") / "two.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table df as select 1 as id; create table secret as select 'not offered' as s; "
            "create view over_secret as from secret; create macro reads() as (select max(s) from secret); "
            "create macro reading() as table from secret; create macro range(n) as table from secret; "
            "create macro lower(x) as (select max(s) from secret)"
        )
    engine = open_engine(f"duckdb:///{path}", tables=["df"])
    yield engine
    await engine.close()


@pytest.mark.parametrize("sql", NARROWED)
async def test_a_table_that_is_not_offered_is_reached_by_no_name_or_macro(
    sql: str, narrowed: Engine
):
    """Neither where a WITH elsewhere has its name, nor through a view or a macro, also
    one called like a function.
    """
    async with served(narrowed) as client:
        result = await query(client, sql)
        inner = await query(
            client,
            "with secret as (select id from df) select count(*) as n from secret",
        )
    assert "not offered" not in f"{result.content} {result.structured_content}"
    assert result.is_error
    assert inner.structured_content["rows"] == [[1]]


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of the worker, made small enough to be passed in a second."""
    program = worker._MAIN.replace(
        "main()",
        "import mcp_notebook.sharing.worker_process as process\n"
        "process.MEMORY = '40MB'\nprocess.sqlguard.MAX_SPILL = '100MB'\nmain()",
    )
    monkeypatch.setattr(worker, "_MAIN", program)


TEXTS = "select md5(range::varchar) as a from range({})"
SORTED = f"select * from ({TEXTS} order by a) limit 3 offset 100000"
GROUPED = f"select count(*) as n from ({TEXTS} group by a)"
LIMITS = StatementLimits(rows=3, seconds=60.0)


def find_spill(engine: Any) -> list[Path]:
    return [path for path in engine._folder.glob("spill-*/**/*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("sql", [SORTED, GROUPED])
async def test_a_statement_larger_than_memory_spills_and_leaves_nothing(
    sql: str, engine: Any, file: Path
):
    """Into a private folder, not beside the database."""
    answer = await engine.table(sql.format(1_000_000), LIMITS)
    assert answer.data.num_rows in (1, 3)
    with pytest.raises(ToolError, match="memory and temporary disk") as caught:
        await engine.table(sql.format(4_000_000), LIMITS)
    assert "temp_directory" not in str(caught.value)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    folder = engine._folder
    await engine.close()
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("small_memory")
async def test_what_a_killed_worker_spilled_is_gone(engine: Any):
    running = asyncio.ensure_future(engine.table(SORTED.format(4_000_000), LIMITS))
    while not find_spill(engine):
        assert not running.done(), await running
        await asyncio.sleep(0.02)
    engine._worker._process.send_signal(signal.SIGKILL)
    with pytest.raises(ToolError, match="ended its worker process"):
        await running
    await asyncio.gather(*engine._worker._ending)
    assert not find_spill(engine)
    answer = await engine.table("select 1 as a", LIMITS)
    assert answer.data.num_rows == 1
