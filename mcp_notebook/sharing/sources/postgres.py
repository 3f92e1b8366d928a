"""Ibis tables on PostgreSQL: the statement runs on a connection of its own, in a
read-only transaction.

The connection is made with the parameters of the person's and closed after the
statement, so that nothing of theirs is held up or changed; what lives in their session
alone (temporary tables, an open transaction) is not seen.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa

from mcp_notebook.sharing.answer import to_json
from mcp_notebook.sharing.sources.engine import (
    SelectJob,
    SelectTable,
    first_sentence,
)

if TYPE_CHECKING:
    pass

_GONE = "The connection to PostgreSQL is lost: connect again and make the table anew."

# https://www.postgresql.org/docs/current/catalog-pg-type.html (oid -> type)
_TYPES: Mapping[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    18: pa.string(),
    19: pa.string(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
    1186: pa.duration("us"),
}
_NUMERIC = 1700
_ARRAYS = {
    1000: 16,
    1001: 17,
    1005: 21,
    1007: 23,
    1016: 20,
    1009: 25,
    1015: 1043,
    1021: 700,
    1022: 701,
    1182: 1082,
    1183: 1083,
    1115: 1114,
    1185: 1184,
    1231: 1700,
    1014: 1042,
}


@dataclass(frozen=True, eq=False)
class PostgresTable(SelectTable):
    """A SELECT on a server."""

    name: str = "PostgreSQL"
    dialect: str = "postgres"
    hint: str = "NOT MATERIALIZED "

    def make_job(self, text: str, seconds: float) -> PostgresJob:
        return PostgresJob(self.connection, text, seconds)

    def explain(self, error: BaseException) -> str:
        if isinstance(error, psycopg.OperationalError) and not isinstance(
            error, psycopg.errors.QueryCanceled
        ):
            return f"{_GONE} ({first_sentence(error, 120)})"
        if isinstance(error, psycopg.errors.UndefinedTable):
            return (
                f"PostgreSQL says: {first_sentence(error)}. A temporary table or a table "
                "in memory lives in your own "
                "session only: make it a table of the database, or share its .to_pyarrow()."
            )

        return f"PostgreSQL says: {first_sentence(error)}"


@dataclass(eq=False)
class PostgresJob(SelectJob):
    """One statement on a fresh connection."""

    def run(self) -> pa.Table:
        info = self.connection.info
        parameters: Any = {**info.get_parameters(), "password": info.password}
        with contextlib.closing(
            psycopg.connect(
                **parameters, connect_timeout=10, application_name="mcp-notebook"
            )
        ) as connection:
            self.running = connection
            connection.read_only = True
            with connection.cursor() as cursor:
                milliseconds = int(self.seconds * 1000) + 200
                cursor.execute(
                    f"SET LOCAL statement_timeout = {milliseconds:d}".encode()
                )
                cursor.execute("SET LOCAL lock_timeout = 2000")
                # A prepared statement is exactly one statement.
                cursor.execute(self.text.encode(), prepare=True)
                return _table(cursor.description or (), cursor.fetchall())

    def stop(self, running: Any) -> None:
        with contextlib.suppress(psycopg.Error):
            running.cancel_safe(timeout=1.0)


def _table(
    described: Sequence[psycopg.Column], rows: Sequence[Sequence[Any]]
) -> pa.Table:
    if rows:
        columns = list(zip(*rows, strict=True))
    else:
        columns = [()] * len(described)

    arrays = [
        _array(column, values)
        for column, values in zip(described, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=[column.name for column in described])


def _array(column: psycopg.Column, values: Sequence[Any]) -> pa.Array:
    element = _ARRAYS.get(column.type_code)
    code = element or column.type_code
    if code == _NUMERIC:
        kind = _decimal(column, values)
    else:
        kind = _TYPES.get(code)

    if kind is None:  # json, uuid, ranges, composites, ...: as text, documents as JSON
        return pa.array([None if v is None else _text(v) for v in values], pa.string())

    try:
        return pa.array(values, pa.list_(kind) if element else kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # infinity, NaN in a numeric, years beyond 9999
        return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _decimal(column: psycopg.Column, values: Sequence[Any]) -> pa.DataType:
    """The declared precision, else one that holds all values."""
    if (
        column.precision is not None
        and column.scale is not None
        and column.precision <= 38
    ):
        return pa.decimal128(column.precision, column.scale)

    flat = [
        v
        for value in values
        if value is not None
        for v in (value if isinstance(value, list) else [value])
    ]
    parts = [v.as_tuple() for v in flat if isinstance(v, Decimal) and v.is_finite()]
    scale = max((-int(part.exponent) for part in parts), default=0)
    scale = max(scale, 0)
    digits = max((len(part.digits) + int(part.exponent) for part in parts), default=1)
    width = max(digits, 1) + scale
    if width <= 38:
        return pa.decimal128(38, scale)

    return pa.decimal256(76, min(scale, 76))


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(to_json(value))
    return str(value)
