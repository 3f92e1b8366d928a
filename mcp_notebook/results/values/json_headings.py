"""Columns that a server lists apart from its rows, with or without types, and rows that
come without any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from mcp_notebook.results.columns import declared, json_standards, strings
from mcp_notebook.results.reading import Raw, from_records, from_rows, note_beside

# Where one column is an object: the keys of its name and of its type, likeliest first.
_NAME_KEYS = tuple(
    "name column_name columnname column field fieldname field_name label title key "
    "id".split()
)
_TYPE_KEYS = tuple(
    "type data_type datatype type_name typename type_text column_type columntype "
    "db_type dbtype dtype sql_type sqltype dataTypeName".split()
)
# In an envelope: the keys of the list of columns, likeliest first, and of their types.
_LIST_KEYS = tuple(
    "columns fields column_names columnnames headers header meta schema cols names "
    "colnames columninfo column_info columnmetadata column_metadata resultsetmetadata "
    "metadata keys attributes fieldnames field_names columnheaders labels manifest "
    "description columns_info fieldinfo".split()
)
_RANKS = {key: rank for rank, key in enumerate(_LIST_KEYS)}
_TYPE_LISTS = frozenset(
    "columntypes column_types types datatypes data_types dtypes field_types "
    "col_types".split()
)
# Words on a column, for a reader.
_DESCRIPTIONS = frozenset("description comment remarks note doc unit units".split())
# What goes with a type in the protocols of databases, and says nothing of the values.
# where a column is from, by a word, and the parts of a record
_KIND_OF_PLACE = {"table": str, "schema": str, "database": str, "fields": list}
_OF_TYPE = frozenset(
    "nullable mode datatypeid datatypesize datatypemodifier tableid columnid format "
    "scale precision length fields typeoid type_oid oid table schema database "
    "declared".split()
)
# Where the cells of a row stand: BigQuery, Google's charts, Neo4j, Athena, others.
_CELL_KEYS = ("f", "c", "row", "Data", "cells")
_MAX_DEPTH = 3


class Columns(NamedTuple):
    """Names in order and the types declared for them; `sure` when the key says that
    these are columns. `sources` are the parts of the value that said so.
    """

    names: tuple[str, ...]
    declared: tuple[str | None, ...]
    sure: bool
    sources: tuple[Any, ...] = ()


def holds_only(value: Any, *kinds: type) -> bool:
    """Whether a list or tuple is not empty and its items are exactly of these types."""
    found = set(map(type, value)) if type(value) in (list, tuple) else None
    return bool(found) and found <= set(kinds)


# --- finding the columns in an envelope


def has_rows(value: Mapping[str, Any]) -> bool:
    """Whether a list that is called columns stands beside a list of rows, each a list."""
    lists = {key: sub for key, sub in value.items() if type(sub) is list and sub}
    others = [sub for key, sub in lists.items() if not _lists_columns(key)]
    has_columns = len(others) < len(lists)
    return has_columns and any(holds_only(sub, list) for sub in others)


def candidates(value: Mapping[str, Any], depth: int = 0) -> Iterator[Columns]:
    """Everything in an envelope that may list columns, the most likely key first,
    nested ones after.
    """
    ranked = sorted(value.items(), key=lambda item: _rank(item[0]))
    types = _types_beside(value)
    for key, sub in ranked:
        columns = _read_columns(sub, sure=_lists_columns(key))
        if columns is not None:
            yield _declare_types(columns._replace(sources=(sub,)), types)

    inner = [item for item in ranked if type(item[1]) is dict]
    for key, sub in inner if depth < _MAX_DEPTH else ():
        columns = _read_mapping(sub) if _lists_columns(key) else None
        if columns is not None:
            yield columns._replace(sources=(sub,))

        yield from candidates(sub, depth + 1)


def _lists_columns(key: Any) -> bool:
    return str(key).lower() in _LIST_KEYS


def _rank(key: Any) -> int:
    return _RANKS.get(str(key).lower(), len(_RANKS))


def _types_beside(value: Mapping[str, Any]) -> Any:
    return next(
        (sub for key, sub in value.items() if str(key).lower() in _TYPE_LISTS), None
    )


def _read_columns(value: Any, *, sure: bool) -> Columns | None:
    """A list of names, of objects that name themselves, or of pairs of name and type."""
    if holds_only(value, str):
        return Columns(tuple(value), (None,) * len(value), sure)

    if holds_only(value, dict):
        names, kinds = zip(*map(_read_column, value), strict=True)
        return None if None in names else Columns(names, kinds, sure)

    may_be_pairs = sure and holds_only(value, list, tuple)
    return _read_pairs(value) if may_be_pairs else None


def _read_column(item: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The name and the type of a column that is an object."""
    lowered = {str(key).lower(): sub for key, sub in item.items()}
    name = _first_text(map(lowered.get, _NAME_KEYS))
    # node-postgres names the type by its number in PostgreSQL's catalog.
    oid = lowered.get("datatypeid", lowered.get("type_oid", lowered.get("oid")))
    if type(oid) is int and oid in declared.POSTGRES_OIDS:
        return name, declared.POSTGRES_OIDS[oid]

    kind = lowered.get("type")
    inner = kind.values() if type(kind) is dict else ()
    return name, _first_text([*inner, *map(lowered.get, _TYPE_KEYS)])


def _first_text(values: Iterable[Any]) -> str | None:
    return next((value for value in values if type(value) is str), None)


def _read_pairs(value: Sequence[Any]) -> Columns | None:
    """`[["id", "INTEGER"], ["name", "TEXT"]]`, and a driver's `description`."""
    if not all(item and type(item[0]) is str for item in value):
        return None

    names = tuple(item[0] for item in value)
    kinds = tuple(_first_text(item[1:2]) for item in value)
    return Columns(names, kinds, sure=True)


def _read_mapping(value: Mapping[str, Any]) -> Columns | None:
    """`{"id": "BIGINT", "name": "TEXT"}` under a key that says columns or schema."""
    kinds = tuple(value.values())
    if not holds_only(kinds, str) or not all(map(declared.kind, kinds)):
        return None
    return Columns(tuple(map(str, value)), kinds, sure=True)


def _declare_types(columns: Columns, types: Any) -> Columns:
    """With the types that the envelope has beside the names: a list, or one by name."""
    names = columns.names
    match types:
        case dict() if set(names) <= types.keys():
            kinds = tuple(str(types[name]) for name in names)
        case list() if len(types) == len(names) and holds_only(types, str):
            kinds = tuple(types)
        case _:
            return columns

    return columns._replace(declared=kinds, sources=(*columns.sources, types))


def take_columns(raw: Raw, columns: Columns) -> Raw:
    """The table, having taken what described its columns. Words about a column are
    left for the text; what else is said of each is named in a note.
    """
    others: dict[str, None] = {}
    for source in columns.sources:
        # what a pair has beside its name and type is left for the text
        are_pairs = holds_only(source, list, tuple)
        are_objects = holds_only(source, dict)
        if not are_objects and not (are_pairs and any(map(_has_more, source))):
            raw = raw.mark_taken(source)

        for item in source if are_objects else ():
            about = [key for key, sub in item.items() if _describes(key, sub)]
            own = item.keys() - about if about else ()  # none named: all of it
            raw = raw.mark_taken(item, *own)
            others.update(dict.fromkeys(_say_more(item)))

    note = note_beside(others, "the description of the columns") if others else ""
    return raw.with_note(note) if note else raw


def _has_more(pair: Sequence[Any]) -> bool:
    is_typed = len(pair) > 1 and declared.kind(str(pair[1])) is not None
    rest = pair[2:] if is_typed else pair[1:]
    return any(item is not None for item in rest)


def _describes(key: str, value: Any) -> bool:
    return type(value) is str and value != "" and key.lower() in _DESCRIPTIONS


def _say_more(item: Mapping[str, Any]) -> list[str]:
    """The keys of a column's description that the table says nothing of."""
    name, kind = _read_column(item)
    names = {key.lower() for key in _NAME_KEYS}
    kinds = {key.lower() for key in _TYPE_KEYS}
    said = []
    for key, sub in item.items():
        if sub in (None, "", [], {}) or _describes(key, sub):
            continue
        # a second name that is another word, a type that is none
        if key.lower() in names and _letters(sub) == _letters(name):
            continue
        if key.lower() in kinds and (kind is not None or type(sub) is str):
            continue
        if key.lower() in _OF_TYPE and type(sub) is _KIND_OF_PLACE.get(key, type(sub)):
            continue

        said.append(key)

    return said


def _letters(value: Any) -> str:
    """A name without what spellings differ in: `Order ID` is `order_id`."""
    return "".join(filter(str.isalnum, str(value))).casefold()


# --- names and rows together


def pair(columns: Columns, rows: Sequence[Any], path: str) -> Raw | None:
    """Names and rows that fit each other as one table; None when they do not."""
    width = len(columns.names)
    if holds_only(rows, dict):
        return _pair_records(columns, rows, path)
    if rows and not holds_only(rows, list, tuple):
        return None
    if rows and set(map(len, rows)) == {width}:
        raw = _read_rows(columns, _cells_of(rows), path)
        return _drop_repeated_names(raw) if width > 1 else raw

    return _pair_ragged(columns, rows, path) if columns.sure else None


def _read_rows(columns: Columns, rows: Sequence[Sequence[Any]], path: str) -> Raw:
    return from_rows(columns.names, rows, declared=columns.declared, path=path)


def _drop_repeated_names(raw: Raw) -> Raw:
    """Without a first row that repeats the names (Athena)."""
    if not raw.rows or [column[0] for column in raw.columns] != list(raw.names or ()):
        return raw
    rest = tuple(column[1:] for column in raw.columns)
    raw = replace(raw, columns=rest, rows=raw.rows - 1)
    return raw.with_note("the first row repeated the names and was left out")


def _pair_ragged(
    columns: Columns, rows: Sequence[Sequence[Any]], path: str
) -> Raw | None:
    """Rows shorter than the header lost blank cells at their end; longer ones cannot be placed."""
    width = len(columns.names)
    if any(len(row) > width for row in rows):
        return None

    short = sum(len(row) < width for row in rows)
    filled = [[*row, *[None] * (width - len(row))] for row in rows]
    if not short:
        return _read_rows(columns, filled, path)
    return _read_rows(columns, filled, path).with_note(
        f"{short} rows had fewer cells than columns; filled with null at their end",
        approximate=True,
    )


def _pair_records(
    columns: Columns, rows: Sequence[dict[str, Any]], path: str
) -> Raw | None:
    width = len(columns.names)
    cells = nested_cells(rows)
    if cells is not None and all(len(row) == width for row in cells):
        fields = columns.sources[0] if columns.sources else ()
        if "f" in rows[0] and holds_only(fields, dict):
            cells = [json_standards.read_bigquery(row, fields) for row in cells]
            # BigQuery's TIMESTAMP is an instant
            zoned = {"TIMESTAMP": "timestamptz"}
            kinds = tuple(zoned.get(str(kind), kind) for kind in columns.declared)
            columns = columns._replace(declared=kinds)

        raw = _drop_repeated_names(_read_rows(columns, cells, path))
        return note_beside_cells(raw, rows)

    known = set(columns.names)
    if not columns.sure or not all(row.keys() <= known for row in rows):
        return None

    names = tuple(dict.fromkeys(columns.names))
    # The first column of a name gives the type, so it is set last.
    kinds = dict(zip(reversed(columns.names), reversed(columns.declared), strict=True))
    types = tuple(kinds[name] for name in names)
    raw = from_records(rows, names, declared=types, path=path)
    if len(names) == width:
        return raw

    counts = Counter(columns.names)
    repeated = next(name for name in names if counts[name] > 1)
    return raw.with_note(
        f"`{repeated}` is the name of several columns and only the last one came",
        approximate=True,
    )


def read_described_columns(value: Mapping[str, Any], path: str) -> Raw | None:
    """`{"meta": [{"name": "a", "type": "Int32"}], "data": {"a": [1, 2]}}`: columns by
    name beside their types (ClickHouse's `JSONColumnsWithMetadata`).
    """
    for key, columns in value.items():
        lists: tuple[Any, ...] = (
            tuple(columns.values()) if type(columns) is dict else ()
        )
        if not holds_only(lists, list) or len(set(map(len, lists))) > 1:
            continue

        others = candidates({name: sub for name, sub in value.items() if name != key})
        for found in others:
            if found.sure and list(found.names) == list(columns):
                place = f"{path}.{key}" if path else key
                kinds = found.declared
                raw = Raw(found.names, lists, len(lists[0]), declared=kinds, path=place)
                return take_columns(raw.mark_taken(columns), found)

    return None


def nested_cells(rows: Sequence[dict[str, Any]]) -> list[list[Any]] | None:
    """Rows in one key of an object each: BigQuery's `{"f": [{"v": 1}]}`, Neo4j's
    `{"row": [...], "meta": [...]}`.
    """
    first = rows[0] if rows else {}
    keys = [key for key in _CELL_KEYS if type(first.get(key)) is list]
    cells: list[Any] = [row.get(key) for key in keys[:1] for row in rows]
    if len(first) > 3 or not holds_only(cells, list):
        return None

    return _cells_of(cells)


def note_beside_cells(raw: Raw, rows: Sequence[dict[str, Any]]) -> Raw:
    """The table with a note on what stood in its rows beside the one key of the cells."""
    cells = next(key for key in _CELL_KEYS if type(rows[0].get(key)) is list)
    others = {
        key: None
        for row in rows
        for key, item in row.items()
        if key != cells and not _is_blank(item)
    }
    return raw.with_note(note_beside(others, "each row")) if others else raw


def _is_blank(value: Any) -> bool:
    """Whether it is nothing, or a list of nothing."""
    return value in (None, "", [], {}) or (type(value) is list and not any(value))


def _cells_of(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The cells themselves where each is in an object of its own."""
    return undo_wrappers(rows) or [list(row) for row in rows]


def undo_wrappers(rows: Sequence[Sequence[Any]]) -> list[list[Any]] | None:
    """Rows whose every cell is in an object of its own, undone; None for all others,
    which the first row mostly tells.
    """
    first = rows[0] if rows else ()
    if any(cell is not None and type(cell) is not dict for cell in first):
        return None
    return json_standards.undo_rows(rows)


# --- the names of an index


def name_index(names: Sequence[str]) -> tuple[str, ...]:
    """Names whose first is empty, as an index without a name is written: it is `index`,
    or another word when there is a column of that name.
    """
    if not names or names[0].strip():
        return tuple(names)
    return (*name_levels([None], names[1:]), *names[1:])


def name_levels(labels: Sequence[Any], names: Sequence[str]) -> list[str]:
    """The names of an index's levels; one that has none is `index`, or `level_0`, as
    pandas' `reset_index` calls it.
    """
    alone = len(labels) == 1 and "index" not in names
    blanks = ["index"] if alone else [f"level_{at}" for at in range(len(labels))]
    return [str(own or blank) for own, blank in zip(labels, blanks, strict=True)]


# --- rows without names


def read_bare_rows(rows: Sequence[Sequence[Any]], path: str) -> list[Raw]:
    """Rows without names as one table or none: a first row of distinct texts above
    other kinds is taken as the header, and said.
    """
    width = max(map(len, rows))
    if all(set(map(type, row)) <= {dict} for row in rows):
        return []  # no cells at all, or objects

    kinds = _types_below_names(rows)
    if kinds is not None:
        raw = pair(Columns(tuple(rows[0]), kinds, sure=True), rows[2:], path)
        if raw is not None:
            return [raw]

    names = _header(rows)
    if names is not None:
        raw = pair(Columns(names, (None,) * len(names), sure=True), rows[1:], path)
        if raw is None:
            return []

        return [
            raw.with_note("the first row was taken as the header", approximate=True)
        ]

    if any(len(row) != width for row in rows):
        return []

    return [from_rows(None, rows, path=path)]


def _types_below_names(rows: Sequence[Sequence[Any]]) -> tuple[str, ...] | None:
    """The types in the row below the names (ClickHouse's `…WithNamesAndTypes`)."""
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return None

    names, kinds = rows[0], rows[1]
    cells = [*names, *kinds]
    if not holds_only(cells, str) or not all(cells):
        return None
    # Names that are all types too are a table of types.
    if all(map(declared.kind, names)) or not all(map(declared.kind, kinds)):
        return None

    return tuple(kinds)


def _header(rows: Sequence[Sequence[Any]]) -> tuple[str, ...] | None:
    """The first row, when it is of distinct texts and one column has another kind of
    value below.
    """
    first = rows[0]
    if len(rows) < 2 or not holds_only(first, str):
        return None

    are_distinct = len(set(first)) == len(first)
    # an index without a name leaves the first heading empty, and no other
    if not are_distinct or not all(map(str.strip, first[1:])):
        return None
    if len(first) < 3 and not first[0].strip():
        return None

    for number, name in enumerate(first):
        below = [row[number] for row in rows[1:] if number < len(row)]
        if _differs_below(name, [cell for cell in below if cell is not None]):
            return name_index(first)

    return None


def _differs_below(name: str, cells: Sequence[Any]) -> bool:
    """Whether the cells are of another kind than the name above them: no texts at all,
    or texts that are values.
    """
    kinds = set(map(type, cells))
    if not kinds or str not in kinds:
        return bool(kinds)

    return (
        kinds == {str}
        and all(map(strings.is_value, cells))
        and not strings.is_value(name)
    )
