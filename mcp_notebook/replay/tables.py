"""What a recording keeps of a table, and what changed in a table since.

With every result goes a `TableTrace`: the columns and, of up to `MOST_ROWS` rows, a key
and 24 bits each, so that rows which came, went or changed can be named without their
values being kept. `%claude_record on --tools` keeps the rows: small tables in the JSON,
a row a line, others as Parquet (`write_table`, `read_table`).
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mcp_notebook.errors import DataError
from mcp_notebook.freeze.fingerprint import (
    Hashes,
    hash_rows,
    hash_table,
    mark_of,
    mix,
    split_marks,
)
from mcp_notebook.replay.sidecar import read_kept_file
from mcp_notebook.results import columnar
from mcp_notebook.secrets import MASK, seal_text
from mcp_notebook.values import (
    DATE,
    INTEGER,
    TEXT,
    UUID,
    type_name,
    value_kind,
    value_text,
)

MOST_ROWS = 2_000  # of which each has a mark
MOST_COMPARED = 200_000  # rows that are named one by one where both tables are here
SHOWN = 10  # rows of a kind, and names in one line
_KEY_LENGTH, _VALUE_LENGTH, _CELLS = 40, 40, 4
_SMALL_ROWS, _SMALL_BYTES = 200, 20_000  # that stand in the JSON
_KEY_KINDS = (INTEGER, TEXT, DATE, UUID)
_KEY_NAME = re.compile(
    r"(.*[_\W])?(id|key|code|uuid|guid|nr|no|number)|.*[a-z]Id", re.I
)
_BITS = np.uint64(40)  # of a hash that a mark leaves out


# ---- what is kept beside a result


@dataclass(frozen=True)
class TableTrace:
    """A table without its values. `columns`: names and kinds; of `hidden` ones nothing
    else is kept. `key`: the column that names rows, `keys` its values, a JSON text a
    line; `marks` and `values`: 24 bits a row and a visible column (in the order of their
    names), `whole`: 16 hex digits of all rows in any order. No `marks` for many rows.
    """

    rows: int
    columns: dict[str, str]
    hidden: tuple[str, ...]
    key: str
    keys: str
    marks: str
    values: str
    whole: str

    @property
    def visible(self) -> list[str]:
        """The columns of which something is kept."""
        return [name for name in self.columns if name not in self.hidden]


def trace_table(data: pa.Table, hidden: Collection[str] = ()) -> TableTrace:
    """The trace of a table; `hidden`: its columns that are masked, or secret."""
    columns = {field.name: _kind_of(field.type) for field in data.schema}
    left_out = tuple(name for name in columns if name in hidden)
    visible = [name for name in columns if name not in left_out]
    rows = _hash(data, visible)
    is_small = data.num_rows <= MOST_ROWS
    key = find_key(data, visible) if is_small else ""
    keys = _key_texts(data, key) if key else []
    return TableTrace(
        rows=data.num_rows,
        columns=columns,
        hidden=left_out,
        key=key,
        keys="\n".join(json.dumps(text, ensure_ascii=False) for text in keys),
        marks="".join(map(mark_of, rows.hashes.tolist())) if is_small else "",
        values="".join(rows.marks[name] for name in sorted(visible)),
        whole=rows.whole,
    )


def find_key(data: pa.Table, names: Sequence[str]) -> str:
    """The column that names the rows: each value once, none missing, called like a key
    rather than not; "" where there is none. Secrets are no keys.
    """
    usable = [name for name in names if value_kind(_type(data, name)) in _KEY_KINDS]
    called = [name for name in usable if _KEY_NAME.fullmatch(name)]
    # Numbers may be different by chance; in the first column they seldom are.
    texts = [name for name in usable if value_kind(_type(data, name)) is not INTEGER]
    first = [name for name in names[:1] if name in usable]
    for name in dict.fromkeys([*called, *first, *texts]):
        column = data.column(name)
        if column.null_count or not data.num_rows:
            continue

        keys = _key_texts(data, name)
        whole = "\n".join(keys)
        is_short = max(map(len, keys)) <= _KEY_LENGTH
        if is_short and len({*keys}) == len(keys) and seal_text(whole) == whole:
            return name

    return ""


def _kind_of(type_: pa.DataType) -> str:
    """A type in a word that does not change with the values: decimals go without their
    precision.
    """
    return re.sub(r"decimal\(\d+, ?-?\d+\)", "decimal", type_name(type_))


def _type(data: pa.Table, name: str) -> pa.DataType:
    return data.schema.field(name).type


def _key_texts(data: pa.Table, name: str) -> list[str]:
    return [value_text(value) or "" for value in data.column(name).to_pylist()]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows as they are compared: a hash each, a key each or None, a mark a column; and
    the table where it is here.
    """

    hashes: Hashes
    keys: list[str] | None
    marks: Mapping[str, str]
    whole: str
    data: pa.Table | None = None

    @property
    def count(self) -> int:
        return len(self.hashes)


def _hash(data: pa.Table, names: Sequence[str], key: str = "") -> _Rows:
    hashes = hash_table(data, names)
    rows = mix(hash_rows(hashes, data.num_rows))
    marks = {name: mark_of(int(mix(column).sum())) for name, column in hashes.items()}
    keys = None
    if key in names and data.num_rows <= MOST_COMPARED:
        texts = _key_texts(data, key)
        keys = texts if len({*texts}) == len(texts) else None

    return _Rows(rows, keys, marks, f"{rows.sum():016x}", data)


def _read_trace(trace: TableTrace) -> _Rows | None:
    """The rows of a trace, None of a table that was too large; raises DataError."""
    marks = dict(zip(sorted(trace.visible), split_marks(trace.values), strict=False))
    if not trace.marks and trace.rows:
        return None

    try:
        bits = base64.urlsafe_b64decode(trace.marks)
        keys = [str(json.loads(line)) for line in trace.keys.splitlines()]
    except ValueError:
        raise DataError("the marks of its rows are damaged") from None

    if len(bits) != 3 * trace.rows or len(keys) != trace.rows * bool(trace.key):
        raise DataError("there is not a mark for each of its rows")
    if len(marks) != len(trace.visible):
        raise DataError("there is not a mark for each column of its rows")

    padded = np.zeros((trace.rows, 8), np.uint8)
    padded[:, :3] = np.frombuffer(bits, np.uint8).reshape(-1, 3)
    hashes = padded.view(">u8").reshape(-1).astype(np.uint64)
    return _Rows(hashes, keys if trace.key else None, marks, trace.whole)


# ---- what changed


def find_changes(
    before: TableTrace,
    now: pa.Table,
    hidden: Collection[str] = (),
    recorded: pa.Table | None = None,
) -> list[str]:
    """What is different of a table now, a phrase each kind of change; nothing where it
    holds the same rows in columns of the same names and kinds.

    `recorded`: the rows as they were, for the values of cells. Raises DataError where
    the trace is damaged.
    """
    left_out = {*before.hidden, *hidden}
    then = {n: k for n, k in before.columns.items() if n not in left_out}
    kinds = {f.name: _kind_of(f.type) for f in now.schema if f.name not in left_out}
    shared = [name for name in then if name in kinds]
    said = list(_say_columns(then, kinds))
    key, old = before.key, None
    if recorded is not None and recorded.num_rows <= MOST_COMPARED:
        # of many rows the trace names none
        key = key or find_key(recorded, shared)

    new = _hash(now, shared, key)
    if recorded is not None and {*shared} <= {*recorded.column_names}:
        old = _hash(recorded, shared, key)
    elif shared == before.visible:
        old = _read_trace(before)
        if old is None:
            return [
                *_say_count(before.rows, new.count),
                *_say_large(before, new),
                *said,
            ]

    if old is None:
        why = "their rows cannot be compared: columns are gone or masked"
        return [*_say_count(before.rows, new.count), *said, *([why] if said else [])]
    if old.whole == new.whole and old.count == new.count:
        return said

    return [*_say_count(old.count, new.count), *_say_rows(old, new, key), *said]


def say_order(before: TableTrace, now: pa.Table, hidden: Collection[str] = ()) -> str:
    """That the same rows stand in another order; "" where they do not."""
    names = [n for n in before.visible if n in now.column_names and n not in hidden]
    old = _read_trace(before)
    if old is None or names != before.visible or old.count != now.num_rows:
        return ""

    new = _hash(now, names)
    moved = not np.array_equal(old.hashes >> _BITS, new.hashes >> _BITS)
    return "the same rows in another order" if moved else ""


def _say_count(before: int, now: int) -> list[str]:
    if before == now:
        return []
    return [f"{_count(before, 'row')} recorded, {now:,} now"]


def _say_columns(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    new = [name for name in now if name not in then]
    gone = [name for name in then if name not in now]
    kinds = [
        f"{name} {kind} → {now[name]}"
        for name, kind in then.items()
        if name in now and now[name] != kind
    ]
    said = [("new columns", new), ("columns gone", gone), ("kinds", kinds)]
    return [f"{what}: {_list(words)}" for what, words in said if words]


def _say_large(before: TableTrace, new: _Rows) -> list[str]:
    """Of rows that are too many to have a mark each."""
    if before.whole == new.whole:
        return []

    marks = dict(zip(sorted(before.visible), split_marks(before.values), strict=False))
    changed = [name for name in new.marks if marks.get(name) != new.marks[name]]
    where = f"values differ in {_list(changed)}" if changed else "rows differ"
    return [f"{where} (of more than {MOST_ROWS:,} rows none is told apart)"]


def _say_rows(old: _Rows, new: _Rows, key: str) -> list[str]:
    # A trace has the first bits of each hash.
    bits = _BITS if old.data is None else np.uint64(0)
    was, now = old.hashes >> bits, new.hashes >> bits
    has_keys = old.keys is not None and new.keys is not None
    if has_keys:
        added, gone, changed = _match_keys(old, new, was, now)
    else:
        added, gone, changed = _match_places(was, now)

    def name_row(side: _Rows, at: int, what: str = "row") -> str:
        if has_keys and side.keys is not None:
            return f"{key} {_clip(side.keys[at], _KEY_LENGTH)}"
        return f"{what} {at + 1:,}"

    only_changed = changed and not added and not gone
    columns = [name for name, mark in new.marks.items() if old.marks.get(name) != mark]
    told_cells = old.data is not None and bool(changed)
    beside = f" (in {_list(columns)})" if only_changed and not told_cells else ""
    rows = [
        ("added", [name_row(new, at) for at in added[:SHOWN]], len(added), ""),
        (
            "gone",
            [name_row(old, at, "recorded row") for at in gone[:SHOWN]],
            len(gone),
            "",
        ),
        (
            "changed",
            [
                name_row(new, at) + _say_cells(old, new, before, at)
                for before, at in changed[:SHOWN]
            ],
            len(changed),
            beside,
        ),
    ]
    return [
        f"{_count(count, 'row')} {what}: {_list(names, count)}{more}"
        for what, names, count, more in rows
        if count
    ]


_Moves = tuple[list[int], list[int], list[tuple[int, int]]]


def _match_keys(old: _Rows, new: _Rows, was: Hashes, now: Hashes) -> _Moves:
    """The places of rows added, gone, and changed (before and now)."""
    assert old.keys is not None
    assert new.keys is not None
    places = {key: at for at, key in enumerate(old.keys)}
    here = {*new.keys}
    added = [at for at, key in enumerate(new.keys) if key not in places]
    gone = [at for at, key in enumerate(old.keys) if key not in here]
    both = ((places[key], at) for at, key in enumerate(new.keys) if key in places)
    return added, gone, [(a, b) for a, b in both if was[a] != now[b]]


def _match_places(was: Hashes, now: Hashes) -> _Moves:
    """The same without a key: a row that changed stands where it stood, if no other
    row moved.
    """
    gone = _find_surplus(was, now)
    added = _find_surplus(now, was)
    if len(was) == len(now):
        differing = np.flatnonzero(was != now).tolist()
        if len(differing) == len(gone):
            return [], [], [(at, at) for at in differing]

    return added, gone, []


def _find_surplus(rows: Hashes, others: Hashes) -> list[int]:
    left = Counter(others.tolist())
    found = []
    for at, mark in enumerate(rows.tolist()):
        if left[mark]:
            left[mark] -= 1
        else:
            found.append(at)

    return found


def _say_cells(old: _Rows, new: _Rows, before: int, now: int) -> str:
    """The cells of a row that changed, where both tables are here."""
    if old.data is None or new.data is None:
        return ""

    changes = []
    for name in new.marks:
        then = old.data.column(name).slice(before, 1)
        here = new.data.column(name).slice(now, 1)
        pair = pa.table({"a": then}), pa.table({"a": here})
        marks = [hash_table(table, ["a"])["a"][0] for table in pair]
        if marks[0] != marks[1]:
            words = [_clip(value_text(c[0].as_py()) or "null") for c in (then, here)]
            changes.append(f"{name} {words[0]} → {words[1]}")

    more = f" and {len(changes) - _CELLS} more" if len(changes) > _CELLS else ""
    return f" ({', '.join(changes[:_CELLS])}{more})" if changes else ""


def _clip(text: str, length: int = _VALUE_LENGTH) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[:length]}…"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _list(words: Sequence[str], count: int = 0) -> str:
    """The first words, and how many more there are of `count`, else of all."""
    more = (count or len(words)) - len(words[:SHOWN])
    return ", ".join(words[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


# ---- the rows themselves

_PLAIN = {
    str(kind): kind
    for kind in (
        *(pa.bool_(), pa.string(), pa.large_string(), pa.float64(), pa.float32()),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    )
}
_DATES = {str(pa.date32()): pa.date32()}
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=([\w/+:-]+))?\]")
_DECIMAL = re.compile(r"decimal128\((\d{1,2}), (\d{1,2})\)")


@dataclass(frozen=True)
class WrittenTable:
    """A table as it is kept: `columns` (name and type each) and `rows` for the JSON, or
    the content of a file with the ending `suffix`.
    """

    columns: list[list[str]]
    rows: list[list[Any]] | None = None
    content: bytes = b""
    suffix: str = ""


def write_table(data: pa.Table) -> WrittenTable | None:
    """A table as it is kept; None where no form gives it back as it is."""
    columns = [[field.name, str(field.type)] for field in data.schema]
    for kept in (_write_rows(data, columns), *_write_files(data, columns)):
        if kept is not None:
            return kept

    return None


def read_table(kept: WrittenTable) -> pa.Table:
    """The table again; raises DataError where it is damaged."""
    try:
        if kept.rows is not None:
            return _read_rows(kept.columns, kept.rows)

        found = columnar.load(pa.BufferReader(kept.content))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"its rows are damaged: {error}") from None

    if isinstance(found, str):
        raise DataError(f"its rows cannot be read: {found}")
    return found


def read_entry(entry: Mapping[str, Any], folder: Path) -> pa.Table:
    """The table of an entry of a recording in a folder; raises DataError."""
    rows, name = entry.get("rows"), entry.get("file") or ""
    if rows is not None:
        return read_table(WrittenTable(entry["columns"], rows))

    content = read_kept_file(folder, name)
    return read_table(WrittenTable(entry["columns"], content=content))


def find_recorded(
    calls: Iterable[Mapping[str, Any]], traces: Sequence[TableTrace], folder: Path
) -> list[pa.Table]:
    """The rows of a result, of those recorded of its call; [] where they are not kept, or
    can no longer be read.
    """
    for call in calls:
        try:
            found = [read_entry(entry, folder) for entry in call["tables"]]
        except DataError:
            continue

        made = [
            trace_table(table, trace.hidden)
            for table, trace in zip(found, traces, strict=False)
        ]
        if len(found) == len(traces) and made == list(traces):
            return found

    return []


def _write_rows(data: pa.Table, columns: list[list[str]]) -> WrittenTable | None:
    is_small = data.num_rows <= _SMALL_ROWS and data.nbytes <= _SMALL_BYTES
    if not is_small or not columns:
        return None
    if any(_find_type(kind) is None for _, kind in columns):
        return None

    cells = [_as_json(column) for column in data.columns]
    rows = [list(row) for row in zip(*cells, strict=True)]
    kept = WrittenTable(columns, rows)
    return kept if _comes_back(kept, data) else None


def _write_files(data: pa.Table, columns: list[list[str]]) -> list[WrittenTable]:
    """As Parquet, and for the types that it has not, as Arrow."""
    for suffix, write in ((".parquet", _parquet_bytes), (".arrow", _arrow_bytes)):
        try:
            one = WrittenTable(columns, content=write(data), suffix=suffix)
        except pa.ArrowException:
            continue

        if _comes_back(one, data):
            return [one]

    return []


def _parquet_bytes(data: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(data, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _arrow_bytes(data: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data)

    return sink.getvalue().to_pybytes()


def _comes_back(kept: WrittenTable, data: pa.Table) -> bool:
    try:
        found = read_table(kept)
    except DataError:
        return False

    if not found.schema.equals(data.schema, check_metadata=True):
        return False
    # NaN is equal to nothing, but to its word
    return found.equals(data) or repr(found.to_pylist()) == repr(data.to_pylist())


def _find_type(name: str) -> pa.DataType | None:
    if name in _PLAIN or name in _DATES:
        return _PLAIN.get(name) or _DATES[name]
    if found := _TIMESTAMP.fullmatch(name):
        return pa.timestamp(found[1], found[2])
    if found := _DECIMAL.fullmatch(name):
        return pa.decimal128(int(found[1]), int(found[2]))

    return None


def _as_json(column: pa.ChunkedArray) -> list[Any]:
    if str(column.type) not in _PLAIN:
        return column.cast(pa.string()).to_pylist()

    cells = column.to_pylist()
    if not pa.types.is_floating(column.type):
        return cells
    # JSON has no word for what is no number
    return [repr(v) if v is not None and not math.isfinite(v) else v for v in cells]


def _read_rows(columns: Sequence[Sequence[str]], rows: list[list[Any]]) -> pa.Table:
    arrays, fields = [], []
    for at, (name, kind) in enumerate(columns):
        found = _find_type(kind)
        if found is None:
            raise DataError(f"its column {name!r} is of an unknown type {kind!r}")

        if any(len(row) != len(columns) for row in rows):
            raise DataError("not every row has a value for each column")

        cells = [row[at] for row in rows]
        arrays.append(_read_cells(cells, found))
        fields.append(pa.field(name, found))

    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _read_cells(cells: list[Any], kind: pa.DataType) -> pa.Array:
    if str(kind) not in _PLAIN:
        return pa.array(cells, pa.string()).cast(kind)
    if pa.types.is_floating(kind):
        cells = [float(value) if isinstance(value, str) else value for value in cells]

    return pa.array(cells, kind)


def hide_columns(data: pa.Table, names: Collection[str]) -> pa.Table:
    """The table with one value in place of all of a masked column's: a text says so,
    another kind has its zero, or nothing where it has none. What is missing stays so.
    """
    for at, field in enumerate(data.schema):
        if field.name not in names:
            continue

        fill = _hidden_value(field.type)
        missing = data.column(at).is_null().to_pylist()
        cells = [None if gone else fill for gone in missing]
        data = data.set_column(at, field, pa.array(cells, field.type))

    return data


def _hidden_value(kind: pa.DataType) -> Any:
    if value_kind(kind) is TEXT:
        return MASK

    for zero in (0, "0"):
        try:
            return pa.scalar(zero).cast(kind).as_py()
        except (pa.ArrowException, ValueError):
            continue

    return None
