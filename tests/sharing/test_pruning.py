"""What is read of a table that is not in memory: the columns that a statement names,
changed on the way.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mcp_notebook.sharing.sources.local_tables import Scan, Spool
from mcp_notebook.sharing.sources.plan import named_columns


def test_the_columns_that_a_statement_can_need():
    """By their names anywhere in it; all when it takes them otherwise."""
    tables = {"t": ["a", "B", "c"], "u": ["a", "d"]}
    cases = {
        "select count(*) from t": ([], []),
        "select b from t": (["B"], []),
        "select t.a, d from t join u using (a)": (["a"], ["a", "d"]),
        "select * from t": (["a", "B", "c"], ["a", "d"]),
        "select t from t": (["a", "B", "c"], []),
        "select x from t as x": (["a", "B", "c"], []),
        "from t select c": (["c"], []),
        "select columns('a') from t": (["a", "B", "c"], ["a", "d"]),
        "select #2 from t": (["a", "B", "c"], ["a", "d"]),
        "select c from t as x(c, d)": (["a", "B", "c"], ["a", "d"]),
        "with w(d) as (select a from t) select d from w": (["a"], ["a", "d"]),
        "summarize t": (["a", "B", "c"], ["a", "d"]),
        "not sql": (["a", "B", "c"], ["a", "d"]),
    }
    assert {sql: tuple(named_columns(sql, tables).values()) for sql in cases} == cases


def test_spooled_rows_can_be_changed_on_the_way(tmp_path: Path):
    """How masked columns of files are hidden from a statement."""
    pq.write_table(pa.table({"a": [1, 2], "email": ["x", "y"]}), tmp_path / "t.parquet")
    hidden = Spool(tmp_path).change_rows(
        Scan((str(tmp_path / "t.parquet"),), "parquet"),
        lambda table: table.set_column(1, "email", pa.array(["masked"] * len(table))),
    )
    assert hidden.open().to_table().to_pylist() == [
        {"a": 1, "email": "masked"},
        {"a": 2, "email": "masked"},
    ]
