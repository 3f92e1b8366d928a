"""A statement in DuckDB's words, changed where another engine means something else by
the words that sqlglot gives it.

Integer casts round, averages of decimals are doubles, positions beyond a list give
NULL, `date_diff` counts boundaries: each rule makes the engine compute what DuckDB
computes. What has no exact counterpart is refused with the way out.
"""

from collections.abc import Mapping

from sqlglot import exp

from mcp_notebook.server.sources import rules_postgres, rules_spark
from mcp_notebook.server.sources.rules import EVERYWHERE, Kinds, Rule

_BY_DIALECT: Mapping[str, Mapping[type[exp.Expr], Rule]] = {
    "spark": rules_spark.RULES,
    "postgres": rules_postgres.RULES,
}


def exact(query: exp.Query, dialect: str, kinds: Kinds) -> exp.Query:
    """The statement with the rules of the engine applied; raises `ToolError` for what
    cannot be said exactly there.
    """
    rules = {**EVERYWHERE, **_BY_DIALECT.get(dialect, {})}

    def changed(node: exp.Expr) -> exp.Expr:
        rule = rules.get(type(node))
        return node if rule is None else rule(node, kinds)

    # From the leaves up: a rule sees what the rules below it made.
    for node in reversed(list(query.walk())):
        replacement = changed(node)
        if replacement is not node:
            node.replace(replacement)
    return query
