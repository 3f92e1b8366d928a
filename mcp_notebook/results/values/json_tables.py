"""Tables in a parsed value (JSON or Python literal): envelopes of any name and depth,
records, columns and rows.

What counts is the shape, not the name: a list of objects, a list of rows of one width
beside a list of as many names, columns of one length. Names only help to choose among
several lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.columns import wrappers
from mcp_notebook.results.raw_table import Raw, from_records, from_rows, listing
from mcp_notebook.results.values import json_headings, json_layouts

MAX_DEPTH = 8
_ANSWERS, _ANSWER_DEPTH = 8, 3
MAX_COLUMNS = 20_000
_MAIN = (
    "rows", "data", "records", "result", "results", "items", "values", "documents", "docs", "hits", "resultset",
    "result_set", "recordset", "recordsets", "rowset", "row_data", "data_array", "dataset", "datasets", "entries",
    "output", "table", "query_result", "queryresult", "tuples", "elements", "list", "content", "payload",
    "response", "body", "value", "nodes", "series",
)  # fmt: skip
_BY_COLUMN = (json_layouts.lists, json_layouts.indexed, json_layouts.labelled)
_NESTED = frozenset({dict, list, tuple})
_ABOUT = {
    "warnings",
    "notices",
    "hints",
    "messages",
    "errors",
    "issues",
    "suggestions",
    "notes",
    "violations",
    "logs",
}
_SCALAR = (str, int, float, bool, type(None))
_ABOUT_ROWS = {
    "rowsaffected",
    "rows_affected",
    "affectedrows",
    "affected_rows",
    "rows",
    "rowcount",
    "row_count",
}
OUTCOME = {
    "success", "ok", "status", "message", "msg", "rowsaffected", "rows_affected", "affectedrows", "affected_rows",
    "changes", "rowcount", "row_count", "lastinsertid", "last_insert_id", "lastinsertrowid", "insertid",
    "insert_id", "command", "error", "executiontime", "execution_time", "executiontimems", "execution_time_ms",
    "duration", "elapsed", "acknowledged", "note", "warning", "warnings", "info", "changedrows", "fieldcount",
    "warningstatus", "serverstatus", "_meta", "deletedcount", "insertedcount", "matchedcount", "modifiedcount",
    "done", "completed", "code", "hint", "sql", "query", "columns", "data", "rows", "truncated",
}  # fmt: skip


def tables_in(value: Any, *, selected: Sequence[str] = ()) -> tuple[Raw, ...] | str:
    """All tables of a value, or why there is none. `selected` are the columns of the
    statement, if known.
    """
    if _depth_exceeds(value, 64):
        return "nested too deeply"
    widest = value[0] if isinstance(value, (list, tuple)) and value else value
    if (
        isinstance(widest, (dict, list, tuple))
        and len(widest) > MAX_COLUMNS
        and widest is not value
    ):
        return f"{len(widest):,} columns are more than the limit of {MAX_COLUMNS:,}"
    found = tuple(_find(value, "", 0, tuple(selected)))
    return found or "no list of records, rows or columns in it"


def _find(
    value: Any, path: str, depth: int, selected: tuple[str, ...]
) -> Iterator[Raw]:
    if isinstance(value, (list, tuple)):
        yield from _in_list(value, path, depth, selected)
    elif isinstance(value, dict) and depth <= MAX_DEPTH:
        yield from _in_dict(value, path, depth, selected)


def _in_list(
    value: Sequence[Any], path: str, depth: int, selected: tuple[str, ...]
) -> Iterator[Raw]:
    if not value:
        yield Raw(None, (), 0, path=path)
    elif all(type(item) is dict for item in value):
        yield from _in_dicts(value, path, depth, selected)
    elif all(type(item) in (list, tuple) for item in value):
        yield from _in_lists(value, path, depth, selected)
    elif (raw := json_layouts.named_first(value, path)) is not None:
        yield raw
    elif (
        all(isinstance(item, _SCALAR) for item in value)
        and len({type(item) for item in value} - {type(None)}) == 1
    ):
        name = path.rpartition(".")[2] or "value"
        yield Raw((name,), (tuple(value),), len(value), path=path)


def _in_dicts(
    value: Sequence[dict[str, Any]], path: str, depth: int, selected: tuple[str, ...]
) -> Iterator[Raw]:
    if not _names(value[0], selected):
        for rule in (
            json_layouts.of_list,
            json_layouts.opened,
            json_layouts.typed_records,
        ):
            if (raw := rule(value, path)) is not None:
                yield raw
                return
    if (
        len(value) <= 64
        and all(_is_result_set(item) for item in value)
        and not _names(value[0], selected)
    ):
        for number, item in enumerate(value):
            yield from _in_dict(item, f"{path}[{number}]", depth + 1, selected)
        return
    if (
        len(value) <= _ANSWERS
        and all(_answers(item) for item in value)
        and not _names(value[0], selected)
    ):
        for item in value:
            yield from _in_dict(item, path, depth + 1, selected)
        return
    groups = _statements(value)
    for group in groups:
        if (cells := json_headings.nested_cells(group)) is not None:
            yield from_rows(None, cells, path=path)
            continue
        raw = from_records(group, path=path)
        yield (
            raw.noted(
                "the server joined the rows of several statements; each is a table here"
            )
            if len(groups) > 1
            else raw
        )


def _is_result_set(item: dict[str, Any]) -> bool:
    """An object with rows of its own, such as `{"rows": [...], "rowCount": 2}`."""
    inner = [
        key
        for key, sub in item.items()
        if type(sub) is list and (not sub or type(sub[0]) in (dict, list))
    ]
    return any(key.lower() in _MAIN for key in inner)


def _answers(item: dict[str, Any]) -> bool:
    """An object about an answer: a level or two inside it are columns beside rows that
    are lists (libSQL, InfluxDB).
    """
    level = [item]
    for _ in range(_ANSWER_DEPTH):
        level = [
            each
            for holder in level
            for sub in holder.values()
            for each in (sub[:_ANSWERS] if type(sub) is list else (sub,))
            if type(each) is dict and each
        ][:_ANSWERS]
        if any(map(json_headings.has_rows, level)):
            return True
    return False


def _statements(value: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    """Rows of several statements in one list have disjoint sets of keys; anything else
    is one table.
    """
    groups: list[list[dict[str, Any]]] = []
    for item in value:
        if groups and groups[-1][0].keys() == item.keys():
            groups[-1].append(item)
        else:
            groups.append([item])
            if len(groups) > 8:
                return [value]
    keys = [set(group[0]) for group in groups]
    total = sum(map(len, keys))
    return [*groups] if len(set().union(*keys)) == total and all(keys) else [value]


def _in_lists(
    value: Sequence[Sequence[Any]], path: str, depth: int, selected: tuple[str, ...]
) -> Iterator[Raw]:
    if (cells := wrappers.rows(value)) is not None:
        yield from json_headings.bare_rows(cells, path)
        return
    nested = [item for item in value if item and all(type(sub) is dict for sub in item)]
    if nested and len(nested) == len([item for item in value if item]):
        for number, item in enumerate(nested):
            yield from _in_list(item, f"{path}[{number}]", depth + 1, selected)
        return
    if (
        any(item and all(type(sub) in (list, tuple) for sub in item) for item in value)
        and depth < 2
    ):
        deeper = [
            raw
            for n, item in enumerate(value)
            for raw in _in_list(item, f"{path}[{n}]", depth + 1, selected)
        ]
        if all(raw.columns for raw in deeper):
            yield from deeper
            return
    yield from json_headings.bare_rows(value, path)


def _in_dict(
    value: dict[str, Any], path: str, depth: int, selected: tuple[str, ...]
) -> Iterator[Raw]:
    if _names(value, selected):
        raw = json_layouts.under_names(value, path)
        yield raw if raw is not None else from_records([value], path=path)
        return
    for rule in (
        json_layouts.sheet,
        json_layouts.described_columns,
        _paired,
        *_BY_COLUMN,
    ):
        if (raw := rule(value, path)) is not None:
            yield raw
            return
    if lists := _candidates(value):
        yield from _choose(value, lists, path, depth, selected)
        return
    inner = [
        raw
        for key, sub in value.items()
        if type(sub) is dict
        for raw in _deeper(sub, key, path, depth, selected)
    ]
    if inner:
        yield from inner
    elif depth == 0 and is_record(value):
        yield from_records([value], path=path)


def _names(value: Mapping[str, Any], selected: tuple[str, ...]) -> bool:
    """Whether the object is exactly one row of the statement."""
    return bool(selected) and set(value) == set(selected)


def _deeper(
    sub: dict[str, Any], key: str, path: str, depth: int, selected: tuple[str, ...]
) -> Iterator[Raw]:
    if depth < MAX_DEPTH:
        yield from _in_dict(sub, f"{path}.{key}" if path else key, depth + 1, selected)


def _paired(value: dict[str, Any], path: str) -> Raw | None:
    """Names in one list, rows in another, whatever the two are called and however deep
    the names are.
    """
    for key, rows in _row_lists(value):
        others = {name: sub for name, sub in value.items() if name != key}
        for columns in json_headings.candidates(others):
            if (
                raw := json_headings.pair(
                    columns, rows, f"{path}.{key}" if path else key
                )
            ) is not None:
                return raw
    return None


def _row_lists(value: dict[str, Any]) -> list[tuple[str, Sequence[Any]]]:
    """The lists that may hold rows, the most likely name first; one that lies one level
    deeper too.
    """
    found = [
        (key, sub)
        for key, sub in value.items()
        if type(sub) in (list, tuple) and _may_be_rows(sub)
    ]
    for key, sub in value.items():
        if type(sub) is dict:
            found += [
                (f"{key}.{name}", rows)
                for name, rows in sub.items()
                if type(rows) is list and _may_be_rows(rows)
            ]
    return sorted(found, key=lambda item: _rank(item[0].rpartition(".")[2]))


def _may_be_rows(value: Sequence[Any]) -> bool:
    return not value or type(value[0]) in (list, tuple, dict)


def _rank(key: str) -> int:
    lowered = key.lower()
    return _MAIN.index(lowered) if lowered in _MAIN else len(_MAIN)


def _candidates(value: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """The keys whose value may be rows: a list of objects, or of lists of one width."""
    found = [(key, sub) for key, sub in value.items() if type(sub) in (list, tuple)]
    rows = [
        (key, sub)
        for key, sub in found
        if sub and all(type(item) is dict for item in sub)
    ]
    rows += [
        (key, sub)
        for key, sub in found
        if sub and all(type(item) in (list, tuple) and item for item in sub)
    ]
    none = [(key, sub) for key, sub in found if not sub and key.lower() in _MAIN]
    if rows and not (none and all(key.lower() in _ABOUT for key, _ in rows)):
        return sorted(rows, key=lambda item: _rank(item[0]))
    return none


def _choose(
    value: dict[str, Any],
    lists: list[tuple[str, list[Any]]],
    path: str,
    depth: int,
    selected: tuple[str, ...],
) -> Iterator[Raw]:
    """One list is the table; with a main name among several that one; else each is a table."""
    named = [(key, sub) for key, sub in lists if _rank(key) < len(_MAIN)]
    chosen = named[:1] or lists
    for key, sub in chosen:
        inner = f"{path}.{key}" if path else key
        found = list(_in_list(sub, inner, depth + 1, selected))
        if len(lists) > 1:
            others = [name for name, _ in lists if name != key]
            found = [
                replace(
                    raw,
                    notes=(
                        *raw.notes,
                        f"is `{key}`; the result also has {listing(others)}",
                    ),
                )
                for raw in found
            ]
        yield from found


def is_record(value: dict[str, Any]) -> bool:
    """A lone object is a row, unless it only reports an outcome (`{"success": true,
    "rowsAffected": 3}`).
    """
    keys = {str(key).lower() for key in value}
    return bool(value) and not keys <= OUTCOME and not _reports(keys)


def _reports(keys: set[str]) -> bool:
    """A message about rows: it says how it went, to how many, and most of its keys are
    of that kind.
    """
    told = keys & OUTCOME
    return "message" in told and len(told) * 2 > len(keys) and bool(told & _ABOUT_ROWS)


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value] if type(value) in _NESTED else []
    for _ in range(limit):
        inner = [item.values() if type(item) is dict else item for item in level]
        deeper = [items for items in inner if not _NESTED.isdisjoint(map(type, items))]
        level = [sub for items in deeper for sub in items if type(sub) in _NESTED]
        if not level:
            return False
    return True


Rule = Callable[[dict[str, Any], str], Raw | None]
