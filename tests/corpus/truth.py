"""Captures and their truth on disk, and the tags in which the truth writes values that
JSON has not.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tagged:
    """A value that only its text identifies: a UUID, an address, a range."""

    text: str
    kind: str


@dataclass(frozen=True)
class Truth:
    """Columns, database types (None for SQLite) and rows of a statement; `error` when
    the database refused it.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...] | None
    rows: list[list[Any]]
    error: str | None


@dataclass(frozen=True)
class Capture:
    """One call: `result` is the wire JSON, or None when the call raised `exception`."""

    server: str
    file: str
    case: str
    sql: str
    result: dict[str, Any] | None
    exception: str | None
    output_schema: dict[str, Any] | None
    truth: Truth | None


def captures(folder: Path) -> Iterator[Capture]:
    """All captures below a folder, in order."""
    for server in sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith("_")
    ):
        for path in sorted(server.glob("*.json*")):
            if path.name.startswith("_"):
                continue
            held = _load(path)
            if isinstance(held, dict) and ("result" in held or "exception" in held):
                yield _capture(folder, server.name, path, held)


def _capture(folder: Path, server: str, path: Path, held: dict[str, Any]) -> Capture:
    return Capture(
        server, path.name.split(".")[0], held.get("case") or path.name.split(".")[0], held.get("sql") or "",
        held.get("result"), held.get("exception"), held.get("output_schema"), _truth(folder, held.get("truth")),
    )  # fmt: skip


def _truth(folder: Path, name: str | None) -> Truth | None:
    if not name:
        return None
    parts = Path(name).parts
    relative = (
        Path(*parts[parts.index("_truth") :]) if "_truth" in parts else Path(name)
    )
    for path in (folder / relative, folder / f"{relative}.gz"):
        if path.exists():
            held = _load(path)
            rows = [[untagged(cell) for cell in row] for row in held.get("rows", [])]
            types = held.get("db_types")
            return Truth(
                tuple(held.get("columns", ())),
                tuple(types) if types else None,
                rows,
                held.get("error"),
            )
    return None


def _load(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def untagged(value: Any) -> Any:
    """A truth cell as a Python value."""
    if isinstance(value, list):
        return [untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag, held = next(iter(value.items()))
    return _DECODERS[tag](held) if tag != "$str" else Tagged(held, value.get("t", ""))


_DECODERS = {
    "$int": int,
    "$dec": Decimal,
    "$date": dt.date.fromisoformat,
    "$ts": dt.datetime.fromisoformat,
    "$time": dt.time.fromisoformat,
    "$td": lambda seconds: dt.timedelta(seconds=seconds),
    "$hex": bytes.fromhex,
    "$float": float,
    "$obj": lambda pairs: {key: untagged(item) for key, item in pairs},
}
