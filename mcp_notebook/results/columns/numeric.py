"""Integers and decimals of any size as Arrow arrays, exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

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
