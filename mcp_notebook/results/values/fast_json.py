"""Large JSON arrays of flat records straight into Arrow, or None at the first doubt.

Rows from several places of the text tell the fields and types; Arrow's JSON reader then
decodes with that schema and refuses what does not fit. What it would let pass (missing
fields, numbers that a float does not hold) is checked after. `jsontext.loads` and
`infer` give the same values, only slower and with an object a cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from mcp_notebook.results.values import jsontext

SMALL = 32 * 1024
"""Characters below which `json.loads` is as fast."""

# Records that are looked at to learn the fields: a few at each of several places.
_PLACES = 16
_ROWS_A_PLACE = 8
_FEW = 4  # columns with nulls that are counted one by one
_EXACT_FLOAT = 2**53
_DECODE = json.JSONDecoder().raw_decode
_SPACE = r"[ \t\r\n]*"
_FIRST = re.compile(
    rf'{_SPACE}\[{_SPACE}(\{{{_SPACE}"[A-Za-z_][A-Za-z0-9_ ]*"{_SPACE}:)'
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_BLOCK = 1 << 20  # characters; what fits into a processor's cache is read fastest
_WORKERS = 2
_TYPES: Mapping[type, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
}


@dataclass(frozen=True)
class _Layout:
    """How a program wrote its records: what stands between two of them and between two
    fields, as bytes on one line.

    Each holds the unescaped quote that opens a key, which no string can hold; so each
    occurrence is what it seems (or lies inside a nested value, which the decoder
    refuses).
    """

    fields: dict[str, pa.DataType]
    separator: str  # as it stands in the text
    between_records: bytes  # `}, {"id":`
    between_fields: tuple[bytes, ...]  # `{"id": `, `, "name": `
    colon: bytes  # `":`


def read_table(text: str) -> pa.Table | None:
    """The table of a JSON array of flat objects that all have the same keys in the same
    order, in plain types.

    Columns are int64, float64, bool, string, or null when no row has a value; strings
    are not converted. None when the text is anything else, is small, or anything in it
    is in doubt (then `jsontext.loads` must read it).
    """
    if len(text) >= SMALL:
        first = _FIRST.match(text)
    else:
        first = None

    end = len(text.rstrip(" \t\r\n"))
    if first is None or text[end - 1] != "]":
        return None

    try:
        layout = _find_layout(text, first.start(1), end, first[1])
        if layout is None:
            return None

        return _read_blocks(text, first.start(1), end - 1, layout)
    except (ValueError, RecursionError):
        # no JSON for Python's decoder or Arrow's, or no Unicode
        return None


def _read_blocks(text: str, start: int, end: int, layout: _Layout) -> pa.Table | None:
    """The records in blocks; one is decoded while the next is prepared."""

    def read_block(cut: tuple[int, int]) -> pa.Table | None:
        return _read_block(text[slice(*cut)], layout)

    with ThreadPoolExecutor(_WORKERS) as pool:
        blocks = list(pool.map(read_block, _cuts(text, start, end, layout)))

    if None in blocks:
        return None

    return pa.concat_tables(blocks)


def _cuts(
    text: str, start: int, end: int, layout: _Layout
) -> Iterator[tuple[int, int]]:
    """Start and end of blocks of whole records."""
    while True:
        cut = text.find(layout.separator, start + _BLOCK, end)
        if cut < 0:
            yield start, end
            return

        yield start, cut + 1
        start = cut + layout.separator.index("{")


def _find_layout(text: str, opened: int, end: int, opening: str) -> _Layout | None:
    """The layout by the first two records and the fields by records at several places;
    None when they differ.
    """
    record, stop = _DECODE(text, opened)
    second = re.compile(rf"\}}{_SPACE},{_SPACE}{re.escape(opening)}").match(
        text, stop - 1
    )
    if second is None or type(record) is not dict:
        return None

    names = list(record)
    sample = list(_sample_records(text, opened, end, second[0], len(opening)))
    fields = _find_fields(text, sample, names)
    between = _find_between_fields(text[opened:stop], names)
    if not fields or between is None:
        return None

    colon = re.search(rf'"{_SPACE}:', opening)
    return _Layout(
        fields,
        second[0],
        _join_lines(second[0]),
        tuple(map(_join_lines, between)),
        _join_lines(colon[0] if colon else ""),
    )


def _sample_records(
    text: str, opened: int, end: int, separator: str, keyed: int
) -> Iterator[object]:
    """Records from places all over the text; `keyed` characters of the separator belong
    to the next record.
    """
    at = opened
    for place in range(1, _PLACES + 1):
        for _ in range(_ROWS_A_PLACE):
            record, stop = _DECODE(text, at)
            yield record
            if not text.startswith(separator, stop - 1):
                break

            at = stop - 1 + len(separator) - keyed

        found = text.find(separator, opened + (end - opened) * place // _PLACES)
        if found < 0:
            return

        at = found + len(separator) - keyed


def _find_fields(
    text: str, records: Sequence[object], names: list[str]
) -> dict[str, pa.DataType] | None:
    kinds: dict[str, set[type]] = {name: set() for name in names}
    for record in records:
        if type(record) is not dict or list(record) != names:
            return None

        for name, value in record.items():
            kinds[name].add(type(value))

    if not all(map(_is_plain_name, names)):
        return None

    fields: dict[str, pa.DataType] = {}
    for name in names:
        kind = _find_type(name, kinds[name] - {type(None)}, text)
        if kind is None:
            return None

        fields[name] = kind

    return fields


def _is_plain_name(name: str) -> bool:
    """Whether a name stands in JSON as it is, whoever wrote it."""
    return bool(name) and name.isprintable() and not {'"', "\\"} & set(name)


def _find_type(name: str, kinds: set[type], text: str) -> pa.DataType | None:
    """The Arrow type for values of these kinds; a column without any is looked up by
    its first value.
    """
    if not kinds:
        value = re.search(
            rf'"{re.escape(name)}"{_SPACE}:{_SPACE}(?!null|[ \t\r\n])', text
        )
        if value is None:
            return pa.null()

        kinds = {type(_DECODE(text, value.end())[0])}

    if kinds == {int, float}:
        return pa.float64()
    if len(kinds) > 1:
        return None

    return _TYPES.get(kinds.pop())


def _find_between_fields(record: str, names: Sequence[str]) -> list[str] | None:
    """What stands before each value of the first record, from the comma or brace on."""
    found, at = [], 0
    for name in names:
        start = re.compile(
            rf'[{{,]{_SPACE}"{re.escape(name)}"{_SPACE}:{_SPACE}'
        ).search(record, at)
        if start is None:
            return None

        found.append(start[0])
        at = start.end()

    return found


def _read_block(records: str, layout: _Layout) -> pa.Table | None:
    """The decoded records, if all of them are there with all their fields and nothing
    was rounded.
    """
    fields = layout.fields
    floats = [name for name, kind in fields.items() if pa.types.is_floating(kind)]
    lines = _quote_floats(_split_lines(records, layout), layout)
    found = _decode_lines(lines, {**fields, **dict.fromkeys(floats, pa.string())})
    if found.num_rows != lines.count(b"\n") + 1 or found.column_names != list(fields):
        return None
    if not _has_all_nulls(found, lines, layout.colon):
        return None

    columns = dict(zip(fields, found.columns, strict=True))
    for name in floats:
        values = read_floats(columns[name])
        if values is None:
            return None

        columns[name] = values

    return pa.table(columns)


def _split_lines(records: str, layout: _Layout) -> bytes:
    """One record a line. Other line breaks are only layout: a JSON string cannot hold one."""
    between = layout.between_records
    # Replacing by the same length is done in place, which is twice as fast.
    blank, first = between[1 : between.index(b"{")], between[between.index(b"{") :]
    return _join_lines(records).replace(
        between, b"}\n" + b" " * (len(blank) - 1) + first
    )


def _join_lines(text: str) -> bytes:
    return text.encode().replace(b"\n", b" ").replace(b"\r", b" ")


def _quote_floats(lines: bytes, layout: _Layout) -> bytes:
    """The lines with each value of a float field in quotes, so that its digits can be
    seen after decoding.
    """
    floats = [pa.types.is_floating(kind) for kind in layout.fields.values()]
    for before, closes, opens in zip(
        layout.between_fields, [False, *floats[:-1]], floats, strict=True
    ):
        if not opens and not closes:
            continue

        if opens:
            quoted = before.removesuffix(b" ") + b'"'
        else:
            quoted = before

        if closes:
            quoted = b'",' + quoted[2 if quoted.startswith(b", ") else 1 :]

        lines = lines.replace(before, quoted)

    if not floats[-1]:
        return lines

    lines = lines.replace(b"}\n", b'"}\n')
    end = lines.rindex(b"}")
    return lines[:end] + b'"' + lines[end:]


def _decode_lines(lines: bytes, fields: dict[str, pa.DataType]) -> pa.Table:
    return pa_json.read_json(
        pa.BufferReader(lines),
        read_options=pa_json.ReadOptions(block_size=len(lines) + 1, use_threads=False),
        parse_options=pa_json.ParseOptions(
            explicit_schema=pa.schema(list(fields.items())),
            unexpected_field_behavior="error",
        ),
    )


def _has_all_nulls(found: pa.Table, lines: bytes, colon: bytes) -> bool:
    """Whether every null of the table stands in the text, which is to say that no
    record lacks a field.

    Neither quote of a key can be within a string: there a backslash would precede it.
    """
    nulls = {
        name: column.null_count
        for name, column in zip(found.column_names, found.columns, strict=True)
        if column.null_count
    }
    written = colon + (b" null" if colon + b" null" in lines else b"null")
    if len(nulls) > _FEW:
        in_strings = lines.count(b"\\" + written)
        return lines.count(written) - in_strings == sum(nulls.values())

    return all(
        lines.count(b'"' + name.encode() + written) == count
        for name, count in nulls.items()
    )


def read_floats(digits: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The numbers, if `jsontext.number` takes each for a float rather than for a decimal."""
    # in quotes, null is a text
    digits = pc.if_else(pc.equal(digits, "null"), pa.scalar(None, pa.string()), digits)
    values = pc.cast(digits, pa.float64())
    largest = pc.max(pc.abs(values)).as_py()
    shortest = pc.cast(values, pa.string())
    odd = digits.filter(pc.not_equal(shortest, digits))
    # from here on a float may not hold an integer, though it prints as one
    if largest is not None and not largest < _EXACT_FLOAT:
        odd = digits.drop_null()

    if all(map(_is_float, odd.unique().to_pylist())):
        return values

    return None


def _is_float(digits: str) -> bool:
    if not _NUMBER.fullmatch(digits):
        return False
    if digits.lstrip("-").isdecimal():
        return abs(int(digits)) <= _EXACT_FLOAT
    return type(jsontext.number(digits)) is float
