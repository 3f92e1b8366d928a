"""The bits of a cell's hash: how kinds of values are kept apart, mixed, and how floats
are told from one another.

Bits are mixed by splitmix64, https://prng.di.unimi.it/splitmix64.c; texts are hashed by BLAKE2b.
"""

import hashlib
from typing import Any

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]

INTEGER, FLOAT, BOOLEAN, MOMENT, ZONED, DAY, TIME, SPAN = range(1, 9)
_NULL = 0x6E756C6C
_EXACT = 2.0**53  # below it every integer is a float of its own
# bits of a float's 52 that rounding takes away: about 12 decimal digits stay
_DROPPED = 12


def mix(values: Hashes) -> Hashes:
    """Spread every bit over all others; wraps around silently, as unsigned arrays do."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def tagged(tag: int, values: Hashes) -> Hashes:
    """The bits of values of one kind, kept apart from those of any other."""
    return mix(values + np.uint64((tag * 0x9E3779B97F4A7C15) % 2**64))


def float_hashes(values: np.ndarray, rounded: bool) -> Hashes:
    """Floats; whole ones are the integers that they equal, and `rounded` ones are equal
    to about 12 digits.
    """
    values = np.array(values, dtype=np.float64)
    values[np.isnan(values)] = np.nan  # one of the many
    if rounded:
        usual = np.isfinite(values) & (
            (values != np.trunc(values)) | (np.abs(values) >= _EXACT)
        )
        bits = values.view(np.uint64)
        near = (
            (bits + np.uint64(1 << (_DROPPED - 1)))
            >> np.uint64(_DROPPED)
            << np.uint64(_DROPPED)
        )
        values = np.where(usual, near.view(np.float64), values)
    whole = (
        np.isfinite(values) & (np.abs(values) < _EXACT) & (values == np.trunc(values))
    )
    integers = np.where(whole, values, 0).astype(np.int64).view(np.uint64)
    return np.where(
        whole, tagged(INTEGER, integers), tagged(FLOAT, values.view(np.uint64))
    )


def one(hashes: Hashes) -> int:
    """The only hash of an array."""
    return int(hashes[0])


def null() -> int:
    """The hash of what is missing."""
    return one(tagged(0, np.array([_NULL], np.uint64)))


def text_hash(tag: bytes, value: bytes) -> int:
    """The hash of bytes of one kind."""
    return int.from_bytes(
        hashlib.blake2b(value, digest_size=8, person=tag).digest(), "big"
    )
