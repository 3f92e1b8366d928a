"""What the notebook's server says of a table: a line in the list, and its description
with samples under the masks; what the person says of its columns (a data dictionary).
"""

from __future__ import annotations

import asyncio
import csv
import glob
import json
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcp_notebook.errors import ConfigError, DataError, ToolError, did_you_mean
from mcp_notebook.kinds import kind_of
from mcp_notebook.results.frame_view import FrameView, column_names, view_frame
from mcp_notebook.results.model_preview import preview
from mcp_notebook.secrets import seal_text
from mcp_notebook.sharing.answer import TableAnswer, to_json
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.catalog import Catalog, Entry
from mcp_notebook.sharing.engines.interface import quote
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.sources.engines import (
    is_remote,
    remote_schema,
    remote_table_of,
)
from mcp_notebook.sharing.sources.local_tables import STORED, count, sample, schema_of
from mcp_notebook.sql_words import written_name
from mcp_notebook.untrusted_text import clip, visible
from mcp_notebook.values import column_values, type_name

# A shared value at a glance: columns, rows where they are known for free, and where its
# queries run.


UNREADABLE = (DataError, pa.ArrowException, TypeError, ValueError, OSError)
"""What looking at a value raises that is no table any more, or none that can be read."""

_WORDS = {
    "file": "a file",
    "dataset": "an Arrow dataset",
    "lazy": "a lazy Polars frame",
    "reader": "an Arrow stream",
    "relation": "a DuckDB relation",
    "ibis": "an Ibis table",
    "spark": "a Spark DataFrame",
}
_DUCKDB = "write DuckDB SQL"


@dataclass(frozen=True)
class Look:
    """What listing a table says. `rows` is None when counting would cost a query;
    `where` is "" in memory.
    """

    schema: pa.Schema
    rows: int | None
    what: str = ""
    where: str = ""

    @property
    def said(self) -> str:
        """What the table is, when it is no frame in memory: "a Spark DataFrame, queried
        on Spark".
        """
        if self.where:
            return f"{self.what}, queried {self.where}"

        return self.what


def look(value: Any) -> Look:
    """Columns, rows and place of a shared value, without a job on another engine;
    raises `DataError`.
    """
    kind = kind_of(value)
    what = _WORDS.get(kind or "", "")
    if is_remote(value):
        place = remote_table_of(value)
        if place.dialect == "duckdb":
            how = _DUCKDB
        else:
            how = f"{_DUCKDB}, which is translated to {place.name}'s"

        return Look(remote_schema(place), None, what, f"on {place.name}: {how}")

    if kind == "near":
        what = f"an Ibis table on {value.name}"

    if kind in STORED:
        return Look(schema_of(value), count(value), what)

    held = snapshot(value)
    return Look(to_arrow(held, rows=50)[0].schema, held.rows, what)


def measure(value: Any) -> tuple[str, int | None, list[str]]:
    """What a shared value is, its rows, and its columns: for a list of many tables, in
    which no frame is converted. Raises `DataError`.
    """
    if kind_of(value) == "frame":
        return type(value).__name__, len(value), column_names(value)

    seen = look(value)
    return seen.what or type(value).__name__, seen.rows, seen.schema.names


def tell_table(value: Any, name: str, entry: Entry | None, masks: Masks) -> str:
    """`NAME(column type, column type)` and what the person said of the table and its
    columns, for the words on a table that a question names. Raises `DataError`.
    """
    lines = [f"{written_name(name)}({schema_text(value)})"]
    if entry is None:
        return lines[0]

    about = masks.hide_text(entry.description)
    meanings = masks.hide_text(list_meanings(entry.meanings, entry.meanings))
    lines += [f"what it holds: {about}"] if about else []
    lines += ["what its columns mean:", meanings] if meanings else []
    return "\n".join(lines)


def schema_text(value: Any) -> str:
    """`column type, column type`; an index that is data follows. Raises `DataError`."""
    if kind_of(value) == "frame":
        return _frame_text(value)

    seen = look(value)
    columns = ", ".join(f"{field.name} {field.type}" for field in seen.schema)
    if seen.said:
        return f"{columns}; {seen.said}"

    return columns


def _frame_text(frame: Any) -> str:
    """pandas' own words for its types; of a column that a result gave the type that it
    has in SQL.
    """
    view = view_frame(frame)
    schema = view.table(rows=50)[0].schema
    words = [_type_word(view, at, field.type) for at, field in enumerate(schema)]
    named = [
        f"{written_name(name)} {word}"
        for name, word in zip(schema.names, words, strict=True)
    ]
    columns = ", ".join(named[view.levels :])
    if not view.levels:
        return columns

    level_names = map(written_name, view.names[: view.levels])
    levels = [
        f"{name} ({word})" for name, word in zip(level_names, words, strict=False)
    ]
    return f"{columns}, its index: {', '.join(levels)}"


def _type_word(view: FrameView, at: int, type_: pa.DataType) -> str:
    dtype = view.frame.dtypes.iloc[at]
    if view.is_retyped(at) or dtype.kind == "O":
        return type_name(type_)

    return str(dtype)


LISTING_BYTES = 20_000
SAMPLE_ROWS = 5
LISTED_WORDS = 80  # characters on one column's meaning in the list

Ask = Callable[[str, int], Awaitable[TableAnswer]]


def summary(catalog: Catalog, entry: Entry, masks: Masks) -> list[Any]:
    """Name, rows, columns with types, and where it comes from; a value that is no table
    any more says so.
    """
    try:
        seen = look(catalog.resolve(entry.name))
    except UNREADABLE as error:
        return [entry.name, None, "", f"cannot be read now: {error}"]

    hidden = set(masks.for_entry(entry).columns(seen.schema.names))
    columns = ", ".join(
        f"{f.name} {f.type}{_remark(f.name, entry, masks, hidden)}" for f in seen.schema
    )
    about = [
        masks.hide_text(entry.description)
        or ("result" if entry.origin == "result" else "shared"),
        seen.said,
    ]
    return [entry.name, seen.rows, columns, "; ".join(filter(None, about))]


def _remark(name: str, entry: Entry, masks: Masks, hidden: set[str]) -> str:
    """`(masked; what it means)` behind a column in the list, cut to a few words."""
    words = ["masked"] if name in hidden else []
    if name in entry.meanings:
        words.append(masks.hide_text(clip(entry.meanings[name], LISTED_WORDS)))

    return f" ({'; '.join(words)})" if words else ""


def describe_here(
    value: object, name: str, masks: Masks, columns: Sequence[str] = ()
) -> tuple[str, list[list[Any]]]:
    """`describe` for a model; raises `ToolError`."""
    try:
        return describe(value, name, masks, columns)
    except DataError as error:
        raise ToolError(error.message) from error


def describe(
    value: object, name: str, masks: Masks, columns: Sequence[str] = ()
) -> tuple[str, list[list[Any]]]:
    """The preview of a table as text, and name, type, nulls, whether masked, and first
    values of each column; with `columns` of those alone, by name or pattern.
    """
    table, notes = to_arrow(snapshot(value))
    said = _say_choice(table.column_names, columns)
    table = table.select(_choose(table.column_names, columns))
    notes = [*said, *notes]
    hidden = masks.columns(table.column_names)
    sample = masks.apply(table.slice(0, SAMPLE_ROWS), name)
    fields = [
        [
            field.name,
            str(field.type),
            table.column(i).null_count,
            field.name in hidden,
            None
            if field.name in hidden
            else _sample_words(column_values(sample.column(i))),
        ]
        for i, field in enumerate(table.schema)
    ]
    shown = masks.inside(table, name)
    return preview(
        shown, name, mask=(*masks.patterns, *map(glob.escape, hidden)), notes=notes
    ), fields


def _choose(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The places of the columns that were asked for; raises `ToolError` without any."""
    patterns = [pattern.casefold() for pattern in wanted]
    found = [
        at
        for at, name in enumerate(names)
        if not patterns or any(fnmatchcase(name.casefold(), p) for p in patterns)
    ]
    if not found and wanted:
        raise ToolError(
            f"No column is called {', '.join(wanted)}.{did_you_mean(wanted[0], names)} "
            "A * stands for any letters."
        )

    return found


def _say_choice(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    if not wanted:
        return []

    return [f"only the columns asked for, of {len(names)}"]


async def describe_elsewhere(
    value: object, name: str, masks: Masks, ask: Ask, columns: Sequence[str] = ()
) -> tuple[str, list[list[Any]]]:
    """A table that is not in memory: its columns, and what its first rows show; it is
    not counted for that.

    `ask` answers SQL within seconds. Raises `ToolError`.
    """
    try:
        seen = await asyncio.to_thread(look, value)
        if is_remote(value):
            first_rows = f"SELECT * FROM {quote(name)} LIMIT {SAMPLE_ROWS}"  # noqa: S608
            rows = (await ask(first_rows, SAMPLE_ROWS)).data
        else:
            rows = masks.apply(
                await asyncio.to_thread(sample, value, SAMPLE_ROWS), name
            )
    except DataError as error:
        raise ToolError(error.message) from error

    hidden = masks.columns(seen.schema.names)
    wanted = _choose(seen.schema.names, columns)
    chosen = {seen.schema.names[at] for at in wanted}
    rows = rows.select([n for n in rows.column_names if not columns or n in chosen])
    shown = preview(
        rows, name, mask=(*masks.patterns, *map(glob.escape, hidden))
    ).partition("\n")[2]
    head = f"{name}: {count_words(seen.rows)} × {len(seen.schema)} columns; query it by that name"
    about = f"{seen.said}; what follows is of its first {rows.num_rows} rows"
    values = dict(
        zip(
            rows.column_names,
            map(column_values, rows.columns),
            strict=True,
        )
    )
    fields = [
        [
            f.name,
            str(f.type),
            None,
            f.name in hidden,
            None if f.name in hidden else _sample_words(values.get(f.name, [])),
        ]
        for f in seen.schema
        if not columns or f.name in chosen
    ]
    return f"{head}\n{about}\n{shown}", fields


def _sample_words(values: Sequence[Any]) -> str | None:
    return (
        " | ".join(str(to_json(value))[:60] for value in values if value is not None)
        or None
    )


def count_words(rows: int | None) -> str:
    """`1,234 rows`, or that they were not counted."""
    if rows is None:
        return "rows not counted"

    return f"{rows:,} row{'' if rows == 1 else 's'}"


def list_lines(listed: Sequence[Sequence[Any]]) -> Iterator[str]:
    """A line for each table's summary, within `LISTING_BYTES`."""
    used = 0
    for number, (name, rows, columns, about) in enumerate(listed):
        line = (
            f"{name} ({about}{f', {count_words(rows)}' if columns else ''}): {columns}"
        )
        used += len(line.encode())
        if used > LISTING_BYTES:
            yield f"… and {len(listed) - number} more tables; describe_table describes each"
            return

        yield line


# A data dictionary: what the columns of a table mean, in the person's own words, read
# from a file and told with the table.

MOST_FILE = 1_000_000  # bytes: a dictionary is written by hand
MOST_WORDS = 300  # characters on one column
MOST_TOLD = 6_000  # characters on all columns of one table
# How files head their columns; the first of each that is there counts.
_NAME_FIELDS = ("column", "name", "field", "variable", "column_name", "field_name")
_WORD_FIELDS = ("description", "about", "meaning", "label", "comment", "definition")
_TABLE_FIELDS = ("table", "table_name")
_DICTIONARY_FORM = (
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
            f"dictionary: {_DICTIONARY_FORM}."
        )

    text = path.read_bytes().decode("utf-8-sig", "replace")
    records = _json_records(text, name) if _is_json(text) else _lines(text, path.suffix)
    found = [one for record in records if (one := _words_of(record)) is not None]
    if not found:
        raise ConfigError(f"{name} describes no column: {_DICTIONARY_FORM}.")

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
        if isinstance(value, dict) and not _first(value, _WORD_FIELDS):
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
    if set(heading) & set(_WORD_FIELDS) and set(heading) & {
        *_NAME_FIELDS,
        *_TABLE_FIELDS,
    }:
        return [dict(zip(heading, row, strict=False)) for row in rows[1:]]

    # An unquoted comma in a description: what follows belongs to it.
    return [
        {"name": row[0], "description": delimiter.join(row[1:])}
        for row in rows
        if len(row) > 1
    ]


def _words_of(record: Mapping[str, Any]) -> ColumnWords | None:
    lowered = {str(name).strip().lower(): value for name, value in record.items()}
    column = _first(lowered, _NAME_FIELDS)
    words = " ".join(_first(lowered, _WORD_FIELDS).split())
    if not column or not words:
        return None

    kept = clip(visible(seal_text(words)), MOST_WORDS)
    return ColumnWords(_first(lowered, _TABLE_FIELDS), column, kept)


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
