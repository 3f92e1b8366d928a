"""A person's DataFrame as everybody sees it: one set of names, kinds and rows.

What Claude is told, a preview, SQL, sharing, fingerprints and exports all take this view,
so that a name that was told can be asked for and holds the same values everywhere.

- Columns keep their names; a label that is no text becomes text, labels of several levels
  are joined by `_`, an empty one is called by its place (`column_3`), and of names that
  SQL takes for one the later get a number (`a`, `A_2`).
- An index that somebody made (it has a name, several levels, or is not of whole numbers)
  is columns, too, before the others; where a column has its name it is `NAME_index`.
- A column that was read from a result is of the type that it was read as while it holds
  such values (`frames.exact_column`); what Arrow has no type for is its text, and a note
  says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import pyarrow as pa

from mcp_notebook.results.frames import exact_column, is_restored
from mcp_notebook.values import plain_column, value_text

# DuckDB's decimals end there; Arrow's go on
_WIDEST = 38
_FIXED_TEXT = "is text here"


@dataclass(frozen=True, eq=False)
class FrameView:
    """`frame`: the person's columns without a copy, under unique text names and without
    an index; the first `levels` of them were the index. `renamed`: label as text ->
    name, where these differ.
    """

    frame: pd.DataFrame
    levels: int
    renamed: Mapping[str, str]
    origin: pd.DataFrame

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was renamed, in one line."""
        changed = [f"{label!r} is {name}" for label, name in self.renamed.items()]
        if not changed:
            return ()
        return (f"columns renamed for SQL: {', '.join(changed[:5])}",)

    @property
    def names(self) -> list[str]:
        """The columns, the index first."""
        return list(self.frame.columns)

    def __len__(self) -> int:
        """Rows."""
        return len(self.frame)

    def is_retyped(self, at: int) -> bool:
        """Whether the column may be of another type than pandas says."""
        own = at - self.levels
        return own >= 0 and is_restored(self.origin, own)

    def column(
        self, at: int, rows: int | None = None
    ) -> tuple[pa.Array | pa.ChunkedArray, str]:
        """One column (its first rows) as Arrow, and a note where it became text."""
        own = at - self.levels
        if own >= 0:
            origin = self.origin
            if rows is not None:
                origin = origin.iloc[:rows]

            exact = exact_column(origin, own)
            if exact is not None:
                return plain_values(exact), ""

        series = self.frame.iloc[:, at]
        if rows is not None:
            series = series.iloc[:rows]

        return column_array(series)

    def table(
        self, names: Iterable[str] | None = None, rows: int | None = None
    ) -> tuple[pa.Table, tuple[str, ...]]:
        """These columns (all) as an Arrow table, and notes on what was renamed or became
        text.
        """
        places = {name: at for at, name in enumerate(self.names)}
        arrays, notes = {}, list(self.notes)
        for name in self.names if names is None else names:
            arrays[name], note = self.column(places[name], rows)
            if note:
                notes.append(f"{name}: {note}")

        if arrays:
            return pa.table(arrays), tuple(notes)

        # a table without columns has rows all the same
        count = len(self.frame)
        if rows is not None:
            count = min(rows, count)

        nothing = pa.table({"": pa.nulls(count)}).select([])
        return nothing, tuple(notes)


def view_frame(frame: pd.DataFrame) -> FrameView:
    """The view of a frame as it is now; no values are copied."""
    origin = frame.copy(deep=False)  # holds the values of this moment
    shown = frame.copy(deep=False)
    shown.attrs = {}
    labels = [label_text(label, at) for at, label in enumerate(frame.columns)]
    names = unique_names(labels)
    renamed = {
        _write_label(label): name
        for label, name in zip(frame.columns, names, strict=True)
        if _write_label(label) != name
    }
    if is_plain_index(frame):
        shown.index = pd.RangeIndex(len(frame))
        shown.columns = names
        return FrameView(shown, 0, renamed, origin)

    levels = _index_names(frame, names)
    shown.columns = names
    shown.index.names = levels
    shown = shown.reset_index(allow_duplicates=True)
    given = [name for name in frame.index.names if name is not None]
    renamed |= {
        f"index {_write_label(name)}": level
        for name, level in zip(frame.index.names, levels, strict=True)
        if name in given and _write_label(name) != level
    }
    return FrameView(shown, len(levels), renamed, origin)


def column_names(frame: pd.DataFrame) -> list[str]:
    """The columns of the view, without making it: levels of the index that are data, then
    the frame's own.
    """
    labels = [label_text(label, at) for at, label in enumerate(frame.columns)]
    names = unique_names(labels)
    if is_plain_index(frame):
        return names

    return [*_index_names(frame, names), *names]


def is_plain_index(frame: pd.DataFrame) -> bool:
    """Row numbers, whole or what a filter left of them, are no data; any other index
    becomes columns.
    """
    index = frame.index
    # a name, or more than one level, says that somebody meant it as data
    if index.nlevels != 1 or index.name is not None:
        return False

    return getattr(index.dtype, "kind", "O") in "iu"


def unique_names(names: Iterable[str]) -> list[str]:
    """Names made unique without regard to letter case, as SQL compares them: `a`,
    `A_2`, `a_3`. A name that stands once keeps it, wherever it stands.
    """
    given = [str(name) for name in names]
    lowered = {name.lower() for name in given}
    taken: set[str] = set()
    unique = []
    for name in given:
        candidate, number = name, 1
        while candidate.lower() in taken or (
            number > 1 and candidate.lower() in lowered
        ):
            number += 1
            candidate = f"{name}_{number}"

        taken.add(candidate.lower())
        unique.append(candidate)

    return unique


def label_text(label: object, at: int) -> str:
    """A column's label as one text; an empty one by its place."""
    text = _write_label(label)
    if text.strip():
        return text
    return f"column_{at + 1}"


def _write_label(label: object) -> str:
    if isinstance(label, tuple):
        return "_".join(_write_label(part) for part in label if _write_label(part))
    if label is None or label != label:
        return ""
    # half a character cannot go to SQL, nor to anybody else
    return str(label).encode("utf-8", "replace").decode()


def _index_names(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    given = list(frame.index.names)
    # the words that pandas itself takes for levels without a name
    if given == [None]:
        found = ["index"]
    else:
        found = [
            _write_label(name) or f"level_{level}" for level, name in enumerate(given)
        ]

    taken = {name.lower() for name in columns}
    free = [f"{name}_index" if name.lower() in taken else name for name in found]
    return unique_names([*columns, *free])[len(columns) :]


def column_array(series: pd.Series) -> tuple[pa.Array | pa.ChunkedArray, str]:
    """A column as Arrow; what Arrow or SQL cannot hold becomes text, and the note says so."""
    convert = _CONVERT.get(type(series.dtype).__name__)
    if convert is not None:
        return convert(series)

    if series.dtype.kind == "c":
        return _texts(series), f"{series.dtype} {_FIXED_TEXT}"
    if series.dtype == object and _is_mixed(series):
        return _texts(series), f"mixed Python objects: each {_FIXED_TEXT}"

    try:
        array = plain_values(pa.Array.from_pandas(series))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _texts(series), f"mixed Python objects: each {_FIXED_TEXT}"

    return _within_sql(array)


def plain_values(array: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as SQL can take them: encoded ones and extensions as what they hold."""
    if isinstance(array, pa.Array):
        array = pa.chunked_array([array])
    if isinstance(array.type, pa.UuidType):
        texts = [str(value.as_py()) if value.is_valid else None for value in array]
        return pa.chunked_array([pa.array(texts, pa.string())])

    plain = plain_column(array)
    if plain.type == pa.float16():
        return plain.cast(pa.float32())
    return plain


def _within_sql(array: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """Decimals of more digits than SQL has: fewer where these hold the values."""
    type_ = array.type
    if not pa.types.is_decimal(type_) or type_.precision <= _WIDEST:
        return array, ""

    try:
        return array.cast(pa.decimal128(_WIDEST, min(type_.scale, _WIDEST))), ""
    except pa.ArrowException:
        texts = [value_text(value) for value in array]
        said = f"decimals of {type_.precision} digits: each {_FIXED_TEXT}"
        return pa.chunked_array([pa.array(texts, pa.string())]), said


def _is_mixed(series: pd.Series) -> bool:
    """Whether Arrow would take values of different kinds for one: a day for a time, a
    time without a zone for one with.
    """
    kinds = {
        (type(value), getattr(value, "tzinfo", None) is None)
        for value in series
        if isinstance(value, dt.date) and value is not pd.NaT
    }
    return len({_moment_kind(*kind) for kind in kinds}) > 1


def _moment_kind(type_: type, naive: bool) -> str:
    if not issubclass(type_, dt.datetime):
        return "day"
    if naive:
        return "naive"

    return "zoned"


def _texts(series: pd.Series) -> pa.Array:
    missing = series.isna()
    texts = [
        None if gone else _object_text(value)
        for value, gone in zip(series, missing, strict=True)
    ]
    return pa.array(texts, pa.string())


def _object_text(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # boundary: the text of somebody's object may do anything
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode()


def _said_as_text(series: pd.Series) -> tuple[pa.Array, str]:
    return _texts(series), f"{series.dtype} {_FIXED_TEXT}"


def _without_gaps(series: pd.Series) -> tuple[pa.Array | pa.ChunkedArray, str]:
    return column_array(series.sparse.to_dense())


def _categories(series: pd.Series) -> tuple[pa.Array | pa.ChunkedArray, str]:
    """The values of a category in the kind of its categories: taken for floats, as an
    engine does, long numbers lose digits.
    """
    codes = series.cat.codes.to_numpy()
    places = pa.array(codes, mask=codes < 0)
    distinct, note = column_array(pd.Series(series.cat.categories))
    return distinct.take(places), note


_CONVERT: dict[str, Callable[[pd.Series], tuple[pa.Array | pa.ChunkedArray, str]]] = {
    "PeriodDtype": _said_as_text,
    "IntervalDtype": _said_as_text,
    "SparseDtype": _without_gaps,
    "CategoricalDtype": _categories,
}
