"""A true table, and its cells as formats write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sheet:
    """A true table."""

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """A dict a row."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


Writer = Callable[[Sheet], str]


def jsonable(value: Any) -> Any:
    """What JSON can say as it is, anything else as text."""
    return (
        value
        if value is None or isinstance(value, (bool, int, float, str))
        else str(value)
    )


def records(sheet: Sheet) -> list[dict[str, Any]]:
    """A JSON object a row."""
    return [
        {name: jsonable(cell) for name, cell in record.items()}
        for record in sheet.records
    ]


def lists(sheet: Sheet) -> list[list[Any]]:
    """A JSON list a row."""
    return [[jsonable(cell) for cell in row] for row in sheet.rows]


def texts(sheet: Sheet, null: Any) -> list[list[Any]]:
    """Every cell as text, NULL as `null`."""
    return [[null if cell is None else str(cell) for cell in row] for row in sheet.rows]


def widths(sheet: Sheet, null: str) -> list[int]:
    """How wide each column is when it is drawn."""
    return [
        max(map(len, column))
        for column in zip(sheet.names, *texts(sheet, null), strict=True)
    ]
