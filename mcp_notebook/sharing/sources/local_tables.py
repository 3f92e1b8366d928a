"""Tables of this machine that are not in memory: what DuckDB scans for a statement, and
what must be made first.

Data files are named by a path that the person shared: one file, a folder of them or a
pattern. What DuckDB cannot scan where it is (CSV and JSON text, lazy frames, datasets)
becomes a Parquet file of ours, written as a stream, so that memory does not grow with
the table. Text files are read anew when they change; lazy frames are computed for each
statement, and only the columns that it names.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import DATA_SUFFIXES, format_of, kind_of
from mcp_notebook.sharing.sources.engine import first_sentence

# The kinds that are scanned and not held in memory
STORED = ("file", "dataset", "lazy", "near")
MOST_FILES = 10_000
# Ibis backends of this machine. Their SQL is not exact enough to stand in for DuckDB's:
# SQLite has no types for its results, so that a column which begins with a whole number
# lost its fractions, and the Polars backend has none of its own. So the columns that a
# statement names are taken out by Ibis, under the types that the expression declares.
NAMES = {"sqlite": "SQLite", "polars": "Polars", "datafusion": "DataFusion"}
MOST_ROWS = 1_000_000  # of SQLite, which Ibis reads into memory as a whole
_MEMORY = "512MB"  # of DuckDB while it reads text

# Which of a table's columns are meant
Pick = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class FileTable:
    """The files of one table, in order, all of one format ("parquet", "arrow", "csv", "json")."""

    files: tuple[str, ...]
    format: str
    base: str = ""

    def state(self) -> Hashable:
        """Changes when a file does; raises `DataError` when one is gone."""
        try:
            found = [os.stat(file) for file in self.files]
        except OSError as error:
            raise DataError(
                f"{error.filename} cannot be read ({error.strerror}): check the path."
            ) from error

        return self, tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in found)


def file_table(value: str | PurePath) -> FileTable:
    """The files behind a path; raises `DataError` that says what is missing."""
    text = os.path.expanduser(os.fspath(value))
    if os.path.isdir(text):
        return _of(_below(text), text, text)
    if glob.has_magic(text) and not os.path.exists(text):
        return _of(sorted(glob.glob(text, recursive=True)), text, _base(text))
    if not os.path.isfile(text):
        raise DataError(f"There is no file {text} in {Path.cwd()}: check the path.")

    return _of([text], text, "")


def _below(folder: str) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found += [
            os.path.join(place, name)
            for name in sorted(names)
            if not name.startswith((".", "_"))
        ]
        if len(found) > MOST_FILES:
            break

    return [path for path in found if format_of(path)]


def _base(pattern: str) -> str:
    """The folder before the first pattern, which `key=value` folders may follow."""
    parts = Path(pattern).parts
    fixed = parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))]
    if fixed:
        return str(Path(*fixed))
    return "."


def _of(files: list[str], named: str, base: str) -> FileTable:
    files = [os.path.abspath(file) for file in files if os.path.isfile(file)]
    if not files:
        raise DataError(
            f"There is no data file at {named}: {', '.join(sorted(set(DATA_SUFFIXES)))} are known."
        )
    if len(files) > MOST_FILES:
        raise DataError(
            f"There are more than {MOST_FILES:,} files at {named}: share an Ibis or "
            "DuckDB table over them."
        )

    formats = {format_of(file) for file in files}
    if len(formats) != 1 or formats == {""}:
        names = ", ".join(sorted(form or "an unknown format" for form in formats))
        raise DataError(
            f"The files at {named} are {names}: a table's files must be all of one known format."
        )

    partitioned = any(
        "=" in part
        for file in files
        for part in Path(os.path.relpath(file, base or "/")).parts[:-1]
    )
    return FileTable(
        tuple(files),
        formats.pop(),
        os.path.abspath(base) if base and partitioned else "",
    )


# DuckDB itself stays locked out of the file system. `allowed_paths` would let it write
# the file, too (COPY, ATTACH), so the file is opened by Arrow, for reading, column by
# column and with filters pushed down, and DuckDB is handed the dataset.


@dataclass(frozen=True)
class Scan:
    """Files of one table. `format` is "parquet" or "arrow"; below `base`, folders
    `key=value` are columns ("" none).
    """

    files: tuple[str, ...]
    format: str
    base: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the way to the worker process."""
        return {"files": list(self.files), "format": self.format, "base": self.base}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Scan:
        return cls(tuple(value["files"]), value["format"], value["base"])

    def open(self) -> ds.Dataset:
        """The dataset; raises `pyarrow.ArrowInvalid` or `OSError` for a file that is
        gone or broken.
        """
        if self.format == "arrow":
            kind = "ipc"
        else:
            kind = "parquet"

        if not self.base:
            return ds.dataset(list(self.files), format=kind)

        return ds.dataset(
            list(self.files),
            format=kind,
            partitioning="hive",
            partition_base_dir=self.base,
        )


@dataclass(frozen=True, eq=False)
class NearTable:
    """An Ibis table whose engine is on this machine. DuckDB computes over what it gives."""

    expression: Any
    backend: Any

    @property
    def name(self) -> str:
        return NAMES[self.backend.name]

    @property
    def schema(self) -> pa.Schema:
        return self.expression.schema().to_pyarrow()

    def head(self, rows: int) -> pa.Table:
        """The first rows; raises `DataError`."""
        with self._backend_here() as backend:
            return backend.to_pyarrow(self.expression.limit(rows))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows of these columns; raises `DataError`."""
        with self._backend_here() as backend:
            if (
                backend is not self.backend
                and backend.execute(self.expression.count()) > MOST_ROWS
            ):
                raise DataError(
                    f"This SQLite table has more than {MOST_ROWS:,} rows: filter or "
                    "aggregate it in Ibis and share "
                    "that, or serve the file by mcp-notebook serve database."
                )

            yield from backend.to_pyarrow_batches(self.expression.select(list(columns)))

    @contextmanager
    def _backend_here(self) -> Iterator[Any]:
        """The backend, on this thread. SQLite's connections belong to the thread that
        made them, the person's.
        """
        if self.backend.name == "sqlite":
            own = self._own_sqlite()
        else:
            own = None

        try:
            yield own or self.backend
        except DataError:
            raise
        except Exception as error:
            # boundary: every backend raises its own driver's errors
            raise DataError(f"{self.name} says: {first_sentence(error)}") from error
        finally:
            if own is not None:
                own.disconnect()

    def _own_sqlite(self) -> Any:
        arguments, options = self.backend._con_args, self.backend._con_kwargs
        if str((*arguments, options.get("database"))[0] or ":memory:") == ":memory:":
            raise DataError(
                "An SQLite database in memory can be read by its own thread only: share its rows."
            )
        return self.backend.connect(*arguments, **options)


def near(value: Any) -> Any:
    """The value, as a `NearTable` when it is an Ibis table on such a backend."""
    if kind_of(value) != "ibis":
        return value

    try:
        backend = value.get_backend()
    except Exception:  # boundary: Ibis' own errors, told where the table is asked
        return value

    if backend.name in NAMES:
        return NearTable(value, backend)

    return value


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


@dataclass(frozen=True)
class Ready:
    """A scan, and whether its files go after the statement."""

    scan: Scan
    passing: bool = False


def no_columns(names: Sequence[str]) -> Sequence[str]:
    """None of them."""
    return ()


def ready(
    value: Any, spool: Spool, needed: Pick, *, hidden: Pick = no_columns
) -> Ready:
    """What to scan for a stored table now; `needed` picks the columns that the
    statement names, `hidden` those whose values it must not see.

    Raises `DataError` when the table cannot be read.
    """
    found = _ready(value, spool, needed)
    masked = tuple(hidden(found.scan.open().schema.names))
    if not masked:
        return found

    changed = spool.change_rows(found.scan, lambda table: without_values(table, masked))
    if found.passing:
        drop(found.scan)

    return Ready(changed, passing=True)


def without_values(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The table with the text "masked" in these columns, null where there is no value."""
    for name in columns:
        missing = table.column(name).is_null()
        nothing = pa.scalar(None, pa.string())
        told = pc.if_else(missing, nothing, "masked")  # pyright: ignore
        table = table.set_column(table.column_names.index(name), name, told)
    return table


def _ready(value: Any, spool: Spool, needed: Pick) -> Ready:
    kind = kind_of(value)
    if kind == "file":
        table = file_table(value)
        if table.format in ("csv", "json"):
            return Ready(spool.text_files(table))

        return Ready(_check_scan(Scan(table.files, table.format, table.base)))

    columns = schema_of(value).names
    if not columns:
        raise DataError("The table has no columns.")

    wanted = list(needed(columns)) or columns[:1]  # a count needs some column
    if kind == "lazy":
        return Ready(spool.lazy(value, wanted), passing=True)
    if kind == "near":
        return Ready(spool.near(value, wanted), passing=True)

    scan = _files_of(value)
    if scan is not None:
        return Ready(scan)

    return Ready(spool.dataset(value, wanted), passing=True)


def schema_of(value: Any) -> pa.Schema:
    """Columns of a stored table, without reading its rows; raises `DataError`."""
    kind = kind_of(value)
    if kind in ("dataset", "near"):
        return value.schema
    if kind == "lazy":
        return _collect_frame(value.clear()).schema

    table = file_table(value)
    if table.format in ("csv", "json"):
        return read_text(table, 0).schema

    return _check_scan(Scan(table.files, table.format, table.base)).open().schema


def sample(value: Any, rows: int) -> pa.Table:
    """The first rows of a stored table; raises `DataError`."""
    kind = kind_of(value)
    if kind in ("dataset", "near"):
        return value.head(rows)
    if kind == "lazy":
        return _collect_frame(value.head(rows))

    table = file_table(value)
    if table.format in ("csv", "json"):
        return read_text(table, rows)

    return _check_scan(Scan(table.files, table.format, table.base)).open().head(rows)


def count(value: Any) -> int | None:
    """The number of rows where the files' own footers tell it, else None."""
    kind = kind_of(value)
    if kind == "file":
        table = file_table(value)
        if table.format == "parquet":
            scan = Scan(table.files, table.format, table.base)
        else:
            scan = None
    else:
        if kind == "dataset":
            scan = _files_of(value)
        else:
            scan = None

    if scan is None or scan.format != "parquet" or len(scan.files) > 100:
        return None

    return scan.open().count_rows()


def _collect_frame(frame: Any) -> pa.Table:
    try:
        return frame.collect().to_arrow()
    except Exception as error:
        # boundary: Polars' own errors, and those of the person's functions
        raise DataError(
            f"Polars cannot compute the lazy frame: {first_sentence(error)}"
        ) from error


def _files_of(dataset: Any) -> Scan | None:
    """The local files of a dataset that reads them whole, when they opened anew are the
    same table.
    """
    form = type(getattr(dataset, "format", None)).__name__
    local = type(getattr(dataset, "filesystem", None)).__name__ == "LocalFileSystem"
    if (
        not local
        or form not in ("ParquetFileFormat", "IpcFileFormat")
        or getattr(dataset, "_scan_options", None)
    ):
        return None

    files = [os.path.abspath(file) for file in dataset.files]
    if files:
        base = os.path.commonpath(files)
    else:
        base = ""

    partitioned = any(
        "=" in part
        for file in files
        for part in Path(os.path.relpath(file, base)).parts[:-1]
    )
    for root in [base] if partitioned else [""]:
        scan = Scan(
            tuple(files), "parquet" if form.startswith("Parquet") else "arrow", root
        )
        if files and scan.open().schema.equals(dataset.schema):
            return scan

    return None


def _check_scan(scan: Scan) -> Scan:
    try:
        scan.open()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{scan.files[0]} cannot be read as {scan.format}: {first_sentence(error)}"
        ) from error

    return scan
