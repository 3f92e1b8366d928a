"""Objects whose entries are columns or rows: lists of one length, pandas' `to_dict()`,
objects of one form.
"""

from __future__ import annotations

from typing import Any

from mcp_notebook.results.raw import Raw, from_records

_SCALAR = (str, int, float, bool, type(None))


def lists(value: dict[str, Any], path: str) -> Raw | None:
    """`{"a": [1, 2], "b": [3, 4]}`: every value a list of scalars, all of one length,
    two columns at least.
    """
    columns = list(value.values())
    if len(columns) < 2 or not all(type(item) is list for item in columns):
        return None
    size = len(columns[0])
    if not size or any(
        len(item) != size or not all(isinstance(cell, _SCALAR) for cell in item)
        for item in columns
    ):
        return None
    return Raw(tuple(map(str, value)), tuple(columns), size, path=path)


def indexed(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' `to_dict()`/`to_json()`: `{"a": {"0": 1, "1": 2}}` by column, `{"0":
    {"a": 1}}` by row.
    """
    inner = list(value.values())
    if not inner or not all(type(item) is dict and item for item in inner):
        return None
    keys = inner[0].keys()
    if any(item.keys() != keys for item in inner):
        return None
    scalars = all(isinstance(cell, _SCALAR) for item in inner for cell in item.values())
    if not scalars and not (_numbered(keys) and len(keys) > 1):
        return None
    if _numbered(keys):
        return Raw(
            tuple(map(str, value)),
            tuple(list(item.values()) for item in inner),
            len(keys),
            path=path,
        )
    return from_records(inner, path=path) if _numbered(value) else None


def under_names(value: dict[str, Any], path: str) -> Raw | None:
    """pandas' columns under the statement's names: each an object from row numbers to
    cells, or all empty.
    """
    inner = list(value.values())
    if not all(type(item) is dict for item in inner) or any(
        item.keys() != inner[0].keys() for item in inner
    ):
        return None
    if not _numbered(inner[0]) or (not inner[0] and len(inner) < 2):
        return None
    return Raw(
        tuple(map(str, value)),
        tuple(list(item.values()) for item in inner),
        len(inner[0]),
        path=path,
    )


def labelled(value: dict[str, Any], path: str) -> Raw | None:
    """Objects of one form under different names (`{"Bonn": {"n": 1}, "Rome": {"n":
    2}}`): the name is a column.
    """
    inner = list(value.values())
    if (
        len(inner) < 2
        or not all(type(item) is dict and item for item in inner)
        or len(inner[0]) < 2
    ):
        return None
    if any(item.keys() != inner[0].keys() for item in inner):
        return None
    if not all(isinstance(cell, _SCALAR) for item in inner for cell in item.values()):
        return None
    label = next(
        name for name in ("name", "key", "label", "entry") if name not in inner[0]
    )
    raw = from_records(
        [{label: name, **item} for name, item in value.items()], path=path
    )
    return raw.noted(f"each row stood under a name of its own, which is `{label}`")


def _numbered(keys: Any) -> bool:
    return all(str(key) == str(number) for number, key in enumerate(keys))
