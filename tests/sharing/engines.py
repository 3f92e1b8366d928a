"""The same table on every kind of place that can be shared, for tests that ask all of
them the same.
"""

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq

from tests.sharing.postgres_server import PostgresServer
from tests.sharing.postgres_server import running as postgres_running

ROWS_SQL = """
    select id, 'k' || (id % 3) as k, case when id % 7 = 0 then null else id * 1.5::double end as x,
           (id * 1.25)::decimal(10, 2) as p, date '2026-01-01' + id::int as d,
           timestamp '2026-01-01 10:00:00' + interval (id) hour as t, id % 2 = 0 as b
    from range({rows}) r(id)
"""


def rows_of(rows: int = 100) -> pa.Table:
    """`rows` rows with an integer, a text, a double with nulls, a decimal, a date, a
    timestamp and a boolean.
    """
    return duckdb.sql(ROWS_SQL.format(rows=rows)).to_arrow_table()


class Interchange:
    """An object of a library that only knows the dataframe interchange protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.columns = table.column_names

    def __dataframe__(self, *arguments: Any, **options: Any) -> Any:
        return self._table.__dataframe__(*arguments, **options)


class Stream:
    """An object of a library that only knows Arrow's stream interface."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema = table.schema

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


def _without_dates(table: pa.Table) -> pa.Table:
    """The interchange protocol has neither decimals nor dates."""
    return table.drop(["p"]).set_column(
        3, "d", table.column("d").cast(pa.timestamp("us"))
    )


def _saved(write: Callable[[Path], Any], path: Path) -> Path:
    write(path)
    return path


def _relation(table: pa.Table, folder: Path) -> Any:
    connection = duckdb.connect(str(folder / "own.duckdb"))
    connection.register("source", table)
    connection.execute("create table stored as select * from source")
    return connection.table("stored")


def _ibis_duckdb(table: pa.Table, folder: Path) -> Any:
    connection = ibis.duckdb.connect(str(folder / "ibis.duckdb"))
    connection.con.register("source", table)
    connection.con.execute("create table stored as select * from source")
    return connection.table("stored")


def _ibis_sqlite(table: pa.Table, folder: Path) -> Any:
    connection = ibis.sqlite.connect(folder / "ibis.db")
    connection.con.execute(
        "create table events (id integer, k text, x real, p decimal(10, 2), d date, t timestamp, b boolean)"
    )
    rows = [
        (r["id"], r["k"], r["x"], float(r["p"]), str(r["d"]), str(r["t"]), r["b"])
        for r in table.to_pylist()
    ]
    connection.con.executemany("insert into events values (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.con.commit()
    return connection.table("events")


def _ibis_polars(table: pa.Table, folder: Path) -> Any:
    return ibis.polars.connect({"events": pl.from_arrow(table)}).table("events")


def _ibis_datafusion(table: pa.Table, folder: Path) -> Any:
    path = _saved(lambda p: pq.write_table(table, p), folder / "ibis.parquet")
    return ibis.datafusion.connect().read_parquet(path)


LOCAL: dict[str, Callable[[pa.Table, Path], Any]] = {
    "pandas": lambda table, folder: table.to_pandas(),
    "polars": lambda table, folder: pl.from_arrow(table),
    "polars lazy": lambda table, folder: pl.from_arrow(table).lazy(),  # type: ignore[union-attr]
    "arrow": lambda table, folder: table,
    "arrow reader": lambda table, folder: table.to_reader(),
    "arrow dataset": lambda table, folder: ds.dataset(
        _saved(lambda p: pq.write_table(table, p), folder / "d.parquet")
    ),
    "arrow dataset in memory": lambda table, folder: ds.dataset(table),
    "stream": lambda table, folder: Stream(table),
    "interchange": lambda table, folder: Interchange(_without_dates(table)),
    "parquet": lambda table, folder: _saved(
        lambda p: pq.write_table(table, p), folder / "t.parquet"
    ),
    "parquet pattern": lambda table, folder: str(
        _saved(lambda p: pq.write_table(table, p), folder / "part-0.parquet").parent
        / "part-*.parquet"
    ),
    "feather": lambda table, folder: _saved(
        lambda p: pa.feather.write_feather(table, p), folder / "t.feather"
    ),
    "csv": lambda table, folder: str(
        _saved(lambda p: pa.csv.write_csv(table, p), folder / "t.csv")
    ),
    "json lines": lambda table, folder: _saved(
        lambda p: (
            table.to_pandas()
            .astype({"d": str, "t": str})
            .to_json(p, orient="records", lines=True)
        ),
        folder / "t.jsonl",
    ),
    "duckdb relation": _relation,
    "ibis on duckdb": _ibis_duckdb,
    "ibis on sqlite": _ibis_sqlite,
    "ibis on polars": _ibis_polars,
}
"""How each kind of this machine is made of an Arrow table."""

# Ibis 12 works with DataFusion before 49
if importlib.util.find_spec("datafusion") is not None:
    LOCAL["ibis on datafusion"] = _ibis_datafusion


@contextmanager
def postgres_with_rows(rows: int = 100) -> Iterator[tuple[PostgresServer, Any]]:
    """A PostgreSQL server with the rows as its table `events`, and an Ibis connection
    of an ordinary role.
    """
    import psycopg

    # Not pytest's temporary folder: another user runs the server, and a socket's path
    # must be short.
    folder = Path(tempfile.mkdtemp(prefix="mcpn-pg-", dir="/tmp"))
    folder.chmod(0o755)
    with postgres_running(folder) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "create table events (id bigint, k text, x double precision, p numeric(10,2), d date, t timestamp, "
                "b boolean)"
            )
            with (
                connection.cursor() as cursor,
                cursor.copy("copy events from stdin") as copy,
            ):
                for row in zip(
                    *(column.to_pylist() for column in rows_of(rows).columns),
                    strict=True,
                ):
                    copy.write_row(row)
            connection.execute(
                "create table hidden (s text); insert into hidden values ('not shared')"
            )
            connection.execute("grant select on events, hidden to ro")
        yield (
            server,
            ibis.postgres.connect(
                user="ro", host=str(server.folder), database="postgres"
            ),
        )
    shutil.rmtree(folder, ignore_errors=True)


def frame(value: Any) -> pd.DataFrame:
    """A `pa.Table` as pandas, for comparisons."""
    return value.to_pandas()
