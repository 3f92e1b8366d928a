"""A DataFrame that is Spark's by its type alone: what a statement would send is noted,
and nothing runs.
"""

from typing import Any

import pyarrow as pa
import pytest

from mcp_notebook.sharing.sources import engines, remote_plan

SCHEMA = pa.schema(
    [
        ("id", pa.int64()), ("k", pa.string()), ("x", pa.float64()), ("p", pa.decimal128(10, 2)), ("d", pa.date32()),
        ("t", pa.timestamp("us", "UTC")), ("l", pa.list_(pa.int64())),
        ("st", pa.struct([("a", pa.int64()), ("b", pa.string())])), ("m", pa.map_(pa.string(), pa.int64())),
    ]
)  # fmt: skip


class Pretended:
    """The place of a table that has no engine; `sent` are the statements that would have run."""

    name = "Spark"
    dialect = "spark"
    key = "pretended"

    def __init__(self) -> None:
        self.sent: list[str] = []

    def schema(self) -> pa.Schema:
        return SCHEMA

    def view(self) -> str:
        return ""

    def job(self, plan: Any, tables: Any, seconds: float) -> Any:
        text = plan.text(dict.fromkeys(tables, "SELECT * FROM view"))

        class Job:
            def run(job) -> pa.Table:
                self.sent.append(text)
                return pa.table({"ran": [1]})

            def cancel(job) -> None:
                pass

        return Job()

    def explain(self, error: BaseException) -> str:
        return f"Spark says: {error}"


def pretend(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Pretended]:
    """A value that counts as a Spark DataFrame, and the place that its statements go to."""
    place = Pretended()
    monkeypatch.setattr(engines, "remote_table_of", lambda value: place)
    monkeypatch.setattr(remote_plan, "remote_table_of", lambda value: place)
    return type("DataFrame", (), {"__module__": "pyspark.sql.dataframe"})(), place
