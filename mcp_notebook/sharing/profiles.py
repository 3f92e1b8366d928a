"""What a table holds, column by column: counted by SQL where the table is, told in
words that fit a model.

The statements are ordinary SELECTs, so that they run wherever the table's queries run,
under the same masks and limits.
"""

# ruff: noqa: S608 - every name in these statements is quoted

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice
from typing import Any

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing.answer import AnswerColumn, TableAnswer, to_json
from mcp_notebook.sharing.engines.interface import quote
from mcp_notebook.values import column_values

MAX_COLUMNS = 60
# of a larger table distinct values and quartiles are estimates, and said to be
EXACT_ROWS = 1_000_000
TEXT_BYTES = 1_980  # about 900 tokens of such text, at 2.2 bytes a token
_GROUP = 15  # columns a statement: statements are limited in length
_TOP = 4
_FEW = 30
_WHOLE = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
_NUMBERS = (*_WHOLE, "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "REAL")
_TIMES = ("DATE", "TIMESTAMP", "TIME")
_TEXTS = ("VARCHAR", "ENUM", "BOOLEAN", "UUID")

Ask = Callable[[str], Awaitable[TableAnswer]]

COLUMNS = (
    AnswerColumn("column", "TEXT"),
    AnswerColumn("type", "TEXT"),
    AnswerColumn("nulls", "INTEGER"),
    AnswerColumn("distinct", "INTEGER"),
    AnswerColumn("distinct_is_exact", "BOOLEAN"),
    AnswerColumn("min", "TEXT"),
    AnswerColumn("max", "TEXT"),
    AnswerColumn("mean", "DOUBLE"),
    AnswerColumn("stddev", "DOUBLE"),
    AnswerColumn("q25", "TEXT"),
    AnswerColumn("median", "TEXT"),
    AnswerColumn("q75", "TEXT"),
    AnswerColumn("top", "TEXT"),
    AnswerColumn("masked", "BOOLEAN"),
)


@dataclass(frozen=True)
class ColumnProfile:
    """The facts of one column; None where there is nothing to say, or where it is masked."""

    name: str
    type: str
    nulls: int = 0
    distinct: int = 0
    exact: bool = False
    low: Any = None
    high: Any = None
    mean: float | None = None
    stddev: float | None = None
    quartiles: tuple[Any, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    masked: bool = False


@dataclass(frozen=True)
class Profile:
    """The facts of a table. `duplicates` are rows equal to an earlier one, None when
    they were not counted.
    """

    table: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicates: int | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


async def profile(
    table: str, ask: Ask, masked: Callable[[Sequence[str]], Sequence[str]]
) -> Profile:
    """Count what there is to say of a table; `ask` runs one SELECT, `masked` picks the
    masked columns of those named.

    Raises `ToolError` when not even the columns can be counted in time; what costs more
    is left out with a note.
    """
    source = quote(table)
    head = await ask(f"SELECT * FROM {source} LIMIT 0")
    names = list(head.data.column_names)
    hidden = set(masked(names))
    columns = [
        ColumnProfile(n, k, masked=n in hidden)
        for n, k in zip(names[:MAX_COLUMNS], head.types, strict=False)
    ]
    rows = _row(await ask(f"SELECT count(*) FROM {source}"))[0]
    told = Profile(table, rows, tuple(await _count_columns(source, rows, columns, ask)))
    if len(names) > MAX_COLUMNS:
        told = replace(
            told,
            notes=(
                f"only the first {MAX_COLUMNS} of {len(names)} columns are counted",
            ),
        )

    for step in (_with_distinct, _with_top, _with_keys, _with_duplicates):
        try:
            told = await step(source, told, ask)
        except ToolError as error:
            return replace(
                told, notes=(*told.notes, f"not everything was counted: {error}")
            )

    return told


async def _count_columns(
    source: str, rows: int, columns: Sequence[ColumnProfile], ask: Ask
) -> list[ColumnProfile]:
    done = []
    for group in _groups(columns):
        wanted = [_measures(column, rows) for column in group]
        together = ", ".join(chain.from_iterable(wanted))
        values = iter(_row(await ask(f"SELECT {together} FROM {source}")))
        # the values of one row, each column's own number of them after the other's
        for column, measures in zip(group, wanted, strict=True):
            own = list(islice(values, len(measures)))
            done.append(_with_measures(column, own, rows))

    return done


def _measures(column: ColumnProfile, rows: int) -> list[str]:
    name = quote(column.name)
    found = [f"count({name})", f"approx_count_distinct({name})"]
    if column.masked:
        return found

    if _is(column, _NUMBERS):
        found += [
            f"min({name})",
            f"max({name})",
            f"avg({name})",
            f"stddev_samp({name})",
        ]
    elif _is(column, _TIMES):
        found += [f"min({name})", f"max({name})"]

    if _is(column, (*_NUMBERS, "DATE", "TIMESTAMP")):
        if rows <= EXACT_ROWS:
            kind = "quantile_disc"
        else:
            kind = "approx_quantile"

        found += [f"{kind}({name}, {share})" for share in (0.25, 0.5, 0.75)]

    return found


def _with_measures(
    column: ColumnProfile, values: list[Any], rows: int
) -> ColumnProfile:
    present, distinct, *rest = values
    column = replace(
        column,
        nulls=rows - present,
        distinct=min(distinct, present),
        exact=present == 0,
    )
    if len(rest) >= 2:
        column = replace(column, low=rest[0], high=rest[1])

    if _is(column, _NUMBERS) and len(rest) >= 4:
        column = replace(column, mean=_float(rest[2]), stddev=_float(rest[3]))

    # least, greatest and three quartiles are the fewest that can end with quartiles
    if len(rest) < 5 or rest[-1] is None:
        return column

    return replace(column, quartiles=tuple(rest[-3:]))


async def _with_distinct(source: str, told: Profile, ask: Ask) -> Profile:
    """Exact numbers of distinct values: of a large table only where the estimate makes
    a key of the column.
    """
    chosen = [
        c for c in told.columns if told.rows <= EXACT_ROWS or _may_be_key(c, told.rows)
    ]
    exact: dict[str, int] = {}
    for group in _groups(chosen):
        counts = ", ".join(f"count(DISTINCT {quote(column.name)})" for column in group)
        counted = _row(await ask(f"SELECT {counts} FROM {source}"))
        names = [column.name for column in group]
        exact |= dict(zip(names, counted, strict=True))

    columns = list(told.columns)
    for index, column in enumerate(columns):
        if column.name in exact:
            columns[index] = replace(column, distinct=exact[column.name], exact=True)

    return replace(told, columns=tuple(columns))


async def _with_top(source: str, told: Profile, ask: Ask) -> Profile:
    wanted = [
        c
        for c in told.columns
        if not c.masked and _is(c, (*_TEXTS, *_WHOLE)) and c.distinct > 0
    ]
    wanted = [c for c in wanted if _is(c, _TEXTS) or c.distinct <= _FEW]
    tops: dict[str, list[tuple[str, int]]] = {}
    for group in _groups(
        [c for c in wanted if c.distinct < max(2, told.rows - c.nulls)]
    ):
        parts = [
            _top_query(number, column, source) for number, column in enumerate(group)
        ]
        answer = await ask(" UNION ALL ".join(parts))
        for number, value, count in zip(
            *map(column_values, answer.data.columns), strict=True
        ):
            tops.setdefault(group[number].name, []).append((value, count))

    ranked = {
        name: tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))
        for name, found in tops.items()
    }
    return replace(
        told,
        columns=tuple(replace(c, top=ranked.get(c.name, ())) for c in told.columns),
    )


def _top_query(number: int, column: ColumnProfile, source: str) -> str:
    name = quote(column.name)
    return (
        f"SELECT * FROM (SELECT {number:d} AS i, left(CAST({name} AS VARCHAR), 60) AS "
        f"v, count(*) AS n FROM {source} "
        f"WHERE {name} IS NOT NULL GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {_TOP})"
    )


async def _with_keys(source: str, told: Profile, ask: Ask) -> Profile:
    """Columns whose values are all there and all different, else pairs of columns for
    which that holds.
    """
    single = [
        (c.name,)
        for c in told.columns
        if c.exact and told.rows and c.distinct == told.rows and not c.nulls
    ]
    if single or not told.rows or told.rows > EXACT_ROWS:
        return replace(told, keys=tuple(single))

    likely = [
        c
        for c in told.columns
        if not c.nulls and c.distinct > 1 and not _is(c, ("FLOAT", "DOUBLE", "REAL"))
    ]
    likely = sorted(likely, key=lambda column: -column.distinct)[:5]
    pairs = [
        (a, b)
        for a, b in combinations(likely, 2)
        if a.distinct * b.distinct >= told.rows
    ]
    if not pairs:
        return told

    counts = [f"count(DISTINCT ({quote(a.name)}, {quote(b.name)}))" for a, b in pairs]
    found = _row(await ask(f"SELECT {', '.join(counts)} FROM {source}"))
    keys = [
        (a.name, b.name)
        for (a, b), count in zip(pairs, found, strict=True)
        if count == told.rows
    ]
    return replace(told, keys=tuple(keys[:3]))


async def _with_duplicates(source: str, told: Profile, ask: Ask) -> Profile:
    if told.keys or not told.rows:
        return replace(told, duplicates=0)
    different = _row(
        await ask(f"SELECT count(*) FROM (SELECT DISTINCT * FROM {source})")
    )[0]
    return replace(told, duplicates=told.rows - different)


def row_of(column: ColumnProfile) -> list[Any]:
    """The column's facts as a row under `COLUMNS`."""
    quartiles = [to_json(value) for value in column.quartiles] or [None] * 3
    top = " | ".join(f"{value}: {count}" for value, count in column.top) or None
    low, high = to_json(column.low), to_json(column.high)
    return [
        column.name,
        column.type,
        column.nulls,
        column.distinct,
        column.exact,
        _text_or_none(low),
        _text_or_none(high),
        column.mean,
        column.stddev,
        *map(_text_or_none, quartiles),
        top,
        column.masked,
    ]


def as_text(told: Profile, max_bytes: int = TEXT_BYTES) -> str:
    """The profile in words, as full as the room allows: quartiles go first, then
    frequent values, then columns.
    """
    for detail in (3, 2, 1, 0):
        lines = [
            _head(told),
            *(_line(column, told.rows, detail) for column in told.columns),
            *_notes(told),
        ]
        if len("\n".join(lines).encode()) <= max_bytes:
            return "\n".join(lines)

    shown = list(told.columns)
    while shown and len("\n".join(_lines_cut(told, shown)).encode()) > max_bytes:
        shown.pop()

    return "\n".join(_lines_cut(told, shown))


def _lines_cut(told: Profile, shown: Sequence[ColumnProfile]) -> list[str]:
    left = f"… and {len(told.columns) - len(shown)} more columns: query them by name"
    return [
        _head(told),
        *(_line(column, told.rows, 0) for column in shown),
        left,
        *_notes(told),
    ]


def _head(told: Profile) -> str:
    facts = [
        f"{told.rows:,} row{'' if told.rows == 1 else 's'} × {len(told.columns)} columns"
    ]
    if told.duplicates is not None:
        facts.append(
            f"{told.duplicates:,} duplicate rows"
            if told.duplicates
            else "no duplicate rows"
        )

    if told.keys:
        facts.append(
            f"candidate keys: {', '.join(' + '.join(key) for key in told.keys[:6])}"
        )
    elif told.rows and told.duplicates is not None:
        facts.append(
            "no candidate key of one or two columns"
            if told.rows <= EXACT_ROWS
            else "no one-column key"
        )

    return f"{told.table}: {'; '.join(facts)}"


def _notes(told: Profile) -> list[str]:
    estimated = any(not column.exact for column in told.columns)
    return [f"note: {note}" for note in told.notes] + (
        ["note: ≈ marks estimates"] if estimated else []
    )


def _line(column: ColumnProfile, rows: int, detail: int) -> str:
    facts = [column.type[:40]]
    if column.nulls:
        facts.append(f"{column.nulls:,} null ({column.nulls / rows:.1%})")

    facts.append(f"{'' if column.exact else '≈'}{column.distinct:,} distinct")
    if column.masked:
        facts.append("masked: no values")

    if detail:
        facts += _measure_words(column, detail)

    # frequent values are long: they are the first to be fewer, and then to go
    if column.top and detail > 1:
        facts.append(_top_words(column, rows, 2 if detail == 2 else _TOP))

    return f"- {column.name}: {'; '.join(facts)}"


def _measure_words(column: ColumnProfile, detail: int) -> Iterator[str]:
    if column.low is not None:
        yield f"{_short(column.low)} to {_short(column.high)}"

    if column.mean is not None:
        deviation = ""
        if detail > 1 and column.stddev:
            deviation = f" sd {column.stddev:.4g}"

        yield f"mean {column.mean:.6g}{deviation}"

    if column.quartiles and detail > 2:
        yield f"quartiles {', '.join(map(_short, column.quartiles))}"


def _top_words(column: ColumnProfile, rows: int, most: int) -> str:
    shares = ", ".join(
        f"{_short(value)} {count / rows:.1%}" for value, count in column.top[:most]
    )
    return f"most frequent: {shares}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split()).removesuffix(" 00:00:00")
    if len(text) <= 24:
        return text
    return f"{text[:23]}…"


def _text_or_none(value: Any) -> str | None:
    if value is None:
        return None
    return str(value)


def _float(value: Any) -> float | None:
    if value is None:
        return None
    return float(value)


def _may_be_key(column: ColumnProfile, rows: int) -> bool:
    return (
        not column.nulls
        and column.distinct >= 0.9 * rows
        and not _is(column, ("FLOAT", "DOUBLE", "REAL"))
    )


def _is(column: ColumnProfile, kinds: Sequence[str]) -> bool:
    """Whether the column's DuckDB type is of the kinds; a list or a struct of them is not."""
    name = column.type.partition("(")[0]
    if "[" in column.type:
        return False
    # DuckDB has TIMESTAMP_NS, _MS and _S beside TIMESTAMP WITH TIME ZONE
    if "TIMESTAMP" in kinds and name.startswith("TIMESTAMP"):
        return True

    return any(name == kind or name.startswith(f"{kind} ") for kind in kinds)


def _groups(columns: Sequence[ColumnProfile]) -> Iterator[Sequence[ColumnProfile]]:
    for start in range(0, len(columns), _GROUP):
        yield columns[start : start + _GROUP]


def _row(answer: TableAnswer) -> list[Any]:
    return [column[0].as_py() for column in answer.data.columns]
