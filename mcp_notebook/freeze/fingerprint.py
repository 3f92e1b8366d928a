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
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook import values
from mcp_notebook.errors import ConfigError
from mcp_notebook.results.frames import exact_column, is_restored, recorded_type

VERSION, _EARLIER = "v2", "v1"
SMALL = 40  # rows up to which each is told apart
Hashes = np.ndarray[Any, np.dtype[np.uint64]]

_FORM = re.compile(
    rf"{VERSION}:([^:]*):((?:[\w-]{{4}})*):((?:[\w-]{{4}})*|-)", re.ASCII
)
_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_EXACT = 2.0**53  # below it every integer is a float of its own
_DROPPED = np.uint64(12)  # of a float's 52 bits: about 12 decimal digits stay
_HALF = np.uint64(1 << 11)  # of the last bit that stays
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_CONTAINERS = (Mapping, set, frozenset, list, tuple, np.ndarray)
_NO_ARROW = (
    pa.ArrowException,
    TypeError,
    ValueError,
    OverflowError,
    NotImplementedError,
)


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint taken apart. `columns`: marks in the order of the sorted names;
    `rows`: None for a large table.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[str, ...] | None

    def __str__(self) -> str:
        rows = "-" if self.rows is None else "".join(self.rows)
        return ":".join([VERSION, self.table, "".join(self.columns), rows])

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
    rows = mix(hash_rows(hashes, len(frame)))
    columns = tuple(mark_of(int(mix(hashes[name]).sum())) for name in sorted(hashes))
    marks = None
    if hashes and len(frame) <= SMALL:
        marks = tuple(map(mark_of, sorted(rows.tolist())))

    return Fingerprint(f"{rows.sum():016x}", columns, marks)


def parse_fingerprint(text: str) -> Fingerprint:
    """The text's parts; raises ConfigError."""
    found = _FORM.fullmatch(text)
    if found is not None:
        rows = None if found[3] == "-" else split_marks(found[3])
        return Fingerprint(found[1], split_marks(found[2]), rows)

    said = f"{text[:40]!r} is no fingerprint of this version"
    if text.count(":") == 3 and text.startswith(f"{_EARLIER}:"):
        said = f"The fingerprint {text[:12]}… was made by an earlier version"
    elif text.count(":") == 3 and text.startswith(f"{VERSION}:"):
        said = f"{text[:40]!r} is a damaged fingerprint"

    raise ConfigError(f"{said}; freeze the table again: %mcp_freeze.")


def label_texts(labels: Sequence[Any] | pd.Index) -> list[str]:
    """Labels as text, those that repeat with #2, #3."""
    seen: Counter[str] = Counter()
    found = []
    for label in labels:
        text = ".".join(map(str, label)) if isinstance(label, tuple) else str(label)
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


def hash_table(data: pa.Table, names: Collection[str]) -> dict[str, Hashes]:
    """The same of columns of a table that is no DataFrame yet, floats rounded."""
    return {name: _hash_array(data.column(name), rounded=True) for name in names}


def hash_rows(columns: Mapping[str, Hashes], rows: int) -> Hashes:
    """One number a row, whatever the order of the columns."""
    total = np.zeros(rows, dtype=np.uint64)
    for name, hashes in columns.items():
        total += mix(hashes ^ np.uint64(_digest("column", _encode(name))))
    return total


def mix(bits: Hashes) -> Hashes:
    """Spread every bit over all others, as https://prng.di.unimi.it/splitmix64.c does;
    wraps around silently, as unsigned arrays do.
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _hash_column(frame: pd.DataFrame, at: int, rounded: bool) -> Hashes:
    # A column that a result gave counts as what it was read as, so that a price is the
    # same in every dtype that it may be handed out in.
    if is_restored(frame, at):
        exact = exact_column(frame, at)
        is_json = values.value_kind(recorded_type(frame, at)) is values.JSON
        if exact is not None and not is_json:
            return _hash_array(exact, rounded)

    series = frame.iloc[:, at]
    if series.dtype == object:
        return _hash_objects(series.tolist(), rounded)

    try:
        # In a numpy column NaN is the word for missing; extension arrays say themselves
        # what is missing.
        array = pa.array(series, from_pandas=isinstance(series.dtype, np.dtype))
    except _NO_ARROW:
        return _hash_objects(series.tolist(), rounded)

    # pandas' periods and intervals count by their text
    if getattr(array.type, "extension_name", "").startswith("pandas."):
        return _hash_objects(series.tolist(), rounded)

    return _hash_array(array, rounded)


def _hash_objects(cells: Sequence[Any], rounded: bool) -> Hashes:
    """Values of Python: those of one type together, as a column of Arrow where it has one."""
    hashes = np.full(len(cells), _MISSING)
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    cells = [v.item() if isinstance(v, np.generic) else v for v in cells]
    for at, value in enumerate(cells):
        if not _is_missing(value):
            # Arrow would make moments with and without a zone the same
            groups[type(value), getattr(value, "tzinfo", None) is None].append(at)

    for (type_, _), places in groups.items():
        hashes[places] = _hash_group(type_, [cells[at] for at in places], rounded)

    return hashes


def _hash_group(type_: type, cells: list[Any], rounded: bool) -> Hashes | list[int]:
    if issubclass(type_, _CONTAINERS):
        return [_hash_container(value, rounded) for value in cells]
    if issubclass(type_, Decimal):
        return _hash_objects(list(map(_equal_number, cells)), rounded)

    try:
        # without its type a large integer would become a float
        array = pa.array(cells, pa.int64() if type_ is int else None)
        return _hash_array(array, rounded)
    except _NO_ARROW:
        # an integer of more than 64 bits, half a surrogate, a type that Arrow has not
        return list(map(_hash_alone, cells))


def _hash_container(value: Any, rounded: bool) -> int:
    """Fields of a mapping and members of a set count whatever their order."""
    is_mapping = isinstance(value, Mapping)
    inner = _hash_objects([*value.items()] if is_mapping else [*value], rounded)
    if isinstance(value, Mapping | set | frozenset):
        inner = np.sort(inner)

    return _digest("map" if is_mapping else "list", inner)


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

    name = "text" if isinstance(value, str) else type(value).__name__.lower()
    return _digest(name, _encode(str(value)))


def _equal_number(value: Decimal) -> Any:
    """The integer or float that a decimal equals, else its digits."""
    if value.is_finite() and value == value.to_integral_value():
        return int(value)

    near = float(value)
    if not value.is_finite() or Decimal(near) == value:
        return near

    return str(value.normalize(_WIDE).as_tuple())


def _hash_array(array: pa.Array | pa.ChunkedArray, rounded: bool) -> Hashes:
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    array = values.plain_column(pa.chunked_array(chunks, array.type)).combine_chunks()
    hasher = _HASHERS.get(values.value_kind(array.type), _hash_distinct)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    return np.where(missing, _MISSING, hasher(array, rounded))


def _hash_distinct(array: pa.Array, rounded: bool) -> Hashes:
    """Each different value is hashed once: the work of Python grows with their number."""
    kind = values.value_kind(array.type)
    if kind.nested:
        return _hash_objects(values.column_values(array, map_as_dict=True), rounded)

    try:
        encoded = pc.dictionary_encode(array)
    except pa.ArrowNotImplementedError:
        encoded = pa.DictionaryArray.from_arrays(
            pa.array(range(len(array)), pa.int64()), array
        )

    if kind is values.DECIMAL:
        distinct = _hash_objects(encoded.dictionary.to_pylist(), rounded)
    else:
        data = [_bytes_of(value, kind) for value in encoded.dictionary]
        distinct = np.array([_digest(kind.name, one) for one in data], np.uint64)

    places = pc.fill_null(encoded.indices.cast(pa.int64()), len(distinct))
    return np.append(distinct, _MISSING)[places.to_numpy(zero_copy_only=False)]


def _bytes_of(value: pa.Scalar, kind: values.ValueKind) -> bytes:
    if not value.is_valid:
        return b""
    if kind is values.BINARY:
        return value.as_py()
    return _encode(kind.write(value))


def _hash_integers(array: pa.Array, rounded: bool) -> Hashes:
    if pa.types.is_uint64(array.type) and (pc.max(array).as_py() or 0) >= 2**63:
        return _hash_objects(array.to_pylist(), rounded)

    name = values.value_kind(array.type).name
    return _tag(name, _fill(array, pa.int64()).view(np.uint64))


def _hash_floats(array: pa.Array, rounded: bool) -> Hashes:
    """Whole floats are the integers that they equal."""
    numbers = np.array(_fill(array, pa.float64()), dtype=np.float64)
    numbers[np.isnan(numbers)] = np.nan  # one of the many
    if rounded:
        near = (numbers.view(np.uint64) + _HALF) >> _DROPPED << _DROPPED
        usual = np.isfinite(numbers) & ~_are_whole(numbers)
        numbers = np.where(usual, near.view(np.float64), numbers)

    whole = _are_whole(numbers)
    integers = np.where(whole, numbers, 0).astype(np.int64).view(np.uint64)
    fractions = _tag("float", numbers.view(np.uint64))
    return np.where(whole, _tag("integer", integers), fractions)


def _are_whole(numbers: np.ndarray) -> np.ndarray:
    return (np.abs(numbers) < _EXACT) & (numbers == np.trunc(numbers))


def _hash_moments(array: pa.Array, rounded: bool) -> Hashes:
    """Whole seconds and the nanoseconds beyond them: no unit overflows, and none is left to see."""
    kind = values.value_kind(array.type)
    if kind is values.DATE:
        array = array.cast(pa.date32(), safe=False).cast(pa.timestamp("s"))

    storage = pa.int32() if array.type.bit_width == 32 else pa.int64()
    count = _fill(array.cast(storage), pa.int64()).astype(np.int64)
    per_second = _PER_SECOND[array.type.unit]
    seconds, rest = np.divmod(count, per_second)
    rest = rest * (10**9 // per_second)
    zone = "zoned" if getattr(array.type, "tz", None) else ""
    return _tag(kind.name + zone, mix(seconds.view(np.uint64)) + rest.view(np.uint64))


def _fill(array: pa.Array, kind: pa.DataType) -> np.ndarray:
    filled = pc.fill_null(array.cast(kind, safe=False), pa.scalar(0, kind))
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _tag(kind: str, bits: Hashes) -> Hashes:
    """The bits of values of one kind, kept apart from those of any other."""
    return mix(bits + np.uint64(_digest(kind, b"")))


def _digest(kind: str, value: Any) -> int:
    """The hash of bytes of one kind, whose name has at most 16 letters."""
    person = kind.encode()[:16]
    found = hashlib.blake2b(value, digest_size=8, person=person).digest()
    return int.from_bytes(found, "big")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def mark_of(value: int) -> str:
    """The first 24 bits, which are four letters."""
    return base64.urlsafe_b64encode((value >> 40).to_bytes(3, "big")).decode()


def split_marks(text: str) -> tuple[str, ...]:
    return tuple(re.findall("....", text))


_MISSING = np.uint64(_digest("null", b""))
_HASHERS: dict[values.ValueKind, Callable[[pa.Array, bool], Hashes]] = {
    **dict.fromkeys((values.BOOLEAN, values.INTEGER), _hash_integers),
    **dict.fromkeys((values.FLOAT, values.NARROW_FLOAT), _hash_floats),
    **dict.fromkeys((values.DATE, values.TIME), _hash_moments),
    **dict.fromkeys((values.TIMESTAMP, values.DURATION), _hash_moments),
}
