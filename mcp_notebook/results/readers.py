"""Every reader of a text format, in the order in which they are asked, and why so.

A reader is a function `read(text, selected)`: the text of a result and the columns that
the statement selects (empty when unknown). It returns `Taken` (tables and what is left
over), `FoundValue` (a value whose tables are looked for as in structured content), or
the reason why the text is not of its format. The first that takes a text wins, so the
order is the precedence: strict formats, which prove themselves by their marks, stand
before those that are recognized by nothing but their shape.

A package adds readers of its own through an entry point of the group
`mcp_notebook.readers` that names one `FormatReader` or a list of them:

    [project.entry-points."mcp_notebook.readers"]
    acme = "acme_results.readers:READERS"

`MCP_NOTEBOOK_READERS_OFF=languages,acme` leaves entries out, by their names.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mcp_notebook.results.formats import (
    boxes,
    delimited,
    indented,
    light_markup,
    printed_frames,
    row_lines,
    ruled,
    spaced,
    tagged,
    vertical,
)
from mcp_notebook.results.reading import Raw, Taken, from_records, from_rows
from mcp_notebook.results.values import jsontext, literal

__all__ = [
    "FormatReader",
    "FoundValue",
    "Raw",
    "Taken",
    "all_readers",
    "find_python",
    "from_records",
    "from_rows",
    "parse_python",
]

log = logging.getLogger(__name__)
GROUP = "mcp_notebook.readers"
SWITCHED_OFF = "MCP_NOTEBOOK_READERS_OFF"

# Our own entry: what other languages print comes through the same door as a company's
# readers. It stands here and not in the package's metadata, so that a checkout reads
# the same as an installation.
OWN_ENTRIES = (
    importlib.metadata.EntryPoint(
        "languages", "mcp_notebook.results.formats.exports:READERS", GROUP
    ),
)

_BARE_CALLS = re.compile(r"\[[A-Z]\w*\(\w+=")
_PYTHON_STARTS = ("[{", "[(", "[[", "{'", "((", "[]")
_LINES_SEARCHED = 40


class FoundValue(NamedTuple):
    """A value of JSON or Python among prose: `rest` is the text around it, `no_table`
    the reason when it holds no table, `lone_record` whether a single object is one row
    (among prose it is more often a parameter that the text speaks of).
    """

    value: Any
    rest: str
    no_table: str
    lone_record: bool = True


ReaderAnswer = Taken | FoundValue | str


@dataclass(frozen=True)
class FormatReader:
    """One format: the name that `explain` shows, its function, and why it stands where
    it stands.

    `position` is for readers that an entry point adds: "first", "last", "before NAME"
    or "after NAME", where NAME is another reader's.
    """

    name: str
    read: Callable[[str, Sequence[str]], ReaderAnswer]
    why: str
    position: str = "last"


def parse_python(text: str) -> jsontext.Parsed | str:
    """A whole text that is one Python literal of brackets, else the reason."""
    if not text.lstrip("\ufeff \t\r\n").startswith(("[", "{", "(")):
        return "does not start with a bracket"

    body = text.strip("\ufeff \t\r\n")
    try:
        value = literal.loads(body)
    except (ValueError, RecursionError, MemoryError) as error:
        return f"no Python literal: {str(error)[:80]}"

    # Kotlin's [Row(id=1, name=Ada)] looks like calls of Python, but quotes no text:
    # the literal's reader then keeps the whole call as a text.
    if isinstance(value, list) and _BARE_CALLS.match(body):
        if any(type(item) is str for item in value):
            return "calls whose values are not Python's"

    return jsontext.Parsed(value)


def find_python(text: str) -> jsontext.Parsed | str:
    """A Python literal that begins a line of its own below or above prose, else the
    reason.
    """
    lines = text.splitlines(keepends=True)
    at = 0
    for number, line in enumerate(lines[:_LINES_SEARCHED]):
        if line.lstrip().startswith(_PYTHON_STARTS):
            # a literal of many lines reaches to the end, one of a line has prose below
            for end in (len(lines), number + 1):
                parsed = parse_python("".join(lines[number:end]))
                if not isinstance(parsed, str):
                    rest = (text[:at] + "".join(lines[end:])).strip()
                    return parsed._replace(rest=rest, whole=False)

        at += len(line)

    return "no Python literal at the start of a line"


def _read_json_in_text(text: str, selected: Sequence[str]) -> FoundValue | str:
    parsed = jsontext.parse_inside(text)
    if isinstance(parsed, str):
        return parsed

    return FoundValue(
        parsed.value,
        parsed.rest,
        no_table="its JSON holds no table",
        lone_record=bool(selected),
    )


def _read_python_in_text(text: str, selected: Sequence[str]) -> FoundValue | str:
    parsed = find_python(text)
    if isinstance(parsed, str):
        return parsed
    return FoundValue(parsed.value, parsed.rest, no_table="its literal holds no table")


def _without_selected(
    read: Callable[[str], ReaderAnswer],
) -> Callable[[str, Sequence[str]], ReaderAnswer]:
    """The one signature for a reader to which the statement's columns say nothing."""

    def read_text(text: str, selected: Sequence[str]) -> ReaderAnswer:
        return read(text)

    return read_text


_CORE_READERS = (
    FormatReader(
        "lines of one column",
        delimited.read_selected_column,
        "only when the first line is exactly the one column of the statement; "
        "before all whose marks a value of that column may hold: rules, JSON, "
        "commas",
    ),
    FormatReader(
        "html",
        _without_selected(tagged.read_html),
        "proved by <table>; before xml, since well-formed HTML is XML as well",
    ),
    FormatReader(
        "wiki",
        _without_selected(light_markup.read_wiki),
        "proved by marks of its own; before printed frames, as its padded rows are "
        "lines of one length",
    ),
    FormatReader(
        "markdown",
        _without_selected(light_markup.read_markdown),
        "before aligned tables: `a | b` above `--|--` is both, and here a cell may "
        "hold an escaped bar",
    ),
    FormatReader(
        "boxed table",
        _without_selected(boxes.read_boxes),
        "proved by corners; before columns between blanks, which the cells of a box "
        "are too",
    ),
    FormatReader(
        "aligned table",
        ruled.read_ruled,
        "before printed frames, JSON in text, csv and blanks: its rows may be lines "
        "of one length, and its cells hold JSON, commas and gaps",
    ),
    FormatReader(
        "row lines",
        _without_selected(row_lines.read_row_lines),
        "before vertical, the columns line, and JSON or Python in text: each row is "
        "a literal by itself, and the lines above may name the columns",
    ),
    FormatReader(
        "vertical",
        _without_selected(vertical.read_vertical),
        "before YAML: `- name: x` in paragraphs is a record each; before JSON in "
        "text, which a value may be",
    ),
    FormatReader(
        "toon",
        _without_selected(indented.read_toon),
        "proved by `items[2]{id,name}:`, which no other reader takes: its place is "
        "free",
    ),
    FormatReader(
        "yaml",
        _without_selected(indented.read_yaml),
        "proved by a list of mappings; before printed frames, as its lines may be "
        "of one length",
    ),
    FormatReader(
        "printed frame",
        _without_selected(printed_frames.read_printed_frame),
        "recognized by lines of one length alone, so after all formats with marks; "
        "before csv and blanks, since it knows pandas' index and its dots",
    ),
    FormatReader(
        "xml",
        _without_selected(tagged.read_xml),
        "after html, whose tables are XML as well; beyond that its place is free",
    ),
    FormatReader(
        "json in text",
        _read_json_in_text,
        "after the formats of whole texts, whose cells may hold JSON at the start "
        "of a line; before Python, whose literals JSON's lists nearly are",
    ),
    FormatReader(
        "python in text",
        _read_python_in_text,
        "after JSON in text; before csv, since a literal has commas",
    ),
    FormatReader(
        "columns line",
        _without_selected(delimited.read_columns_line),
        "after row lines, for whose rows of literals the same line names the "
        "columns; before csv, since the line itself has commas",
    ),
    FormatReader(
        "csv",
        delimited.read_csv,
        "nearly the last: commas are in every text, so it needs that nothing else "
        "took it; before blanks, since tabs make columns on a screen, too",
    ),
    FormatReader(
        "blanks",
        _without_selected(spaced.read_columns_between_blanks),
        "the last: columns that nothing but blanks holds apart are a guess",
    ),
)


@functools.cache
def all_readers() -> tuple[FormatReader, ...]:
    """The readers in the order in which they are asked; entry points are loaded once,
    with the first text that needs them.
    """
    off = {name.strip() for name in os.environ.get(SWITCHED_OFF, "").split(",")}
    readers = list(_CORE_READERS)
    for entry in _entries():
        if entry.name in off:
            continue

        for reader in _load_entry(entry):
            _insert(readers, reader, entry)

    return tuple(readers)


def _entries() -> list[importlib.metadata.EntryPoint]:
    """Our own, then those of installed packages by name, so that the order does not
    depend on the disk.
    """
    installed = importlib.metadata.entry_points(group=GROUP)
    return [*OWN_ENTRIES, *sorted(installed, key=lambda entry: entry.name)]


def _load_entry(entry: importlib.metadata.EntryPoint) -> list[FormatReader]:
    """The readers of one entry point; a broken one is named in a warning and has none."""
    try:
        loaded = entry.load()
    except Exception as error:
        # boundary: another package's code, which may fail in any way
        _warn(entry, f"cannot be loaded: {type(error).__name__}: {error}")
        return []

    if isinstance(loaded, Iterable):
        items = list(loaded)
    else:
        items = [loaded]

    if not all(isinstance(item, FormatReader) for item in items):
        _warn(entry, "is neither a FormatReader nor a list of them")
        return []

    return [replace(item, read=_guard_read(item)) for item in items]


def _guard_read(reader: FormatReader) -> Callable[[str, Sequence[str]], ReaderAnswer]:
    """A reader that was added: when it fails, or answers with something else, it has
    not taken the text, and the next is asked.
    """

    def read_text(text: str, selected: Sequence[str]) -> ReaderAnswer:
        try:
            answer = reader.read(text, selected)
        except Exception as error:
            # boundary: a reader of another package must not cost the result
            log.exception("the reader %r failed", reader.name)
            return f"its reader failed: {type(error).__name__}: {str(error)[:80]}"

        if isinstance(answer, (Taken, FoundValue, str)):
            return answer

        return f"its reader returned a {type(answer).__name__}"

    return read_text


def _insert(
    readers: list[FormatReader],
    reader: FormatReader,
    entry: importlib.metadata.EntryPoint,
) -> None:
    """Puts a reader at its position; one that names none is skipped with a warning."""
    names = [each.name for each in readers]
    if reader.name in names:
        _warn(entry, f"has a reader {reader.name!r}, and there is one of that name")
        return

    where, _, neighbour = reader.position.partition(" ")
    if where in ("before", "after") and neighbour in names:
        index = names.index(neighbour) + (where == "after")
    elif reader.position == "first":
        index = 0
    elif reader.position == "last":
        index = len(readers)
    else:
        _warn(
            entry, f"has a reader {reader.name!r} at no position: {reader.position!r}"
        )
        return

    readers.insert(index, reader)


def _warn(entry: importlib.metadata.EntryPoint, problem: str) -> None:
    message = f"the readers {entry.name!r} ({entry.value}) are not used: it {problem}"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
