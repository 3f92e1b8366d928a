"""Statements that must not change, leave or reveal anything, run through the server
with the files compared.
"""

import time
from pathlib import Path

import pytest

from tests.sharing.attacks import cases, statement
from tests.sharing.conftest import database_client, query

DEADLINE = 2.0


@pytest.mark.parametrize("case", cases("sql_sqlite.jsonl"))
async def test_attack_on_sqlite(case: dict, small_database: Path):
    """The database's bytes and its folder are the same afterwards; controls run,
    attacks are refused.
    """
    folder = small_database.parent
    sql = statement(case, W=folder, DB=small_database)
    tables = ["t"] if case["category"] == "read_scope" else None
    before, files = small_database.read_bytes(), sorted(folder.iterdir())
    async with database_client(
        small_database, tables=tables, seconds=DEADLINE
    ) as client:
        started = time.monotonic()
        result = await query(client, sql)
        seconds = time.monotonic() - started
    assert small_database.read_bytes() == before
    assert sorted(folder.iterdir()) == files
    assert seconds < DEADLINE + 4  # a hang guard; the machine may be busy
    if case["expected"] != "harmless":
        assert result.is_error == (case["expected"] == "refused"), result.content[
            0
        ].text
