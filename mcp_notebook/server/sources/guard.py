"""The static check of SQL for an engine that could do more than read: an allow-list of
what a statement may consist of.

Spark has no read-only mode: a SELECT can run Java (`reflect`), a program (`TRANSFORM
... USING`), read files in table position and expand `${env:...}`. So a statement is
parsed by sqlglot, every part of it must be known to be harmless, and what the engine
gets is written anew from the parsed tree, without comments and hints.
"""

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.errors import SqlglotError

from mcp_notebook.server.mend import ToolError
from mcp_notebook.sql_effects import parse_statements

MAX_LENGTH = 20_000  # characters
MAX_NODES = 10_000

_ONE_SELECT = "Write one SELECT (WITH and set operations work too)."

# Every class of node that may stand in a statement; functions have a list of their own.
# What sqlglot learns to parse
# later is refused until it is named here.
_PARTS = {
    "Select", "Union", "Except", "Intersect", "Subquery", "From", "Join", "Where", "Group", "Having", "Qualify",
    "Order", "Ordered", "Limit", "Offset", "Fetch", "LimitOptions", "Distinct", "With", "CTE", "TableAlias", "Table",
    "Values", "Column", "Identifier", "Alias", "Star", "Literal", "Null", "Boolean", "Paren", "Tuple", "DataType",
    "DataTypeParam", "ColumnDef", "Interval", "IntervalSpan", "Var", "Add", "Sub", "Mul", "Div", "IntDiv", "Mod",
    "Neg", "EQ", "NEQ", "GT", "GTE", "LT", "LTE", "NullSafeEQ", "NullSafeNEQ", "Not", "Is", "In", "Between", "Like",
    "ILike", "Escape", "DPipe", "Any", "All", "Window", "WindowSpec", "Filter", "WithinGroup", "IgnoreNulls",
    "RespectNulls", "Lambda", "Bracket", "Dot", "Cube", "Rollup", "GroupingSets", "AtTimeZone", "Unnest", "Lateral",
    "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "PropertyEQ", "Kwarg",
}  # fmt: skip
_SELECT_ARGS = {
    "with_", "expressions", "from_", "joins", "where", "group", "having", "qualify", "windows", "distinct", "order",
    "limit", "offset", "laterals",
}  # fmt: skip
_WORDS = {
    "QueryTransform": "TRANSFORM ... USING", "TableSample": "TABLESAMPLE", "Version": "time travel", "Pivot": "PIVOT",
    "Placeholder": "a parameter", "Parameter": "a parameter", "SessionParameter": "a session variable",
    "Columns": "COLUMNS(...)", "Lock": "FOR UPDATE", "Into": "INTO", "Hint": "a hint", "Command": "a command",
    "Describe": "DESCRIBE", "Summarize": "SUMMARIZE", "Slice": "a slice [a:b]",
}  # fmt: skip


class UnreadableError(ToolError):
    """The text is no statement of the dialect."""


def parse(sql: str, dialect: str) -> exp.Query:
    """The one SELECT of the text, its parts checked (but not its functions and names);
    raises `ToolError`.
    """
    if len(sql) > MAX_LENGTH:
        raise ToolError(
            f"The statement has {len(sql):,} characters; {MAX_LENGTH:,} are allowed."
        )
    try:
        statements = parse_statements(sql, dialect)
    except (SqlglotError, ValueError) as error:
        raise UnreadableError(
            f"The statement cannot be read: {first_line(error)}"
        ) from error
    except RecursionError:
        raise ToolError(
            "The statement is nested too deeply: name parts of it in a WITH."
        ) from None
    if len(statements) != 1:
        raise ToolError(f"{len(statements)} statements were given. {_ONE_SELECT}")
    query = statements[0]
    # parentheses around it all
    while isinstance(query, exp.Subquery) and set(_given(query)) == {"this"}:
        query = query.this
    if not isinstance(query, exp.Select | exp.SetOperation):
        raise ToolError(
            f"Refused: {_said(query)} is not a SELECT that this table's engine may run. {_ONE_SELECT}"
        )
    query.pop()
    for number, node in enumerate(query.walk()):
        if number > MAX_NODES:
            raise ToolError("The statement is too long: aggregate in steps.")
        _refuse_unknown(node)
    return query


def is_in(sql: str, dialect: str) -> bool:
    """Whether sqlglot can read the text in that dialect at all."""
    try:
        return len(sql) <= MAX_LENGTH and bool(parse_statements(sql, dialect))
    except (SqlglotError, ValueError, RecursionError):
        return False


def functions(query: exp.Expr) -> Iterator[exp.Expr]:
    """Every function of the statement; AND, OR and CASE are none."""
    for node in query.walk():
        if isinstance(node, exp.Func) and not isinstance(node, _GRAMMAR):
            yield node


def name_of(function: exp.Expr) -> str:
    """What a function is called, as the model knows it."""
    if isinstance(function, exp.Anonymous | exp.AnonymousAggFunc):
        return function.name.lower()
    return (
        function.sql_name().lower() if isinstance(function, exp.Func) else function.key
    )


def first_line(error: BaseException) -> str:
    """The first line of a message, without the marks that sqlglot puts around the place."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    return lines[0].replace("\x1b[4m", "").replace("\x1b[0m", "")[:300]


_GRAMMAR = (
    exp.Connector, exp.Case, exp.If, exp.Cast, exp.Exists, exp.Unnest, exp.Array, exp.Struct, exp.Any, exp.All,
)  # fmt: skip


def _refuse_unknown(node: exp.Expr) -> None:
    node.comments = None
    if isinstance(node, exp.Func):
        return
    kind = type(node).__name__
    if kind not in _PARTS:
        raise ToolError(f"Refused: {_said(node)} is not available for this table.")
    if isinstance(node, exp.Select):
        unknown = set(_given(node)) - _SELECT_ARGS
        if unknown:
            raise ToolError(
                f"Refused: {sorted(unknown)[0].strip('_')} is not available for this table."
            )
    if isinstance(node, exp.Join) and node.method:
        raise ToolError(
            f"Refused: {node.method} JOIN is not available for this table: write JOIN ... ON."
        )
    if isinstance(node, exp.DataType) and node.this == exp.DType.USERDEFINED:
        raise ToolError(f"There is no type {node.sql()!r}.")
    if isinstance(node, exp.Dot) and not isinstance(node.expression, exp.Identifier):
        raise ToolError(
            f"Refused: {node.sql()[:60]}: a function cannot be called by the name of a schema."
        )
    if isinstance(node, exp.Lateral) and not isinstance(
        node.this, exp.Subquery | exp.Explode | exp.Posexplode
    ):
        raise ToolError(
            "Refused: LATERAL works with a subquery, explode or unnest only."
        )


def _given(node: exp.Expr) -> list[str]:
    return [key for key, value in node.args.items() if value]


def _said(node: exp.Expr) -> str:
    kind = type(node).__name__
    return _WORDS.get(kind, kind.upper())
