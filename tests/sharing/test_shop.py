"""The sample database: reproducible, and with the story that the notebooks tell."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.sharing.conftest import SHOP


@pytest.mark.slow
def test_the_generator_reproduces_the_committed_file(tmp_path: Path):
    """Same schema and rows; the bytes may differ with SQLite's version."""
    made = tmp_path / "made.db"
    subprocess.run(
        [sys.executable, SHOP.with_name("make_shop.py"), made], check=True, timeout=120
    )
    assert _dump(made) == _dump(SHOP)


def test_it_is_about_a_megabyte_with_awkward_values():
    """Small enough to commit, with NULLs, letters of many alphabets and decimals."""
    assert 500_000 < SHOP.stat().st_size < 1_500_000
    with closing(sqlite3.connect(SHOP)) as connection:
        assert (
            _one(connection, "select count(*) from customers where phone is null") > 100
        )
        assert (
            _one(
                connection,
                "select count(*) from customers where name glob '*[ぁ-ん一-龥Α-ω]*'",
            )
            > 50
        )
        assert (
            _one(connection, "select count(*) from products where description is null")
            > 5
        )


def test_coffee_and_running_grew_most_over_the_last_six_months():
    """June to November against the same months a year before: the answer to the
    quickstart's first question.
    """
    sql = """
        with halves as (
          select category,
                 sum(case when month >= '2026-06' then revenue end) as late,
                 sum(case when month between '2025-06' and '2025-11' then revenue end) as early
          from sales where status not in ('refunded', 'cancelled') group by category)
        select category from halves order by late / early desc"""
    with closing(sqlite3.connect(SHOP)) as connection:
        ranked = [name for (name,) in connection.execute(sql)]
    assert ranked[:2] == ["Coffee & Tea", "Running"]
    assert ranked[-1] == "Camera Gear"


def test_references_hold():
    """Every foreign key has its row."""
    with closing(sqlite3.connect(SHOP)) as connection:
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        assert (
            _one(connection, "select min(order_date) || max(order_date) from orders")
            == "2024-12-012026-11-22"
        )


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _one(connection: sqlite3.Connection, sql: str):
    return connection.execute(sql).fetchone()[0]
