"""What PostgreSQL says otherwise: parts of dates, rounding, lists, texts within texts."""

from functools import partial

from sqlglot import exp

from mcp_notebook.server.sources.rules import (
    Kinds,
    Rule,
    call,
    cast,
    extract,
    kind_of,
    trunc,
)
from mcp_notebook.server.tool_errors import ToolError


def _round(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.args.get("decimals") is not None and not isinstance(node.this, exp.Cast):
        node.set("this", cast(node.this, "decimal"))
    return node


def _field(name: str, node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.Extract(this=exp.var(name), expression=node.this.copy())


def _extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    field = extract(node, kinds).this.name.upper()
    names = {"DAYOFWEEK": "DOW", "DAYOFYEAR": "DOY"}
    node.set("this", exp.var(names.get(field, field)))
    return (
        exp.Floor(this=node.copy())
        if field == "SECOND" and not isinstance(node.parent, exp.Floor)
        else node
    )


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


def _length(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return (
        call("CARDINALITY", node.this) if kind_of(node.this, kinds) == "list" else node
    )


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


RULES: dict[type[exp.Expr], Rule] = {
    exp.Join: _no_using,
    exp.Round: _round,
    exp.Extract: _extract,
    exp.Contains: _contains,
    exp.EndsWith: _ends_with,
    exp.TimestampTrunc: _trunc,
    exp.ArraySize: _size,
    exp.Length: _length,
    exp.TryCast: _try_cast,
    exp.Quarter: partial(_field, "QUARTER"),
    exp.Hour: partial(_field, "HOUR"),
    exp.Minute: partial(_field, "MINUTE"),
    exp.DayOfWeek: partial(_field, "DOW"),
    exp.DayOfYear: partial(_field, "DOY"),
    exp.WeekOfYear: partial(_field, "WEEK"),
    exp.Week: partial(_field, "WEEK"),
}
