"""The engine that a shared table lives on: what it is called, what its columns are, how a statement runs there.

Each engine's module loads only when a value of its kind is met, so none of them is a dependency.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mcp_notebook.errors import DataError
from mcp_notebook.kinds import AWAY, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.server.sources.plan import Plan


@dataclass(frozen=True)
class Masking:
    """The columns whose values a statement must not see: it sees 'masked' where there is one."""

    columns: tuple[str, ...] = ()


class Job(Protocol):
    """One statement on an engine. `run` blocks; `cancel` may be called from another thread, also more than once."""

    def run(self) -> "pa.Table":
        """The rows; raises whatever the engine raises."""
        ...

    def cancel(self) -> None:
        """Ask the engine to end the statement."""
        ...


class Place(Protocol):
    """A table on its engine.

    `name` is what people call the engine, `dialect` sqlglot's word for its SQL. Tables of an equal `key` can stand in
    one statement.
    """

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> str: ...

    @property
    def key(self) -> Hashable: ...

    def schema(self) -> "pa.Schema":
        """Columns and types, without running anything that looks at rows."""
        ...

    def job(self, plan: "Plan", tables: Any, seconds: float) -> Job:
        """The plan as a job; `tables` gives for each of its private names the place and the masked columns."""
        ...

    def explain(self, error: BaseException) -> str:
        """One sentence that says what the engine found wrong, or that it is gone."""
        ...


def is_away(value: object) -> bool:
    """Whether queries over the value run on an engine of its own."""
    return kind_of(value) in AWAY


def place_of(value: Any) -> Place:
    """Where the table is; raises `DataError` when its engine cannot be asked."""
    kind = kind_of(value)
    if kind == "spark":
        from mcp_notebook.server.sources.spark import SparkTable

        return SparkTable.of(value)
    if kind == "ibis":
        from mcp_notebook.server.sources.ibis import table_of

        return table_of(value)
    from mcp_notebook.server.sources.duckdb import relation_of

    return relation_of(value)


def schema_at(place: Place) -> "pa.Schema":
    """The table's columns; raises `DataError` with the engine's own words when it cannot say."""
    try:
        return place.schema()
    except DataError:
        raise
    except Exception as error:  # boundary: every engine raises its own errors
        raise DataError(place.explain(error)) from error


def projection(source: str, columns: "Mapping[str, bool]", dialect: str) -> str:
    """`SELECT` of the columns from the source; of a masked one (True) only whether there is a value."""
    from sqlglot import exp

    def quoted(name: str) -> str:
        return exp.to_identifier(name, quoted=True).sql(dialect=dialect)

    parts = [
        f"CASE WHEN {quoted(n)} IS NULL THEN NULL ELSE 'masked' END AS {quoted(n)}" if masked else quoted(n)
        for n, masked in columns.items()
    ]
    return f"SELECT {', '.join(parts)} FROM {source}"  # noqa: S608 - names are quoted


def first_sentence(error: BaseException, limit: int = 300) -> str:
    """An engine's message without stack, plan and picture."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    kept = [lines[0]]
    for line in lines[1:3]:
        if line.startswith(("'", "+-", "at ", "==", "JVM", "LINE", "^", ";")):
            break
        kept.append(line)
    return " ".join(kept)[:limit]
