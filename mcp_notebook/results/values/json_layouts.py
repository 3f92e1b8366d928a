"""Layouts that services and libraries have of their own: a row inside an object about
it, a spreadsheet's cells, measurements in series, columns by name, pandas' `to_dict()`.

Each reader answers with the one table, or with None when the value is something else.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mcp_notebook.results.columns import json_standards
from mcp_notebook.results.columns.strings import Digits
from mcp_notebook.results.reading import Raw, from_records, from_rows
from mcp_notebook.results.values import json_headings
from mcp_notebook.results.values.json_headings import holds_only

# The key that holds the row's fields, and the keys that may stand beside it.
_INSIDE: tuple[tuple[str, frozenset[str]], ...] = (
    ("node", frozenset({"cursor"})),  # GraphQL connections
    # Elasticsearch
    (
        "_source",
        frozenset(
            "_index _id _score _type _version _seq_no _primary_term _routing _ignored "
            "sort".split()
        ),
    ),
    ("doc", frozenset({"id", "key", "value"})),  # CouchDB
    ("fields", frozenset({"id", "createdTime"})),  # Airtable
    ("properties", frozenset({"type", "geometry", "id", "bbox"})),  # GeoJSON
    # JSON:API; Esri's features
    (
        "attributes",
        frozenset({"type", "id", "links", "relationships", "meta", "geometry"}),
    ),
)
_SCALAR = (str, int, float, bool, type(None), Decimal, Digits)


# --- lists of objects


def read_wrapped_records(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Records whose fields are all in one key: they are the columns here, and what
    stood beside it follows.
    """
    key = _wrapping_key(records)
    if key is None:
        return None

    fields = json_standards.keys_in_order(record[key] for record in records)
    beside = [
        name
        for name in json_standards.keys_in_order(records)
        if name not in (key, "cursor")
    ]
    if key == "properties" and all(r.get("type") == "Feature" for r in records):
        beside.remove("type")  # it says of each that it is one
    labels = {name: _free_name(name, fields) for name in beside}
    flat = [
        record[key] | {label: record.get(name) for name, label in labels.items()}
        for record in records
    ]
    # A GraphQL server sends the type ID as a text, and it is one whatever its digits.
    names = [*fields, *labels.values()]
    kinds = tuple("text" if key == "node" and is_id(name) else None for name in names)
    raw = from_records(flat, names, path=path, declared=kinds)
    note = f"the fields stood inside `{key}` of each row; they are columns here"
    if any("cursor" in record for record in records):
        note += "; the `cursor` of each row is left out"

    return raw.with_note(note)


def is_id(name: str) -> bool:
    """Whether a GraphQL field's name says that it is of the type ID."""
    return name == "id" or name.endswith(("Id", "_id"))


def _wrapping_key(records: Sequence[dict[str, Any]]) -> str | None:
    """The key that holds the fields of each record, if the first record has one and all
    others have the same.
    """
    for key, beside in _INSIDE:
        # An object in the only key of a record is a cell, but for GraphQL's node.
        may_wrap = len(records[0]) > 1 or key == "node"
        if may_wrap and _wraps(records[0], key, beside):
            same = all(_wraps(record, key, beside) for record in records)
            return key if same else None

    return None


def _wraps(record: dict[str, Any], key: str, beside: frozenset[str]) -> bool:
    return type(record.get(key)) is dict and record.keys() - {key} <= beside


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    numbered = (f"{name}_{count}" for count in itertools.count(2))
    labels = itertools.chain([name], numbered)
    return next(label for label in labels if label not in taken)


def read_typed_cells(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """Records whose every cell is in an object that names its type (DynamoDB)."""
    if not all(set(map(type, record.values())) <= {dict} for record in records):
        return None

    names = list(json_standards.keys_in_order(records))
    rows = [list(map(record.get, names)) for record in records] if names else []
    cells = json_standards.undo_rows(rows) if rows else None
    return None if cells is None else from_rows(names, cells, path=path)


def read_names_before_records(value: Sequence[Any], path: str) -> Raw | None:
    """A list of names, then objects with just these keys."""
    names, records = value[0], value[1:]
    if type(names) is not list or not holds_only(names, str):
        return None

    known = set(names)
    fits = holds_only(records, dict) and all(r.keys() <= known for r in records)
    return from_records(records, names, path=path) if fits else None


# --- objects


def read_sheet(value: Mapping[str, Any], path: str) -> Raw | None:
    """A range of a spreadsheet, `{"range": "A1:B3", "majorDimension": "ROWS", "values":
    [[…]]}`: names come first.
    """
    cells = value["values"]
    if type(value["range"]) is not str or not holds_only(cells, list) or len(cells) < 2:
        return None

    if value.get("majorDimension") == "COLUMNS":
        columns = _fill_up(cells, max(map(len, cells)))
        cells = [list(row) for row in zip(*columns, strict=True)]

    names, *rows = cells
    if not holds_only(names, str) or not all(names[1:]):
        return None

    names = json_headings.name_index(names)
    if any(len(row) > len(names) for row in rows):
        return None

    # Google leaves blank cells at the end of a row out.
    raw = from_rows(names, _fill_up(rows, len(names)), path=path, text="all")
    raw = raw.mark_taken(value, "values", "majorDimension")
    return raw.with_note(
        "a spreadsheet's first row was taken as the header", approximate=True
    )


def _fill_up(rows: Sequence[list[Any]], width: int) -> list[list[Any]]:
    return [row + [None] * (width - len(row)) for row in rows]


def read_split_frame(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' `orient="split"` and `"tight"`: `{"columns": […], "index": […], "data":
    [[…]]}`. The index becomes columns, unless it only counts the rows.
    """
    names, index, rows = value["columns"], value["index"], value["data"]
    if not holds_only((names, index, rows), list):
        return None
    if len(index) != len(rows) or any(len(row) != len(names) for row in rows):
        return None

    labels = value.get("index_names") or [None]
    levels = max((len(i) for i in index if type(i) in (list, tuple)), default=1)
    heads = [_join_levels(name) for name in names]
    if all(type(key) is int and key == at for at, key in enumerate(index)):
        table = from_rows(heads, rows, path=path)
        return table.mark_taken(value, "columns", "index", "data", "column_names")

    if len(labels) != levels:
        labels = [None] * levels

    keys = [list(key) if levels > 1 else [key] for key in index]
    if any(len(key) != levels for key in keys):
        return None

    labels = json_headings.name_levels(labels, heads)
    cells = [[*key, *row] for key, row in zip(keys, rows, strict=True)]
    table = from_rows([*labels, *heads], cells, path=path)
    return table.mark_taken(
        value, "columns", "index", "data", "index_names", "column_names"
    )


def _join_levels(name: Any) -> str:
    """A heading of several levels as one: `sum / amount`."""
    if type(name) in (list, tuple):
        return " / ".join(str(part) for part in name if part not in ("", None))
    return str(name)


def read_named_lists(value: dict[str, Any], path: str) -> Raw | None:
    """Lists of one record or a few under names of their own, all with the same keys:
    `{"up": [{"type": "gauge"}], "load": [{"type": "gauge"}]}` is rows with a name.
    """
    lists = list(value.values())
    if len(lists) < 2 or not all(holds_only(items, dict) for items in lists):
        return None

    # rows under a name for them are not one with the remarks beside them
    if any(str(key).lower() in _NAMES_OF_ROWS for key in value):
        return None
    # two lists of several rows are rather two tables
    if len(lists) == 2 and any(len(items) > 1 for items in lists):
        return None

    records = list(itertools.chain.from_iterable(lists))
    if not records[0] or not _are_equal_objects(records):
        return None

    label = _free_label(records[0])
    rows = [{label: name, **item} for name, items in value.items() for item in items]
    note = f"each list of rows stood under a name of its own, which is `{label}`"
    return from_records(rows, path=path).with_note(note)


def read_parallel_lists(value: dict[str, Any], path: str) -> Raw | None:
    """`{"a": [1, 2], "b": [3, 4]}`: lists of one length that are columns, two at least.

    Beside them may stand scalars, nulls and lists of another length; a few lists of
    texts among many scalars are rather properties of one thing.
    """
    # a matrix, whose rows the numbers beside it are not, or rows by their name
    if any(_holds_rows(key, sub) for key, sub in value.items()):
        return None

    size, names = _find_largest_group(value, _length_of_column)
    lists = [value[name] for name in names]
    plain = [items for items in lists if _are_scalars(items)]
    if len(names) < 2 or not plain or not size:
        return None

    own = [key for key, sub in value.items() if type(sub) in _PROPERTY]
    others = len(value) - len(names) - len(own)
    are_numbers = len(plain) == len(lists) and all(map(_are_numbers, lists))
    if not are_numbers and (len(own) >= len(names) or others > len(names)):
        return None
    # one cell each is rather a thing whose lists happen to be short
    if size == 1 and (own or others):
        return None

    raw = Raw(tuple(map(str, names)), tuple(lists), size, path=path)
    return raw.mark_taken(value, *names)


_PROPERTY = frozenset({str, int, float, bool})
_NUMBERS = (int, float, Decimal, Digits, type(None))


def _find_largest_group(
    value: Mapping[str, Any], form_of: Callable[[Any], Any]
) -> tuple[Any, list[str]]:
    """The names of the most entries that have one form, and that form; entries of no
    form (None) belong to none.
    """
    groups: dict[Any, list[str]] = {}
    for key, sub in value.items():
        groups.setdefault(form_of(sub), []).append(key)

    groups.pop(None, None)
    return max(groups.items(), key=lambda item: len(item[1]), default=(0, []))


def _length_of_column(value: Any) -> int | None:
    """The length of a list that may be a column: cells, or one object a row."""
    is_column = holds_only(value, *_SCALAR) or holds_only(value, dict, type(None))
    return len(value) if is_column else None


def _length_of_numbers(value: Any) -> int | None:
    is_column = holds_only(value, *_NUMBERS) and _are_numbers(value)
    return len(value) if is_column else None


def _labels_of_numbers(value: Any) -> tuple[str, ...] | None:
    are_numbers = type(value) is dict and _are_numbers(value.values())
    return tuple(value) if are_numbers else None


def _holds_rows(key: Any, value: Any) -> bool:
    kinds = (list, dict) if str(key).lower() in _NAMES_OF_ROWS else (list,)
    return any(holds_only(value, kind) for kind in kinds)


# A list of objects of these names is rows, not a column beside others.
_NAMES_OF_ROWS = frozenset(
    "rows data records result results items documents docs hits entries".split()
)


def read_parallel_numbers(value: dict[str, Any], path: str) -> Raw | None:
    """The numbers left beside a table: lists of one length are columns of one table."""
    size, names = _find_largest_group(value, _length_of_numbers)
    if size < 2:
        return None

    columns = tuple(value[name] for name in names)
    took = tuple((column, None) for column in columns)
    return Raw(tuple(names), columns, size, path=path, took=took)


def _are_numbers(cells: Iterable[Any]) -> bool:
    """Whether all are numbers or missing, and one is a number."""
    kinds = set(map(type, cells)) - {type(None)}
    return bool(kinds) and kinds <= {int, float, Decimal, Digits}


def read_lists_of_answers(value: dict[str, Any], path: str) -> Raw | None:
    """Vector stores answer several questions at once: `{"ids": [["a", "b"]],
    "distances": [[0.1, 0.3]]}` has a list a question in each column.
    """
    names = [key for key, sub in value.items() if holds_only(sub, list)]
    if len(names) < 2 or any(not value[name][0] for name in names):
        return None

    first = value[names[0]]
    sizes = list(map(len, first))
    alike = [name for name in names if list(map(len, value[name])) == sizes]
    are_vectors = [name for name in alike if _are_numbers(value[name][0])]
    # matrices of numbers alone are matrices
    if len(alike) < 2 or len(are_vectors) == len(alike):
        return None
    columns = [list(itertools.chain.from_iterable(value[name])) for name in alike]
    names = list(alike)
    if len(sizes) > 1:
        numbers = [at for at, size in enumerate(sizes) for _ in range(size)]
        columns.insert(0, numbers)
        names.insert(0, _free_name("query", dict.fromkeys(alike)))

    raw = Raw(tuple(names), tuple(columns), len(columns[0]), path=path)
    return raw.mark_taken(value, *alike)


def _are_scalars(cells: Iterable[Any]) -> bool:
    return all(isinstance(cell, _SCALAR) for cell in cells)


def read_pandas_dict(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' `to_dict()`/`to_json()`: `{"a": {"0": 1, "1": 2}}` by column, `{"0":
    {"a": 1}}` by row.
    """
    inner = list(value.values())
    if not _are_equal_objects(inner) or not inner[0]:
        return None

    by_number = _are_row_numbers(inner[0])
    # Cells that are lists or objects are believed below two row numbers only.
    has_two_rows = by_number and len(inner[0]) > 1
    if not has_two_rows and not all(_are_scalars(item.values()) for item in inner):
        return None
    if by_number:
        return _columns_of(value, path)
    if _are_row_numbers(value):
        return from_records(inner, path=path)
    if len(inner) > 1 and _are_columns(inner):
        label = json_headings.name_levels([None], list(map(str, value)))
        columns = [list(column.values()) for column in inner]
        names = (*label, *map(str, value))
        return Raw(names, (list(inner[0]), *columns), len(inner[0]), path=path)

    return None


def _are_columns(objects: Sequence[dict[Any, Any]]) -> bool:
    """Whether objects with the same labels are columns: each holds one kind of value,
    and a label has several kinds.
    """
    kinds = [_kinds_of(item.values()) for item in objects]
    across = {kind for found in kinds for kind in found}
    return len(across) > 1 and all(len(found) < 2 for found in kinds)


def _kinds_of(cells: Iterable[Any]) -> set[type]:
    """The kinds of some values; whole numbers and fractions are one."""
    kinds = set(map(type, cells)) - {type(None)}
    return {float if kind in (int, Decimal, Digits) else kind for kind in kinds}


def read_frame_in_list(records: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """pandas' `to_dict()` as the one item of a list."""
    inner = list(records[0].values())
    if len(records) != 1 or len(inner) < 2 or not _are_equal_objects(inner):
        return None

    is_frame = len(inner[0]) > 1 and _are_row_numbers(inner[0])
    return _columns_of(records[0], path) if is_frame else None


def read_parallel_objects(value: dict[str, Any], path: str) -> Raw | None:
    """Numbers by the same names in several objects, beside scalars: `{"estimates": {"x":
    1.5, "y": 2}, "errors": {"x": 0.1, "y": 0.2}, "n": 8}` has a row a name.
    """
    rows, names = _find_largest_group(value, _labels_of_numbers)
    if len(names) < 2 or _are_row_numbers(rows):
        return None
    if not any(type(sub) in _PROPERTY for sub in value.values()):
        return None

    label = _free_label(names)
    columns = [list(value[name].values()) for name in names]
    raw = Raw((label, *names), (rows, *columns), len(rows), path=path)
    return raw.mark_taken(value, *names)


def read_columns_by_number(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' columns under the statement's names: each an object from row numbers to
    cells, or all empty.
    """
    inner = list(value.values())
    if not _are_equal_objects(inner) or not _are_row_numbers(inner[0]):
        return None

    # One empty object may as well be a cell.
    is_cell = inner == [{}]
    return None if is_cell else _columns_of(value, path)


def _are_equal_objects(values: Sequence[Any]) -> bool:
    """Whether all are objects with the same keys, and there is one at least."""
    are_objects = holds_only(values, dict)
    return are_objects and all(item.keys() == values[0].keys() for item in values)


def _are_row_numbers(keys: Iterable[Any]) -> bool:
    """Whether the keys are 0, 1, 2 and so on, as numbers or as JSON's texts."""
    return all(str(key) == str(number) for number, key in enumerate(keys))


def _columns_of(value: dict[str, dict[Any, Any]], path: str) -> Raw:
    columns = [list(column.values()) for column in value.values()]
    return Raw(tuple(map(str, value)), tuple(columns), len(columns[0]), path=path)


def read_named_objects(value: dict[str, Any], path: str) -> Raw | None:
    """Objects of one form under different names (`{"Bonn": {"n": 1}, "Rome": {"n": 2,
    "m": 3}}`): the name is a column, unless the rows have it.
    """
    inner = list(value.values())
    if len(inner) < 2 or not holds_only(inner, dict) or not all(inner):
        return None

    are_equal = _are_equal_objects(inner)
    # three objects with the very same keys are rows whatever their cells are
    are_rows = are_equal and len(inner) > 2
    if not are_rows and not all(_are_cells(item.values()) for item in inner):
        return None
    # two objects with one key each agree too easily
    agree = (are_rows or len(inner[0]) > 1) if are_equal else _are_alike(inner)
    if not agree:
        return None
    if _repeat_names(value):
        return from_records(inner, path=path)

    label = _free_label(json_standards.keys_in_order(inner))
    rows = [{label: name, **item} for name, item in value.items()]
    note = f"each row stood under a name of its own, which is `{label}`"
    return from_records(rows, path=path).with_note(note)


_LABELS = ("name", "key", "label", "entry")


def _free_label(taken: Iterable[str]) -> str:
    names = dict.fromkeys(taken)
    free = (name for name in _LABELS if name not in names)
    return next(free, None) or _free_name(_LABELS[-1], names)


def _are_alike(items: Sequence[dict[str, Any]]) -> bool:
    """Whether half of the keys of each are those of others, too."""
    counts = Counter(itertools.chain.from_iterable(items))
    least = max(2, len(items) // 2)
    common = {key for key, count in counts.items() if count >= least}
    return all(2 * len(common & item.keys()) >= len(item) for item in items)


def _are_cells(cells: Iterable[Any]) -> bool:
    """Whether all are scalars, or lists of scalars."""
    return all(
        isinstance(cell, _SCALAR) or (type(cell) is list and _are_scalars(cell))
        for cell in cells
    )


def _repeat_names(value: dict[str, dict[str, Any]]) -> bool:
    """Whether a column holds the names under which the rows stand."""
    first = next(iter(value.values()))
    return any(
        all(item.get(key) == name for name, item in value.items()) for key in first
    )


# In this order: a series also looks like a record whose cells are objects.
OF_RECORDS = (
    json_standards.read_series,
    read_wrapped_records,
    read_typed_cells,
    read_frame_in_list,
)
