"""A raw table becomes a typed one: names made unique, columns typed, and what was lost
or guessed said by name.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mcp_notebook.results.bounds import check_time
from mcp_notebook.results.columns import (
    fast_columns,
    infer,
    nulls,
    strings,
)
from mcp_notebook.results.reading import Cells, Raw, Table, listing
from mcp_notebook.sql_words import selected_columns
from mcp_notebook.values import DECIMAL, FLOAT, NARROW_FLOAT, value_kind

_LITERAL = r"""b(?:'(?:[ -&(-\[\]-~]|\\[ -~])*'|"(?:[ !#-\[\]-~]|\\[ -~])*")"""
_BYTES = re.compile(rf"{_LITERAL}|bytearray\({_LITERAL}\)")
_SAFE_INTEGER = 2**53
_FEW = 256
_TEXT_OR_NULL = {str, type(None)}
# Arrow's own tests of a type (`pa.types.is_…`) take several times as long as a look at its number.
_STRING, _NULL, _INT64 = pa.string().id, pa.null().id, pa.int64().id
_WHOLE = {_INT64, pa.uint64().id} | DECIMAL.types
_FLOATS = FLOAT.types | NARROW_FLOAT.types


def table(raw: Raw, *, reader: str, sql: str = "", infer_types: bool = True) -> Table:
    """Type every column of `raw`; notes name the columns they are about."""
    names, name_notes, guessed = _names(raw, sql)
    columns, null_notes, ready = _without_nulls(raw, names, infer_types)
    text = _believe_texts(raw) if infer_types else "keep"
    arrays, types, notes = [], {}, []
    kinds = itertools.chain(raw.declared, itertools.repeat(None))
    for number, (name, declared) in enumerate(zip(names, kinds, strict=False)):
        check_time()
        done = ready.get(number) if text == "all" and not declared else None
        typed = _column(columns[number], declared, text, name, done)
        arrays.append(typed.array)
        types[name] = _type_note(typed, declared)
        notes += [f"`{name}` {typed.note}"] if typed.note else []

    # a typed value lost no text
    untyped = [at for at, array in enumerate(arrays) if value_kind(array.type).text]
    notes += nulls.find_losses(
        [columns[at] for at in untyped], [names[at] for at in untyped]
    )
    notes += _rounded_names(arrays, names)
    notes += _null_floats(names, arrays) if raw.json else []
    notes += _identifiers(arrays, names, types) if text == "all" else []
    data = pa.Table.from_arrays(arrays, names=list(names))
    if raw.rows and not names:
        data = pa.table({"column_0": pa.nulls(raw.rows)})

    return Table(
        data,
        types=types,
        notes=(*raw.notes, *name_notes, *null_notes, *notes),
        truncated=raw.truncated,
        total_rows=raw.total_rows,
        approximate=raw.approximate or guessed,
        reader=reader,
        names=raw.names or names,
    )


def _type_note(typed: infer.Column, declared: str | None) -> str:
    """Where a column's type comes from; a declared one that could not be followed is
    named, since nothing else tells of it.
    """
    note = typed.type_note
    if not declared or f"({declared})" in note:
        return note
    return f"{note} (the server says {declared})"


def _believe_texts(raw: Raw) -> infer.Strictness:
    """How far the texts of a table are believed: of one that is all text in full."""
    return "all" if raw.text == "numbers" and nulls.all_text(raw) else raw.text


def _without_nulls(
    raw: Raw, names: Sequence[str], infer_types: bool
) -> tuple[Sequence[Cells], list[str], dict[int, infer.Column]]:
    if not infer_types:
        return fast_columns.fill_columns(raw), [], {}
    if raw.rows and any(isinstance(column, pa.ChunkedArray) for column in raw.columns):
        return fast_columns.take_nulls_out(raw, names)
    return *nulls.taken_out(raw, names), {}


def _column(
    values: Cells,
    declared: str | None,
    text: infer.Strictness,
    name: str,
    done: infer.Column | None = None,
) -> infer.Column:
    """One column typed; `done` is what it gives with all texts believed, if that is known."""
    if isinstance(values, pa.ChunkedArray):
        return _arrow_column(values, declared, text, name, done)

    if text in ("numbers", "all") and _holds_texts(values):
        is_code = _is_code(name)
        if not is_code and declared is None:
            present = [value for value in values if value is not None]
            found = _binary(values) if all(map(_BYTES.fullmatch, present)) else None
            if found is not None:
                return found
            is_code = _like_codes(present)

        text = "dates" if is_code else text

    typed = infer.column(values, declared, text=text)
    return _quoted_decimals(typed, values) if text == "numbers" else typed


def _is_code(name: str) -> bool:
    """Whether a column's name says that its digits are a code and no number."""
    return strings.CODE_NAME.search(name) is not None


def _holds_texts(values: Cells) -> bool:
    """Whether a column holds texts, and nothing else but NULL."""
    kinds = set(map(type, values))
    return str in kinds and kinds <= _TEXT_OR_NULL


def _binary(values: Cells) -> infer.Column | None:
    """The column of bytes literals; None when one has an escape that Python does not know."""
    try:
        found = strings.map_present(_bytes, values)
    except (ValueError, SyntaxError):
        return None
    return infer.Column(pa.array(found, pa.binary()), "converted from text: binary")


def _bytes(text: str) -> bytes:
    """A bytes literal alone: `literal_eval` of a string that a regular expression has
    fully matched.
    """
    return ast.literal_eval(text.removeprefix("bytearray(").removesuffix(")"))


def _quoted_decimals(typed: infer.Column, values: Cells) -> infer.Column:
    """Fractions in quotes in a format that has numbers are decimals: a float would have
    come as a number.
    """
    is_converted = typed.type_note.startswith("converted")
    if typed.array.type.id not in _FLOATS or not is_converted:
        return typed

    cells = values.to_pylist() if isinstance(values, pa.ChunkedArray) else values
    present = [cell for cell in cells if cell is not None]
    if not strings.hold_only(cells, str) or not all(map(strings.is_plain, present)):
        return typed

    array, note = strings.decimals(strings.map_present(Decimal, cells))
    return infer.Column(array, f"converted from text: {infer.short(array.type)}", note)


def _arrow_column(
    values: pa.ChunkedArray,
    declared: str | None,
    text: infer.Strictness,
    name: str,
    done: infer.Column | None = None,
) -> infer.Column:
    """The same for a column that a fast reader left in Arrow."""
    is_believed = text in ("numbers", "all")
    is_code = is_believed and _is_code(name)
    if is_believed and not is_code and declared is None and values.type.id == _STRING:
        head = values.slice(0, _FEW).drop_null().to_pylist()
        if head and _BYTES.fullmatch(head[0]):
            return _column(values.to_pylist(), declared, text, name)

        may_be_code = _may_be_codes(head)
        is_code = may_be_code and _like_codes(values.drop_null().to_pylist())

    if is_code:
        return fast_columns.column_of_texts(values, declared, text="dates")

    typed = done or fast_columns.column_of_texts(values, declared, text=text)
    return _quoted_decimals(typed, values) if text == "numbers" else typed


def _like_codes(present: Sequence[Any]) -> bool:
    """Digits of one length of 9 to 15 in many distinct values: phone numbers or ids
    rather than amounts.
    """
    return len(present) > 1 and _may_be_codes(present) and len(set(present)) > 1


def _may_be_codes(some: Sequence[Any]) -> bool:
    """Whether nothing in some of a column's values rules it out."""
    if not all(type(value) is str and value.isdecimal() for value in some):
        return False
    lengths = {len(value) for value in some}
    return len(lengths) < 2 and all(9 <= length <= 15 for length in lengths)


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The same names with `_2`, `_3`, … where one is repeated; an empty name becomes `column_N`."""
    taken = set(names)
    if len(taken) == len(names) and "" not in taken:
        return tuple(names)

    seen: Counter[str] = Counter()
    result = []
    for number, sent in enumerate(names):
        name = base = sent or f"column_{number}"
        seen[base] += 1
        if seen[base] > 1:
            suffixes = itertools.count(seen[base])
            free = (f"{base}_{n}" for n in suffixes if f"{base}_{n}" not in taken)
            name = next(free)

        taken.add(name)
        result.append(name)

    return tuple(result)


def _names(raw: Raw, sql: str) -> tuple[tuple[str, ...], list[str], bool]:
    """Unique column names, notes on them, and whether they or the set of columns are a guess."""
    asked = selected_columns(sql) if sql else None
    if raw.names is None:
        return _missing_names(len(raw.columns), asked)

    names = tuple(
        name.encode("utf-8", "backslashreplace").decode() for name in raw.names
    )
    result = unique(names)
    notes = []
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        notes.append(f"{listing(repeated)} came more than once and got numbers")
        if same := _same_values(raw, repeated):
            shown = [
                name for sent, name in zip(names, result, strict=True) if sent in same
            ]
            notes.append(
                f"the columns {listing(shown)} hold the same values; one may have "
                "overwritten the others"
            )

    wanted = asked or ()
    fewer = len(wanted) > len(names)
    if fewer:
        known = Counter(filter(None, wanted))
        lost = [name for name, count in known.items() if count > 1]
        notes.append(
            f"the statement selects {len(wanted)} columns and {len(names)} came; "
            f"of those with one name ({listing(lost or list(known))}) only the last came"
        )

    return result, notes, fewer


def _same_values(raw: Raw, repeated: Sequence[str]) -> list[str]:
    """Repeated names whose columns are equal in every row."""
    pairs = list(zip(raw.names or (), raw.columns, strict=False))
    found = {
        name: [column for other, column in pairs if other == name] for name in repeated
    }
    return [
        name
        for name, columns in found.items()
        if raw.rows and all(columns[0] == other for other in columns[1:])
    ]


def _missing_names(
    width: int, asked: Sequence[str | None] | None
) -> tuple[tuple[str, ...], list[str], bool]:
    if asked is not None and all(asked) and width in (0, len(asked)):
        names = unique([name or "" for name in asked])
        note = "the server sent no column names; these are from the statement"
        return names, [note], False
    if not width:
        return (), ["no rows came, and the server sent no column names"], False

    note = "the server sent no column names; the columns are numbered"
    return tuple(f"column_{number}" for number in range(width)), [note], True


def _rounded_names(arrays: Sequence[pa.Array], names: Sequence[str]) -> list[str]:
    """Integers beyond 2^53 that all look as JavaScript prints a rounded one."""
    large = zip(map(_large_integers, arrays), names, strict=True)
    suspects = [name for some, name in large if some and all(map(_looks_rounded, some))]
    note = f"integers beyond 2^53 in {listing(suspects)} look rounded by the server"
    return [note] if suspects else []


def _identifiers(
    arrays: Sequence[pa.Array], names: Sequence[str], types: dict[str, str]
) -> list[str]:
    """A format in which everything is text does not tell long numbers from identifiers
    of digits.
    """
    long = [
        name for array, name in zip(arrays, names, strict=True)
        if types[name].startswith("converted") and _large_integers(array)
    ]  # fmt: skip
    note = f"long whole numbers in {listing(long)} were read as numbers; they may be identifiers"
    return [note] if long else []


def _looks_rounded(value: int | Decimal) -> bool:
    """Whether JavaScript would print the float nearest to it with the same digits."""
    return abs(value) < 10**21 and int(Decimal(repr(float(value)))) == value


def _large_integers(array: pa.Array) -> list[int]:
    kind = array.type
    if kind.id not in _WHOLE or getattr(kind, "scale", 0):
        return []
    # a kernel's call costs more than a few Python objects
    if kind.id != _INT64 or len(array) <= _FEW:
        present = (value for value in array.to_pylist() if value is not None)
        return [int(value) for value in present if abs(value) >= _SAFE_INTEGER]

    beyond = pc.or_(
        pc.greater_equal(array, _SAFE_INTEGER), pc.less_equal(array, -_SAFE_INTEGER)
    )
    large = array.filter(beyond).drop_null()
    # Of a long column a few tell: most are not rounded, and no object a cell is made.
    head = large.slice(0, 64).to_pylist()
    return large.to_pylist() if all(map(_looks_rounded, head)) else head


def _null_floats(names: Sequence[str], arrays: Sequence[pa.Array]) -> list[str]:
    """JSON has no Infinity and no NaN: servers write null in their place."""
    found = [
        name for name, array in zip(names, arrays, strict=True) if _only_finite(array)
    ]
    note = (
        f"null in {listing(found)} may stand for NaN or Infinity, which JSON cannot say"
    )
    return [note] if found else []


def _only_finite(array: pa.Array) -> bool:
    """A column of floats with nulls and without one NaN or Infinity, or a column
    without any value.
    """
    if array.type.id == _NULL:
        return len(array) > 0
    if array.type.id not in _FLOATS or not array.null_count:
        return False
    if len(array) <= _FEW:
        return all(value is None or math.isfinite(value) for value in array.to_pylist())

    return not pc.any(pc.invert(pc.is_finite(array))).as_py()
