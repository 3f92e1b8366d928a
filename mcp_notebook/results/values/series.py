"""Measurements in series, each with its labels beside its points: InfluxDB's and
Prometheus' JSON as one table.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from mcp_notebook.results.raw import Raw, from_rows

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def of_list(value: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """The one table of a list of series; None when it is another list."""
    first = value[0]
    if type(first.get("columns")) is list and type(first.get("values")) is list:
        return _influx(value, path)
    if type(first.get("metric")) is dict and (
        type(first.get("value")) is list or type(first.get("values")) is list
    ):
        return _prometheus(value, path)
    return None


def _influx(value: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"name": "cpu", "tags": {"host": "a"}, "columns": [...], "values": [[...]]}`:
    the tags are columns here.
    """
    columns = value[0]["columns"]
    tags = list(value[0].get("tags") or {})
    same = all(
        item.get("columns") == columns and list(item.get("tags") or {}) == tags
        for item in value
    )
    if (
        not same
        or not all(type(name) is str for name in columns)
        or not (tags or len(value) == 1)
    ):
        return None
    named = len({item.get("name") for item in value}) > 1
    head = (["name"] if named else []) + tags
    rows = []
    for item in value:
        labels = ([item.get("name")] if named else []) + [
            (item.get("tags") or {})[tag] for tag in tags
        ]
        for row in item.get("values") or ():
            if type(row) is not list or len(row) != len(columns):
                return None
            rows.append([*labels, *row])
    return from_rows([*head, *columns], rows, path=path)


def _prometheus(value: Sequence[dict[str, Any]], path: str) -> Raw | None:
    """`{"metric": {"job": "a"}, "values": [[1704412800, "1"]]}`: labels, time and value a row."""
    labels = list(
        dict.fromkeys(label for item in value for label in item.get("metric") or {})
    )
    rows = []
    for item in value:
        points = (
            item.get("values")
            if type(item.get("values")) is list
            else [item.get("value")]
        )
        for point in points or ():
            if (
                type(point) is not list
                or len(point) != 2
                or type(point[0]) not in (int, float)
            ):
                return None
            rows.append(
                [
                    *((item["metric"] or {}).get(label) for label in labels),
                    _moment(point[0]),
                    _number(point[1]),
                ]
            )
    return from_rows([*labels, "timestamp", "value"], rows, path=path)


def _moment(seconds: float) -> Any:
    try:
        return _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None


def _number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
