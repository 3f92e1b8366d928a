"""What changed between two tables: rows, columns, types, values. Exact, and without
regard to the order of rows. And whether a table is still what it was when it was
frozen; if not, what changed, in words.
"""

from __future__ import annotations

import html
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mcp_notebook.errors import CheckFailed, DataError
from mcp_notebook.freeze.fingerprint import (
    Fingerprint,
    Hashes,
    fingerprint,
    hash_columns,
    hash_rows,
    label_texts,
    mix,
    parse_fingerprint,
)
from mcp_notebook.results.frames import exact_column, is_restored

SHOWN = 5  # rows of each kind in the HTML
_LISTED = 12  # names in one line


@dataclass(frozen=True, eq=False)
class Difference:
    """The difference of two tables, `before` and `after`; it shows itself as text and as HTML.

    `added` and `removed` are the rows that only one of them holds, as DataFrames; a row
    that stands three times here and once there counts twice. With a key, rows of the
    same key are one row: `changed` holds the key and, for each column with a changed
    value, the value before and after; `cells` counts them by column. Columns that only
    one of the tables has do not take part in the comparison of rows.
    """

    rows: tuple[int, int]
    added: pd.DataFrame
    removed: pd.DataFrame
    changed: pd.DataFrame | None = None
    cells: Mapping[str, int] = field(default_factory=dict)
    new_columns: tuple[str, ...] = ()
    lost_columns: tuple[str, ...] = ()
    # column -> dtype before and after
    types: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether both hold the same rows in columns of the same names and types."""
        moved = len(self.added) or len(self.removed) or self.cells
        return not (moved or self.new_columns or self.lost_columns or self.types)

    def lines(self) -> list[str]:
        """One line a fact, the rows first."""
        return list(_lines(self))

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines())
        parts = [
            ("added", self.added),
            ("removed", self.removed),
            ("changed", self.changed),
        ]
        tables = "".join(
            _shown(word, rows) for word, rows in parts if rows is not None and len(rows)
        )
        # The class keeps MathJax away from dollars in the data.
        return (
            f'<div class="mathjax_ignore tex2jax_ignore"><ul>{said}</ul>{tables}</div>'
        )


def compare(a: Any, b: Any, key: str | Sequence[str] | None = None) -> Difference:
    """Compare table `a` (before) with `b` (after).

    Takes DataFrames and whatever has Arrow's stream interface; an index is not looked
    at. `key`: the column or columns that identify a row. Numbers are compared as
    numbers and moments as moments, whatever their dtype; missing values are equal.
    Raises DataError when one is no table, or a key is not there or not unique.
    """
    before, after = as_frame(a, "first"), as_frame(b, "second")
    # Renamed to what they are called here, so that labels of any kind and repeated ones
    # can be told apart.
    before, after = (
        frame.set_axis(label_texts(frame.columns), axis=1) for frame in (before, after)
    )
    shared = [name for name in before.columns if name in set(after.columns)]
    words = column_types(before), column_types(after)
    types = {name: (words[0][name], words[1][name]) for name in shared}
    told = {
        "rows": (len(before), len(after)),
        "new_columns": tuple(n for n in after.columns if n not in set(before.columns)),
        "lost_columns": tuple(n for n in before.columns if n not in set(after.columns)),
        "types": {name: pair for name, pair in types.items() if pair[0] != pair[1]},
    }
    if key is None:
        return Difference(**told, **_compare_without_keys(before, after, shared))

    if isinstance(key, str):
        keys = [key]
    else:
        keys = list(key)

    for name in keys:
        if name not in shared:
            raise DataError(
                f"There is no column {name!r} in both tables; both have: "
                f"{', '.join(shared) or 'none'}."
            )

    return Difference(
        **told,
        **_compare_by_keys(before, after, keys, [n for n in shared if n not in keys]),
    )


def as_frame(value: Any, which: str = "") -> pd.DataFrame:
    """A DataFrame for any table; raises DataError."""
    if isinstance(value, pd.DataFrame):
        return value
    if isinstance(value, pd.Series):
        return value.to_frame()

    if hasattr(value, "__arrow_c_stream__"):
        return pa.table(value).to_pandas(types_mapper=pd.ArrowDtype)

    if which:
        table = f"The {which} value"
    else:
        table = "The value"

    raise DataError(
        f"{table} is a {type(value).__name__}, not a table: give a DataFrame."
    )


def type_word(dtype: Any) -> str:
    """A dtype in one word that does not change with the values: decimals go without
    their precision.
    """
    text = str(dtype)
    if text.startswith("decimal"):
        return "decimal"

    return text


def column_types(frame: pd.DataFrame) -> dict[str, str]:
    """The columns by name with their type in a word: of a column that a result gave the
    type that it was read as, whichever dtype it was handed out in.
    """
    names = label_texts(frame.columns)
    return {name: _column_word(frame, at) for at, name in enumerate(names)}


def _column_word(frame: pd.DataFrame, at: int) -> str:
    if is_restored(frame, at):
        exact = exact_column(frame, at)
        # values of several shapes are objects either way
        if exact is not None and not pa.types.is_string(exact.type):
            return type_word(pd.ArrowDtype(exact.type))

    return type_word(frame.dtypes.iloc[at])


def _compare_without_keys(
    before: pd.DataFrame, after: pd.DataFrame, shared: list[str]
) -> dict[str, Any]:
    """Rows as a multiset: the second of two equal rows is a row of its own."""
    left = _number_equals(hash_rows(hash_columns(_only(before, shared)), len(before)))
    right = _number_equals(hash_rows(hash_columns(_only(after, shared)), len(after)))
    return {
        "added": after[~np.isin(right, left)],
        "removed": before[~np.isin(left, right)],
    }


def _only(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return frame.loc[:, names]


def _number_equals(hashes: Hashes) -> Hashes:
    """Hashes in which the second, third … of equal ones differ from the first."""
    times = pd.Series(hashes).groupby(hashes).cumcount().to_numpy().astype(np.uint64)
    return mix(hashes ^ mix(times))


def _compare_by_keys(
    before: pd.DataFrame, after: pd.DataFrame, keys: list[str], others: list[str]
) -> dict[str, Any]:
    left = _unique_keys(before, keys, "first")
    right = _unique_keys(after, keys, "second")
    common, at_left, at_right = np.intersect1d(
        left, right, assume_unique=True, return_indices=True
    )
    order = np.argsort(at_right, kind="stable")
    at_left, at_right = at_left[order], at_right[order]
    old, new = before.iloc[at_left], after.iloc[at_right]
    hashes_old, hashes_new = (
        hash_columns(_only(old, others)),
        hash_columns(_only(new, others)),
    )
    differs = {name: hashes_old[name] != hashes_new[name] for name in others}
    cells = {name: int(marks.sum()) for name, marks in differs.items() if marks.any()}
    if cells:
        touched = np.any([differs[name] for name in cells], axis=0)
    else:
        touched = np.zeros(len(common), dtype=bool)

    columns = {name: new[name].array[touched] for name in keys}
    for name in cells:
        columns[f"{name} before"] = old[name].array[touched]
        columns[f"{name} after"] = new[name].array[touched]

    return {
        "added": after[~np.isin(right, common)],
        "removed": before[~np.isin(left, common)],
        "changed": pd.DataFrame(columns),
        "cells": cells,
    }


def _unique_keys(frame: pd.DataFrame, keys: list[str], which: str) -> Hashes:
    hashes = hash_rows(hash_columns(_only(frame, keys)), len(frame))
    if len(np.unique(hashes)) < len(hashes):
        twice = frame[keys].iloc[int(np.flatnonzero(pd.Series(hashes).duplicated())[0])]
        said = ", ".join(f"{name}={value!r}" for name, value in twice.items())
        raise DataError(
            f"The key is not unique in the {which} table: {said} stands more than once."
        )

    return hashes


def _lines(found: Difference) -> Iterator[str]:
    if found.same:
        yield f"the same: {count_words(found.rows[1], 'row')}"
        return

    moved = [
        f"{count_words(len(found.added), 'row')} added",
        f"{len(found.removed):,} removed",
    ]
    if found.changed is not None:
        moved.append(f"{len(found.changed):,} changed")

    yield f"{', '.join(moved)} ({found.rows[0]:,} before, {found.rows[1]:,} after)"
    yield from column_lines(found.new_columns, found.lost_columns, found.types)
    if found.cells:
        yield "values changed in " + list_words(
            [f"{name} ({count:,})" for name, count in found.cells.items()]
        )


def column_lines(
    new: Sequence[str], lost: Sequence[str], types: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    """What happened to columns, a line each kind."""
    if new:
        yield f"new columns: {list_words(new)}"

    if lost:
        yield f"columns gone: {list_words(lost)}"

    if types:
        yield "types: " + list_words(
            [f"{name} {before} → {after}" for name, (before, after) in types.items()]
        )


def count_words(number: int, what: str) -> str:
    """`1 row`, `955 rows`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def list_words(words: Sequence[str]) -> str:
    """The first words, and how many more there are."""
    more = len(words) - _LISTED
    return ", ".join(words[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _shown(word: str, rows: pd.DataFrame) -> str:
    if len(rows) > SHOWN:
        few = f", the first {SHOWN}"
    else:
        few = ""
    return f"<p>{count_words(len(rows), 'row')} {word}{few}</p>{rows.head(SHOWN).to_html()}"


# ---- since a table was frozen

_REMEMBERED = 32  # tables
_LARGEST = 64_000_000  # bytes of one
_known: OrderedDict[str, pd.DataFrame] = OrderedDict()


class CheckWarning(UserWarning):
    """A table is not what it was when it was frozen, and the check was to go on."""


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of a check. `lines`: what changed, none when nothing did."""

    name: str
    rows: int
    lines: tuple[str, ...] = ()
    # where the frozen rows are known
    difference: Difference | None = field(default=None, repr=False)

    @property
    def same(self) -> bool:
        """Whether the table is as it was frozen."""
        return not self.lines

    def __repr__(self) -> str:
        if self.same:
            return f"{self.name}: as frozen, {count_words(self.rows, 'row')}"
        return "\n".join(
            [
                f"{self.name} is not what it was when it was frozen:",
                *(f"- {line}" for line in self.lines),
            ]
        )


@dataclass(frozen=True)
class Expected:
    """What a table was; None where that is not held against it."""

    rows: int | None = None
    columns: Mapping[str, str] | None = None
    fingerprint: Fingerprint | None = None
    ignore: tuple[str, ...] = ()


def check(
    table: Any,
    *,
    rows: int | None = None,
    columns: Mapping[str, str] | None = None,
    fingerprint: str = "",
    ignore: Sequence[str] = (),
    against: Any = None,
    strict: bool = True,
    name: str = "",
) -> Checked:
    """Hold a table against what it was; the order of rows does not count.

    `columns`: names and types, `fingerprint`: of the values, without the columns in
    `ignore`. `against`: the table as it was, or the path of a Parquet file with it, for
    the rows that changed. Raises CheckFailed with what changed, or with `strict=False`
    warns of it. `name`: what to call the table; by default the caller's name of it.
    """
    frame = as_frame(table)
    expected = Expected(
        rows,
        columns,
        parse_fingerprint(fingerprint) if fingerprint else None,
        tuple(ignore),
    )
    lines = tuple(_changes(frame, expected))
    difference = None
    # Where a fingerprint holds, nothing changed: sums may still differ in their last
    # digit from run to run.
    if lines or (against is not None and not fingerprint):
        difference = _difference(frame, fingerprint, against, ignore)

    if difference is not None and not difference.same:
        lines = tuple(dict.fromkeys([*difference.lines(), *_beside_rows(lines)]))

    checked = Checked(name or _name_of(table), len(frame), lines, difference)
    if lines and strict:
        raise CheckFailed(repr(checked))

    if lines:
        warnings.warn(repr(checked), CheckWarning, stacklevel=2)

    return checked


def remember(frame: pd.DataFrame, mark: str) -> None:
    """Keep a frozen table in this process, so that a check can say which rows changed
    since; old ones are let go.
    """
    if int(frame.memory_usage(index=False).sum()) > _LARGEST:
        return

    # pandas copies on write: later changes to the frame do not reach it
    _known[mark] = frame.copy(deep=False)
    _known.move_to_end(mark)
    while len(_known) > _REMEMBERED:
        _known.popitem(last=False)


def _changes(frame: pd.DataFrame, expected: Expected) -> Iterator[str]:
    """What can be said without the rows as they were."""
    types = column_types(frame)
    same_columns = expected.columns is None or set(expected.columns) == set(types)
    same_rows = expected.rows in (None, len(frame))
    if expected.rows is not None and not same_rows:
        net = _net(len(frame) - expected.rows)
        yield f"{count_words(expected.rows, 'row')} before, {len(frame):,} now{net}"

    before = expected.fingerprint
    now = fingerprint(frame, expected.ignore) if before and same_columns else None
    if before and now:
        yield from _moved_rows(before, now)

    if expected.columns is not None:
        yield from _column_changes(expected.columns, types)

    if before and now and same_rows and before.table != now.table:
        yield _values(before, now, [n for n in types if n not in expected.ignore])


def _moved_rows(before: Fingerprint, now: Fingerprint) -> Iterator[str]:
    added, removed = before.count_moved(now) or (0, 0)
    if added or removed:
        rows = count_words(added, "row")
        yield f"{rows} added, {removed:,} removed (a changed row is both)"


def _column_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    new = [name for name in now if name not in before]
    lost = [name for name in before if name not in now]
    both = {name: (before[name], now[name]) for name in before if name in now}
    types = {name: pair for name, pair in both.items() if pair[0] != pair[1]}
    return column_lines(new, lost, types)


def _values(before: Fingerprint, now: Fingerprint, names: Sequence[str]) -> str:
    if len(before.columns) != len(names):
        return (
            f"{count_words(len(before.columns), 'column')} before, {len(names):,} now"
        )

    changed = before.other_columns(now, names)
    if not changed:
        return "the same values stand together in other rows"

    if len(changed) == len(names):
        rest = ""
    else:
        rest = "; the other columns hold the same values"

    return f"values differ in {list_words(changed)}{rest}"


def _beside_rows(lines: Sequence[str]) -> list[str]:
    """What is still to be said when the rows themselves were compared."""
    return [line for line in lines if line.startswith(("values differ", "types:"))]


def _net(change: int) -> str:
    return f" ({abs(change):,} {'more' if change > 0 else 'fewer'})"


def _difference(
    frame: pd.DataFrame, mark: str, against: Any, ignore: Sequence[str]
) -> Difference | None:
    """The difference from the rows as they were, None where they are not known."""
    before = _rows_before(mark, against)
    if before is None:
        return None

    found = compare(_without(before, ignore), _without(frame, ignore))
    # A file has types of its own; those that the table had stand in the check.
    if isinstance(against, str | Path):
        return replace(found, types={})

    return found


def _rows_before(mark: str, against: Any) -> pd.DataFrame | None:
    if against is None:
        return _known.get(mark)
    if isinstance(against, str | Path):
        return _from_file(against)
    return as_frame(against)


def _from_file(path: Any) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, dtype_backend="pyarrow")
    except (OSError, ValueError) as error:
        raise DataError(f"The frozen rows in {path} cannot be read: {error}") from None


def _without(frame: pd.DataFrame, ignore: Sequence[str]) -> pd.DataFrame:
    labels = label_texts(frame.columns)
    return frame.loc[:, [label not in ignore for label in labels]]


def _name_of(table: Any) -> str:
    """What the caller calls the table."""
    frame = sys._getframe(2)  # the caller of `check`
    for names in (frame.f_locals, frame.f_globals):
        for name, value in names.items():
            if value is table and not name.startswith("_"):
                return name

    return "The table"
