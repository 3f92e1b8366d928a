"""Cells that an object stands for: bytes, and the typed values of MongoDB, DynamoDB,
libSQL and others.

An object is undone only where its keys leave no doubt; DynamoDB's one-letter keys count
when every cell has them.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DYNAMO = {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
_TAGS = {"null", "integer", "float", "text", "blob"}
# digits of a number; int() of more takes longer than the text is worth
_LONGEST = 6_000


def plain(value: dict[str, Any]) -> Any:
    """What an object stands for: bytes or MongoDB's extended JSON; else the object itself."""
    if len(value) > 4:
        return value

    if len(value) == 1:
        decode = _EXTENDED.get(next(iter(value), ""))
    else:
        decode = None

    try:
        if decode:
            return decode(next(iter(value.values())))
        return _bytes(value)
    except (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        InvalidOperation,
        binascii.Error,
        AttributeError,
    ):
        return value


def _bytes(value: dict[str, Any]) -> Any:
    """Node's `{"type": "Buffer", "data": [0, 1]}`, and one text beside its `encoding`
    and perhaps its size.
    """
    if (
        value.keys() == {"type", "data"}
        and value["type"] == "Buffer"
        and type(value["data"]) is list
    ):
        return bytes(value["data"])
    if value.get("encoding") not in ("base64", "hex"):
        return value

    texts = [
        item
        for key, item in value.items()
        if key not in ("encoding", "type") and type(item) is str
    ]
    sizes = [item for item in value.values() if type(item) is int]
    if len(texts) != 1:
        return value

    if value["encoding"] == "hex":
        data = bytes.fromhex(texts[0])
    else:
        data = _base64(texts[0])

    if all(size == len(data) for size in sizes):
        return data

    return value


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _date(value: Any) -> dt.datetime:
    """`"2024-01-05T00:00:00Z"`, or milliseconds since 1970."""
    if type(value) is str:
        moment = dt.datetime.fromisoformat(value)
        if moment.tzinfo:
            return moment

        return moment.replace(tzinfo=dt.UTC)

    if type(value) is dict:
        milliseconds = value["$numberLong"]
    else:
        milliseconds = value

    return _EPOCH + dt.timedelta(milliseconds=_integer(milliseconds))


def _integer(value: Any) -> int:
    if type(value) not in (str, int) or len(str(value)) > _LONGEST:
        raise ValueError("no integer")
    return int(value)


def _decimal(value: Any) -> Decimal | float:
    number = Decimal(value)
    if number.is_finite():
        return number
    return float(number)


_EXTENDED: Mapping[str, Callable[[Any], Any]] = {
    "$oid": str,
    "$numberInt": _integer,
    "$numberLong": _integer,
    "$numberDouble": float,
    "$numberDecimal": _decimal,
    "$date": _date,
    "$uuid": uuid.UUID,
    "$binary": lambda value: _base64(value["base64"]),
    "base64": _base64,
    "$base64": _base64,
}


def rows(cells: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
    """Rows whose every cell is wrapped in one way, undone; None when they are not.

    `{"v": 1}` (BigQuery, Google's charts), `{"stringValue": "x"}` and `{"isNull":
    true}` (AWS), `{"S": "x"}` (DynamoDB), `{"type": "integer", "value": "1"}` (libSQL).
    """
    flat = [cell for row in cells for cell in row if cell is not None]
    if not flat or not all(type(cell) is dict and len(cell) <= 2 for cell in flat):
        return None

    keys = {key for cell in flat for key in cell}
    for fits, undo in _WRAPPINGS:
        if fits(keys, flat):
            return [
                [None if cell is None else undo(cell) for cell in row] for row in cells
            ]

    return None


def _of_libsql(cell: dict[str, Any]) -> Any:
    kind, value = cell["type"], cell.get("value", cell.get("base64"))
    if kind == "integer" and type(value) is str and len(value) < _LONGEST:
        return int(value)
    if kind == "blob" and type(value) is str:
        return _base64_or(value + "=" * (-len(value) % 4))
    return value


def _of_dynamo(cell: dict[str, Any]) -> Any:
    kind, value = next(iter(cell.items()))
    if kind == "NULL":
        return None
    if kind == "N":
        return _number(value)

    if kind == "L":
        if all(map(_is_dynamo, value)):
            return [_of_dynamo(item) for item in value]
        return value

    if kind == "M":
        return {
            key: _of_dynamo(item) if _is_dynamo(item) else item
            for key, item in value.items()
        }
    if kind == "NS":
        return [_number(item) for item in value]
    if kind == "B":
        return _base64_or(value)

    return value


def _is_dynamo(cell: Any) -> bool:
    return (
        type(cell) is dict
        and len(cell) == 1
        and cell.keys() <= _DYNAMO
        and _fits_dynamo(*next(iter(cell.items())))
    )


def _fits_dynamo(kind: str, value: Any) -> bool:
    wanted = {
        "M": dict,
        "L": list,
        "SS": list,
        "NS": list,
        "BS": list,
        "BOOL": bool,
        "NULL": bool,
    }.get(kind, str)
    return type(value) is wanted


def _number(text: str) -> Any:
    """DynamoDB's numbers have up to 38 digits and come as text."""
    if len(text) > _LONGEST:
        return text

    try:
        if text.lstrip("-").isdecimal():
            return int(text)
        return Decimal(text)
    except (ValueError, InvalidOperation):
        return text


def _base64_or(text: Any) -> Any:
    try:
        return _base64(text)
    except (ValueError, TypeError, binascii.Error):
        return text


_WRAPPINGS: tuple[
    tuple[
        Callable[[set[str], list[dict[str, Any]]], bool],
        Callable[[dict[str, Any]], Any],
    ],
    ...,
] = (
    (lambda keys, _: keys in ({"v"}, {"v", "f"}), lambda cell: cell.get("v")),
    (
        lambda keys, cells: (
            all(key == "isNull" or key.endswith("Value") for key in keys)
            and max(map(len, cells)) == 1
        ),
        lambda cell: None if "isNull" in cell else next(iter(cell.values()), None),
    ),
    (
        lambda keys, cells: (
            "type" in keys
            and keys <= {"type", "value", "base64"}
            and all(cell.get("type") in _TAGS for cell in cells)
        ),
        _of_libsql,
    ),
    (lambda keys, cells: keys <= _DYNAMO and all(map(_is_dynamo, cells)), _of_dynamo),
)
