"""Is a table still what it was when it was frozen? If not, what changed, in words."""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mcp_notebook.errors import CheckFailed, DataError
from mcp_notebook.freeze.compare import (
    Difference,
    as_frame,
    column_lines,
    column_types,
    compare,
    count_words,
    list_words,
)
from mcp_notebook.freeze.fingerprint import (
    Fingerprint,
    fingerprint,
    label_texts,
    parse_fingerprint,
)

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
    if before:
        now = fingerprint(frame, expected.ignore)
    else:
        now = None

    if before and now and same_columns:
        yield from _moved_rows(before, now)

    if expected.columns is not None:
        yield from _column_changes(expected.columns, types)

    if before and now and same_columns and same_rows and before.table != now.table:
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
