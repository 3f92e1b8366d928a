"""Statements in DuckDB's words and whether another engine answers them as DuckDB does."""

import contextlib
import math
from decimal import Decimal
from typing import Any

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing.query import SqlRunner
from mcp_notebook.sharing.sources.plan import make
from tests.sharing.notebooks import Notebook

_EXPRESSIONS = """
count(*)|count(x)|count(distinct k)|sum(id)|sum(x)|sum(p)|avg(id)|avg(x)|avg(p)|min(k)|max(d)|max(t)|stddev(x)
var_pop(x)|stddev_pop(id)|corr(x, id)|bool_and(b)|bool_or(b)|median(x)|quantile_cont(x, 0.9)|count(*) filter (where b)
percentile_cont(0.25) within group (order by x)|string_agg(k, ',' order by k)|sum(distinct id % 5)|max_by(k, id)
any_value(k)|count_if(b)|min(p)|sum(case when b then x else 0 end)
"""
_BY_ROW = """
id / 7|id // 7|id % 7|-id % 7|id / 2.0|p / 3|p * 2|p + id|x * 2|round(x, 0)|round(p, 1)|floor(x / 2)|ceil(x / 2)
abs(-id)|sqrt(id)|power(id, 2)|ln(id + 1)|log(id + 1)|log10(id + 1)|exp(id / 100)|sign(id - 5)|greatest(id, 50)
least(x, 10)|coalesce(x, -1)|nullif(id, 3)|cast(x as integer)|cast(x / 2 as bigint)|cast(p as integer)
cast(id as varchar)|id::double|cast(k as varchar)|try_cast(k as integer)|upper(k)|lower(k)|length(k)
substring(k, 1, 1)|left(k, 1)|right(k, 1)|replace(k, 'k', 'c')|reverse(k)|trim('  a ')|concat(k, id)
concat_ws('-', k, k)|k || '!'|k || id|split_part(k, 'k', 2)|strpos(k, '1')|contains(k, '1')|starts_with(k, 'k')
ends_with(k, '1')|k like 'k%'|k ilike 'K1'|k in ('k0', 'k1')|case when id > 5 then 'a' when b then 'b' end
if(b, 1, 2)|x is null|x is distinct from 3|id between 3 and 5|not b|year(d)|month(d)|day(d)|quarter(d)|hour(t)
minute(t)|extract(dow from d)|extract(isodow from d)|extract(doy from d)|extract(second from t)|dayofweek(d)
week(d)|date_part('year', t)|date_trunc('month', d)|date_trunc('week', t)|date_trunc('day', t)
date_trunc('hour', t)|d + interval 1 month|t + interval 90 minute|d - interval 3 day|d - date '2026-01-01'
date_diff('day', d, date '2026-12-31')|date_diff('month', date '2025-12-31', d)
date_diff('year', date '2025-12-31', d)|date_diff('hour', t, t)|date_add(d, interval 1 day)|last_day(d)
strftime(d, '%Y-%m')|strftime(t, '%H:%M')|strftime(d, '%A')|cast(t as date)|d > date '2026-01-05'|md5(k)
regexp_matches(k, '^k[01]')|'it''s'|'a\\b'|1e3|1.50|true|null|'x' || null|date '2026-02-28'
k = 'k1' and b or id < 3|row_number() over (order by id)|sum(x) over (partition by k order by id)
lag(x) over (order by id)|id & 3|lead(k, 2, 'none') over (order by id)|rank() over (partition by b order by k)
ntile(4) over (order by id)|first_value(id) over (partition by k order by id desc)
percent_rank() over (order by id)|dense_rank() over (order by k)
sum(id) over (order by id rows between 2 preceding and current row)|avg(x) over (partition by k)
"""
WHOLE = [
    "select k, sum(x) as s from events group by k having count(*) > 33 order by s desc",
    "select k, b, count(*) as n from events group by rollup (k, b) order by k, b, n",
    "select k, b, count(*) as n from events group by cube (k, b) order by k, b, n",
    "select id, x from events order by x desc, id limit 7",
    "select id, x from events order by x, id limit 4 offset 90",
    "select k, id from events qualify row_number() over (partition by k order by id desc) <= 2 order by k, id limit 5",
    "select distinct on (k) k, id from events order by k, id desc limit 2",
    "select distinct k from events order by 1",
    "select k from events union all select k from events order by 1 limit 3",
    "select id from events where b intersect select id from events where id < 5 order by 1",
    "select id from events except select id from events where id > 3 order by 1",
    "with recursive n as (select 1 as i union all select i + 1 from n where i < 5) select i from n, events limit 5",
    "select a.id, b.id as other from events a full join events b on a.id = b.id + 98 order by 1, 2 limit 6",
    "select id from events where exists (select 1 from events e where e.id = events.id * 2) order by id",
    "select id from events semi join (values (1), (2)) v(id) using (id) order by 1",
    "select id from events anti join (select id from events where id > 2) v using (id) order by 1",
    "select k, (select count(*) from events e where e.k = events.k) as n from events where id < 3 order by id",
    "select count(*) from events",
    "select sum(x), max(k) from events where id < 50",
    "from events select k, count(*) as n group by k order by k",
    "select e.id, v.label from events e join (values (1, 'one'), (2, 'two')) as v(id, label) on e.id = v.id order by 1",
    "select id, K as Key from events where K = 'k1' order by KEY, ID limit 2",
]
AGGREGATES = [
    e for line in _EXPRESSIONS.split("\n") for e in line.split("|") if e.strip()
]


def _parts(line: str) -> list[str]:
    """The expressions of a line; `||` is an operator of theirs."""
    return [
        part.replace("\0", "||")
        for part in line.replace(" || ", " \0 ").split("|")
        if part.strip()
    ]


SCALARS = [e for line in _BY_ROW.split("\n") for e in _parts(line)]


def _together(
    expressions: list[str], template: str, dialect: str, chunk: int = 20
) -> list[str]:
    """Statements over many expressions each, without those that are refused for the dialect."""
    columns = {
        "id": "integer",
        "k": "text",
        "x": "float",
        "p": "decimal",
        "d": "date",
        "t": "timestamp",
        "b": "bool",
    }
    taken = []
    for expression in expressions:
        with contextlib.suppress(ToolError):
            make(template.format(expression), dialect, {"events": columns}, rows=5)
            taken.append(expression)
    assert len(taken) > len(expressions) * 0.8
    listed = [f"{expression} as r{number}" for number, expression in enumerate(taken)]
    return [
        template.format(", ".join(listed[at : at + chunk]))
        for at in range(0, len(listed), chunk)
    ]


def statements(dialect: str) -> dict[str, bool]:
    """What is asked of both, and whether it may be refused; few statements, since an
    engine may take a second each.
    """
    by_group = _together(
        AGGREGATES, "select k, {} from events group by k order by k", dialect
    )
    by_row = _together(SCALARS, "select id, {} from events order by id", dialect)
    return {**dict.fromkeys([*by_group, *by_row], False), **dict.fromkeys(WHOLE, True)}


async def all_differences(
    runner: SqlRunner, here: Notebook, there: Notebook, dialect: str
) -> list[str]:
    """What differs, statement by statement."""
    found = []
    for sql, may_refuse in statements(dialect).items():
        different = await differences(runner, here, there, sql, may_refuse=may_refuse)
        if different:
            found.append(f"{sql}: {different}")
    return found


async def differences(
    runner: SqlRunner, here: Notebook, there: Notebook, sql: str, *, may_refuse: bool
) -> str:
    """What is different, "" for nothing: names, types' families, values (doubles to 12 digits)."""
    expected = await runner.query(here.catalog, sql)
    try:
        answer = await runner.query(there.catalog, sql)
    except ToolError as error:
        engine_failed = " says: " in str(error)
        return f"failed: {error}" if engine_failed or not may_refuse else ""
    if answer.data.column_names != expected.data.column_names:
        return f"names {answer.data.column_names}, not {expected.data.column_names}"
    if answer.types != expected.types and not _alike(answer.types, expected.types):
        return f"types {answer.types}, not {expected.types}"
    got, wanted = answer.data.to_pylist(), expected.data.to_pylist()
    if len(got) != len(wanted):
        return f"{len(got)} rows, not {len(wanted)}"
    for one, other in zip(got, wanted, strict=True):
        if not all(_same(one[name], other[name]) for name in other):
            different = {
                name: (one[name], other[name])
                for name in other
                if not _same(one[name], other[name])
            }
            return f"(there, here) {different}"
    return ""


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """A NULL has no type of its own in DuckDB, and precisions of decimals differ."""
    pairs = zip(one, other, strict=True)
    return all(
        a == b or b == '"NULL"' or (a.startswith("DECIMAL") and b.startswith("DECIMAL"))
        for a, b in pairs
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12) or (
            math.isnan(one) and math.isnan(other)
        )
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other
    return type(one) is type(other) and one == other
