"""The exact judgement of types: the kind of each column against the Python kind that
the database's driver gave.

A difference gets one of these reasons. "no such type": pandas and Arrow have none
(UUID, address, range, an integer beyond 64 bits) and the value is there in full. "told
more": the driver gives a text in which a date, a timestamp or a document is written,
and we read it. "not in the carrier": the result writes both kinds alike (a whole
decimal and an integer in quotes, a time of day and a duration, UTC and no zone after
`toISOString`, midnight and a date, bytes as text). "ours": everything else.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mcp_notebook.results import Table
from tests.corpus.truth import Tagged, Truth

_CHECKS = (
    ("bool", pa.types.is_boolean),
    ("int", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("duration", pa.types.is_duration),
    ("text", pa.types.is_string),
    ("bytes", pa.types.is_binary),
    ("nested", pa.types.is_nested),
)
NO_SUCH_TYPE, TOLD_MORE, NOT_IN_CARRIER, OURS = (
    "no such type",
    "told more",
    "not in the carrier",
    "ours",
)
_REASONS = {
    ("tagged", "text"): NO_SUCH_TYPE, ("int", "decimal"): NO_SUCH_TYPE, ("tagged", "nested"): NO_SUCH_TYPE,
    ("text", "date"): TOLD_MORE, ("text", "timestamp"): TOLD_MORE, ("text", "timestamp UTC"): TOLD_MORE,
    ("text", "time"): TOLD_MORE, ("text", "nested"): TOLD_MORE,
    ("decimal", "int"): NOT_IN_CARRIER, ("decimal", "float"): NOT_IN_CARRIER, ("float", "decimal"): NOT_IN_CARRIER,
    ("timestamp", "timestamp UTC"): NOT_IN_CARRIER, ("timestamp", "date"): NOT_IN_CARRIER,
    ("timestamp UTC", "date"): NOT_IN_CARRIER, ("timestamp UTC", "timestamp"): NOT_IN_CARRIER,
    ("duration", "text"): NOT_IN_CARRIER, ("duration", "time"): NOT_IN_CARRIER, ("duration", "nested"): NOT_IN_CARRIER,
    ("duration", "float"): NOT_IN_CARRIER, ("time", "nested"): NOT_IN_CARRIER, ("bytes", "text"): NOT_IN_CARRIER,
    ("bool", "int"): NOT_IN_CARRIER, ("float", "int"): NOT_IN_CARRIER, ("text", "int"): NOT_IN_CARRIER,
    ("float", "text"): NOT_IN_CARRIER, ("nested", "text"): NOT_IN_CARRIER,
}  # fmt: skip


def differences(table: Table, truth: Truth) -> list[str]:
    """For each column with a value the reason why its kind differs from the driver's,
    "" when it is the same.
    """
    found = []
    for number in range(table.data.num_columns):
        true = {kind_of(row[number]) for row in truth.rows if row[number] is not None}
        if true:
            found.append(_difference(true, arrow_kind(table.data.schema.types[number])))
    return found


def _difference(true: set[str], got: str) -> str:
    if true == {got} or (true == {"int", "float"} and got == "float"):
        return ""
    if len(true) > 1:
        return "" if got == "nested" else OURS
    return _REASONS.get((next(iter(true)), got), OURS)


def kind_of(value: Any) -> str:
    """The kind of a value as the driver gave it."""
    if isinstance(value, dt.datetime):
        return "timestamp UTC" if value.tzinfo else "timestamp"
    for kind, types in (
        ("bool", bool), ("int", int), ("float", float), ("decimal", Decimal), ("date", dt.date), ("time", dt.time),
        ("duration", dt.timedelta), ("text", str), ("bytes", bytes), ("tagged", Tagged),
    ):  # fmt: skip
        if isinstance(value, types):
            return kind
    return "nested"


def arrow_kind(kind: pa.DataType) -> str:
    """The same words for an Arrow type."""
    if isinstance(kind, pa.JsonType):
        return "nested"
    if pa.types.is_timestamp(kind):
        return "timestamp UTC" if kind.tz else "timestamp"
    return next((name for name, check in _CHECKS if check(kind)), str(kind))
