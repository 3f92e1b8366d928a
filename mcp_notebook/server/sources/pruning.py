"""Which columns of a table a statement can need: by their names anywhere in it, so
rather too many than too few.
"""

from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_ALL = (exp.Columns, exp.Pivot, exp.Describe, exp.Summarize, exp.PositionalColumn)


def named_columns(
    sql: str, tables: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """The columns by table, in the table's order; all of them when the statement takes
    them by other means.
    """
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="duckdb") if tree is not None]
    except (SqlglotError, RecursionError, ValueError):
        return {name: list(columns) for name, columns in tables.items()}
    if any(_takes_all(tree) for tree in trees):
        return {name: list(columns) for name, columns in tables.items()}
    words = {
        node.name.lower() for tree in trees for node in tree.find_all(exp.Identifier)
    }
    whole = {node.name.lower() for tree in trees for node in tree.find_all(exp.Column)}
    aliases = _aliases(trees)
    return {
        name: list(columns)
        # `SELECT t FROM t` is the row
        if whole & aliases.get(name.lower(), {name.lower()})
        else [column for column in columns if column.lower() in words]
        for name, columns in tables.items()
    }


def _takes_all(tree: exp.Expr) -> bool:
    for node in tree.walk():
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
            return True
        if isinstance(node, _ALL) or (isinstance(node, exp.Join) and node.method):
            return True
        if (
            isinstance(node, exp.TableAlias)
            and node.columns
            and not isinstance(node.parent, exp.CTE)
        ):
            return True  # `t AS u(a, b)` names columns by their places
    return not isinstance(tree, exp.Query)


def _aliases(trees: Sequence[exp.Expr]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for tree in trees:
        for table in tree.find_all(exp.Table):
            found.setdefault(table.name.lower(), {table.name.lower()}).add(
                (table.alias or table.name).lower()
            )
    return found
