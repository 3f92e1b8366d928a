"""Read-only database engines behind one interface; `open_engine` picks one by URL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mcp_notebook.errors import ConfigError
from mcp_notebook.sharing.engines.interface import Engine, StatementLimits, TableInfo
from mcp_notebook.sharing.engines.sqlite import SqliteEngine

__all__ = ["Engine", "StatementLimits", "TableInfo", "open_engine"]


def open_engine(url: str, *, tables: Sequence[str] | None = None) -> Engine:
    """The engine for `sqlite:///path`, `duckdb:///path` or `postgresql://user@host/database`.

    Raises `ConfigError` for any other URL and for a file that is not usable. `tables`,
    when given, are the only tables and views that statements may read.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return SqliteEngine(path_of(url), tables=tables)

    if scheme == "duckdb":
        # DuckDB takes a third of a second to load.
        from mcp_notebook.sharing.engines.duckdb import DuckDbEngine

        return DuckDbEngine(path_of(url), tables=tables)

    if scheme in ("postgresql", "postgres"):
        # psycopg is an optional package.
        from mcp_notebook.sharing.engines.postgres import PostgresEngine

        return PostgresEngine(url, tables=tables)

    raise ConfigError(
        f"{scheme or 'An empty URL'} is not supported: use sqlite:///file.db, "
        "duckdb:///file.duckdb or "
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
            f"{url} names no file: write {parts.scheme}:///data/shop.db, or four "
            "slashes for a full path."
        )
    if not Path(path).is_file():
        raise ConfigError(
            f"There is no database file {path} in {Path.cwd()}: check the path in the URL."
        )

    return Path(path)
