"""What can be said about one column in a few words: its type, its nulls, its range or
its most frequent values.

Nulls and ranges are of all rows. Distinct and frequent values are exact up to `SAMPLE`
rows and come from evenly spread blocks of rows above that; then they are marked (`≈`,
`5+ distinct`), and the same table gives the same words.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.untrusted_text import clip
from mcp_notebook.values import (
    Masked,
    plain_column,
    type_name,
    value_kind,
    value_text,
)

SAMPLE = 20_000
_BLOCKS = 20
_OBJECTS = 2_000
_TOP = 4
_FEW = 20


@dataclass(frozen=True)
class ColumnFacts:
    """One column in words; `range` and `frequent` are "" when there is nothing to say
    or the column is masked.
    """

    name: str
    type: str
    nulls: str
    range: str = ""
    frequent: str = ""


@dataclass(frozen=True, eq=False)
class Source:
    """A column's values in Arrow form: all of them, or (objects only) a sample that
    stands for `rows` of them.
    """

    name: str
    values: pa.ChunkedArray
    rows: int
    nulls: int
    type: str


def sources(data: Any, masked: Masked) -> list[Source]:
    """The columns of an Arrow table or a DataFrame, without a copy where the memory allows it.

    Objects that Arrow has no type for are there as text, with masked keys inside them hidden.
    """
    if isinstance(data, pa.Table):
        return [
            _arrow_source(str(name), data.column(at))
            for at, name in enumerate(data.column_names)
        ]
    return [
        _series_source(_label(label), data.iloc[:, at], masked)
        for at, label in enumerate(data.columns)
    ]


def describe(source: Source, masked: Masked) -> ColumnFacts:
    """The facts of one column; of a masked one only type and nulls."""
    nulls = (
        ""
        if not source.nulls
        else "all null"
        if source.nulls == source.rows
        else f"{source.nulls:,} null"
    )
    if masked(source.name):
        return ColumnFacts(source.name, source.type, nulls, frequent="masked")
    if source.nulls == source.rows:
        return ColumnFacts(source.name, source.type, nulls)
    return ColumnFacts(
        source.name,
        source.type,
        nulls,
        _range(source, masked),
        _frequent(source, masked),
    )


def _label(label: object) -> str:
    return ".".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _arrow_source(name: str, values: pa.ChunkedArray) -> Source:
    return Source(name, values, len(values), values.null_count, type_name(values.type))


def _series_source(name: str, series: Any, masked: Masked) -> Source:
    if str(series.dtype) == "object":
        return _object_source(name, series, masked)
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        return _object_source(name, series, masked)
    # pandas' periods and intervals: their text says more
    if isinstance(array.type, pa.BaseExtensionType):
        return _object_source(name, series, masked)
    return _arrow_source(
        name, array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    )


def _object_source(name: str, series: Any, masked: Masked) -> Source:
    """A column of Python objects: a sample of them, as Arrow when they are of one kind
    and else as text.
    """
    sample = [
        value
        for start, count in _spread(len(series), _OBJECTS)
        for value in series.iloc[start : start + count]
    ]
    missing = series.isna()
    try:
        values = pa.array(sample, from_pandas=True)
        kind = type_name(values.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        values = pa.array([value_text(value, masked) for value in sample], pa.string())
        kind = "object"
    return Source(
        name, pa.chunked_array([values]), len(series), int(missing.sum()), kind
    )


def _spread(rows: int, wanted: int) -> list[tuple[int, int]]:
    """(start, count) of evenly spread blocks with `wanted` rows in all, or the one
    block of everything.
    """
    if rows <= wanted:
        return [(0, rows)]
    size = wanted // _BLOCKS
    return [(block * (rows - size) // (_BLOCKS - 1), size) for block in range(_BLOCKS)]


def _range(source: Source, masked: Masked) -> str:
    if not value_kind(source.values.type).ordered:
        return ""
    try:
        ends = pc.min_max(plain_column(source.values))
    except pa.ArrowException:
        return ""
    low, high = (value_text(ends[end], masked) for end in ("min", "max"))
    if low is None:
        return ""
    about = "≈" if len(source.values) < source.rows else ""
    return f"all {low}" if low == high and not about else f"{about}{low} to {high}"


def _frequent(source: Source, masked: Masked) -> str:
    """How many different values there are, and the most frequent ones when they are few."""
    values = source.values
    kind = value_kind(values.type)
    if not kind.counted:
        return ""
    chunks = [
        chunk
        for start, count in _spread(len(values), SAMPLE)
        for chunk in values.slice(start, count).chunks
    ]
    sample = plain_column(pa.chunked_array(chunks, values.type)).drop_null()
    if not len(sample):
        return ""
    try:
        counts = pc.value_counts(sample)
    except pa.ArrowNotImplementedError:
        return ""
    exact = len(values) == source.rows and len(values) <= SAMPLE
    if len(counts) > _FEW or (kind.ordered and len(counts) > _TOP):
        return _distinct(len(counts), len(sample), exact)
    different, times = counts.flatten()
    texts = _texts_as(values.type, different, masked)
    return _tops(list(zip(times.to_pylist(), texts, strict=True)), len(sample), exact)


def _texts_as(type_: pa.DataType, plain: pa.Array, masked: Masked) -> list[str]:
    """Plain values as texts of the type that they came in: a UUID's bytes as a UUID."""
    if isinstance(type_, pa.BaseExtensionType) and type_.storage_type == plain.type:
        plain = pa.ExtensionArray.from_storage(type_, plain)
    return [value_text(value, masked) or "" for value in plain]


def _distinct(different: int, among: int, exact: bool) -> str:
    if different == among:
        return "all distinct" if exact else "≈ all distinct"
    return f"{different:,} distinct" if exact else f"{different:,}+ distinct"


def _tops(pairs: list[tuple[int, str]], among: int, exact: bool) -> str:
    pairs.sort(key=lambda pair: (-pair[0], pair[1]))
    words = []
    for count, text in pairs[:_TOP]:
        share = f"{count:,}" if exact else f"≈{count / among:.0%}"
        words.append(f"{quoted(clip(text, 24))} {share}")
    more = ", …" if len(pairs) > _TOP else ""
    return f"{len(pairs)}{'' if exact else '+'} distinct: {', '.join(words)}{more}"


def quoted(text: str) -> str:
    """Text as a CSV cell: in quotes when it is empty, padded or holds a comma or a quote."""
    if not text or text != text.strip() or "," in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text
