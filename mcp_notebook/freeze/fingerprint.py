"""A table in one short text: the same for the same rows in any order, and telling
enough to say what changed.

    v2:0a53…e1:Xb2kQp1s:9fYw…

After the version come 16 hex digits for the multiset of rows, then 24 bits a column (in
the order of their names) and, for a table of at most `SMALL` rows, 24 bits a row, both
in URL-safe base64. Floats count to about 12 digits.

It is made of one 64-bit number a cell, which depends on the value alone: not on dtype,
machine, run or version. Equal numbers are equal whatever holds them: 3, 3.0 and
Decimal("3.00"). Missing is missing (None, NA, NaT, and NaN where a dtype has no other
word for it); where a column tells NaN and NULL apart they differ. Moments are compared
as moments: the unit does not matter, the zone only as far as it moves them; a naive
time differs from one with a zone. A kind of value that is not spoken of here counts by
its text (`mcp_notebook.values`).
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.errors import ConfigError
from mcp_notebook.results.frames import exact_column, is_restored, recorded_type
from mcp_notebook.values import (
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL,
    DURATION,
    FLOAT,
    INTEGER,
    JSON,
    NARROW_FLOAT,
    TIME,
    TIMESTAMP,
    ValueKind,
    column_values,
    plain_column,
    value_kind,
)  # fmt: skip

VERSION = "v2"
SMALL = 40  # rows up to which each is told apart
Hashes = np.ndarray[Any, np.dtype[np.uint64]]

_EARLIER = "v1"
_BYTES = 3  # of a column's or a row's mark
_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_EXACT = 2.0**53  # below it every integer is a float of its own
_DROPPED = np.uint64(12)  # of a float's 52 bits: about 12 decimal digits stay
_HALF = np.uint64(1 << 11)  # of the last bit that stays
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint taken apart. `columns`: marks in the order of the sorted names;
    `rows`: None for a large table.
    """

    table: str
    columns: tuple[bytes, ...]
    rows: tuple[bytes, ...] | None

    def __str__(self) -> str:
        if self.rows is None:
            rows = "-"
        else:
            rows = _pack(self.rows)
        return ":".join([VERSION, self.table, _pack(self.columns), rows])

    def other_columns(self, other: Fingerprint, names: Sequence[str]) -> list[str]:
        """Those of the names (of all columns) whose values are not the same; [] where
        that cannot be told.
        """
        if not len(names) == len(self.columns) == len(other.columns):
            return []

        marks = zip(sorted(names), self.columns, other.columns, strict=True)
        return [name for name, before, after in marks if before != after]

    def count_moved(self, after: Fingerprint) -> tuple[int, int] | None:
        """How many rows were added and removed, None where a table was too large to tell."""
        if self.rows is None or after.rows is None:
            return None
        old, new = Counter(self.rows), Counter(after.rows)
        return (new - old).total(), (old - new).total()


def fingerprint(frame: pd.DataFrame, ignore: Collection[str] = ()) -> Fingerprint:
    """The fingerprint of a table; of columns named in `ignore` nothing can be guessed from it."""
    hashes = hash_columns(frame, ignore, rounded=True)
    rows = hash_rows(hashes, len(frame))
    table = f"{_sum(mix(rows)):016x}"
    columns = tuple(_mark(_sum(mix(hashes[name]))) for name in sorted(hashes))
    if not hashes or len(frame) > SMALL:
        return Fingerprint(table, columns, None)

    return Fingerprint(table, columns, tuple(sorted(map(_mark, mix(rows).tolist()))))


def parse_fingerprint(text: str) -> Fingerprint:
    """The text's parts; raises ConfigError."""
    parts = text.split(":")
    again = "freeze the table again: %mcp_freeze."
    if parts[0] == _EARLIER and len(parts) == 4:
        raise ConfigError(
            f"The fingerprint {text[:12]}… was made by an earlier version; {again}"
        )
    if parts[0] != VERSION or len(parts) != 4:
        raise ConfigError(f"{text[:40]!r} is no fingerprint of this version; {again}")

    try:
        if parts[3] == "-":
            rows = None
        else:
            rows = tuple(_unpack(parts[3]))

        return Fingerprint(parts[1], tuple(_unpack(parts[2])), rows)
    except ValueError:
        raise ConfigError(f"{text[:40]!r} is a damaged fingerprint; {again}") from None


def label_texts(labels: Sequence[Any] | pd.Index) -> list[str]:
    """Labels as text, those that repeat with #2, #3."""
    seen: Counter[str] = Counter()
    found = []
    for label in labels:
        if isinstance(label, tuple):
            text = ".".join(map(str, label))
        else:
            text = str(label)

        seen[text] += 1
        found.append(text if seen[text] == 1 else f"{text}#{seen[text]}")

    return found


def hash_columns(
    frame: pd.DataFrame, ignore: Collection[str] = (), *, rounded: bool = False
) -> dict[str, Hashes]:
    """The hashes of each column by its label as text; labels that repeat get a number.

    `rounded`: floats count to about 12 digits, so that a sum added up in another order
    is the same sum.
    """
    return {
        label: _hash_column(frame, at, rounded)
        for at, label in enumerate(label_texts(frame.columns))
        if label not in ignore
    }


def hash_rows(columns: Mapping[str, Hashes], rows: int) -> Hashes:
    """One number a row, whatever the order of the columns."""
    total = np.zeros(rows, dtype=np.uint64)
    for name, hashes in columns.items():
        total += mix(hashes ^ np.uint64(_digest("column", _encode(name))))
    return total


def mix(values: Hashes) -> Hashes:
    """Spread every bit over all others, as https://prng.di.unimi.it/splitmix64.c does;
    wraps around silently, as unsigned arrays do.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_column(frame: pd.DataFrame, at: int, rounded: bool) -> Hashes:
    """A column that a result gave counts as what it was read as, so that a price is the
    same in every dtype that it may be handed out in.
    """
    if is_restored(frame, at) and value_kind(recorded_type(frame, at)) is not JSON:
        exact = exact_column(frame, at)
        if exact is not None:
            return _hash_array(exact, rounded)

    return _hash_series(frame.iloc[:, at], rounded)


def _hash_series(series: pd.Series, rounded: bool) -> Hashes:
    if series.dtype == object:
        return _hash_objects(series.tolist(), rounded)

    # In a numpy column NaN is the word for missing; extension arrays say themselves
    # what is missing.
    plain = isinstance(series.dtype, np.dtype)
    try:
        array = pa.array(series, from_pandas=plain)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        return _hash_objects(series.tolist(), rounded)

    # pandas' periods and intervals count by their text
    if getattr(array.type, "extension_name", "").startswith("pandas."):
        return _hash_objects(series.tolist(), rounded)

    return _hash_array(array, rounded)


def _hash_objects(values: Sequence[Any], rounded: bool) -> Hashes:
    """Values of Python: those of one type together, as a column of Arrow where it has one."""
    hashes = np.full(len(values), _MISSING)
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    for at, value in enumerate(values):
        if not _is_missing(value):
            groups[type(value), getattr(value, "tzinfo", None) is None].append(at)

    for (type_, _), places in groups.items():
        hashes[places] = _hash_group(type_, [values[at] for at in places], rounded)

    return hashes


def _hash_group(type_: type, values: list[Any], rounded: bool) -> Hashes | list[int]:
    if issubclass(type_, Mapping):  # whatever the order of its fields
        inner = [np.sort(_hash_objects([*v.items()], rounded)) for v in values]
    elif issubclass(type_, set | frozenset):
        inner = [np.sort(_hash_objects([*v], rounded)) for v in values]
    elif issubclass(type_, list | tuple | np.ndarray):
        inner = [_hash_objects([*v], rounded) for v in values]
    elif issubclass(type_, Decimal):
        return _hash_objects(list(map(_equal_number, values)), rounded)
    else:
        return _hash_plain(type_, values, rounded)

    if issubclass(type_, Mapping):
        kind = "map"
    else:
        kind = "list"

    return [_digest(kind, hashes) for hashes in inner]


def _hash_plain(type_: type, values: list[Any], rounded: bool) -> Hashes | list[int]:
    wanted = pa.int64() if type_ is int else None  # a large one would become a float
    try:
        return _hash_array(pa.array(values, wanted), rounded)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # an integer of more than 64 bits, half a surrogate, a type that Arrow has not
        pass

    return [_hash_alone(value) for value in values]


def _is_missing(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float | Decimal) and value != value


def _hash_alone(value: Any) -> int:
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return int(_hash_integers(pa.array([value]), False)[0])
        # hex: Python writes no decimal number of more than 4300 digits
        return _digest("integer", hex(value).encode())

    if isinstance(value, bytearray | memoryview):
        return _digest("binary", value)

    if isinstance(value, str):
        name = "text"
    else:
        name = type(value).__name__.lower()

    return _digest(name, _encode(str(value)))


def _equal_number(value: Decimal | None) -> Any:
    """The integer or float that a decimal equals, else its digits."""
    if value is None or not value.is_finite():
        if value is None:
            return None
        return float(value)

    if value == value.to_integral_value():
        return int(value)

    near = float(value)
    if Decimal(near) == value:
        return near

    return str(value.normalize(_WIDE).as_tuple())


def _hash_array(array: pa.Array | pa.ChunkedArray, rounded: bool) -> Hashes:
    if isinstance(array, pa.ChunkedArray):
        chunks = array.chunks
    else:
        chunks = [array]

    column = pa.chunked_array(chunks, array.type)
    column = plain_column(column)
    if column.num_chunks:
        array = pa.concat_arrays(column.chunks)
    else:
        array = pa.nulls(0)

    hashes = _HASHERS.get(value_kind(array.type), _hash_distinct)(array, rounded)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    return np.where(missing, _MISSING, hashes)


def _hash_distinct(array: pa.Array, rounded: bool) -> Hashes:
    """Hash each different value once; the work of Python grows with the number of
    different ones.
    """
    kind = value_kind(array.type)
    try:
        encoded = pc.dictionary_encode(array)
    except pa.ArrowNotImplementedError:
        return _hash_values(kind, array, rounded)

    distinct = _hash_values(kind, encoded.dictionary, rounded)
    places = pc.fill_null(encoded.indices.cast(pa.int64()), len(distinct))
    return np.append(distinct, _MISSING)[places.to_numpy(zero_copy_only=False)]


def _hash_values(kind: ValueKind, array: pa.Array, rounded: bool) -> Hashes:
    if kind.nested:
        return _hash_objects(column_values(array, map_as_dict=True), rounded)

    if kind is DECIMAL:
        numbers = map(_equal_number, array.to_pylist())
        return _hash_objects(list(numbers), rounded)

    if kind is BINARY:
        data = [value or b"" for value in array.to_pylist()]
    else:
        data = [_encode(kind.write(v)) if v.is_valid else b"" for v in array]

    return np.array([_digest(kind.name, value) for value in data], np.uint64)


def _hash_integers(array: pa.Array, rounded: bool) -> Hashes:
    large = pa.types.is_uint64(array.type) and len(array.drop_null())
    if large and pc.max(array).as_py() >= 2**63:
        return _hash_objects(array.to_pylist(), rounded)
    name = value_kind(array.type).name
    return _tag(name, _fill(array, pa.int64()).view(np.uint64))


def _hash_floats(array: pa.Array, rounded: bool) -> Hashes:
    """Whole floats are the integers that they equal."""
    values = np.array(_fill(array, pa.float64()), dtype=np.float64)
    values[np.isnan(values)] = np.nan  # one of the many
    if rounded:
        near = (values.view(np.uint64) + _HALF) >> _DROPPED << _DROPPED
        usual = np.isfinite(values) & ~_are_whole(values)
        values = np.where(usual, near.view(np.float64), values)

    whole = _are_whole(values)
    integers = np.where(whole, values, 0).astype(np.int64).view(np.uint64)
    fractions = _tag("float", values.view(np.uint64))
    return np.where(whole, _tag("integer", integers), fractions)


def _are_whole(values: np.ndarray) -> np.ndarray:
    return (np.abs(values) < _EXACT) & (values == np.trunc(values))


def _hash_moments(array: pa.Array, rounded: bool) -> Hashes:
    """Whole seconds and the nanoseconds beyond them: no unit overflows, and none is left to see."""
    kind = value_kind(array.type)
    if kind is DATE:
        array = array.cast(pa.date32(), safe=False).cast(pa.timestamp("s"))

    if array.type.bit_width == 32:
        storage = pa.int32()
    else:
        storage = pa.int64()

    values = _fill(array.cast(storage), pa.int64()).astype(np.int64)
    per_second = _PER_SECOND[array.type.unit]
    seconds, rest = np.divmod(values, per_second)
    rest = rest * (10**9 // per_second)
    if getattr(array.type, "tz", None):
        zone = "zoned"
    else:
        zone = ""

    return _tag(kind.name + zone, mix(seconds.view(np.uint64)) + rest.view(np.uint64))


def _fill(array: pa.Array, kind: pa.DataType) -> np.ndarray:
    filled = pc.fill_null(array.cast(kind, safe=False), pa.scalar(0, kind))
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _tag(kind: str, values: Hashes) -> Hashes:
    """The bits of values of one kind, kept apart from those of any other."""
    return mix(values + np.uint64(_digest(kind, b"")))


def _digest(kind: str, value: Any) -> int:
    """The hash of bytes of one kind, whose name has at most 16 letters."""
    person = kind.encode()[:16]
    found = hashlib.blake2b(value, digest_size=8, person=person).digest()
    return int.from_bytes(found, "big")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _sum(hashes: Hashes) -> int:
    return int(np.sum(hashes, dtype=np.uint64))


def _mark(value: int) -> bytes:
    return (value >> (64 - 8 * _BYTES)).to_bytes(_BYTES, "big")


def _pack(marks: Sequence[bytes]) -> str:
    return base64.urlsafe_b64encode(b"".join(marks)).decode()


def _unpack(text: str) -> Iterator[bytes]:
    data = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    if len(data) % _BYTES:
        raise ValueError("its length is not that of whole marks")
    return (data[at : at + _BYTES] for at in range(0, len(data), _BYTES))


_MISSING = np.uint64(_digest("null", b""))
_HASHERS: dict[ValueKind, Callable[[pa.Array, bool], Hashes]] = {
    **dict.fromkeys((BOOLEAN, INTEGER), _hash_integers),
    **dict.fromkeys((FLOAT, NARROW_FLOAT), _hash_floats),
    **dict.fromkeys((DATE, TIME, TIMESTAMP, DURATION), _hash_moments),
}
