"""Data files as tables: one file, a folder of them or a pattern, by a path that the
person shared.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pyarrow.dataset as ds

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import DATA_SUFFIXES, format_of

MOST_FILES = 10_000


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
