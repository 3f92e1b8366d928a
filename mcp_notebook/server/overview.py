"""A database schema in few words: for a server's instructions and for the text of `describe_table`.

Hosts put a server's instructions into the system prompt, so the text is compact, capped
and the same on every start.
"""

from collections.abc import Callable, Sequence

from mcp_notebook.server.engines.interface import ColumnInfo, TableInfo

OVERVIEW_BYTES = 4_000


def overview(tables: Sequence[TableInfo], max_bytes: int = OVERVIEW_BYTES) -> str:
    """One line a table, with as much detail as fits: values and spans, else types, else
    names, else how many.
    """
    for line in (full_line, _typed_line, _name_line):
        text = "\n".join(line(table) for table in tables)
        if len(text.encode()) <= max_bytes:
            return text
    names = ", ".join(table.name for table in tables)
    if len(names.encode()) <= max_bytes:
        return f"{names}\n(describe_table gives the columns)"
    return (
        f"{len(tables)} tables and views: list_tables names them, describe_table gives "
        "their columns."
    )


def full_line(table: TableInfo) -> str:
    """`orders (9,412 rows): id INTEGER key, status TEXT: paid|shipped, order_date DATE
    2024-12-01..2026-11-22`.
    """
    return _line(table, describe_column)


def _typed_line(table: TableInfo) -> str:
    return _line(
        table,
        lambda column: f"{column.name} {column.type}".strip() + _reference(column),
    )


def _name_line(table: TableInfo) -> str:
    return _line(table, lambda column: column.name)


def describe_column(column: ColumnInfo) -> str:
    """Name, type, key, reference and what its values are, in a few words."""
    words = f"{column.name} {column.type}".strip()
    if column.primary_key:
        words += " key"
    words += _reference(column)
    if column.values:
        words += ": " + "|".join(column.values)
    if column.span:
        words += " " + "..".join(column.span)
    return words


def _line(table: TableInfo, column: Callable[[ColumnInfo], str]) -> str:
    facts = [table.kind] if table.kind != "table" else []
    if table.rows is not None:
        facts.append(f"{table.rows:,} rows")
    heading = f"{table.name} ({', '.join(facts)})" if facts else table.name
    return f"{heading}: {', '.join(map(column, table.columns))}"


def _reference(column: ColumnInfo) -> str:
    return f" -> {column.references}" if column.references else ""
