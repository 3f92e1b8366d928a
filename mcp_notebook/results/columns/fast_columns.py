"""`infer.column` for a column that is in Arrow already: the same answer without a
Python object a cell.

Each step either proves the exact path's answer with Arrow's kernels or hands the column
over to `infer` and `strings`, whose rules these are. A test holds the two equal.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.columns import infer, strings
from mcp_notebook.results.columns.infer import Column, Strictness, short
from mcp_notebook.results.columns.nulls import (
    NULL_WORDS,
    all_text,
    left_notes,
    null_notes,
    suspect_null_words,
)
from mcp_notebook.results.reading import Cells, Raw

_WORKERS = 2
MANY = 10_000
"""Rows from which a second thread is worth its start."""
SMALL = 256
"""Rows below which the exact path is as fast."""
_SAMPLE = 256
_STAMP = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)?$"
_MIDNIGHT = r"^\d{4}-\d\d-\d\dT00:00:00(?:\.0{3,6})?Z$"
_NODE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
_NUMBER = r"^-?(?:0|[1-9]\d*)(?:\.\d+)?$"
_FRACTION = r"^-?(?:0|[1-9]\d*)\.\d+$"
_WRITTEN = r"^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$"
_NUMERIC = re.compile(
    r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|inf|infinity|nan)",
    re.ASCII | re.IGNORECASE,
)
# as `strings.grouped_numbers` allows
_PEOPLE = re.compile(r"-?(?:\d{1,3}(?:,\d{3})*|\d{4})(?:\.\d+)?", re.ASCII)
_LONGEST_INTEGER = 18
_LONGEST_DECIMAL = 38
_LONGEST_FLOAT = 16  # fifteen digits and a point: any float keeps them
_SMALL_FLOAT, _LARGE_FLOAT = 1e-3, 1e15
_SECONDS, _MILLISECONDS = len("2024-02-29T12:30:00"), len("2024-02-29T12:30:00.000Z")
_FIRST_DAY = pa.scalar(dt.date(1, 1, 1))
_FIRST_STAMP = dt.datetime(1, 1, 2)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def each(
    work: Callable[[Item], Answer], items: Iterable[Item], *, rows: int = MANY
) -> list[Answer]:
    """The answer for each item, in their order. Two threads work on a long table: Arrow
    does without the interpreter's lock.
    """
    if rows < MANY:
        return [work(item) for item in items]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(work, items))


def column_of_texts(
    array: pa.Array | pa.ChunkedArray,
    declared: str | None = None,
    *,
    text: Strictness = "dates",
) -> Column:
    """What `infer.column(array.to_pylist(), declared, text=text)` gives; arguments as there."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    else:
        array = array

    if declared or len(array) < SMALL or array.null_count == len(array):
        return infer.column(array.to_pylist(), declared, text=text)
    if not pa.types.is_string(array.type):
        return Column(array, f"inferred: {short(array.type)}")

    return _from_text(array, text)


def _from_text(array: pa.StringArray, text: Strictness) -> Column:
    """The steps of `infer` for strings: the first of them that may apply is tried fast,
    then exactly.
    """
    sample = _sample(array)
    if text != "keep":
        temporal = strings.temporal(sample)
    else:
        temporal = None

    if temporal is None and not _may_be_number(sample, text):
        return Column(array, "inferred: text")

    if temporal:
        fast = _dates(array) or _stamps(array, temporal.note)
    else:
        fast = _numbers(array)

    if fast is None:
        return infer.column(array.to_pylist(), text=text)

    return Column(
        fast.array, f"converted from text: {short(fast.array.type)}", fast.note
    )


def _sample(array: pa.StringArray) -> list[str]:
    """Some values from all over the column; at least one."""
    step = max(len(array) // _SAMPLE, 1)
    found = array.take(pa.array(np.arange(0, len(array), step))).drop_null()
    return found.to_pylist() or array.drop_null().slice(0, _SAMPLE).to_pylist()


def _may_be_number(sample: Sequence[str], text: Strictness) -> bool:
    """Whether a rule for numbers or flags may take the column; False is certain, since
    it asks every value.
    """
    if text in ("keep", "dates"):
        return False
    if all(map(_NUMERIC.fullmatch, sample)):
        return True
    if text == "all" and all(map(_PEOPLE.fullmatch, sample)):
        return True

    return text == "all" and all(
        value.lower() in ("true", "false", "t", "f") for value in sample
    )


def _dates(array: pa.StringArray) -> strings.Typed | None:
    """`YYYY-MM-DD` throughout, or midnight UTC throughout in one spelling."""
    shortest, longest = _lengths(array)
    if shortest != longest or longest < 10:
        return None
    if longest == 10:
        return _as_dates(array, "")
    if not _all(pc.ends_with(array, "Z")) or not _all(
        pc.match_substring_regex(array, _MIDNIGHT)
    ):
        return None

    return _as_dates(
        pc.utf8_slice_codeunits(array, 0, 10),
        "was midnight UTC in every row, shown as dates",
    )


def _as_dates(array: pa.Array, note: str) -> strings.Typed | None:
    try:
        dates = pc.cast(array, pa.date32())
    except pa.ArrowInvalid:
        return None

    if _any(pc.less(dates, _FIRST_DAY)):
        return None

    return strings.Typed(dates, note)


def _stamps(array: pa.StringArray, note: str) -> strings.Typed | None:
    """Timestamps to the microsecond, all without a zone or all in UTC; `note` is for
    those of JavaScript.
    """
    shortest, longest = _lengths(array)
    # Arrow's parser knows no other form of that length without a zone
    one_form = shortest == longest == _SECONDS
    in_utc = not one_form and _all(
        pc.or_(pc.ends_with(array, "Z"), pc.ends_with(array, "+00:00"))
    )
    if not one_form and not _all(pc.match_substring_regex(array, _STAMP)):
        return None
    if in_utc and _all(pc.match_substring_regex(array, _MIDNIGHT)):
        return None  # dates in several spellings

    try:
        stamps = pc.cast(array, pa.timestamp("us", "UTC" if in_utc else None))
    except pa.ArrowInvalid:
        return None

    if _any(pc.less(stamps.cast(pa.int64()), _microseconds(_FIRST_STAMP))):
        return None

    node = (
        in_utc
        and shortest == longest == _MILLISECONDS
        and _all(pc.match_substring_regex(array, _NODE))
    )
    return strings.Typed(stamps, note if node else "")


def _microseconds(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)


def _numbers(array: pa.StringArray) -> strings.Typed | None:
    """Integers to 18 digits, decimals of one scale, or floats short enough that none is rounded."""
    longest = _lengths(array)[1]
    marks = _besides_digits(array)
    try:
        if b"." not in marks:
            if longest <= _LONGEST_INTEGER:
                return _integers(array, signed=bool(marks))
            return None

        points = pc.find_substring(array, ".")
        if (scale := _one_scale(array, points)) is not None:
            if not marks.translate(None, b".-"):
                return _decimals(array, points, scale)
            return None

        return _floats(array, longest)
    except pa.ArrowInvalid:
        return None


def _besides_digits(array: pa.StringArray) -> bytes:
    """What is in the column's memory beside digits; several times as fast as a pattern a value."""
    memory = array.buffers()[2]
    if memory:
        return memory.to_pybytes().translate(None, b"0123456789")
    return b""


def _all_plain(array: pa.Array) -> bool:
    return _all(pc.match_substring_regex(array, _NUMBER)) and not _any(
        pc.equal(array, "-0")
    )


def _integers(array: pa.StringArray, *, signed: bool) -> strings.Typed | None:
    """Integers that would be written as they came: those with a sign are written once
    more, to see it.
    """
    values = pc.cast(array, pa.int64())
    if signed:
        if _all(pc.equal(pc.cast(values, pa.string()), array)):
            return strings.Typed(values)
        return None

    padded = pc.and_(pc.starts_with(array, "0"), pc.greater(pc.binary_length(array), 1))
    if _any(padded):
        return None

    return strings.Typed(values)


def _floats(array: pa.StringArray, longest: int) -> strings.Typed | None:
    """Floats, when each keeps its number: shorter ones do, and those that are the
    shortest way to write a float.
    """
    values = pc.cast(array, pa.float64())
    if longest <= _LONGEST_FLOAT:
        if _all_plain(array):
            return strings.Typed(values)
        return None

    sizes = pc.min_max(pc.abs(values))
    ordinary = (
        sizes["min"].as_py() > _SMALL_FLOAT and sizes["max"].as_py() < _LARGE_FLOAT
    )
    if not ordinary and not _are_floats(array):
        return None

    odd = array.filter(pc.not_equal(pc.cast(values, pa.string()), array)).unique()
    if not len(odd):
        return strings.Typed(values)
    if ordinary and not _all_plain(odd) and not _are_floats(array):
        return None
    if not all(map(strings.float_holds, odd.to_pylist())):
        return None

    return strings.Typed(values)


def _are_floats(array: pa.Array) -> bool:
    """Whether all are written as numbers, also with an exponent, and one as a fraction:
    1e5 alone is more likely a code.
    """
    return _all(pc.match_substring_regex(array, _WRITTEN)) and _any(
        pc.match_substring_regex(array, _FRACTION)
    )


def _one_scale(array: pa.Array, points: pa.Array) -> int | None:
    """The number of digits after the point when it is one for all and padded, as
    `strings.fixed_scale` asks.
    """
    scales = pc.subtract(pc.subtract(pc.binary_length(array), points), 1)
    ends = pc.min_max(scales)
    if pc.min(points).as_py() < 0 or ends["min"] != ends["max"]:
        return None

    padded = pc.and_not(pc.ends_with(array, "0"), pc.ends_with(array, ".0"))
    if _any(padded):
        return ends["min"].as_py()

    return None


def _decimals(array: pa.Array, points: pa.Array, scale: int) -> strings.Typed | None:
    """Of texts in digits, points and minus: decimals with one digit, or without a zero,
    before the point.
    """
    whole = pc.subtract(points, pc.cast(pc.starts_with(array, "-"), pa.int32()))
    sizes = pc.min_max(whole)
    precision = sizes["max"].as_py() + scale
    if precision > _LONGEST_DECIMAL or sizes["min"].as_py() < 1:
        return None

    values = pc.cast(array, pa.decimal128(precision, scale))
    zero = pc.or_(pc.starts_with(array, "0"), pc.starts_with(array, "-0"))
    if _any(pc.and_(zero, pc.not_equal(whole, 1))):
        return None

    return strings.Typed(values)


def _lengths(array: pa.Array) -> tuple[int, int]:
    ends = pc.min_max(pc.binary_length(array))
    return ends["min"].as_py(), ends["max"].as_py()


def _all(flags: pa.Array) -> bool:
    return bool(pc.all(flags).as_py())


def _any(flags: pa.Array) -> bool:
    return bool(pc.any(flags).as_py())


_TEXT = "inferred: text"


class TakenOut(NamedTuple):
    """Columns without their NULL words, notes, and by number the columns that are typed already."""

    columns: tuple[Cells, ...]
    notes: list[str]
    ready: dict[int, Column]


@dataclass(frozen=True)
class _Seen:
    """A column: typed already, or the cells that are a word for NULL (None: no such
    cell) and whether some are empty.

    `bare` is the column with null in place of every such word, when only then it is typed.
    """

    column: Cells
    typed: Column | None = None
    bare: Cells | None = None
    words: Any = None
    gaps: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether nothing in it is left to be judged as NULL."""
        return self.typed is not None or (self.words is None and not self.gaps)


def fill_columns(raw: Raw) -> tuple[Cells, ...]:
    """The columns with empty cells as empty texts, where null stands for them."""
    if "" in raw.nulls:
        return tuple(map(_fill_nulls, raw.columns))
    return raw.columns


def take_nulls_out(raw: Raw, names: Sequence[str]) -> TakenOut:
    """Columns whose NULLs came as a word, with null in their place."""
    if not (raw.nulls or all_text(raw)):
        return TakenOut(raw.columns, suspect_null_words(raw, names), {})

    words = raw.nulls or NULL_WORDS
    known = pa.array(dict.fromkeys(words if raw.empty_is_text else [*words, ""]))
    gaps = "" in words
    seen = each(
        lambda column: _look_at(column, known, gaps), raw.columns, rows=raw.rows
    )
    token = _null_word(seen)
    columns, unsure, empty, others = [], [], [], []
    for item, name in zip(seen, names, strict=True):
        if item.is_settled:
            columns.append(item.column if item.bare is None else item.bare)
            continue

        cleaned, doubt = _null_out(item, token, gaps)
        columns.append(cleaned)
        unsure += [name] if doubt else []
        words_left = cleaned.filter(pc.is_in(cleaned, value_set=known)).drop_null()
        left = set(words_left.unique().to_pylist())
        empty += [name] if "" in left and gaps else []
        others += [name] if left - {""} else []

    ready = {
        number: item.typed for number, item in enumerate(seen) if item.typed is not None
    }
    notes = [*null_notes(token, unsure), *left_notes(empty, others)]
    return TakenOut(tuple(columns), notes, ready)


def _look_at(column: Cells, known: pa.Array, gaps: bool) -> _Seen:
    if not pa.types.is_string(column.type):
        return _Seen(column)
    if (typed := _type_column(column)) is not None:
        return _Seen(column, typed)

    gaps = gaps and column.null_count > 0
    words = pc.is_in(column, value_set=known)
    if not pc.any(words).as_py():
        return _Seen(column, gaps=gaps)

    bare = _null_where(column, words)
    if bare.null_count < len(bare) and (typed := _type_column(bare)) is not None:
        return _Seen(column, typed, bare)

    return _Seen(column, words=words, gaps=gaps)


def _type_column(column: Cells) -> Column | None:
    """The column as what its texts say, when that is more than text and no word in it
    means NULL.
    """
    if column.null_count < len(column):
        typed = column_of_texts(column, text="all")
    else:
        typed = None

    if typed is None or typed.type_note == _TEXT:
        return None

    return typed


def _null_word(seen: Sequence[_Seen]) -> str:
    """The word that the server writes for NULL: the most frequent."""
    counts = Counter[str]()
    for item in seen:
        if item.words is not None:
            counts.update(item.column.filter(item.words).to_pylist())

        if item.bare is not None:
            counts.update(
                item.column.filter(item.bare.is_null()).drop_null().to_pylist()
            )

    counts.pop("", None)
    return max(counts, key=lambda word: counts[word], default="")


def _null_out(item: _Seen, token: str, gaps: bool) -> tuple[Cells, bool]:
    """The column with null where the server wrote NULL, and whether a text of that
    spelling could be meant.
    """
    if token:
        if item.gaps:
            column = _fill_nulls(item.column)
        else:
            column = item.column

        equal = pc.equal(column, token)
        return _null_where(column, equal), bool(pc.any(equal).as_py())

    if not gaps:
        return item.column, False

    return (
        item.column if item.words is None else _null_where(item.column, item.words)
    ), True


def _null_where(column: Any, flags: Any) -> pa.ChunkedArray:
    return pc.if_else(flags, pa.scalar(None, pa.string()), column)


def _fill_nulls(column: Cells) -> Cells:
    plain = not isinstance(column, pa.ChunkedArray) or not pa.types.is_string(
        column.type
    )
    if plain or not column.null_count:
        return column
    return column.fill_null("")
