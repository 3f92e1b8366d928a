"""Files that DuckDB reads through Arrow: column by column, with filters pushed down, never whole.

DuckDB itself stays locked out of the file system. `allowed_paths` would let it write
the file, too (COPY, ATTACH), so the file is opened by Arrow, for reading, and DuckDB is
handed the dataset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as ds


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
    def of(cls, value: Mapping[str, Any]) -> "Scan":
        return cls(tuple(value["files"]), value["format"], value["base"])

    def open(self) -> "ds.Dataset":
        """The dataset; raises `pyarrow.ArrowInvalid` or `OSError` for a file that is
        gone or broken.
        """
        kind = "ipc" if self.format == "arrow" else "parquet"
        if not self.base:
            return ds.dataset(list(self.files), format=kind)
        return ds.dataset(
            list(self.files),
            format=kind,
            partitioning="hive",
            partition_base_dir=self.base,
        )
