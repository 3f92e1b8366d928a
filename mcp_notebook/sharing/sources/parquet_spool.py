"""Tables that DuckDB cannot scan where they are, as a Parquet file of ours: CSV and
JSON text, lazy frames, datasets.

Written as a stream, so that memory does not grow with the table. Text files are read
anew when they change; lazy frames are computed for each statement, and only the columns
that it names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcp_notebook.errors import DataError
from mcp_notebook.sharing.sources.engine import first_sentence
from mcp_notebook.sharing.sources.files import FileTable, Scan
from mcp_notebook.sharing.sources.ibis_in_memory import NearTable

_MEMORY = "512MB"  # of DuckDB while it reads text


class Spool:
    """Parquet files in a private folder; the owner of the folder removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._texts: dict[tuple[str, ...], tuple[Hashable, Scan]] = {}

    def text_files(self, table: FileTable) -> Scan:
        """CSV or JSON files as read by DuckDB's reader; raises `DataError` for what it
        cannot read.
        """
        state = table.state()
        known = self._texts.get(table.files)
        if known is not None and known[0] == state:
            return known[1]

        path = self._new()
        copy_text(table, path)
        if known is not None:
            drop(known[1])

        scan = Scan((str(path),), "parquet")
        self._texts[table.files] = (state, scan)
        return scan

    def lazy(self, frame: Any, columns: Sequence[str]) -> Scan:
        """These columns of a Polars LazyFrame; the caller drops the scan after the statement."""
        path = self._new()
        try:
            frame.select(list(columns)).sink_parquet(path)
        except Exception as error:
            # boundary: Polars' own errors, and those of the person's functions
            raise DataError(
                f"Polars cannot compute the lazy frame: {first_sentence(error)}"
            ) from error

        return Scan((str(path),), "parquet")

    def near(self, table: NearTable, columns: Sequence[str]) -> Scan:
        """These columns of an Ibis table; the caller drops the scan after the
        statement. Raises `DataError`.
        """
        path = self._new()
        with pq.ParquetWriter(
            path, pa.schema([table.schema.field(name) for name in columns])
        ) as writer:
            for batch in table.batches(columns):
                writer.write_table(pa.Table.from_batches([batch]).cast(writer.schema))

        return Scan((str(path),), "parquet")

    def dataset(self, dataset: Any, columns: Sequence[str]) -> Scan:
        """These columns of an Arrow dataset; the caller drops the scan after the statement."""
        path = self._new()
        scanner = dataset.scanner(columns=list(columns))
        with pq.ParquetWriter(path, scanner.projected_schema) as writer:
            for batch in scanner.to_batches():
                writer.write_batch(batch)

        return Scan((str(path),), "parquet")

    def change_rows(self, scan: Scan, change: Callable[[pa.Table], pa.Table]) -> Scan:
        """The scan's rows after `change`, batch by batch; the caller drops it after the
        statement.
        """
        path, writer = self._new(), None
        dataset = scan.open()
        for batch in dataset.to_batches():
            table = change(pa.Table.from_batches([batch], dataset.schema))
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)

        if writer is None:
            pq.write_table(change(dataset.schema.empty_table()), path)
        else:
            writer.close()

        return Scan((str(path),), "parquet")

    def _new(self) -> Path:
        self._count += 1
        return self._folder / f"spool-{self._count}.parquet"


def drop(scan: Scan) -> None:
    """Remove a spooled file."""
    for file in scan.files:
        with contextlib.suppress(OSError):
            Path(file).unlink()


def copy_text(table: FileTable, path: Path) -> None:
    """CSV or JSON files into a Parquet file; raises `DataError`."""
    target = str(path).replace("'", "''")
    try:
        with _text_reader(table) as (connection, source):
            connection.execute(
                f"COPY (SELECT * FROM {source}) TO '{target}' (FORMAT parquet)",  # noqa: S608
                {"files": list(table.files)},
            )
    except DataError:
        path.unlink(missing_ok=True)
        raise


def read_text(table: FileTable, rows: int) -> pa.Table:
    """The first rows of CSV or JSON files; raises `DataError`."""
    with _text_reader(table) as (connection, source):
        return connection.sql(
            f"SELECT * FROM {source} LIMIT {rows:d}",  # noqa: S608 - of ours
            params={"files": list(table.files)},
        ).to_arrow_table()


@contextlib.contextmanager
def _text_reader(table: FileTable) -> Iterator[tuple[Any, str]]:
    """A connection, and DuckDB's words for the files, which are its parameter `files`."""
    import duckdb  # a third of a second to load, for files of text only

    if table.format == "csv":
        reader = "read_csv"
    else:
        reader = "read_json"

    if table.base:
        hive = ", hive_partitioning = true"
    else:
        hive = ""

    source = f"{reader}($files, union_by_name = true{hive})"
    with duckdb.connect(config={"memory_limit": _MEMORY}) as connection:
        try:
            yield connection, source
        except duckdb.Error as error:
            raise DataError(
                f"{table.files[0]} cannot be read as {table.format}: {first_sentence(error)}"
            ) from error
