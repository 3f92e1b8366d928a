"""The static check of SQL for an engine that could do more than read: an allow-list of
what a statement may consist of.

Spark has no read-only mode: a SELECT can run Java (`reflect`), a program (`TRANSFORM
... USING`), read files in table position and expand `${env:...}`. So a statement is
parsed by sqlglot, every part of it must be known to be harmless, and what the engine
gets is written anew from the parsed tree, without comments and hints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from mcp_notebook.errors import ToolError, did_you_mean
from mcp_notebook.sharing.sqlguard import REFUSED_FUNCTIONS
from mcp_notebook.sql_effects import parse_statements

MAX_LENGTH = 20_000  # characters
MAX_NODES = 10_000

_ONE_SELECT = "Write one SELECT (WITH and set operations work too)."

# Every class of node that may stand in a statement; functions have a list of their own.
# What sqlglot learns to parse
# later is refused until it is named here.
_PARTS: set[str] = set(
    """
    Select Union Except Intersect Subquery From Join Where Group Having Qualify Order
    Ordered Limit Offset Fetch LimitOptions Distinct With CTE TableAlias Table Values
    Column Identifier Alias Star Literal Null Boolean Paren Tuple DataType DataTypeParam
    ColumnDef Interval IntervalSpan Var Add Sub Mul Div IntDiv Mod Neg EQ NEQ GT GTE LT
    LTE NullSafeEQ NullSafeNEQ Not Is In Between Like ILike Escape DPipe Any All Window
    WindowSpec Filter WithinGroup IgnoreNulls RespectNulls Lambda Bracket Dot Cube
    Rollup GroupingSets AtTimeZone Unnest Lateral BitwiseAnd BitwiseOr BitwiseXor
    BitwiseNot PropertyEQ Kwarg
""".split()
)
_SELECT_ARGS: set[str] = set(
    """
    with_ expressions from_ joins where group having qualify windows distinct order
    limit offset laterals
""".split()
)
_WORDS = {
    "QueryTransform": "TRANSFORM ... USING",
    "TableSample": "TABLESAMPLE",
    "Version": "time travel",
    "Pivot": "PIVOT",
    "Placeholder": "a parameter",
    "Parameter": "a parameter",
    "SessionParameter": "a session variable",
    "Columns": "COLUMNS(...)",
    "Lock": "FOR UPDATE",
    "Into": "INTO",
    "Hint": "a hint",
    "Command": "a command",
    "Describe": "DESCRIBE",
    "Summarize": "SUMMARIZE",
    "Slice": "a slice [a:b]",
}


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
    while isinstance(query, exp.Subquery) and set(_given_parts(query)) == {"this"}:
        query = query.this

    if not isinstance(query, exp.Select | exp.SetOperation):
        raise ToolError(
            f"Refused: {_said(query)} is not a SELECT that this table's engine may "
            f"run. {_ONE_SELECT}"
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
    if isinstance(function, exp.Func):
        return function.sql_name().lower()
    return function.key


def first_line(error: BaseException) -> str:
    """The first line of a message, without the marks that sqlglot puts around the place."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    return lines[0].replace("\x1b[4m", "").replace("\x1b[0m", "")[:300]


_GRAMMAR = (
    exp.Connector,
    exp.Case,
    exp.If,
    exp.Cast,
    exp.Exists,
    exp.Unnest,
    exp.Array,
    exp.Struct,
    exp.Any,
    exp.All,
)


def _refuse_unknown(node: exp.Expr) -> None:
    node.comments = None
    if isinstance(node, exp.Func):
        return

    kind = type(node).__name__
    if kind not in _PARTS:
        raise ToolError(f"Refused: {_said(node)} is not available for this table.")

    for part, is_refused, words in _REFUSED:
        if isinstance(node, part) and is_refused(node):
            raise ToolError(words.format(_name_refused(node)))


# A part of a statement, when it is refused, and what is said.
_REFUSED: tuple[tuple[type[exp.Expr], Callable[[Any], Any], str], ...] = (
    (
        exp.Select,
        lambda select: _unknown_args(select),
        "Refused: {} is not available for this table.",
    ),
    (
        exp.Join,
        lambda join: join.method,
        "Refused: {} JOIN is not available for this table: write JOIN ... ON.",
    ),
    (
        exp.DataType,
        lambda type_: type_.this == exp.DType.USERDEFINED,
        "There is no type {!r}.",
    ),
    (
        exp.Dot,
        lambda dot: not isinstance(dot.expression, exp.Identifier),
        "Refused: {:.60}: a function cannot be called by the name of a schema.",
    ),
    (
        exp.Lateral,
        lambda lateral: not isinstance(lateral.this, _AFTER_LATERAL),
        "Refused: LATERAL works with a subquery, explode or unnest only.",
    ),
)
_AFTER_LATERAL = exp.Subquery | exp.Explode | exp.Posexplode


def _unknown_args(select: exp.Expr) -> list[str]:
    return sorted(set(_given_parts(select)) - _SELECT_ARGS)


def _name_refused(node: exp.Expr) -> str:
    """What a refusal calls a part: the word that is not known, else the part as written."""
    if isinstance(node, exp.Select):
        return _unknown_args(node)[0].strip("_")
    return node.method if isinstance(node, exp.Join) else node.sql()


def _given_parts(node: exp.Expr) -> list[str]:
    return [key for key, value in node.args.items() if value]


def _said(node: exp.Expr) -> str:
    kind = type(node).__name__
    return _WORDS.get(kind, kind.upper())


# ---- functions

# An allow-list, by the names that sqlglot gives functions: what is not named here is
# refused, whatever it does. A function is on it when it reads nothing but its
# arguments, makes no more than its arguments' size, and gives on that engine what it
# gives in DuckDB, if need be after one of the rewrites (`dialect_fixes`).
# `tests/sharing/same_answers.py` compares the answers.

_EVERYWHERE = {
    # aggregates
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "variance",
    "variance_pop",
    "corr",
    "covar_samp",
    "covar_pop",
    "logical_and",
    "logical_or",
    "grouping",
    "count_if",
    # windows
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
    # values
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "abs",
    "round",
    "floor",
    "ceil",
    "sqrt",
    "ln",
    "exp",
    "power",
    "sign",
    "log",
    # texts
    "upper",
    "lower",
    "length",
    "trim",
    "substring",
    "left",
    "right",
    "replace",
    "reverse",
    "concat",
    "concat_ws",
    "split_part",
    "str_position",
    "starts_with",
    "ends_with",
    "contains",
    # dates
    "year",
    "month",
    "day",
    "quarter",
    "hour",
    "minute",
    "extract",
    "timestamp_trunc",
    "date_trunc",
    "current_date",
    "current_timestamp",
    "datediff",
    "last_day",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "week_of_year",
    "week",
    "time_to_str",
    "date_add",
    "date_sub",
    "date",
    "ts_or_ds_to_date",
    # lists
    "array_contains",
    "array_size",
    "explode",
}
_SPARK: set[str] = set(
    """
    median percentile_cont quantile approx_distinct arg_max arg_min any_value mode
    group_concat skewness array_distinct transform filter map_keys struct_extract
    regexp_like md5 sha2 rand uuid date_from_parts array_to_string array_max array_min
    initcap ascii bitwise_and_agg bitwise_or_agg regr_slope regr_intercept dayname
    monthname is_nan
""".split()
)
_POSTGRES: set[str] = set(
    """
    median percentile_cont percentile_disc quantile group_concat array_agg
    array_to_string md5 regr_slope regr_intercept ascii initcap rand regexp_like
""".split()
)
# The engine's own functions by their own names, for those who know the engine. Not
# among them: whatever reads files,
# settings or the session, runs code, fails or waits on purpose, or makes values of any
# size from small ones.
_SPARK_OWN: set[str] = set(
    """
    percentile percentile_approx approx_percentile collect_list collect_set date_format
    to_date to_timestamp size array_contains element_at array_join array_position
    array_union array_intersect array_except arrays_overlap array_compact slice flatten
    aggregate reduce forall zip_with map_values map_entries map_from_arrays map_filter
    named_struct cardinality isnull isnotnull nvl2 mean std every some bool_and bool_or
    first last max_by min_by add_months months_between weekday weekofyear unix_timestamp
    from_unixtime unix_date date_part make_date next_day posexplode bround pmod hypot
    cbrt degrees radians sin cos tan asin acos atan atan2 log2 log10 log1p expm1 rint
    hash xxhash64 crc32 soundex levenshtein translate substring_index btrim char_length
    regexp_count regexp_substr kurtosis array_append try_divide try_add get now
    unix_millis unix_seconds timestamp_seconds timestamp_millis date_from_unix_date
    histogram_numeric array_agg array_unique_agg time_to_unix unix_to_time ts_or_ds_add
    approx_quantile regexp_extract sort_array array_sort array map var_map struct
    json_extract_scalar exists date_trunc array_slice ts_or_ds_diff to_timestamp_ntz
    str_to_time array_intersection
""".split()
)
_POSTGRES_OWN: set[str] = set(
    """
    date_part to_char age array_length cardinality array_position jsonb_array_length
    bool_and bool_or every mod div trunc width_bucket char_length btrim translate
    jsonb_typeof jsonb_extract_path_text json_extract_path_text percentile_disc now
    to_date mode justify_days date_bin regexp_match regexp_count regexp_like
    make_interval std mean degrees radians sin cos tan atan asin acos cbrt json_extract
    json_extract_scalar
""".split()
)

ALLOWED: Mapping[str, set[str]] = {"spark": _SPARK, "postgres": _POSTGRES}
OWN: Mapping[str, set[str]] = {"spark": _SPARK_OWN, "postgres": _POSTGRES_OWN}
IN_DUCKDB = {
    "now",
    "date_part",
    "mean",
    "bool_and",
    "bool_or",
    "isnull",
    "cardinality",
    "age",
    "array_length",
    "every",
}
"""Names of OWN that DuckDB knows, too."""
# In DuckDB every function of a DuckDB without extensions and macros of the person's,
# but for these: what `sqlguard` refuses, the session, and what cannot be interrupted or
# makes values of any size.
DUCKDB_REFUSED = REFUSED_FUNCTIONS | set(
    """
    repeat lpad rpad pad space range generate_series list_resize array_resize
    levenshtein damerau_levenshtein editdist3 jaccard jaro_similarity
    jaro_winkler_similarity bitstring printf format bar current_user session_user user
    version current_version current_database current_catalog current_schema
    current_schemas query query_table in_search_path txid_current pg_get_viewdef
    array_repeat
""".split()
)


def check_functions(query: exp.Query, dialect: str, *, read: str = "duckdb") -> None:
    """Refuse functions that the engine's list does not name; raises `ToolError` that
    names the function.

    `read` is the dialect that the statement is written in: the engine's own words mean
    what the engine makes of them.
    """
    for function in functions(query):
        name = name_of(function)
        if not _is_allowed(function, name, dialect, read):
            near = did_you_mean(name, sorted(_EVERYWHERE | ALLOWED.get(dialect, set())))
            raise ToolError(
                f"Refused: the function {name} is not available for this table.{near}"
            )


def calls_own(query: exp.Query, dialect: str) -> bool:
    """Whether the statement calls functions by a name that only the engine knows, so
    that DuckDB cannot judge it.
    """
    names = {
        name_of(function)
        for function in functions(query)
        if isinstance(function, exp.Anonymous)
    }
    return dialect != "duckdb" and bool(names & OWN.get(dialect, set()) - IN_DUCKDB)


def _is_allowed(function: exp.Expr, name: str, dialect: str, read: str) -> bool:
    if dialect == "duckdb":
        return name not in DUCKDB_REFUSED
    own, portable = OWN.get(dialect, set()), _EVERYWHERE | ALLOWED.get(dialect, set())
    if isinstance(function, exp.Anonymous):
        return name in own
    return name in portable or (read == dialect and name in own)
