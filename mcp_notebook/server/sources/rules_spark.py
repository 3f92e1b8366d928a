"""What Spark means otherwise: casts that cut, averages and quotients of decimals,
positions beyond a list, weekdays.
"""

from sqlglot import exp

from mcp_notebook.server.sources.rules import (
    INTEGERS,
    Kinds,
    Rule,
    call,
    cast,
    extract,
    kind_of,
)
from mcp_notebook.server.tool_errors import ToolError


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
            "A cast to an integer rounds in some engines and cuts in others: cast floor(x) or round(x)."
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
    return node if at is None else call("PERCENTILE", node.this, at)


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


def _extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
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
    return (
        exp.Floor(this=node.copy())
        if field == "SECOND" and not isinstance(node.parent, exp.Floor)
        else node
    )


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


def _length(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return (
        exp.ArraySize(this=node.this.copy())
        if kind_of(node.this, kinds) == "list"
        else node
    )


def _bracket(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A position beyond the list is NULL in DuckDB and an error in Spark's brackets."""
    if kind_of(node.this, kinds) == "text":
        raise ToolError(
            "Take parts of a text with substring(text, start, length) here."
        )
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Neg):
        raise ToolError("Positions in a list count from 1 here: list[1].")
    return (
        call("GET", node.this, node.expressions[0])
        if kind_of(node.this, kinds) == "list"
        else node
    )


RULES: dict[type[exp.Expr], Rule] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Div: _div,
    exp.Avg: _avg,
    exp.Sub: _sub,
    exp.PercentileCont: _percentile,
    exp.Quantile: _percentile,
    exp.WithinGroup: _within,
    exp.Extract: _extract,
    exp.DayOfWeek: _day_of_week,
    exp.Week: _week,
    exp.Concat: _concat,
    exp.Length: _length,
    exp.Bracket: _bracket,
}
