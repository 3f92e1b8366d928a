"""A table in one short text: the same for the same rows in any order, and telling
enough to say what changed.

    v1:0a53…e1:Xb2kQp1s:9fYw…

After the version come 24 hex digits for the multiset of rows, then 24 bits a column (in
the order of their names) and, for a table of at most `SMALL` rows, 24 bits a row, both
in URL-safe base64. Floats count to about 12 digits.
"""

import base64
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mcp_notebook.errors import ConfigError
from mcp_notebook.freeze.bits import Hashes, mix
from mcp_notebook.freeze.hashing import columns_of, labels_of, row_hashes

VERSION = "v1"
SMALL = 40  # rows up to which each is told apart
_BYTES = 3  # of a column's or a row's mark
_SALT = np.uint64(0x5851F42D4C957F2D)


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint taken apart. `columns`: marks in the order of the sorted names;
    `rows`: None for a large table.
    """

    table: str
    columns: tuple[bytes, ...]
    rows: tuple[bytes, ...] | None

    def __str__(self) -> str:
        rows = "" if self.rows is None else _packed(self.rows)
        return ":".join(
            [
                VERSION,
                self.table,
                _packed(self.columns),
                rows if self.rows is not None else "-",
            ]
        )

    def other_columns(self, other: "Fingerprint", names: Sequence[str]) -> list[str]:
        """Those of the names (of all columns) whose values are not the same; [] where
        that cannot be told.
        """
        if not len(names) == len(self.columns) == len(other.columns):
            return []
        return [
            n
            for n, a, b in zip(sorted(names), self.columns, other.columns, strict=True)
            if a != b
        ]

    def moved(self, after: "Fingerprint") -> tuple[int, int] | None:
        """How many rows were added and removed, None where a table was too large to tell."""
        if self.rows is None or after.rows is None:
            return None
        old, new = Counter(self.rows), Counter(after.rows)
        return (new - old).total(), (old - new).total()


def fingerprint(frame: pd.DataFrame, ignore: Collection[str] = ()) -> Fingerprint:
    """The fingerprint of a table; of columns named in `ignore` nothing can be guessed from it."""
    labels = labels_of(frame.columns)
    kept = [at for at, label in enumerate(labels) if label not in ignore]
    hashes = columns_of(
        frame.iloc[:, kept].set_axis([labels[at] for at in kept], axis=1), rounded=True
    )
    rows = row_hashes(hashes, len(frame))
    table = f"{_sum(mix(rows)):016x}{_sum(mix(rows ^ _SALT)) >> 32:08x}"
    columns = tuple(_mark(_sum(mix(hashes[name]))) for name in sorted(hashes))
    small = len(frame) <= SMALL and bool(kept)
    return Fingerprint(
        table, columns, tuple(sorted(map(_mark, mix(rows).tolist()))) if small else None
    )


def parse(text: str) -> Fingerprint:
    """The text's parts; raises ConfigError."""
    parts = text.split(":")
    if parts[0] != VERSION or len(parts) != 4:
        raise ConfigError(
            f"{text[:40]!r} is no fingerprint of this version; freeze the table again: %mcp_freeze."
        )
    try:
        rows = None if parts[3] == "-" else tuple(_unpacked(parts[3]))
        return Fingerprint(parts[1], tuple(_unpacked(parts[2])), rows)
    except ValueError:
        raise ConfigError(
            f"{text[:40]!r} is a damaged fingerprint; freeze the table again: %mcp_freeze."
        ) from None


def types_of(frame: pd.DataFrame) -> Mapping[str, str]:
    """The columns by name with their type in a word."""
    from mcp_notebook.freeze.compare import type_word

    names = labels_of(frame.columns)
    return {
        name: type_word(dtype) for name, dtype in zip(names, frame.dtypes, strict=True)
    }


def _sum(hashes: Hashes) -> int:
    return int(np.sum(hashes, dtype=np.uint64))


def _mark(value: int) -> bytes:
    return (value >> (64 - 8 * _BYTES)).to_bytes(_BYTES, "big")


def _packed(marks: Sequence[bytes]) -> str:
    return base64.urlsafe_b64encode(b"".join(marks)).decode()


def _unpacked(text: str) -> Iterator[bytes]:
    data = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    if len(data) % _BYTES:
        raise ValueError("its length is not that of whole marks")
    return (data[at : at + _BYTES] for at in range(0, len(data), _BYTES))
