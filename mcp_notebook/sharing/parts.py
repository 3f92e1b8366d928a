"""One statement over tables of connected servers and of the notebook, in its parts:
what each server is asked, and the statement that is left for DuckDB here.

A server is asked for the columns that the statement names and for the rows that its
plainest conditions leave. The statement keeps all its conditions, so a server may give
more rows than needed, never fewer: only conditions go there that mean no less anywhere.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from mcp_notebook.errors import DataError, did_you_mean

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# Time zones, and texts that hold a day with or without its time, move a bound by no more.
_SLACK = datetime.timedelta(days=2)
_BOUNDS = {exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}


@dataclass(frozen=True)
class Part:
    """What one server is asked for one table of the statement. `count`: how many rows
    that are.
    """

    server: str
    table: str
    sql: str
    count: str


@dataclass(frozen=True)
class Split:
    """A statement and the parts that it needs first."""

    sql: str
    parts: tuple[Part, ...]
    # where a table's name stands in the statement, its part, and the alias it needs
    _places: tuple[tuple[int, int, Part | None, str], ...] = field(repr=False)

    def write(self, names: Mapping[Part, str]) -> str:
        """The statement over the tables that came, by their names in the notebook."""
        text = self.sql
        for start, end, part, alias in sorted(self._places, reverse=True):
            # of a column the prefix goes: its table has an alias
            written = "" if part is None else f'"{names[part]}"{alias}'
            text = text[:start] + written + text[end:]

        return text


def split_statement(
    sql: str,
    servers: Collection[str],
    *,
    known: Collection[str] = (),
    mask: Sequence[str] = (),
) -> Split | None:
    """The parts of a statement that names `server.table`; None where it names none, or
    is none. `known`: names with a dot that are tables here; `mask`: patterns of columns
    that are in no condition sent.

    Raises DataError for a server that is not there, and for a statement that one server
    can compute alone.
    """
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except (SqlglotError, ValueError, RecursionError):
        return None  # the check of the statement says what is wrong

    tables = list(tree.find_all(exp.Table))
    by_name = {server.lower(): server for server in servers}
    theirs = {}
    for table in tables:
        server = _server_of(table, by_name, known)
        if server:
            theirs[table] = server

    if not theirs:
        return None

    used = set(theirs.values())
    if len(used) == 1 and len(theirs) == len(_real_tables(tree, tables)):
        (server,) = used
        raise DataError(
            f"Every table of this statement is {server}'s: ask {server} itself, without "
            f"{server}. before the names; it computes all of it there."
        )

    parts = {t: _part_of(t, s, tables, tree, mask) for t, s in theirs.items()}
    places = [_place(table, part) for table, part in parts.items()]
    places += _column_places(tree, by_name)
    return Split(sql, tuple(dict.fromkeys(parts.values())), tuple(places))


def _real_tables(tree: exp.Expr, tables: Sequence[exp.Table]) -> list[exp.Table]:
    own = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    return [table for table in tables if table.db or table.name.lower() not in own]


def _server_of(
    table: exp.Table, by_name: Mapping[str, str], known: Collection[str]
) -> str:
    """The server whose table this is, "" for one of the notebook's."""
    written = ".".join(part.name for part in table.parts)
    first = table.parts[0].name
    if len(table.parts) < 2 or written in known or first == "information_schema":
        return ""
    if first.lower() in by_name:
        return by_name[first.lower()]

    near = did_you_mean(first, by_name.values())
    raise DataError(
        f"There is no server {first!r} for the table {written}.{near} Connected servers "
        f"that take SQL: {', '.join(by_name.values()) or 'none'}; tables of the notebook "
        "have no dot."
    )


def _part_of(
    table: exp.Table,
    server: str,
    tables: Sequence[exp.Table],
    tree: exp.Expr,
    mask: Sequence[str],
) -> Part:
    name = ".".join(_write_name(part) for part in table.parts[1:])
    columns = ", ".join(_columns_of(table, tables, tree)) or "*"
    conditions = " AND ".join(_conditions_of(table, tables, mask))
    where = f" WHERE {conditions}" if conditions else ""
    return Part(
        server,
        name,
        # of names and literals that the parser gave
        f"SELECT {columns} FROM {name}{where}",  # noqa: S608
        f"SELECT count(*) AS n FROM {name}{where}",  # noqa: S608
    )


def _write_name(part: exp.Expr) -> str:
    # Quotes differ between engines: a plain name needs none anywhere.
    return part.name if _PLAIN.fullmatch(part.name) else f'"{part.name}"'


def _columns_of(
    table: exp.Table, tables: Sequence[exp.Table], tree: exp.Expr
) -> list[str]:
    """The columns of a table that a statement names; none where that is not plain."""
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return []

    found: dict[str, None] = {}
    for column in tree.find_all(exp.Column):
        if not column.table and len(tables) > 1:
            return []  # it may be of any table
        if column.table.lower() in ("", table.alias_or_name.lower()):
            found[column.name] = None

    plain = all(_PLAIN.fullmatch(name) for name in found)
    uses_names = tree.find(exp.Join) and any(
        join.args.get("using") or join.args.get("method") == "NATURAL"
        for join in tree.find_all(exp.Join)
    )
    return list(found) if plain and not uses_names else []


def _conditions_of(
    table: exp.Table, tables: Sequence[exp.Table], mask: Sequence[str]
) -> Iterator[str]:
    """The conditions on a table alone that the server can apply first."""
    alias = table.alias_or_name.lower()
    alike = [other for other in tables if other.alias_or_name.lower() == alias]
    select = table.find_ancestor(exp.Select)
    where = select.args.get("where") if select is not None else None
    if where is None or len(alike) > 1:
        return

    for condition in (
        where.this.flatten() if isinstance(where.this, exp.And) else (where.this,)
    ):
        column = condition.this
        if not isinstance(column, exp.Column) or column.table.lower() != alias:
            continue
        if not _PLAIN.fullmatch(column.name) or _is_masked(column.name, mask):
            continue

        yield from _say_plainly(condition, column.name)


def _is_masked(column: str, mask: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(column.lower(), one.lower()) for one in mask)


def _say_plainly(condition: exp.Expr, column: str) -> Iterator[str]:
    """A condition in words that every engine takes, and that leaves no fewer rows there.

    Not said: ranges of texts, `<>` and LIKE, for engines order and compare letters
    differently; NULL, for an empty text is one in some.
    """
    if isinstance(condition, exp.Between):
        low, high = condition.args["low"], condition.args["high"]
        yield from _say_bound(column, ">=", low)
        yield from _say_bound(column, "<=", high)
    elif type(condition) in _BOUNDS:
        yield from _say_bound(column, _BOUNDS[type(condition)], condition.expression)
    elif isinstance(condition, exp.EQ) and _is_plain_value(condition.expression):
        yield f"{column} = {condition.expression.sql()}"
    elif isinstance(condition, exp.In) and condition.expressions:
        values = condition.expressions
        if all(_is_plain_value(value) for value in values):
            yield f"{column} IN ({', '.join(value.sql() for value in values)})"


def _say_bound(column: str, sign: str, value: exp.Expr) -> Iterator[str]:
    if isinstance(value, exp.Cast) and isinstance(value.this, exp.Literal):
        value = value.this  # DATE '2026-11-01'

    if _is_number(value):
        yield f"{column} {sign} {value.sql()}"
    elif isinstance(value, exp.Literal) and _DAY.match(value.name):
        try:
            day = datetime.date.fromisoformat(value.name[:10])
            moved = day - _SLACK if ">" in sign else day + _SLACK
        except (ValueError, OverflowError):
            return

        yield f"{column} {sign} '{moved.isoformat()}'"


def _is_number(value: exp.Expr) -> bool:
    inner = value.this if isinstance(value, exp.Neg) else value
    return isinstance(inner, exp.Literal) and not inner.is_string


def _is_plain_value(value: exp.Expr) -> bool:
    """A number, or a text that is no day: a column of days may hold times as well."""
    if _is_number(value):
        return True

    is_text = isinstance(value, exp.Literal) and value.is_string
    return is_text and not _DAY.match(value.name)


def _span(parts: Sequence[exp.Expr]) -> tuple[int, int]:
    return parts[0].meta["start"], parts[-1].meta["end"] + 1


def _place(table: exp.Table, part: Part) -> tuple[int, int, Part | None, str]:
    alias = "" if table.alias else f' AS "{table.name}"'
    return (*_span(table.parts), part, alias)


def _column_places(
    tree: exp.Expr, by_name: Mapping[str, str]
) -> Iterator[tuple[int, int, Part | None, str]]:
    """The server's name before a column, `shop.orders.id`: what goes."""
    for column in tree.find_all(exp.Column):
        parts = column.parts
        if len(parts) > 2 and parts[0].name.lower() in by_name:
            start, _ = _span(parts[:1])
            yield (start, parts[-2].meta["start"], None, "")
