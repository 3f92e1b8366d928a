"""Tables from the rows of an engine's information schema."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.server.engines import ColumnInfo, TableInfo

Rows = Sequence[Sequence[Any]]


def build_tables(columns: Rows, keys: Rows) -> tuple[TableInfo, ...]:
    """Tables by name from their columns and keys.

    `columns` are (schema or "" for the default one, table, kind, column, type,
    nullable) in the order of the columns; `keys` are (schema, table, "PRIMARY KEY" or
    "FOREIGN KEY", columns, other table, its columns).
    """
    primary = {
        (*row[:2], name) for row in keys if row[2] == "PRIMARY KEY" for name in row[3]
    }
    references = {
        (*row[:2], name): f"{row[4]}.{other}"
        for row in keys
        if row[2] == "FOREIGN KEY"
        for name, other in zip(row[3], row[5], strict=True)
    }
    tables: dict[tuple[str, str], TableInfo] = {}
    for schema, table, kind, name, type_, nullable in columns:
        at = (schema, table)
        column = ColumnInfo(
            name,
            type_,
            nullable,
            (*at, name) in primary,
            references.get((*at, name), ""),
        )
        full_name = f"{schema}.{table}" if schema else table
        fresh = TableInfo(
            full_name, "view" if "view" in kind.lower() else "table", schema=schema
        )
        known = tables.get(at, fresh)
        tables[at] = replace(known, columns=(*known.columns, column))
    return tuple(tables[at] for at in sorted(tables))
