"""A data dictionary: what the columns of a table mean, in the person's own words, read
from a file and told with the table.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_notebook.errors import ConfigError, did_you_mean
from mcp_notebook.secrets import seal_text
from mcp_notebook.untrusted_text import clip, visible

MOST_FILE = 1_000_000  # bytes: a dictionary is written by hand
MOST_WORDS = 300  # characters on one column
MOST_TOLD = 6_000  # characters on all columns of one table
# How files head their columns; the first of each that is there counts.
_NAMES = ("column", "name", "field", "variable", "column_name", "field_name")
_WORDS = ("description", "about", "meaning", "label", "comment", "definition")
_TABLES = ("table", "table_name")
_FORM = (
    "it is CSV, TSV or JSON with a column's name and its description, e.g. the lines "
    "'name,description' and 'amount,net of refunds'"
)


@dataclass(frozen=True)
class ColumnWords:
    """What is said of one column; `table` is empty where the file does not say."""

    table: str
    column: str
    words: str


def read_dictionary(name: str) -> list[ColumnWords]:
    """The columns that a file describes, secrets masked; raises ConfigError."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"There is no file {name} in {Path.cwd()}: check the path.")
    if path.stat().st_size > MOST_FILE:
        raise ConfigError(
            f"{name} is larger than {MOST_FILE // 1_000_000} MB, so it is no data "
            f"dictionary: {_FORM}."
        )

    text = path.read_bytes().decode("utf-8-sig", "replace")
    records = _json_records(text, name) if _is_json(text) else _lines(text, path.suffix)
    found = [one for record in records if (one := _words_of(record)) is not None]
    if not found:
        raise ConfigError(f"{name} describes no column: {_FORM}.")

    return found


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _json_records(text: str, name: str) -> list[dict[str, Any]]:
    """`{"amount": "net"}`, `{"orders": {"amount": "net"}}`, a list of records, or these
    under `columns` or `fields` (Frictionless and dbt write them so).
    """
    try:
        held = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"{name} is no JSON ({error}): mend it, or write CSV."
        ) from None

    for inner in ("columns", "fields"):
        if isinstance(held, dict) and isinstance(held.get(inner), list | dict):
            held = held[inner]

    if isinstance(held, list):
        return [one for one in held if isinstance(one, dict)]

    records: list[dict[str, Any]] = []
    for key, value in held.items():
        if isinstance(value, dict) and not _first(value, _WORDS):
            records += [
                {"table": key, "name": column, "description": words}
                for column, words in value.items()
            ]
        elif isinstance(value, dict):
            records.append({"name": key, **value})
        else:
            records.append({"name": key, "description": value})

    return records


def _lines(text: str, suffix: str) -> list[dict[str, Any]]:
    """The records of CSV or TSV, with a heading or without."""
    first = text.lstrip().partition("\n")[0]
    if suffix.lower() in (".tsv", ".tab") or "\t" in first:
        delimiter = "\t"
    else:
        # a description holds commas: what stands first divides the heading
        places = {mark: first.find(mark) for mark in ",;"}
        delimiter = min(places, key=lambda mark: places[mark] % MOST_FILE)

    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    if not rows:
        return []

    heading = [cell.strip().lower() for cell in rows[0]]
    if set(heading) & set(_WORDS) and set(heading) & {*_NAMES, *_TABLES}:
        return [dict(zip(heading, row, strict=False)) for row in rows[1:]]

    # An unquoted comma in a description: what follows belongs to it.
    return [
        {"name": row[0], "description": delimiter.join(row[1:])}
        for row in rows
        if len(row) > 1
    ]


def _words_of(record: Mapping[str, Any]) -> ColumnWords | None:
    lowered = {str(name).strip().lower(): value for name, value in record.items()}
    column = _first(lowered, _NAMES)
    words = " ".join(_first(lowered, _WORDS).split())
    if not column or not words:
        return None

    kept = clip(visible(seal_text(words)), MOST_WORDS)
    return ColumnWords(_first(lowered, _TABLES), column, kept)


def _first(record: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of these fields that says something."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value).strip()

    return ""


def match_columns(
    described: Sequence[ColumnWords], table: str, columns: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """What is said of a table's columns, by their names as the table writes them, and a
    sentence for each described column that the table does not have.
    """
    by_lower = {name.casefold(): name for name in columns}
    # A file on several tables says which; a line without one is about any.
    about = [one for one in described if one.table.casefold() in ("", table.casefold())]
    found: dict[str, str] = {}
    missing: list[str] = []
    for one in about or described:
        name = by_lower.get(one.column.casefold())
        if one.column in columns:
            found[one.column] = one.words
        elif name is not None:
            found[name] = one.words
        else:
            missing.append(
                f"{table} has no column {one.column}, so what the file says of it is "
                f"left out.{did_you_mean(one.column, columns)}"
            )

    return found, missing


def list_meanings(about: Mapping[str, str], columns: Iterable[str]) -> str:
    """`- amount: net of refunds`, a line for each of the columns that is described; at
    most `MOST_TOLD` characters.
    """
    lines: list[str] = []
    told = [name for name in columns if name in about]
    used = 0
    for number, name in enumerate(told):
        line = f"- {visible(name)}: {about[name]}"
        used += len(line) + 1
        if used > MOST_TOLD:
            lines.append(
                f"- … {len(told) - number} more columns are described: describe_table "
                "with columns tells of them"
            )
            break

        lines.append(line)

    return "\n".join(lines)
