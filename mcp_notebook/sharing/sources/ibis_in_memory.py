"""Ibis tables whose engine is on this machine: SQLite, Polars and DataFusion. DuckDB
computes over what they give.

Their SQL is not exact enough to stand in for DuckDB's: SQLite has no types for its
results, so that a column which begins with a whole number lost its fractions, and the
Polars backend has none of its own. So the columns that a statement names are taken out
by Ibis, under the types that the expression declares, and nothing leaves the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import kind_of
from mcp_notebook.sharing.sources.engine import first_sentence

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = {"sqlite": "SQLite", "polars": "Polars", "datafusion": "DataFusion"}
MOST_ROWS = 1_000_000
"""Of SQLite, which Ibis reads into memory as a whole."""


@dataclass(frozen=True, eq=False)
class NearTable:
    """An expression on such a backend."""

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
