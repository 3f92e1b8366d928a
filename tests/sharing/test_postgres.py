"""PostgreSQL behind the same tools, and the statements that must not change it, on a
real server.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from mcp_notebook.errors import ConfigError
from mcp_notebook.sharing.database import build_database_server
from mcp_notebook.sharing.engines import StatementLimits, open_engine
from tests.sharing.attacks import cases, statement
from tests.sharing.conftest import query
from tests.sharing.postgres_server import PostgresServer, running

pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")

DEADLINE = 2.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    # Not pytest's temporary folder: another user runs the server, and a socket's path
    # must be short.
    folder = Path(tempfile.mkdtemp(prefix="mcpn-pg-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with running(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def client_of(server: PostgresServer, **limits: float) -> Client:
    return Client(
        await build_database_server(
            open_engine(server.url("ro")), StatementLimits(**limits)
        )
    )  # type: ignore[arg-type]


@pytest.mark.slow
async def test_types_and_values(server: PostgresServer):
    """PostgreSQL's types as SQL words, exact decimals, dates, JSON as JSON."""
    async with await client_of(server) as client:
        content = (await query(client, "select * from typed")).structured_content
    assert [c["type"] for c in content["columns"]] == [
        "BIGINT",
        "DECIMAL(10,2)",
        "DATE",
        "TIMESTAMP WITH TIME ZONE",
        "BOOLEAN",
        "JSONB",
    ]
    row = content["rows"][0]
    assert row[:3] == [1, "12.50", "2026-05-01"]
    assert row[4:] == [True, {"k": [1]}]


@pytest.mark.slow
async def test_the_instructions_hold_the_schema(server: PostgresServer):
    """Tables the role may read, with keys, references, and schemas that are not on the path."""
    async with await client_of(server) as client:
        text = client.instructions or ""
        described = await client.call_tool("describe_table", {"table": "other.v"})
    assert "t (2 rows): a integer key, b text: x|y" in text
    assert "id bigint -> t.a" in text
    assert "other.v (view, 2 rows): a integer" in text
    assert not described.is_error


@pytest.mark.slow
async def test_an_endless_answer_is_cut_at_its_limit(server: PostgresServer):
    """Rows are read in chunks, never to the end."""
    async with await client_of(server, rows=50, seconds=10) as client:
        content = (
            await query(client, "select generate_series(1, 100000000000)")
        ).structured_content
    assert (content["row_count"], content["truncated"]) == (50, True)


@pytest.mark.slow
async def test_errors_say_what_to_change(server: PostgresServer):
    """Near misses, the server's hint, and percent signs are just characters."""
    async with await client_of(server) as client:
        assert (
            "Did you mean typed?"
            in (await query(client, "select * from type")).content[0].text
        )
        assert (
            "does not exist" in (await query(client, "select c from t")).content[0].text
        )
        assert (await query(client, "select '%s 100%' as p")).structured_content[
            "rows"
        ] == [["%s 100%"]]
        plan = await client.call_tool("explain", {"sql": "select * from t"})
    assert "Seq Scan" in str(plan.structured_content["rows"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "why"),
    [("postgres", "is a superuser"), ("writer", "may write the server's files")],
)
async def test_a_dangerous_role_is_refused(server: PostgresServer, role: str, why: str):
    """Before anything is served, with the way out."""
    with pytest.raises(ConfigError, match=f"The role {role} .*{why}.*ordinary role"):
        open_engine(server.url(role))


async def test_an_unreachable_server_is_one_clear_sentence():
    """And holds no password."""
    with pytest.raises(ConfigError, match="cannot be reached") as caught:
        open_engine("postgresql://someone:a-secret-word@127.0.0.1:1/db")
    assert "a-secret-word" not in caught.value.message


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("sql_postgres.jsonl"))
async def test_attack_on_postgres(case: dict, server: PostgresServer, tmp_path: Path):
    """The server's state and the folder are the same afterwards; controls run, attacks
    are refused.
    """
    tmp_path.chmod(0o777)
    before = server.state()
    async with await client_of(server, seconds=DEADLINE) as client:
        started = time.monotonic()
        result = await query(client, statement(case, W=tmp_path))
        seconds = time.monotonic() - started
        again = await query(client, "select count(*) from t")
    assert server.state() == before
    assert list(tmp_path.iterdir()) == []
    assert seconds < DEADLINE + 6  # a hang guard; the machine may be busy
    assert again.structured_content["rows"] == [[2]]
    if case["expected"] != "harmless":
        assert result.is_error == (case["expected"] == "refused"), result.content[
            0
        ].text
