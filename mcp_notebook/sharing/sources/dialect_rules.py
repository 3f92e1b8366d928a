"""Rules that hold for every engine, and what they and the rules of single engines are made of.

A rule takes a part of a statement in DuckDB's words and gives what says the same on the
engine, or refuses it with the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlglot import exp

from mcp_notebook.errors import ToolError

Kinds = Mapping[str, str]
"""Lower-case column name -> "integer", "float", "decimal", "text", "bool", "date",
"timestamp", "list", ...
"""

Rule = Callable[[exp.Expr, Kinds], exp.Expr]

INTEGERS = {
    exp.DType.TINYINT,
    exp.DType.SMALLINT,
    exp.DType.INT,
    exp.DType.BIGINT,
    exp.DType.INT128,
    exp.DType.UTINYINT,
    exp.DType.USMALLINT,
    exp.DType.UINT,
    exp.DType.UBIGINT,
}
_FLOATS = {exp.DType.FLOAT, exp.DType.DOUBLE}
_CODES = re.compile(r"(?:%[YmdHMS]|[-/:. _])*")
_UNITS = {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"}
_FIELDS = set(
    """
    YEAR QUARTER MONTH WEEK DAY HOUR MINUTE SECOND DOY DAYOFYEAR DOW DAYOFWEEK ISODOW
""".split()
)
_NESTED_QUANTIFIERS = re.compile(r"\([^)]*[*+}][^)]*\)\s*[*+{]")


def kind_of(node: exp.Expr | None, kinds: Kinds) -> str:
    """What kind of value an expression gives, "" when that is not plain to see."""
    if isinstance(node, exp.Column):
        return kinds.get(node.name.lower(), "")

    if isinstance(node, exp.Literal):
        if node.is_string:
            return "text"
        if node.this.isdigit():
            return "integer"

        return "decimal"

    if isinstance(node, exp.Cast):
        return _kind_of_type(node.to)

    if isinstance(
        node,
        exp.Paren
        | exp.Neg
        | exp.Distinct
        | exp.Abs
        | exp.Min
        | exp.Max
        | exp.Coalesce
        | exp.Filter,
    ):
        if isinstance(node, exp.Distinct):
            inner = node.expressions[0]
        else:
            inner = node.this

        return kind_of(inner, kinds)

    if isinstance(node, exp.Sum | exp.Window | exp.Round | exp.Floor | exp.Ceil):
        return kind_of(node.this, kinds)
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Mod):
        return _wider(kind_of(node.this, kinds), kind_of(node.expression, kinds))

    return next((kind for classes, kind in _RESULTS if isinstance(node, classes)), "")


def _wider(one: str, other: str) -> str:
    if "float" in (one, other):
        return "float"

    if {one, other} <= {"integer", "decimal"}:
        if "decimal" in (one, other):
            return "decimal"
        return "integer"

    return ""


_RESULTS: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
    (
        (
            exp.Count,
            exp.Length,
            exp.Year,
            exp.Month,
            exp.Day,
            exp.Quarter,
            exp.Hour,
            exp.Minute,
            exp.Extract,
            exp.RowNumber,
            exp.Rank,
            exp.DenseRank,
            exp.Ntile,
            exp.ArraySize,
            exp.StrPosition,
            exp.IntDiv,
            exp.CountIf,
            exp.DateDiff,
            exp.DayOfWeek,
            exp.Sign,
        ),
        "integer",
    ),
    (
        (
            exp.Div,
            exp.Avg,
            exp.Stddev,
            exp.StddevSamp,
            exp.StddevPop,
            exp.Variance,
            exp.VariancePop,
            exp.Sqrt,
            exp.Ln,
            exp.Exp,
            exp.Pow,
            exp.Corr,
            exp.PercentileCont,
            exp.Median,
            exp.Log,
        ),
        "float",
    ),
    (
        (
            exp.Upper,
            exp.Lower,
            exp.Trim,
            exp.Substring,
            exp.Left,
            exp.Right,
            exp.Replace,
            exp.Concat,
            exp.ConcatWs,
            exp.DPipe,
            exp.SplitPart,
            exp.TimeToStr,
        ),
        "text",
    ),
    ((exp.Predicate, exp.Not, exp.Connector, exp.Boolean), "bool"),
    ((exp.CurrentDate, exp.LastDay), "date"),
    ((exp.Interval,), "interval"),
)


def _kind_of_type(kind: exp.DataType) -> str:
    if kind.this in INTEGERS:
        return "integer"
    if kind.this in _FLOATS:
        return "float"

    names = {
        exp.DType.DECIMAL: "decimal",
        exp.DType.DATE: "date",
        exp.DType.BOOLEAN: "bool",
    }
    names |= {exp.DType.TEXT: "text", exp.DType.VARCHAR: "text"}
    if isinstance(kind.this, exp.DType):
        named = str(kind.this.value)
    else:
        named = ""

    return names.get(kind.this, "timestamp" if named.startswith("TIMESTAMP") else "")


def cast(node: exp.Expr, kind: str) -> exp.Expr:
    """CAST of a copy."""
    return exp.cast(node.copy(), kind)


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of the engine's own function with copies of the arguments."""
    return exp.Anonymous(
        this=name, expressions=[argument.copy() for argument in arguments]
    )


def _like(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    pattern = node.expression
    if (
        not isinstance(node.parent, exp.Escape)
        and isinstance(pattern, exp.Literal)
        and "\\" in pattern.name
    ):
        raise ToolError(
            "A backslash in a LIKE pattern means different things here: write LIKE ... ESCAPE '!'."
        )

    return node


def _string_format(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    form = node.args.get("format")
    if isinstance(form, exp.Literal) and _CODES.fullmatch(form.name):
        return node
    raise ToolError(
        "strftime works here with %Y %m %d %H %M %S and - / : . _ or blanks between them only."
    )


def trunc(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """`date_trunc` by the units that mean the same everywhere."""
    if node.text("unit").upper() not in _UNITS:
        raise ToolError(
            f"date_trunc works here with {', '.join(sorted(unit.lower() for unit in _UNITS))}."
        )
    return node


def _substring(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    start = node.args.get("start")
    if isinstance(start, exp.Neg) or (
        isinstance(start, exp.Literal) and start.name == "0"
    ):
        raise ToolError(
            "substring counts from 1 here: for the end of a text write right(text, n)."
        )

    return node


def _date_diff(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """The number of boundaries between two times, which is what DuckDB counts."""
    later, earlier, unit = (
        node.this,
        node.expression,
        (node.text("unit") or "DAY").upper(),
    )
    years = exp.Paren(
        this=exp.Sub(
            this=exp.Year(this=later.copy()), expression=exp.Year(this=earlier.copy())
        )
    )
    if unit == "YEAR":
        return years

    if unit == "MONTH":
        months = exp.Sub(
            this=exp.Month(this=later.copy()), expression=exp.Month(this=earlier.copy())
        )
        total = exp.Add(
            this=exp.Mul(this=years, expression=exp.Literal.number(12)),
            expression=exp.Paren(this=months),
        )
        return exp.Paren(this=total)

    if unit != "DAY":
        raise ToolError("date_diff works here with 'day', 'month' and 'year'.")

    return exp.DateDiff(
        this=cast(later, "date"), expression=cast(earlier, "date"), unit=exp.var("DAY")
    )


def _anonymous(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """`date_part('year', d)` is EXTRACT in other words."""
    if node.name.lower() != "date_part" or len(node.expressions) != 2:
        return node

    return exp.Extract(
        this=exp.var(node.expressions[0].name.upper()),
        expression=node.expressions[1].copy(),
    )


def extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """EXTRACT of the fields that mean the same everywhere."""
    if node.this.name.upper() not in _FIELDS:
        raise ToolError(
            f"{node.this.name.lower()} of a date is not available for this table."
        )
    return node


def _date_add(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    by = node.expression
    if not isinstance(by, exp.Interval):
        by = exp.Interval(this=by.copy(), unit=node.args.get("unit") or exp.var("DAY"))

    if isinstance(node, exp.DateSub):
        kind = exp.Sub
    else:
        kind = exp.Add

    return exp.Paren(this=kind(this=node.this.copy(), expression=by.copy()))


def _regexp(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ToolError(
            "A regular expression must be written out as a text here, not come from a column."
        )
    if _NESTED_QUANTIFIERS.search(pattern.name):
        raise ToolError(
            "This regular expression repeats a repetition, which can take for ever "
            "here: simplify it."
        )

    return node


def _log(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """DuckDB's `log(x)` is the decadic one."""
    if node.args.get("expression") is not None:
        return node
    return exp.Log(this=exp.Literal.number(10), expression=node.this.copy())


EVERYWHERE: dict[type[exp.Expr], Rule] = {
    exp.Like: _like,
    exp.ILike: _like,
    exp.TimeToStr: _string_format,
    exp.TimestampTrunc: trunc,
    exp.DateTrunc: trunc,
    exp.Substring: _substring,
    exp.DateDiff: _date_diff,
    exp.Anonymous: _anonymous,
    exp.Extract: extract,
    exp.RegexpLike: _regexp,
    exp.Log: _log,
    exp.DateAdd: _date_add,
    exp.DateSub: _date_add,
}
