"""Which functions a statement may call on another engine, and how those that differ are
written there.

An allow-list, by the names that sqlglot gives functions: what is not named here is
refused, whatever it does. A function is on it when it reads nothing but its arguments,
makes no more than its arguments' size, and gives on that engine what it gives in
DuckDB, if need be after one of the rewrites (`exact`). `tests/server/test_same_answers`
compares the answers.
"""

from collections.abc import Mapping

from sqlglot import exp

from mcp_notebook.server.mend import ToolError, did_you_mean
from mcp_notebook.server.sources.guard import functions, name_of
from mcp_notebook.server.sqlguard import REFUSED_FUNCTIONS

_EVERYWHERE = {
    # aggregates
    "count", "sum", "avg", "min", "max", "stddev", "stddev_samp", "stddev_pop", "variance", "variance_pop",
    "corr", "covar_samp", "covar_pop", "logical_and", "logical_or", "grouping", "count_if",
    # windows
    "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value",
    "last_value", "nth_value",
    # values
    "coalesce", "nullif", "greatest", "least", "abs", "round", "floor", "ceil", "sqrt", "ln", "exp", "power",
    "sign", "log",
    # texts
    "upper", "lower", "length", "trim", "substring", "left", "right", "replace", "reverse", "concat", "concat_ws",
    "split_part", "str_position", "starts_with", "ends_with", "contains",
    # dates
    "year", "month", "day", "quarter", "hour", "minute", "extract", "timestamp_trunc", "date_trunc", "current_date",
    "current_timestamp", "datediff", "last_day", "day_of_week", "day_of_month", "day_of_year", "week_of_year",
    "week", "time_to_str", "date_add", "date_sub", "date", "ts_or_ds_to_date",
    # lists
    "array_contains", "array_size", "explode",
}  # fmt: skip
_SPARK = {
    "median", "percentile_cont", "quantile", "approx_distinct", "arg_max", "arg_min", "any_value", "mode",
    "group_concat", "skewness", "array_distinct", "transform", "filter", "map_keys",
    "struct_extract", "regexp_like", "md5", "sha2", "rand", "uuid", "date_from_parts", "array_to_string",
    "array_max", "array_min", "initcap", "ascii", "bitwise_and_agg", "bitwise_or_agg", "regr_slope", "regr_intercept",
    "dayname", "monthname", "is_nan",
}  # fmt: skip
_POSTGRES = {
    "median", "percentile_cont", "percentile_disc", "quantile", "group_concat", "array_agg", "array_to_string", "md5",
    "regr_slope", "regr_intercept", "ascii", "initcap", "rand", "regexp_like",
}  # fmt: skip
# The engine's own functions by their own names, for those who know the engine. Not
# among them: whatever reads files,
# settings or the session, runs code, fails or waits on purpose, or makes values of any
# size from small ones.
_SPARK_OWN = {
    "percentile", "percentile_approx", "approx_percentile", "collect_list", "collect_set", "date_format", "to_date",
    "to_timestamp", "size", "array_contains", "element_at", "array_join", "array_position", "array_union",
    "array_intersect", "array_except", "arrays_overlap", "array_compact", "slice", "flatten", "aggregate", "reduce",
    "forall", "zip_with", "map_values", "map_entries", "map_from_arrays", "map_filter", "named_struct", "cardinality",
    "isnull", "isnotnull", "nvl2", "mean", "std", "every", "some", "bool_and", "bool_or", "first", "last", "max_by",
    "min_by", "add_months", "months_between", "weekday", "weekofyear", "unix_timestamp", "from_unixtime", "unix_date",
    "date_part", "make_date", "next_day", "posexplode", "bround", "pmod", "hypot", "cbrt", "degrees", "radians",
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "log2", "log10", "log1p", "expm1", "rint", "hash",
    "xxhash64", "crc32", "soundex", "levenshtein", "translate", "substring_index", "btrim", "char_length",
    "regexp_count", "regexp_substr", "kurtosis", "array_append", "try_divide", "try_add", "get", "now",
    "unix_millis", "unix_seconds", "timestamp_seconds", "timestamp_millis", "date_from_unix_date", "histogram_numeric",
    "array_agg", "array_unique_agg", "time_to_unix", "unix_to_time", "ts_or_ds_add", "approx_quantile",
    "regexp_extract", "sort_array", "array_sort", "array", "map", "var_map", "struct", "json_extract_scalar", "exists",
    "date_trunc", "array_slice", "ts_or_ds_diff", "to_timestamp_ntz", "str_to_time", "array_intersection",
}  # fmt: skip
_POSTGRES_OWN = {
    "date_part", "to_char", "age", "array_length", "cardinality", "array_position", "jsonb_array_length", "bool_and",
    "bool_or", "every", "mod", "div", "trunc", "width_bucket", "char_length", "btrim", "translate", "jsonb_typeof",
    "jsonb_extract_path_text", "json_extract_path_text", "percentile_disc", "now", "to_date", "mode", "justify_days",
    "date_bin", "regexp_match", "regexp_count", "regexp_like", "make_interval", "std", "mean",
    "degrees", "radians", "sin", "cos", "tan", "atan", "asin", "acos", "cbrt", "json_extract", "json_extract_scalar",
}  # fmt: skip

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
DUCKDB_REFUSED = REFUSED_FUNCTIONS | {
    "repeat", "lpad", "rpad", "pad", "space", "range", "generate_series", "list_resize",
    "array_resize", "levenshtein", "damerau_levenshtein", "editdist3", "jaccard", "jaro_similarity",
    "jaro_winkler_similarity", "bitstring", "printf", "format", "bar", "current_user", "session_user", "user",
    "version", "current_version", "current_database", "current_catalog", "current_schema", "current_schemas",
    "query", "query_table", "in_search_path", "txid_current", "pg_get_viewdef", "array_repeat",
}  # fmt: skip


def check(query: exp.Query, dialect: str, *, read: str = "duckdb") -> None:
    """Refuse functions that the engine's list does not name; raises `ToolError` that
    names the function.

    `read` is the dialect that the statement is written in: the engine's own words mean
    what the engine makes of them.
    """
    for function in functions(query):
        name = name_of(function)
        if not _allowed(function, name, dialect, read):
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


def _allowed(function: exp.Expr, name: str, dialect: str, read: str) -> bool:
    if dialect == "duckdb":
        return name not in DUCKDB_REFUSED
    own, portable = OWN.get(dialect, set()), _EVERYWHERE | ALLOWED.get(dialect, set())
    if isinstance(function, exp.Anonymous):
        return name in own
    return name in portable or (read == dialect and name in own)
