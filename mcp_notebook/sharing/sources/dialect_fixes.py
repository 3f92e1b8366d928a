"""A statement in DuckDB's words, changed where another engine means something else by
the words that sqlglot gives it.

Integer casts round, averages of decimals are doubles, positions beyond a list give
NULL, `date_diff` counts boundaries: each rule makes the engine compute what DuckDB
computes. What has no exact counterpart is refused with the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlglot import exp

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing.sources.dialect_rules import (
    EVERYWHERE,
    INTEGERS,
    Kinds,
    Rule,
    call,
    cast,
    extract,
    kind_of,
    trunc,
)

# ---- PostgreSQL: parts of dates, rounding, lists, texts within texts


def _round(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.args.get("decimals") is not None and not isinstance(node.this, exp.Cast):
        node.set("this", cast(node.this, "decimal"))
    return node


def _field(name: str, node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.Extract(this=exp.var(name), expression=node.this.copy())


def _postgres_extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    field = extract(node, kinds).this.name.upper()
    names = {"DAYOFWEEK": "DOW", "DAYOFYEAR": "DOY"}
    node.set("this", exp.var(names.get(field, field)))
    if field == "SECOND" and not isinstance(node.parent, exp.Floor):
        return exp.Floor(this=node.copy())
    return node


def _contains(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    place = exp.StrPosition(this=node.this.copy(), substr=node.expression.copy())
    return exp.Paren(this=exp.GT(this=place, expression=exp.Literal.number(0)))


def _ends_with(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    end = exp.Right(
        this=node.this.copy(), expression=exp.Length(this=node.expression.copy())
    )
    return exp.Paren(this=exp.EQ(this=end, expression=node.expression.copy()))


def _trunc(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """Of a date PostgreSQL makes a time with a zone first."""
    trunc(node, kinds)
    if kind_of(node.this, kinds) == "date":
        node.set("this", cast(node.this, "timestamp"))
    return node


def _size(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return call("CARDINALITY", node.this)


def _postgres_length(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kind_of(node.this, kinds) == "list":
        return call("CARDINALITY", node.this)
    return node


def _try_cast(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    raise ToolError(
        "TRY_CAST is not available for this table: filter the rows first, then CAST."
    )


def _no_using(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """SEMI and ANTI joins become EXISTS, for which sqlglot needs the condition."""
    if node.text("kind").upper() in ("SEMI", "ANTI") and not node.args.get("on"):
        raise ToolError(
            "Write SEMI JOIN and ANTI JOIN with ON here, or as WHERE EXISTS (...)."
        )
    return node


_POSTGRES: dict[type[exp.Expr], Rule] = {
    exp.Join: _no_using,
    exp.Round: _round,
    exp.Extract: _postgres_extract,
    exp.Contains: _contains,
    exp.EndsWith: _ends_with,
    exp.TimestampTrunc: _trunc,
    exp.ArraySize: _size,
    exp.Length: _postgres_length,
    exp.TryCast: _try_cast,
    exp.Quarter: partial(_field, "QUARTER"),
    exp.Hour: partial(_field, "HOUR"),
    exp.Minute: partial(_field, "MINUTE"),
    exp.DayOfWeek: partial(_field, "DOW"),
    exp.DayOfYear: partial(_field, "DOY"),
    exp.WeekOfYear: partial(_field, "WEEK"),
    exp.Week: partial(_field, "WEEK"),
}


# ---- Spark: casts that cut, averages and quotients of decimals, lists, parts of dates


def _cast(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """DuckDB rounds to the nearest integer, Spark cuts."""
    assert isinstance(node, exp.Cast)
    if node.to.this not in INTEGERS or node.meta.get("rounded"):
        return node

    kind = kind_of(node.this, kinds)
    if kind in ("integer", "text", "bool", "date", "timestamp"):
        return node
    if kind not in ("float", "decimal"):
        raise ToolError(
            "A cast to an integer rounds in some engines and cuts in others: cast "
            "floor(x) or round(x)."
        )

    rounded = call("BROUND" if kind == "float" else "ROUND", node.this)
    node.set("this", rounded)
    node.meta["rounded"] = True
    return node


def _div(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    sides = (kind_of(node.this, kinds), kind_of(node.expression, kinds))
    if (
        "interval" in sides
        or set(sides) <= {"integer", "float"}
        or isinstance(node.this, exp.Cast)
    ):
        return node

    node.set("this", cast(node.this, "double"))
    return node


def _avg(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kind_of(node.this, kinds) in ("integer", "float"):
        return node

    if isinstance(node.this, exp.Distinct):
        values = [cast(value, "double") for value in node.this.expressions]
        node.this.set("expressions", values)
    else:
        node.set("this", cast(node.this, "double"))

    return node


def _sub(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kind_of(node.this, kinds) == kind_of(node.expression, kinds) == "date":
        return call("DATEDIFF", node.this, node.expression)
    return node


def _percentile(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    at = node.args.get("expression") or node.args.get("quantile")
    if at is None:
        return node
    return call("PERCENTILE", node.this, at)


def _within(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    inner, order = node.this, node.expression
    if not (
        isinstance(inner, exp.PercentileCont)
        and isinstance(order, exp.Order)
        and len(order.expressions) == 1
    ):
        raise ToolError(
            "WITHIN GROUP works here with percentile_cont(p) WITHIN GROUP (ORDER BY x) only."
        )

    ordered = order.expressions[0]
    if ordered.args.get("desc"):
        raise ToolError("Write percentile_cont with an ascending ORDER BY here.")

    return call("PERCENTILE", ordered.this, inner.this)


def _spark_extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    field = extract(node, kinds).this.name.upper()
    if field in ("DOW", "DAYOFWEEK"):
        return exp.Paren(
            this=exp.Sub(
                this=call("DAYOFWEEK", node.expression),
                expression=exp.Literal.number(1),
            )
        )
    if field == "ISODOW":
        return exp.Paren(
            this=exp.Add(
                this=call("WEEKDAY", node.expression), expression=exp.Literal.number(1)
            )
        )
    if field == "SECOND" and not isinstance(node.parent, exp.Floor):
        return exp.Floor(this=node.copy())

    return node


def _day_of_week(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.Paren(
        this=exp.Sub(
            this=call("DAYOFWEEK", node.this), expression=exp.Literal.number(1)
        )
    )


def _week(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return call("WEEKOFYEAR", node.this)


def _concat(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    parts = [
        part if kind_of(part, kinds) == "text" else cast(part, "text")
        for part in node.expressions
    ]
    node.set("expressions", parts)
    return node


def _spark_length(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kind_of(node.this, kinds) == "list":
        return exp.ArraySize(this=node.this.copy())
    return node


def _bracket(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A position beyond the list is NULL in DuckDB and an error in Spark's brackets."""
    if kind_of(node.this, kinds) == "text":
        raise ToolError(
            "Take parts of a text with substring(text, start, length) here."
        )
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Neg):
        raise ToolError("Positions in a list count from 1 here: list[1].")
    if kind_of(node.this, kinds) == "list":
        return call("GET", node.this, node.expressions[0])

    return node


_SPARK: dict[type[exp.Expr], Rule] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Div: _div,
    exp.Avg: _avg,
    exp.Sub: _sub,
    exp.PercentileCont: _percentile,
    exp.Quantile: _percentile,
    exp.WithinGroup: _within,
    exp.Extract: _spark_extract,
    exp.DayOfWeek: _day_of_week,
    exp.Week: _week,
    exp.Concat: _concat,
    exp.Length: _spark_length,
    exp.Bracket: _bracket,
}


_BY_DIALECT: Mapping[str, Mapping[type[exp.Expr], Rule]] = {
    "spark": _SPARK,
    "postgres": _POSTGRES,
}


def apply_dialect_fixes(query: exp.Query, dialect: str, kinds: Kinds) -> exp.Query:
    """The statement with the rules of the engine applied; raises `ToolError` for what
    cannot be said exactly there.
    """
    rules = {**EVERYWHERE, **_BY_DIALECT.get(dialect, {})}

    def fix_node(node: exp.Expr) -> exp.Expr:
        rule = rules.get(type(node))
        if rule is None:
            return node
        return rule(node, kinds)

    # From the leaves up: a rule sees what the rules below it made.
    for node in reversed(list(query.walk())):
        replacement = fix_node(node)
        if replacement is not node:
            node.replace(replacement)

    return query
