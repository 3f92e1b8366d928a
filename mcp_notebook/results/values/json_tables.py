"""Tables in a parsed value (JSON or Python literal): envelopes of any name and depth,
records, columns and rows.

What counts is the shape, not the name: a list of objects, a list of rows of one width
beside a list of as many names, columns of one length. Names only help to choose among
several lists.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcp_notebook.results.columns import json_standards
from mcp_notebook.results.reading import (
    Raw,
    from_records,
    from_rows,
    listing,
    note_beside,
)
from mcp_notebook.results.values import json_headings, json_layouts
from mcp_notebook.results.values.json_headings import holds_only

MAX_COLUMNS = 20_000
MAX_DEPTH = 8  # of envelopes around rows
_MAX_NESTING = 64  # of anything, cells too
_MOST_RESULT_SETS = 64
_MOST_STATEMENTS = 8
_ANSWERS, _ANSWER_DEPTH = 8, 3
_DEEPEST_LIST_OF_TABLES = 2

_CONTAINERS = frozenset({dict, list, tuple})
_SCALAR = (str, int, float, bool, type(None))

# Keys that hold a result's rows, the likeliest first.
_ROW_KEYS = tuple(
    "rows data records result results items values documents docs hits resultset "
    "result_set recordset recordsets rowset row_data data_array dataset datasets "
    "entries output table query_result queryresult tuples elements list content "
    "payload response body value nodes series".split()
)
_RANKS = {key: rank for rank, key in enumerate(_ROW_KEYS)}
# Keys that hold remarks about rows, which may themselves be lists of objects.
_REMARK_KEYS = frozenset(
    "warnings notices hints messages errors issues suggestions notes violations "
    "logs".split()
)
_COUNT_KEYS = frozenset(
    "rowsaffected rows_affected affectedrows affected_rows rows rowcount "
    "row_count".split()
)
# Further tables are not made of remarks, nor of what leads elsewhere.
_ASIDE_KEYS = _REMARK_KEYS | frozenset("links _links".split())
# The words of keys that tell of a result and are no property of a thing.
_ABOUT_WORDS = frozenset(
    "count total offset limit page pages cursor more next previous truncated returned "
    "success status ok took elapsed timestamp message query".split()
)
_CAMEL, _WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])"), re.compile(r"[^a-z]+")
_GRAPHQL = frozenset({"data", "errors", "extensions"})
_LEAST_PROPERTIES, _LEAST_OF_THING = 5, 2
_MOST_BESIDE_NOTHING = 2
OUTCOME = frozenset(
    "success ok status message msg rowsaffected rows_affected affectedrows "
    "affected_rows changes rowcount row_count lastinsertid last_insert_id "
    "lastinsertrowid insertid insert_id command error executiontime execution_time "
    "executiontimems execution_time_ms duration elapsed acknowledged note warning "
    "warnings info changedrows fieldcount warningstatus serverstatus _meta "
    "deletedcount insertedcount matchedcount modifiedcount done completed code hint "
    "sql query columns data rows truncated".split()
)
"""Keys, in lower case, of an object that tells how a statement went."""


@dataclass(frozen=True)
class _Place:
    """Where a value stands in the result, and the columns of the statement, if known."""

    path: str = ""
    depth: int = 0
    selected: tuple[str, ...] = ()

    def enter(self, key: str) -> _Place:
        """The place of an object's value."""
        path = f"{self.path}.{key}" if self.path else key
        return replace(self, path=path, depth=self.depth + 1)

    def enter_item(self, number: int) -> _Place:
        """The place of a list's item."""
        return replace(self, path=f"{self.path}[{number}]", depth=self.depth + 1)

    def is_row_of_statement(self, value: Mapping[str, Any]) -> bool:
        """Whether the object has just the columns that the statement asked for."""
        return bool(self.selected) and set(value) == set(self.selected)


def tables_in(value: Any, *, selected: Sequence[str] = ()) -> tuple[Raw, ...] | str:
    """All tables of a value, or why there is none. `selected` are the columns of the
    statement, if known.
    """
    if _depth_exceeds(value, _MAX_NESTING):
        return "nested too deeply"

    place = _Place(selected=tuple(selected))
    match value:
        case [{} | [*_] as first, *_] if len(first) > MAX_COLUMNS:
            return _refuse_columns(len(first))
        case dict() if _is_too_wide(value):
            return _refuse_columns(len(value))
        case list() | tuple():
            found = _tables_of_list(value, place)
        case dict():
            found = _tables_of_object(value, place)
            found += _tables_left(value, found, place)
            if value.keys() <= _GRAPHQL and type(value.get("data")) is dict:
                found = [_declare_ids(raw) for raw in found]
        case _:
            found = []

    return tuple(found) or "no list of records, rows or columns in it"


def _is_too_wide(value: dict[str, Any]) -> bool:
    """Whether an object is one row of more columns than a table may have."""
    many = len(value) > MAX_COLUMNS
    return many and _CONTAINERS.isdisjoint(map(type, value.values()))


def _refuse_columns(count: int) -> str:
    return f"{count:,} columns are more than the limit of {MAX_COLUMNS:,}"


def _declare_ids(raw: Raw) -> Raw:
    """A GraphQL server sends the type ID as a text, and it is one whatever its digits.
    Lists under a name for rows are more likely a database's.
    """
    names = raw.names or ()
    if any(raw.declared) or _rank(raw.path.rpartition(".")[2]) < len(_ROW_KEYS):
        return raw

    cells = dict(zip(names, raw.columns, strict=False)).get("id", (0,))
    kinds = {"id": "text"} if holds_only(tuple(cells), str, type(None)) else {}
    return replace(raw, declared=tuple(map(kinds.get, names)))


def _tables_left(
    value: dict[str, Any], found: Sequence[Raw], place: _Place
) -> list[Raw]:
    """What is a table, too, of what the first ones left: lists of records and of rows,
    and measurements side by side.
    """
    if not found or place.is_row_of_statement(value):
        return []

    left = _parts_left(value, found)
    lists = [item for item in _lists_of_rows(left) if len(item[1]) > 1]
    more = [
        raw
        for key, sub in lists
        if str(key).lower() not in _ASIDE_KEYS
        for raw in _tables_of_list(sub, place.enter(key))
    ]
    # the numbers beside a matrix, the residuals beside coefficients
    numbers = json_layouts.read_parallel_numbers(_parts_left(left, more), place.path)
    return [raw for raw in (*more, numbers) if raw is not None and raw.rows]


def _parts_left(value: dict[str, Any], raws: Sequence[Raw]) -> dict[str, Any]:
    """The entries of an object of which no table took anything."""
    if any(part is value and keys is None for raw in raws for part, keys in raw.took):
        return {}

    own = [some for raw in raws for part, some in raw.took if part is value]
    keys = frozenset[str]().union(*filter(None, own))
    touched = {id(part) for raw in raws for part, _ in raw.took}
    return {
        key: sub
        for key, sub in value.items()
        if key not in keys and not _is_touched(sub, touched, _ANSWER_DEPTH)
    }


def _is_touched(value: Any, touched: set[int], depth: int) -> bool:
    """Whether a table took a part of a value, some levels deep."""
    if id(value) in touched:
        return True
    if not depth or type(value) not in _CONTAINERS:
        return False

    inner = itertools.islice(_items_of(value), _MOST_RESULT_SETS)
    return any(_is_touched(item, touched, depth - 1) for item in inner)


def _depth_exceeds(value: Any, limit: int) -> bool:
    """Whether containers stand in each other more than `limit` deep, without recursion."""
    level = [value]
    for _ in range(limit):
        inner = [_items_of(item) for item in level if type(item) in _CONTAINERS]
        # most rows hold plain cells only: one look at all their types spares the cells
        deeper = [x for x in inner if not _CONTAINERS.isdisjoint(map(type, x))]
        level = list(itertools.chain.from_iterable(deeper))
        if not level:
            return False

    return True


def _items_of(container: Any) -> Iterable[Any]:
    if type(container) is dict:
        return container.values()
    return container


# --- lists


def _tables_of_list(value: Sequence[Any], place: _Place) -> list[Raw]:
    """The tables of a list, which each say what they took: the whole list, unless a
    reader inside knows better.
    """
    raws = _read_list(value, place)
    return [raw if raw.took else raw.mark_taken(value) for raw in raws]


def _read_list(value: Sequence[Any], place: _Place) -> list[Raw]:
    if not value:
        return [Raw(None, (), 0, path=place.path)]

    kinds = set(map(type, value))
    if kinds == {dict}:
        return _tables_of_records(value, place)
    if kinds <= {list, tuple}:
        return _tables_of_rows(value, place)

    if holds_page(value):
        return _tables_of_list(value[1], place.enter_item(1))

    layouts = (json_layouts.read_names_before_records, _read_scalars)
    raw = _read_first(layouts, value, place.path)
    return [] if raw is None else [raw]


def holds_page(value: Any) -> bool:
    """Whether a list is an object about a page, then its records: `[{"page": 1,
    "total": 2}, [{…}, {…}]]`.
    """
    match value:
        case [dict(about), [{}, *_] as records] if about:
            scalars = all(isinstance(sub, _SCALAR) for sub in about.values())
            return scalars and holds_only(records, dict)

    return False


def _read_first(
    layouts: Iterable[Callable[[Any, str], Raw | None]], value: Any, path: str
) -> Raw | None:
    """The table by the first layout that a value has."""
    raws = (read_layout(value, path) for read_layout in layouts)
    return next((raw for raw in raws if raw is not None), None)


def _read_scalars(value: Sequence[Any], path: str) -> Raw | None:
    """A list of values of one kind is a column that has its key's name."""
    kinds = {type(item) for item in value} - {type(None)}
    if len(kinds) != 1 or not all(isinstance(item, _SCALAR) for item in value):
        return None
    name = path.rpartition(".")[2] or "value"
    return Raw((name,), (tuple(value),), len(value), path=path)


def _tables_of_records(records: Sequence[dict[str, Any]], place: _Place) -> list[Raw]:
    # What has just the columns of the statement is its rows, whatever else it looks like.
    if place.is_row_of_statement(records[0]):
        return _tables_by_statement(records, place.path)

    raw = _read_first(json_layouts.OF_RECORDS, records, place.path)
    if raw is not None:
        return [raw]
    if len(records) <= _MOST_RESULT_SETS and all(map(_is_result_set, records)):
        return _tables_of_each(records, _tables_of_object, place.enter_item)
    if len(records) <= _ANSWERS and all(map(_holds_an_answer, records)):
        inner = replace(place, depth=place.depth + 1)
        return _tables_of_each(records, _tables_of_object, lambda number: inner)

    return _tables_by_statement(records, place.path)


def _tables_of_each(
    parts: Sequence[Any],
    read: Callable[[Any, _Place], list[Raw]],
    place_of: Callable[[int], _Place],
) -> list[Raw]:
    return [raw for at, part in enumerate(parts) for raw in read(part, place_of(at))]


def _is_result_set(record: dict[str, Any]) -> bool:
    """An object with rows of its own, such as `{"rows": [...], "rowCount": 2}`; no
    thing whose list is empty, such as a match without its vector.
    """
    lists = [sub for key, sub in record.items() if key.lower() in _ROW_KEYS]
    held = [sub for sub in lists if type(sub) is list]
    if any(type(item) in (dict, list) for sub in held for item in sub[:1]):
        return True

    own = sum(_is_property(key, sub) for key, sub in record.items())
    return not all(held) and own < _LEAST_OF_THING


def _holds_an_answer(record: dict[str, Any]) -> bool:
    """An object about an answer: a level or two inside it are columns beside rows that
    are lists (libSQL, InfluxDB).
    """
    level = [record]
    for _ in range(_ANSWER_DEPTH):
        level = _objects_inside(level)[:_ANSWERS]
        if any(map(json_headings.has_rows, level)):
            return True

    return False


def _objects_inside(holders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    inner = itertools.chain.from_iterable(holder.values() for holder in holders)
    items = [sub[:_ANSWERS] if type(sub) is list else (sub,) for sub in inner]
    return [
        item
        for item in itertools.chain.from_iterable(items)
        if type(item) is dict and item
    ]


def _tables_by_statement(records: Sequence[dict[str, Any]], path: str) -> list[Raw]:
    groups = _split_by_statement(records)
    found = []
    for group in groups:
        cells = json_headings.nested_cells(group)
        if cells is not None:
            raw = from_rows(None, cells, path=path)
            found.append(json_headings.note_beside_cells(raw, group))
            continue

        raw = from_records(group, path=path)
        if len(groups) > 1:
            raw = raw.with_note(
                "the server joined the rows of several statements; each is a table here"
            )

        found.append(raw)

    return found


def _split_by_statement(
    records: Sequence[dict[str, Any]],
) -> Sequence[Sequence[dict[str, Any]]]:
    """Rows of several statements in one list have disjoint sets of keys; anything else
    is one table.
    """
    groups: list[list[dict[str, Any]]] = []
    for record in records:
        if groups and groups[-1][0].keys() == record.keys():
            groups[-1].append(record)
            continue

        groups.append([record])
        if len(groups) > _MOST_STATEMENTS:
            return [records]

    keys = [set(group[0]) for group in groups]
    are_disjoint = len(set().union(*keys)) == sum(map(len, keys))
    if are_disjoint and all(keys):
        return groups

    return [records]


def _tables_of_rows(value: Sequence[Sequence[Any]], place: _Place) -> list[Raw]:
    cells = json_headings.undo_wrappers(value)
    if cells is not None:
        return json_headings.read_bare_rows(cells, place.path)

    filled = [item for item in value if item]
    # A list of result sets, each a list of records (mssql's recordsets).
    if filled and all(holds_only(item, dict) for item in filled):
        return _tables_of_each(filled, _tables_of_list, place.enter_item)

    # Or each a list of rows: believed only when every table then has columns, as cells
    # may be lists too.
    may_be_tables = any(holds_only(item, list, tuple) for item in filled)
    if may_be_tables and place.depth < _DEEPEST_LIST_OF_TABLES:
        found = _tables_of_each(value, _tables_of_list, place.enter_item)
        if all(raw.columns for raw in found):
            return found

    return json_headings.read_bare_rows(value, place.path)


# --- objects


def _tables_of_object(value: dict[str, Any], place: _Place) -> list[Raw]:
    """The tables of an object, which each say what they took."""
    raw = _read_object(value, place)
    if raw is not None:
        return [raw if raw.took else raw.mark_taken(value)]

    lists = _lists_of_rows(value)
    are_remarks = all(str(key).lower() in _REMARK_KEYS for key, _ in lists)
    # rows inside an object go before the remarks beside it: GraphQL's data and errors
    found = _tables_inside(value, place) if are_remarks else []
    if lists and not found:
        return _choose_tables(value, lists, place)
    if lists:
        remarks = [key for key, _ in lists]
        note = note_beside(remarks, "the result")
        found = [raw.with_note(note) for raw in found]
    if found:
        return found

    only = _find_only_list(value)
    if only is not None:
        return _tables_of_list(value[only], place.enter(only))
    if place.depth == 0 and _is_row(value):
        return [from_records([value], path=place.path).mark_taken(value)]

    return []


def _tables_inside(value: dict[str, Any], place: _Place) -> list[Raw]:
    """The tables of the objects in an object; those without rows come last, since a
    search that was asked for nothing but its groups has no hits.
    """
    found: list[Raw] = []
    objects = [item for item in value.items() if type(item[1]) is dict]
    for key, sub in objects if place.depth < MAX_DEPTH else ():
        found += _tables_of_object(sub, place.enter(key))

    return sorted(found, key=lambda raw: not raw.rows and raw.names is None)


def _read_object(value: dict[str, Any], place: _Place) -> Raw | None:
    """The one table that an object is as a whole, by the statement, by a layout, or as
    one row with many properties; None when it is none.
    """
    if place.is_row_of_statement(value):
        raw = json_layouts.read_columns_by_number(value, place.path)
        return raw or from_records([value], path=place.path)

    layouts = [read for needed, read in _OF_OBJECT if needed <= value.keys()]
    raw = _read_first(layouts, value, place.path)
    if raw is None and place.depth == 0 and _is_rich_record(value):
        return from_records([value], path=place.path)

    return raw


def _is_rich_record(value: dict[str, Any]) -> bool:
    """Whether an object is a thing with many properties, of which some are lists: an
    issue and its labels. A list under a name for rows is never a property.
    """
    own = [key for key, sub in value.items() if _is_property(key, sub)]
    if len(own) < _LEAST_PROPERTIES:
        return False

    parts = [key for key, sub in value.items() if type(sub) in _CONTAINERS and sub]
    if any(_rank(key) < len(_ROW_KEYS) for key in parts):
        return False

    sizes = [len(sub) for sub in value.values() if type(sub) is list]
    return sum(sizes) <= 2 * len(own)


def _is_property(key: Any, value: Any) -> bool:
    """A scalar that is not about a result: no count, no page, no outcome."""
    return isinstance(value, _SCALAR) and value is not None and not _is_about(key)


def _is_about(key: Any) -> bool:
    """Whether a key tells of a result: how it went, how much there is, which page."""
    key = str(key)
    words = _WORDS.split(_CAMEL.sub("_", key).lower())
    lowered = key.lower()
    return lowered in OUTCOME or not _ABOUT_WORDS.isdisjoint(words)


def _find_only_list(value: dict[str, Any]) -> str | None:
    """The key of the one list of an object that is otherwise about it: `{"metrics":
    ["a", "b"], "total_count": 2}`, `{"total_papers": 0, "papers": []}`.
    """
    filled = [key for key, sub in value.items() if type(sub) in _CONTAINERS and sub]
    if filled and type(value[filled[0]]) is not list:
        return None

    keys = filled or [key for key, sub in value.items() if type(sub) is list]
    own = sum(_is_property(key, sub) for key, sub in value.items())
    # of no list it is told what it was of: that is no property of a thing
    if len(keys) != 1 or own > (0 if filled else _MOST_BESIDE_NOTHING):
        return None

    is_told = len(value) == 1 or any(map(_is_about, value.keys() - keys))
    if filled and not (is_told and _read_scalars(value[keys[0]], "")):
        return None

    return keys[0]


def _read_names_beside_rows(value: dict[str, Any], path: str) -> Raw | None:
    """Names in one list, rows in another, whatever the two are called and however deep
    the names are.
    """
    for key, rows in _lists_beside_names(value):
        others = {name: sub for name, sub in value.items() if name != key}
        stand_alike = _has_sibling(value, rows)
        for columns in json_headings.candidates(others):
            # of several lists alike none is the rows: each is a column
            if stand_alike and not columns.sure:
                continue

            raw = _pair_features(columns, rows, path) or json_headings.pair(
                columns, rows, f"{path}.{key}" if path else key
            )
            if raw is not None:
                return json_headings.take_columns(raw.mark_taken(rows), columns)

    return None


def _has_sibling(value: Mapping[str, Any], rows: Sequence[Any]) -> bool:
    """Whether another list of lists has the same lengths as the rows."""
    if not holds_only(rows, list, tuple):
        return False

    sizes = list(map(len, rows))
    others = [sub for sub in value.values() if sub is not rows]
    return any(
        holds_only(sub, list, tuple) and list(map(len, sub)) == sizes for sub in others
    )


def _pair_features(
    columns: json_headings.Columns, rows: Sequence[Any], path: str
) -> Raw | None:
    """Records with their fields in one key, as geodata has them, beside what describes
    these fields; None when they are no such.
    """
    if not columns.sure or not holds_only(rows, dict):
        return None

    raw = json_layouts.read_wrapped_records(rows, path)
    if raw is None or not set(columns.names) <= set(raw.names or ()):
        return None

    kinds = dict(zip(columns.names, columns.declared, strict=True))
    return replace(raw, declared=tuple(map(kinds.get, raw.names or ())))


_ANY = frozenset[str]()
# From the strictest to the loosest: the last ones take any object of equal parts. The
# keys are those without which a layout cannot be there, so that its reader is spared.
_OF_OBJECT = (
    (frozenset({"resultType", "result"}), json_standards.read_measurement),
    (frozenset({"head", "results"}), json_standards.read_sparql),
    (frozenset({"labels", "datasets"}), json_standards.read_chart),
    (frozenset({"columns", "index", "data"}), json_layouts.read_split_frame),
    (frozenset({"range", "values"}), json_layouts.read_sheet),
    (_ANY, json_headings.read_described_columns),
    (_ANY, _read_names_beside_rows),
    (_ANY, json_layouts.read_lists_of_answers),
    (_ANY, json_layouts.read_named_lists),
    (_ANY, json_layouts.read_parallel_objects),
    (_ANY, json_layouts.read_parallel_lists),
    (_ANY, json_layouts.read_pandas_dict),
    (_ANY, json_layouts.read_named_objects),
)


def _lists_beside_names(value: dict[str, Any]) -> list[tuple[str, Sequence[Any]]]:
    """The lists that may hold rows, the most likely name first; one that lies one level
    deeper too.
    """
    found = [(key, sub) for key, sub in value.items() if _may_be_rows(sub)]
    for key, sub in value.items():
        if type(sub) is dict:
            inner = [(f"{key}.{name}", rows) for name, rows in sub.items()]
            lists = [item for item in inner if type(item[1]) is list]
            found += [item for item in lists if _may_be_rows(item[1])]

    return sorted(found, key=lambda item: _rank(item[0].rpartition(".")[2]))


def _may_be_rows(value: Any) -> bool:
    is_list = type(value) in (list, tuple)
    return is_list and all(type(item) in _CONTAINERS for item in value[:1])


def _rank(key: str) -> int:
    return _RANKS.get(str(key).lower(), len(_RANKS))


def _lists_of_rows(value: dict[str, Any]) -> list[tuple[str, Sequence[Any]]]:
    """The keys whose value may be rows: a list of objects, or of lists that are not
    empty; else the empty lists under a name for rows.
    """
    lists = [item for item in value.items() if type(item[1]) in (list, tuple)]
    filled = [item for item in lists if holds_only(item[1], dict)]
    filled += [
        (key, sub) for key, sub in lists if holds_only(sub, list, tuple) and all(sub)
    ]

    empty = [
        item for item in lists if not item[1] and str(item[0]).lower() in _ROW_KEYS
    ]
    # No rows, and remarks or links beside them: these are not the rows.
    if empty and all(str(key).lower() in _ASIDE_KEYS for key, _ in filled):
        return sorted(empty, key=lambda item: _rank(item[0]))

    return sorted(filled, key=lambda item: _rank(item[0])) or empty


def _choose_tables(
    value: dict[str, Any], lists: list[tuple[str, Sequence[Any]]], place: _Place
) -> list[Raw]:
    """One list is the table; with a name for rows among several that one; else each is
    a table. What is no table of these is looked through afterwards.
    """
    named = [item for item in lists if _rank(item[0]) < len(_ROW_KEYS)]
    found: list[Raw] = []
    for key, sub in named[:1] or lists:
        tables = _tables_of_list(sub, place.enter(key))
        if len(lists) > 1:
            others = [name for name, _ in lists if name != key]
            note = f"is `{key}`; the result also has {listing(others)}"
            tables = [raw.with_note(note) for raw in tables]

        found += tables

    return found


def _is_row(value: dict[str, Any]) -> bool:
    """A lone object is a row, unless it only reports an outcome (`{"success": true,
    "rowsAffected": 3}`).
    """
    keys = {str(key).lower() for key in value}
    return bool(value) and not keys <= OUTCOME and not _is_report(keys)


def _is_report(keys: set[str]) -> bool:
    """A message about rows: it says how it went, to how many, and most of its keys are
    of that kind.
    """
    about = keys & OUTCOME
    counts_rows = not about.isdisjoint(_COUNT_KEYS)
    return "message" in about and counts_rows and len(about) * 2 > len(keys)
