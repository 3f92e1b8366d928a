"""What a column of strings says: dates, times, numbers, flags; believed only when all
agree and nothing is lost. And numbers of any size as Arrow arrays, exact.

A conversion is reversible: the typed values written back in the same form give the same
strings, so "007", "1e5", "+1" and " 5" never become numbers.
"""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

LONGEST = 38
"""Digits of a decimal of 128 bits."""


class Digits(Decimal):
    """A number in digits that no float prints; the column decides whether it is a
    decimal or a float.
    """


def map_present(read: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """What each value becomes; a NULL stays one."""
    return [None if value is None else read(value) for value in values]


def hold_only(values: Iterable[Any], kind: type) -> bool:
    """Whether all values are exactly of one type, or NULL."""
    return set(map(type, values)) <= {kind, type(None)}


def integers(values: Sequence[int | None]) -> tuple[pa.Array, str]:
    """Integers of any size, exact: int64, uint64, decimal128(38, 0), decimal256(76, 0),
    beyond that text.
    """
    present = [value for value in values if value is not None]
    low, high = min(present, default=0), max(present, default=0)
    if low >= -(2**63) and high < 2**63:
        return pa.array(values, pa.int64()), ""
    if low >= 0 and high < 2**64:
        return pa.array(values, pa.uint64()), ""
    if max(-low, high) >= 10**76:
        return pa.array(map_present(_digits, values), pa.string()), (
            "has integers of more than 76 digits, kept as text"
        )

    return decimals(map_present(Decimal, values))


def decimals(values: Sequence[Decimal | None]) -> tuple[pa.Array, str]:
    """Finite decimals, exact, with the scale of the finest value; as text when no Arrow
    decimal can hold them.
    """
    tuples = [value.as_tuple() for value in values if value is not None]
    scale = max((max(-int(t.exponent), 0) for t in tuples), default=0)
    whole = max((len(t.digits) + int(t.exponent) for t in tuples), default=1)
    precision = max(whole, 1) + scale
    if precision > 76:
        return pa.array(map_present(str, values), pa.string()), (
            "has decimals of more than 76 digits, kept as text"
        )

    if precision <= LONGEST:
        kind = pa.decimal128(max(precision, scale, 1), scale)
    else:
        kind = pa.decimal256(precision, scale)

    return pa.array(values, kind), ""


def written_decimals(values: Sequence[str | None]) -> tuple[pa.Array, str]:
    """The same of plain texts ("-1.50", "7"), whose size is seen without a look into
    each number.
    """
    parts = [value.lstrip("-").partition(".") for value in values if value is not None]
    scale = max((len(fraction) for _, _, fraction in parts), default=0)
    precision = max((len(whole) for whole, _, _ in parts), default=1) + scale
    exact = map_present(Decimal, values)
    if precision > LONGEST:
        return decimals(exact)

    return (pa.array(exact, pa.decimal128(precision, scale)), "")


def _digits(value: int) -> str:
    # str(int) refuses beyond 4300 digits, Decimal does not.
    return format(Decimal(value), "f")


# --- texts


_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?=\.|\D|\Z))?)(?:(?<=:\d\d:\d\d)\.(\d{1,9}))?( "
    r"?(?:Z|UTC)|[+-]\d\d(?::?\d\d(?::\d\d)?)?)?",
    re.ASCII,
)
_NANOSECONDS = re.compile(r"\.\d{7}", re.ASCII)
_BEYOND_MICROSECONDS = re.compile(r"\.\d{6}(\d{1,3})", re.ASCII)
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?", re.ASCII)
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\dT00:00:00(?:\.0{3,6})?Z", re.ASCII)
_NODE = re.compile(r"[+-]?\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)\.\d+", re.ASCII)
_FLOAT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_SCIENTIFIC = re.compile(r"-?\d\.\d+[eE][+-]?\d+|-?\d(?:\.\d+)?[eE][+-]\d+", re.ASCII)
_GROUPED = re.compile(r"-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_SPECIAL = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"}
_NUMBER_STARTS = frozenset("-+0123456789nNiI")
_LONGEST_INTEGER = 38
_FLAGS = ({"true", "false"}, {"true"}, {"false"}, {"t", "f"})
CODE_NAME = re.compile(
    r"(?:^|[_\W])(?:zip|zipcode|postal|postcode|plz|phone|telephone|tel|fax|mobile|msisdn|sku"
    r"|isbn|issn|ean|gtin|upc|iban"
    r"|bic|ssn|vat|imei|imsi|barcode|serial|pin|version|code|hash|account|card|plate|routing"
    r"|cusip|isin)(?:$|[_\W])",
    re.IGNORECASE,
)


_PLAIN_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?", re.ASCII
)  # fmt: skip
_PLAIN = re.compile(rf"{_DECIMAL.pattern}|{_INTEGER.pattern}", re.ASCII)


class Typed(NamedTuple):
    """A converted column and what the person should know of it."""

    array: pa.Array
    note: str = ""


@lru_cache(maxsize=32)
def _repeat_pattern(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(rf"(?:(?:{pattern.pattern})\0)*+", pattern.flags)


def _all_match(pattern: re.Pattern[str], values: Sequence[str | None]) -> bool:
    """Whether every text is of the pattern, in one call: several times as fast as a call each."""
    present = [v for v in values if v is not None] if None in values else values
    if not present or not pattern.fullmatch(present[0] or ""):
        return not present

    joined = "\0".join(present) + "\0"  # pyright: ignore[reportCallIssue, reportArgumentType]
    return (
        joined.count("\0") == len(present)
        and _repeat_pattern(pattern).fullmatch(joined) is not None
    )


def temporal(values: Sequence[str | None]) -> Typed | None:
    """Dates, timestamps or times of day, when every value is strict ISO; None when any is not."""
    first = next((value for value in values if value is not None), "")
    if _TIME.fullmatch(first):
        found = times(values) if _all_match(_TIME, values) else None
        return found and Typed(found)
    if _DATE.fullmatch(first):
        return _dates(values)
    if _STAMP.fullmatch(first):
        return _midnights(values) or _stamps(values)

    return None


def _dates(values: Sequence[str | None]) -> Typed | None:
    if not _all_match(_DATE, values):
        return None

    try:
        days = map_present(dt.date.fromisoformat, values)
    except ValueError:
        return None

    return Typed(pa.array(days, pa.date32()))


def _midnights(values: Sequence[str | None]) -> Typed | None:
    """A column that is midnight UTC throughout is a column of dates, as Node's drivers
    send them.
    """
    if not _all_match(_MIDNIGHT, values):
        return None

    dates = _dates(map_present(operator.itemgetter(slice(10)), values))
    return dates and Typed(dates.array, "was midnight UTC in every row, shown as dates")


def _stamps(values: Sequence[str | None]) -> Typed | None:
    plain = _all_match(_PLAIN_STAMP, values)
    try:
        parsed = map_present(dt.datetime.fromisoformat if plain else _stamp, values)
    except ValueError:  # of another form, or on no calendar
        return None

    zones = {stamp.utcoffset() for stamp in parsed if stamp is not None}
    if None in zones and len(zones) > 1:
        return None

    zone = None if zones == {None} else "UTC"
    if not plain and any(map(_NANOSECONDS.search, filter(None, values))):
        array = _nanoseconds(values, parsed, pa.timestamp("ns", zone))
    else:
        instants = map_present(to_utc, parsed) if zone else parsed
        array = pa.array(instants, pa.timestamp("us", zone))

    return array and Typed(array, _stamp_note(values, zones))


def _stamp_note(values: Sequence[str | None], zones: set[dt.timedelta | None]) -> str:
    is_shifted = zones - {None, dt.timedelta(0)}
    shifted = "is shown in UTC (sent with other offsets)" if is_shifted else ""
    return node_note(values) or shifted


def node_note(values: Sequence[str | None]) -> str:
    """What JavaScript's way to write dates loses, when every value is written so."""
    if not _all_match(_NODE, values):
        return ""

    return (
        "is written as JavaScript dates: finer than milliseconds is cut, and a time without a zone "
        "shows as UTC, shifted if the server runs in another zone"
    )


def _stamp(text: str) -> dt.datetime:
    """A timestamp of any form, to the microsecond; raises ValueError."""
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)

    day, clock, fraction, zone = match.groups("")
    offset = zone.strip().replace("UTC", "Z")
    clock = clock if len(clock) > 5 else f"{clock}:00"  # many a program writes none
    return dt.datetime.fromisoformat(
        f"{day}T{clock}.{fraction[:6].ljust(6, '0')}{offset}"
    )


def to_utc(value: dt.datetime) -> dt.datetime:
    """The same instant in UTC; at the ends of the calendar the value itself."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        return value.replace(tzinfo=dt.UTC)


def _nanoseconds(
    values: Sequence[str | None],
    parsed: Sequence[dt.datetime | None],
    kind: pa.TimestampType,
) -> pa.Array | None:
    """Timestamps finer than a microsecond, which `datetime` cannot hold."""
    epoch = dt.datetime(1970, 1, 1)
    counts: list[int | None] = []
    for text, stamp in zip(values, parsed, strict=True):
        if text is None or stamp is None:
            counts.append(None)
            continue

        whole = to_utc(stamp).replace(tzinfo=None) if stamp.tzinfo else stamp
        rest = _BEYOND_MICROSECONDS.search(text)
        nanoseconds = int(rest[1].ljust(3, "0")) if rest else 0
        microseconds = (whole - epoch) // dt.timedelta(microseconds=1)
        counts.append(microseconds * 1000 + nanoseconds)

    try:
        return pa.array(counts, pa.int64()).cast(kind)
    except (OverflowError, pa.ArrowInvalid):
        return None


def times(values: Sequence[str | None]) -> pa.Array | None:
    """Times of day, when every value is HH:MM:SS[.ffffff]; None when any is not."""
    try:
        return pa.array(map_present(dt.time.fromisoformat, values), pa.time64("us"))
    except (ValueError, pa.ArrowInvalid):
        return None


def numbers(values: Sequence[str | None]) -> Typed | None:
    """Integers, decimals or floats when every value is a canonical number; None when any is not.

    Fractions become decimals when they are padded to one scale or too long for a float,
    else floats.
    """
    present = [value for value in values if value is not None]
    if not present or present[0][:1] not in _NUMBER_STARTS:
        return None

    if _all_match(_INTEGER, present):
        if max(map(len, present)) > _LONGEST_INTEGER:
            return None
        return Typed(*integers(map_present(int, values)))

    plain = _all_match(_PLAIN, present)
    if plain or _all_match(_FLOAT, present):
        return _fractions(values, present, plain=plain)
    if not all(
        value.lower() in _SPECIAL or _FLOAT.fullmatch(value) for value in present
    ):
        return None

    words = sorted({value for value in present if value.lower() in _SPECIAL})
    if len(words) < len(set(present)):
        found = _fractions(values, present, plain=False)
    else:
        found = None

    # A word among numbers may also be a text: said.
    return found and found._replace(
        note=f"has {', '.join(words)} among its numbers, taken for no text"
    )


def grouped_numbers(values: Sequence[str | None]) -> Typed | None:
    """Numbers written for people, "1,234.50" among others; None when no value has such
    commas or one is no number.
    """
    present = [value for value in values if value is not None]
    if not any(map(_GROUPED.fullmatch, present)):
        return None
    if not all(
        _GROUPED.fullmatch(value) or (is_plain(value) and len(value.split(".")[0]) < 5)
        for value in present
    ):
        return None

    found = numbers(map_present(lambda text: text.replace(",", ""), values))
    has_fraction = any("." in value for value in present)
    doubt = "; fractions may be rounded" if has_fraction else ""
    note = f"was written with commas between thousands{doubt}"
    return found and Typed(found.array, note)


def _fractions(
    values: Sequence[str | None], present: list[str], *, plain: bool
) -> Typed | None:
    if plain and (fixed_scale(present) or not all(map(float_holds, present))):
        return Typed(*written_decimals(values))

    certain = any(
        _DECIMAL.fullmatch(v) or _SCIENTIFIC.fullmatch(v) or v.lower() in _SPECIAL
        for v in present
    )
    if not certain:
        return None  # only integers and exponents such as 1e5: more likely codes
    if not all(value.lower() in _SPECIAL or float_holds(value) for value in present):
        return None

    return Typed(pa.array(map_present(float, values), pa.float64()))


def fixed_scale(present: Sequence[str]) -> bool:
    """Whether fractions are padded with zeros to one scale, as decimals are and floats
    are not ("1.50", "2.25").
    """
    scales = {len(value.partition(".")[2]) for value in present}
    return (
        len(scales) == 1
        and scales != {0}
        and any(value.endswith("0") and not value.endswith(".0") for value in present)
    )


def float_holds(text: str) -> bool:
    """Whether a 64-bit float keeps this number as written (to the 17 digits that
    printers of floats use).
    """
    value = float(text)
    exact = Decimal(text)
    return Decimal(repr(value)) == exact or Decimal(format(value, ".17g")) == exact


def booleans(values: Sequence[str | None]) -> Typed | None:
    """true/false in one spelling throughout, both or either; None otherwise. A lone
    letter column needs both.
    """
    found = {value.lower() for value in values if value is not None}
    if found not in _FLAGS:
        return None

    flags = map_present(lambda text: text[0] in "tT", values)
    return Typed(pa.array(flags, pa.bool_()))


def as_text(value: Any) -> str | None:
    """A scalar's text, None for NULL."""
    return None if value is None else str(value)


def is_number(text: str) -> bool:
    """Whether a text is a plain number."""
    return bool(_FLOAT.fullmatch(text)) or text.lower() in _SPECIAL


def is_value(text: str) -> bool:
    """Whether a text is a number, an ISO date or a timestamp."""
    return is_number(text) or is_temporal(text)


def is_plain(text: str) -> bool:
    """Whether a text is a canonical integer or fraction, without exponent and without NaN."""
    return bool(_DECIMAL.fullmatch(text) or _INTEGER.fullmatch(text))


def is_temporal(text: str) -> bool:
    """Whether a text is an ISO date or timestamp."""
    return bool(_DATE.fullmatch(text) or _STAMP.fullmatch(text))
