"""A statement in DuckDB's words, changed where another engine means something else by the words that sqlglot gives it.

Integer casts round, averages of decimals are doubles, positions beyond a list give NULL, `date_diff` counts boundaries:
each rule here makes the engine compute what DuckDB computes. What has no exact counterpart is refused with the way out.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

from sqlglot import exp

from mcp_notebook.server.mend import ToolError

Kinds = Mapping[str, str]
"""Lower-case column name -> "integer", "float", "decimal", "text", "bool", "date", "timestamp", "list", ..."""

Rule = Callable[[exp.Expr, Kinds], exp.Expr]

_INTEGERS = {
    exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.INT128, exp.DType.UTINYINT,
    exp.DType.USMALLINT, exp.DType.UINT, exp.DType.UBIGINT,
}  # fmt: skip
_FLOATS = {exp.DType.FLOAT, exp.DType.DOUBLE}
_CODES = re.compile(r"(?:%[YmdHMS]|[-/:. _])*")
_UNITS = {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"}
_FIELDS = {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "DOY", "DAYOFYEAR", "DOW",
           "DAYOFWEEK", "ISODOW"}  # fmt: skip
_NESTED_QUANTIFIERS = re.compile(r"\([^)]*[*+}][^)]*\)\s*[*+{]")


def exact(query: exp.Query, dialect: str, kinds: Kinds) -> exp.Query:
    """The statement with the rules of the engine applied; raises `ToolError` for what cannot be said exactly there."""
    rules = {**_EVERYWHERE, **_BY_DIALECT.get(dialect, {})}

    def changed(node: exp.Expr) -> exp.Expr:
        rule = rules.get(type(node))
        return node if rule is None else rule(node, kinds)

    # From the leaves up: a rule sees what the rules below it made.
    for node in reversed(list(query.walk())):
        replacement = changed(node)
        if replacement is not node:
            node.replace(replacement)
    return query


def kind_of(node: exp.Expr | None, kinds: Kinds) -> str:
    """What kind of value an expression gives, "" when that is not plain to see."""
    if isinstance(node, exp.Column):
        return kinds.get(node.name.lower(), "")
    if isinstance(node, exp.Literal):
        return "text" if node.is_string else ("integer" if node.this.isdigit() else "decimal")
    if isinstance(node, exp.Cast):
        return _kind_of_type(node.to)
    if isinstance(node, exp.Paren | exp.Neg | exp.Distinct | exp.Abs | exp.Min | exp.Max | exp.Coalesce | exp.Filter):
        inner = node.expressions[0] if isinstance(node, exp.Distinct) else node.this
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
        return "decimal" if "decimal" in (one, other) else "integer"
    return ""


_RESULTS: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
    ((exp.Count, exp.Length, exp.Year, exp.Month, exp.Day, exp.Quarter, exp.Hour, exp.Minute, exp.Extract,
      exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.ArraySize, exp.StrPosition, exp.IntDiv, exp.CountIf,
      exp.DateDiff, exp.DayOfWeek, exp.Sign), "integer"),
    ((exp.Div, exp.Avg, exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop, exp.Sqrt, exp.Ln,
      exp.Exp, exp.Pow, exp.Corr, exp.PercentileCont, exp.Median, exp.Log), "float"),
    ((exp.Upper, exp.Lower, exp.Trim, exp.Substring, exp.Left, exp.Right, exp.Replace, exp.Concat, exp.ConcatWs,
      exp.DPipe, exp.SplitPart, exp.TimeToStr), "text"),
    ((exp.Predicate, exp.Not, exp.Connector, exp.Boolean), "bool"),
    ((exp.CurrentDate, exp.LastDay), "date"),
    ((exp.Interval,), "interval"),
)  # fmt: skip


def _kind_of_type(kind: exp.DataType) -> str:
    if kind.this in _INTEGERS:
        return "integer"
    if kind.this in _FLOATS:
        return "float"
    names = {exp.DType.DECIMAL: "decimal", exp.DType.DATE: "date", exp.DType.BOOLEAN: "bool"}
    names |= {exp.DType.TEXT: "text", exp.DType.VARCHAR: "text"}
    named = str(kind.this.value) if isinstance(kind.this, exp.DType) else ""
    return names.get(kind.this, "timestamp" if named.startswith("TIMESTAMP") else "")


def _cast(node: exp.Expr, kind: str) -> exp.Expr:
    return exp.cast(node.copy(), kind)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _like(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    pattern = node.expression
    if not isinstance(node.parent, exp.Escape) and isinstance(pattern, exp.Literal) and "\\" in pattern.name:
        raise ToolError("A backslash in a LIKE pattern means different things here: write LIKE ... ESCAPE '!'.")
    return node


def _string_format(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    form = node.args.get("format")
    if isinstance(form, exp.Literal) and _CODES.fullmatch(form.name):
        return node
    raise ToolError("strftime works here with %Y %m %d %H %M %S and - / : . _ or blanks between them only.")


def _trunc(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.text("unit").upper() not in _UNITS:
        raise ToolError(f"date_trunc works here with {', '.join(sorted(unit.lower() for unit in _UNITS))}.")
    return node


def _substring(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    start = node.args.get("start")
    if isinstance(start, exp.Neg) or (isinstance(start, exp.Literal) and start.name == "0"):
        raise ToolError("substring counts from 1 here: for the end of a text write right(text, n).")
    return node


def _date_diff(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """The number of boundaries between two times, which is what DuckDB counts."""
    later, earlier, unit = node.this, node.expression, (node.text("unit") or "DAY").upper()
    years = exp.Paren(this=exp.Sub(this=exp.Year(this=later.copy()), expression=exp.Year(this=earlier.copy())))
    if unit == "YEAR":
        return years
    if unit == "MONTH":
        months = exp.Sub(this=exp.Month(this=later.copy()), expression=exp.Month(this=earlier.copy()))
        total = exp.Add(this=exp.Mul(this=years, expression=exp.Literal.number(12)), expression=exp.Paren(this=months))
        return exp.Paren(this=total)
    if unit != "DAY":
        raise ToolError("date_diff works here with 'day', 'month' and 'year'.")
    return exp.DateDiff(this=_cast(later, "date"), expression=_cast(earlier, "date"), unit=exp.var("DAY"))


def _anonymous(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """`date_part('year', d)` is EXTRACT in other words."""
    if node.name.lower() != "date_part" or len(node.expressions) != 2:
        return node
    return exp.Extract(this=exp.var(node.expressions[0].name.upper()), expression=node.expressions[1].copy())


def _extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.this.name.upper() not in _FIELDS:
        raise ToolError(f"{node.this.name.lower()} of a date is not available for this table.")
    return node


def _date_add(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    by = node.expression
    if not isinstance(by, exp.Interval):
        by = exp.Interval(this=by.copy(), unit=node.args.get("unit") or exp.var("DAY"))
    kind = exp.Sub if isinstance(node, exp.DateSub) else exp.Add
    return exp.Paren(this=kind(this=node.this.copy(), expression=by.copy()))


def _regexp(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ToolError("A regular expression must be written out as a text here, not come from a column.")
    if _NESTED_QUANTIFIERS.search(pattern.name):
        raise ToolError("This regular expression repeats a repetition, which can take for ever here: simplify it.")
    return node


def _spark_cast(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """DuckDB rounds to the nearest integer, Spark cuts."""
    assert isinstance(node, exp.Cast)
    if node.to.this not in _INTEGERS or node.meta.get("rounded"):
        return node
    kind = kind_of(node.this, kinds)
    if kind in ("integer", "text", "bool", "date", "timestamp"):
        return node
    if kind not in ("float", "decimal"):
        raise ToolError("A cast to an integer rounds in some engines and cuts in others: cast floor(x) or round(x).")
    rounded = _call("BROUND" if kind == "float" else "ROUND", node.this)
    node.set("this", rounded)
    node.meta["rounded"] = True
    return node


def _spark_div(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    sides = (kind_of(node.this, kinds), kind_of(node.expression, kinds))
    if "interval" in sides or set(sides) <= {"integer", "float"} or isinstance(node.this, exp.Cast):
        return node
    node.set("this", _cast(node.this, "double"))
    return node


def _spark_avg(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kind_of(node.this, kinds) in ("integer", "float"):
        return node
    if isinstance(node.this, exp.Distinct):
        values = [_cast(value, "double") for value in node.this.expressions]
        node.this.set("expressions", values)
    else:
        node.set("this", _cast(node.this, "double"))
    return node


def _spark_sub(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if kind_of(node.this, kinds) == kind_of(node.expression, kinds) == "date":
        return _call("DATEDIFF", node.this, node.expression)
    return node


def _spark_percentile(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    at = node.args.get("expression") or node.args.get("quantile")
    return node if at is None else _call("PERCENTILE", node.this, at)


def _spark_within(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    inner, order = node.this, node.expression
    if not (isinstance(inner, exp.PercentileCont) and isinstance(order, exp.Order) and len(order.expressions) == 1):
        raise ToolError("WITHIN GROUP works here with percentile_cont(p) WITHIN GROUP (ORDER BY x) only.")
    ordered = order.expressions[0]
    if ordered.args.get("desc"):
        raise ToolError("Write percentile_cont with an ascending ORDER BY here.")
    return _call("PERCENTILE", ordered.this, inner.this)


def _spark_extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    field = _extract(node, kinds).this.name.upper()
    if field in ("DOW", "DAYOFWEEK"):
        return exp.Paren(this=exp.Sub(this=_call("DAYOFWEEK", node.expression), expression=exp.Literal.number(1)))
    if field == "ISODOW":
        return exp.Paren(this=exp.Add(this=_call("WEEKDAY", node.expression), expression=exp.Literal.number(1)))
    return exp.Floor(this=node.copy()) if field == "SECOND" and not isinstance(node.parent, exp.Floor) else node


def _spark_day_of_week(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.Paren(this=exp.Sub(this=_call("DAYOFWEEK", node.this), expression=exp.Literal.number(1)))


def _spark_week(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return _call("WEEKOFYEAR", node.this)


def _spark_concat(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    parts = [part if kind_of(part, kinds) == "text" else _cast(part, "text") for part in node.expressions]
    node.set("expressions", parts)
    return node


def _spark_length(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.ArraySize(this=node.this.copy()) if kind_of(node.this, kinds) == "list" else node


def _spark_bracket(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """A position beyond the list is NULL in DuckDB and an error in Spark's brackets."""
    if kind_of(node.this, kinds) == "text":
        raise ToolError("Take parts of a text with substring(text, start, length) here.")
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Neg):
        raise ToolError("Positions in a list count from 1 here: list[1].")
    return _call("GET", node.this, node.expressions[0]) if kind_of(node.this, kinds) == "list" else node


def _log(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """DuckDB's `log(x)` is the decadic one."""
    if node.args.get("expression") is not None:
        return node
    return exp.Log(this=exp.Literal.number(10), expression=node.this.copy())


def _postgres_round(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    if node.args.get("decimals") is not None and not isinstance(node.this, exp.Cast):
        node.set("this", _cast(node.this, "decimal"))
    return node


def _field(name: str, node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.Extract(this=exp.var(name), expression=node.this.copy())


def _postgres_extract(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    field = _extract(node, kinds).this.name.upper()
    names = {"DAYOFWEEK": "DOW", "DAYOFYEAR": "DOY"}
    node.set("this", exp.var(names.get(field, field)))
    return exp.Floor(this=node.copy()) if field == "SECOND" and not isinstance(node.parent, exp.Floor) else node


def _postgres_contains(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    place = exp.StrPosition(this=node.this.copy(), substr=node.expression.copy())
    return exp.Paren(this=exp.GT(this=place, expression=exp.Literal.number(0)))


def _postgres_ends_with(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    end = exp.Right(this=node.this.copy(), expression=exp.Length(this=node.expression.copy()))
    return exp.Paren(this=exp.EQ(this=end, expression=node.expression.copy()))


def _postgres_trunc(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """Of a date PostgreSQL makes a time with a zone first."""
    _trunc(node, kinds)
    if kind_of(node.this, kinds) == "date":
        node.set("this", _cast(node.this, "timestamp"))
    return node


def _postgres_size(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return _call("CARDINALITY", node.this)


def _postgres_length(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return _call("CARDINALITY", node.this) if kind_of(node.this, kinds) == "list" else node


def _postgres_try_cast(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    raise ToolError("TRY_CAST is not available for this table: filter the rows first, then CAST.")


def _no_using(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """SEMI and ANTI joins become EXISTS, for which sqlglot needs the condition."""
    if node.text("kind").upper() in ("SEMI", "ANTI") and not node.args.get("on"):
        raise ToolError("Write SEMI JOIN and ANTI JOIN with ON here, or as WHERE EXISTS (...).")
    return node


_EVERYWHERE: dict[type[exp.Expr], Rule] = {
    exp.Like: _like,
    exp.ILike: _like,
    exp.TimeToStr: _string_format,
    exp.TimestampTrunc: _trunc,
    exp.DateTrunc: _trunc,
    exp.Substring: _substring,
    exp.DateDiff: _date_diff,
    exp.Anonymous: _anonymous,
    exp.Extract: _extract,
    exp.RegexpLike: _regexp,
    exp.Log: _log,
    exp.DateAdd: _date_add,
    exp.DateSub: _date_add,
}
_BY_DIALECT: dict[str, dict[type[exp.Expr], Rule]] = {
    "spark": {
        exp.Cast: _spark_cast,
        exp.TryCast: _spark_cast,
        exp.Div: _spark_div,
        exp.Avg: _spark_avg,
        exp.Sub: _spark_sub,
        exp.PercentileCont: _spark_percentile,
        exp.Quantile: _spark_percentile,
        exp.WithinGroup: _spark_within,
        exp.Extract: _spark_extract,
        exp.DayOfWeek: _spark_day_of_week,
        exp.Week: _spark_week,
        exp.Concat: _spark_concat,
        exp.Length: _spark_length,
        exp.Bracket: _spark_bracket,
    },
    "postgres": {
        exp.Join: _no_using,
        exp.Round: _postgres_round,
        exp.Extract: _postgres_extract,
        exp.Contains: _postgres_contains,
        exp.EndsWith: _postgres_ends_with,
        exp.TimestampTrunc: _postgres_trunc,
        exp.ArraySize: _postgres_size,
        exp.Length: _postgres_length,
        exp.TryCast: _postgres_try_cast,
        exp.Quarter: partial(_field, "QUARTER"),
        exp.Hour: partial(_field, "HOUR"),
        exp.Minute: partial(_field, "MINUTE"),
        exp.DayOfWeek: partial(_field, "DOW"),
        exp.DayOfYear: partial(_field, "DOY"),
        exp.WeekOfYear: partial(_field, "WEEK"),
        exp.Week: partial(_field, "WEEK"),
    },
}
