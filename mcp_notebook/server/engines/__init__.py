"""One database engine a module, behind one interface; `open_engine` picks it by URL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from mcp_notebook.errors import ConfigError
from mcp_notebook.server.answer import Answer

if TYPE_CHECKING:
    from mcp_notebook.server.tabular import TableAnswer


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may take: rows and bytes of the answer, seconds of time,
    characters of SQL.
    """

    rows: int = 10_000
    bytes: int = 5_000_000
    seconds: float = 15.0
    sql_length: int = 100_000


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of a table. `values` are all its distinct values when they are few,
    `span` its least and greatest.
    """

    name: str
    type: str
    nullable: bool = True
    primary_key: bool = False
    references: str = ""  # "customers.id"
    values: tuple[str, ...] = ()
    span: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table or view. `rows` is None when counting was not worth its time."""

    name: str
    kind: str  # "table" or "view"
    columns: tuple[ColumnInfo, ...] = field(default=())
    rows: int | None = None
    definition: str = ""  # the SQL that made it, where the engine keeps it
    # where the engine has schemas and this is not the default one; `name` is then
    # `schema.table`
    schema: str = ""

    @property
    def source(self) -> str:
        """The table as it stands in FROM, quoted."""
        if not self.schema:
            return quote(self.name)
        return (
            f"{quote(self.schema)}.{quote(self.name.removeprefix(f'{self.schema}.'))}"
        )


def quote(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class Engine(Protocol):
    """A read-only database. All methods are safe to call concurrently; each uses its
    own connection.
    """

    name: str  # what people call this database, e.g. "shop.db"
    # e.g. "SQLite"; no version, so that prompts are the same on every machine
    dialect: str
    hints: str  # how to write SQL for it, for the model

    async def schema(self) -> tuple[TableInfo, ...]:
        """Tables and views by name, without anything that needs a look at the rows."""
        ...

    async def survey(self, table: TableInfo) -> TableInfo:
        """The table with row count, few-valued columns and date spans, from a bounded
        look at its rows.
        """
        ...

    async def query(self, sql: str, limits: Limits) -> Answer:
        """Run one read-only statement; raises `ToolError` with what to change."""
        ...

    async def table(self, sql: str, limits: Limits) -> "Answer | TableAnswer":
        """The same with Arrow columns, where the engine has them at hand."""
        ...

    async def explain(self, sql: str, limits: Limits) -> Answer:
        """The engine's plan for one read-only statement; raises `ToolError`."""
        ...

    async def close(self) -> None:
        """End what the engine keeps running."""
        ...


def open_engine(url: str, *, tables: Sequence[str] | None = None) -> Engine:
    """The engine for `sqlite:///path`, `duckdb:///path` or `postgresql://user@host/database`.

    Raises `ConfigError` for any other URL and for a file that is not usable. `tables`,
    when given, are the only tables and views that statements may read.
    """
    scheme = url.partition(":")[0].lower()
    # Each engine's driver loads only when the engine is named.
    if scheme == "sqlite":
        from mcp_notebook.server.engines.sqlite import SqliteEngine

        return SqliteEngine(path_of(url), tables=tables)
    if scheme == "duckdb":
        from mcp_notebook.server.engines.duckdb import DuckDbEngine

        return DuckDbEngine(path_of(url), tables=tables)
    if scheme in ("postgresql", "postgres"):
        from mcp_notebook.server.engines.postgres import PostgresEngine

        return PostgresEngine(url, tables=tables)
    raise ConfigError(
        f"{scheme or 'An empty URL'} is not supported: use sqlite:///file.db, duckdb:///file.duckdb or "
        "postgresql://user@host/database."
    )


def path_of(url: str) -> Path:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`; raises
    `ConfigError` when there is none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path:
        raise ConfigError(
            f"{url} names no file: write {parts.scheme}:///data/shop.db, or four slashes for a full path."
        )
    if not Path(path).is_file():
        raise ConfigError(
            f"There is no database file {path} in {Path.cwd()}: check the path in the URL."
        )
    return Path(path)
