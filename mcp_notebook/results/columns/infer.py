"""One column: a list of Python values becomes an Arrow array of the narrowest type that
holds every value exactly.

Nothing is rounded: integers that do not fit 64 bits become decimals, integers beside
fractions become floats only when each of them survives it, values of several kinds are
kept as JSON. What a text says is believed in three steps (`Strictness`): a declared
type always, ISO dates by default, numbers only where the caller says so.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import operator
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pyarrow as pa

from mcp_notebook.results.columns import declared as types
from mcp_notebook.results.columns import json_standards, strings
from mcp_notebook.results.columns.strings import Digits
from mcp_notebook.values import JSON, TIMESTAMP, value_kind

Strictness = Literal["keep", "dates", "numbers", "all"]
_EXACT_FLOAT = 2**53
_PLAIN = {
    frozenset({int}): (pa.int64(), "inferred: int64"),
    frozenset({float}): (pa.float64(), "inferred: double"),
    frozenset({bool}): (pa.bool_(), "inferred: bool"),
}
_SHORT = {"json": "json", "text": "text", "null": "unknown, no value"}
_LONG = re.compile(r"-?[1-9]\d{15,75}", re.ASCII)
_MANY_DIGITS = 4  # fewer numbers of 17 digits may well be decimals by chance


class Column(NamedTuple):
    """An Arrow array, where its type comes from, and a note for the person ("" when all
    is as sent).
    """

    array: pa.Array
    type_note: str
    note: str = ""


def column(
    values: Sequence[Any], declared: str | None = None, *, text: Strictness = "dates"
) -> Column:
    """Type one column.

    `values` are Python objects as the parser gave them, None for NULL. `declared` is
    the database's name of the type ("BIGINT", "Nullable(DateTime64(3, 'UTC'))"), used
    when every value agrees with it. `text` says how far strings are believed: "keep"
    not at all, "dates" strict ISO dates and timestamps, "numbers" canonical numbers too
    (flagged "converted from text"), "all" also true/false (for formats in which
    everything is text).
    """
    kinds = set(map(type, values)) - {type(None)}
    if dict in kinds:
        # MongoDB's identifiers are texts, also where they have no letter among digits
        if any(type(value) is dict and value.keys() == {"$oid"} for value in values):
            text = "keep"

        values = [_plain(value) for value in values]
        kinds = set(map(type, values)) - {type(None)}

    typed = _as_declared(values, kinds, declared or "") or _as_it_is(values, kinds)
    if typed is None and kinds == {str}:
        typed = _from_text(values, text, declared)
    if kinds == {int, str} and text in ("numbers", "all"):
        typed = typed or _long_integers(values)
    if typed is not None:
        return typed

    array, note = _exact(values, kinds)
    return Column(array, f"inferred: {short(array.type)}", note)


def _as_declared(
    values: Sequence[Any], kinds: set[type], declared: str
) -> Column | None:
    """A column of the declared type; None when it is unknown or a value is not of it."""
    wanted = types.kind(declared) if declared else None
    found = types.convert(values, wanted, declared) if wanted else None
    if found is None:
        return None

    are_stamps = kinds == {str} and found.type.id in TIMESTAMP.types
    note = strings.node_note(values) if are_stamps else ""
    return Column(found, f"declared: {short(found.type)} ({declared})", note)


def _as_it_is(values: Sequence[Any], kinds: set[type]) -> Column | None:
    """A column of what Arrow has under the same name; None for other kinds, several
    kinds, and integers of more than 64 bits.
    """
    found = _PLAIN.get(frozenset(kinds))
    if found is None:
        return None

    try:
        return Column(pa.array(values, found[0]), found[1])
    except OverflowError:
        return None


def _long_integers(values: Sequence[Any]) -> Column | None:
    """Integers of which those that JavaScript cannot hold came as text; None when
    another text is among them.
    """
    whole = [
        int(value) if type(value) is str and _LONG.fullmatch(value) else value
        for value in values
    ]
    if not strings.hold_only(whole, int):
        return None
    if any(type(value) is str and abs(int(value)) < _EXACT_FLOAT for value in values):
        return None

    array, note = strings.integers(strings.map_present(int, whole))
    return Column(array, f"converted from text: {short(array.type)}", note)


def short(kind: pa.DataType) -> str:
    """A type's name for people: "json" rather than "extension<arrow.json>", "text"
    rather than "string".
    """
    return _SHORT.get(value_kind(kind).name) or str(kind)


def _from_text(values: Sequence[Any], text: Strictness, declared: str | None) -> Column:
    found = (read(values) for read, levels in _OF_TEXT if text in levels)
    typed = next(filter(None, found), None)
    if typed is not None:
        origin = f"converted from text: {short(typed.array.type)}"
        return Column(typed.array, origin, typed.note)

    array, note = _strings(values)
    origin = f"declared: text ({declared})" if declared else "inferred: text"
    return Column(array, origin, note)


# What a text may be, and how far texts must be believed for it.
_OF_TEXT = (
    (strings.temporal, ("dates", "numbers", "all")),
    (strings.numbers, ("numbers", "all")),
    (strings.grouped_numbers, ("all",)),
    (strings.booleans, ("all",)),
)


def _exact(values: Sequence[Any], kinds: set[type]) -> tuple[pa.Array, str]:
    """The array for values that are not all strings, and a note."""
    if not kinds:
        return pa.nulls(len(values)), ""
    if kinds == {bool}:
        return pa.array(values, pa.bool_()), ""
    if kinds <= {int, float, Decimal, Digits}:
        return _numbers(values, kinds)
    if len(kinds) == 1 and (build := _BUILDERS.get(next(iter(kinds)))):
        return build(values)
    if kinds <= {list, tuple}:
        return _lists(values)

    return _mixed_column(values)


def _numbers(values: Sequence[Any], kinds: set[type]) -> tuple[pa.Array, str]:
    if kinds == {float}:
        return pa.array(values, pa.float64()), ""
    if Digits in kinds:
        return _long_numbers(values, kinds - {Digits})
    if kinds == {int}:
        return strings.integers(values)

    present = [value for value in values if value is not None]
    if Decimal not in kinds and all(
        _float_is(value) for value in present if type(value) is int
    ):
        return pa.array(strings.map_present(float, values), pa.float64()), ""
    if not all(math.isfinite(value) for value in present if type(value) is not int):
        return _not_finite(values)

    return strings.decimals(strings.map_present(_as_decimal, values))


def _float_is(value: int) -> bool:
    """Whether a float prints with the very digits: JavaScript writes 1e16 as a whole number."""
    return abs(value) <= _EXACT_FLOAT or (
        abs(value) < 10**21 and int(Decimal(repr(float(value)))) == value
    )


def _long_numbers(values: Sequence[Any], others: set[type]) -> tuple[pa.Array, str]:
    """Numbers in more digits than a float needs: floats if all are as printed with 17
    digits, else decimals.
    """
    floats = strings.map_present(float, values)
    long = [value for value in values if type(value) is Digits]
    printed = others <= {float, int} and all(
        strings.float_holds(str(value)) for value in long
    )
    if printed and len(long) >= _MANY_DIGITS:
        return pa.array(floats, pa.float64()), ""

    exact = [value if type(value) is not Digits else Decimal(value) for value in values]
    array, note = _numbers(exact, others | {Decimal})
    if note and printed:
        return (pa.array(floats, pa.float64()), "")

    return (array, note)


def _not_finite(values: Sequence[Any]) -> tuple[pa.Array, str]:
    """Infinity or NaN beside decimals or huge integers: floats when each survives it, else text."""
    floats = strings.map_present(_float, values)
    if all(
        b is None or not math.isfinite(b) or Decimal(repr(b)) == a
        for a, b in zip(values, floats, strict=True)
    ):
        return pa.array(floats, pa.float64()), ""

    return pa.array(strings.map_present(str, values), pa.string()), (
        "mixes exact decimals with NaN or Infinity, kept as text"
    )


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _as_decimal(value: Any) -> Decimal:
    if type(value) is float:
        return Decimal(repr(value))
    return Decimal(value)


def _strings(values: Sequence[Any]) -> tuple[pa.Array, str]:
    try:
        return pa.array(values, pa.string()), ""
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return pa.array(
            strings.map_present(_encodable, values),
            pa.string(),
        ), ("has characters that are no valid Unicode, written as \\ud800")


def _encodable(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _write_iso(moment: dt.datetime | dt.time) -> str:
    return moment.isoformat()


def _datetimes(values: Sequence[Any]) -> tuple[pa.Array, str]:
    present = [value for value in values if value is not None]
    aware = [value.utcoffset() is not None for value in present]
    if not any(aware):
        return pa.array(
            [None if v is None else v.replace(tzinfo=None) for v in values],
            pa.timestamp("us"),
        ), ""
    if not all(aware):
        return pa.array(strings.map_present(_write_iso, values), pa.string()), (
            "mixes times with and without a zone, kept as text"
        )

    instants = strings.map_present(strings.to_utc, values)
    is_shifted = any(value.utcoffset() for value in present)
    note = "is shown in UTC (sent with other offsets)" if is_shifted else ""
    return pa.array(instants, pa.timestamp("us", "UTC")), note


def _times(values: Sequence[Any]) -> tuple[pa.Array, str]:
    if any(value is not None and value.tzinfo is not None for value in values):
        return pa.array(
            strings.map_present(_write_iso, values), pa.string()
        ), "times with a zone, as text"
    return pa.array(values, pa.time64("us")), ""


def _durations(values: Sequence[Any]) -> tuple[pa.Array, str]:
    return pa.array(values, pa.duration("us")), ""


def _dates(values: Sequence[Any]) -> tuple[pa.Array, str]:
    return pa.array(values, pa.date32()), ""


def _binary(values: Sequence[Any]) -> tuple[pa.Array, str]:
    return pa.array(values, pa.binary()), ""


def _uuids(values: Sequence[Any]) -> tuple[pa.Array, str]:
    return pa.array(strings.map_present(str, values), pa.string()), ""


def _lists(values: Sequence[Any]) -> tuple[pa.Array, str]:
    """A list column when all items are of one kind, else JSON."""
    flat = [item for value in values if value is not None for item in value]
    items, note = _items(flat)
    if items is None or _loose(items.type):
        return _mixed_column(values)

    offsets, end = [], 0
    for value in values:
        offsets.append(None if value is None else end)
        end += len(value or ())

    return pa.ListArray.from_arrays(pa.array([*offsets, end], pa.int32()), items), note


def _structs(values: Sequence[Any]) -> tuple[pa.Array, str]:
    """A struct column when all objects have the same keys, else JSON."""
    first = next(value for value in values if value is not None)
    keys = list(first)
    if not keys or not all(type(key) is str for key in keys):
        return _mixed_column(values)
    if any(value is not None and value.keys() != first.keys() for value in values):
        return _mixed_column(values)

    columns = [
        _items(strings.map_present(operator.itemgetter(key), values)) for key in keys
    ]
    arrays = [array for array, _ in columns if array is not None]
    if len(arrays) < len(keys) or any(_loose(array.type) for array in arrays):
        return _mixed_column(values)

    mask = pa.array([value is None for value in values])
    return pa.StructArray.from_arrays(arrays, names=keys, mask=mask), "; ".join(
        note for _, note in columns if note
    )


def _items(values: list[Any]) -> tuple[pa.Array | None, str]:
    """The inside of a list or struct; text stays text there."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return _strings(values)
    return _exact(values, kinds)


def _loose(kind: pa.DataType) -> bool:
    return value_kind(kind) is JSON


def _mixed_column(values: Sequence[Any]) -> tuple[pa.Array, str]:
    """Values of several kinds: as JSON when JSON can say them, else as their text."""
    kinds = set(map(type, values))
    if kinds <= {dict, list, tuple, type(None)}:
        note = ""
    else:
        note = "has values of several types, kept as JSON"

    try:
        encoded = strings.map_present(_write_json, values)
    except (TypeError, ValueError, RecursionError):
        texts = [_encodable(str(v)) if v is not None else None for v in values]
        return pa.array(texts, pa.string()), (
            "has values of several types, kept as their text"
        )

    storage = pa.array(encoded, pa.string())
    return pa.ExtensionArray.from_storage(pa.json_(pa.string()), storage), note


def _write_json(value: Any) -> str:
    # half a surrogate pair has no UTF-8
    return json.dumps(value, ensure_ascii="\\ud" in repr(value))


def _plain(value: Any) -> Any:
    """An object that stands for a value of another kind as that value."""
    if type(value) is dict:
        return json_standards.undo_cell(value)
    return value


_BUILDERS = {
    dt.datetime: _datetimes,
    dt.date: _dates,
    dt.time: _times,
    dt.timedelta: _durations,
    bytes: _binary,
    UUID: _uuids,
    dict: _structs,
}
