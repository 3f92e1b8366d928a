"""Tables of this machine that are not in memory: what DuckDB scans for a statement, and
what must be made first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing.sources.engine import first_sentence
from mcp_notebook.sharing.sources.files import Scan, file_table
from mcp_notebook.sharing.sources.parquet_spool import Spool, drop, read_text

STORED = ("file", "dataset", "lazy", "near")
"""The kinds that are scanned and not held in memory."""


@dataclass(frozen=True)
class Ready:
    """A scan, and whether its files go after the statement."""

    scan: Scan
    passing: bool = False


Pick = Callable[[Sequence[str]], Sequence[str]]
"""Which of a table's columns are meant."""


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
