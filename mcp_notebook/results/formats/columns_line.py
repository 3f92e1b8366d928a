"""Rows below a line that names their columns: `Columns: [...]`, and the annotations of
InfluxDB's CSV.
"""

from __future__ import annotations

import re

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import records
from mcp_notebook.results.raw_table import Answer, Taken, from_rows
from mcp_notebook.results.values import literal

_COLUMNS = re.compile(
    r"(?:^|\n)[ \t]*(?:columns?|fields|headers?|column names)\s*[:=]\s*(\[.*?\]|\(.*?\))[ \t]*(?:\r?\n|$)",
    re.IGNORECASE,
)
_FLUX = {
    "string": "text",
    "long": "bigint",
    "unsignedLong": "bigint",
    "double": "double",
    "boolean": "boolean",
}
_NULLS = (*NULL_WORDS, "")


def read(text: str) -> Answer:
    """`Columns: ['id', 'name']` and then rows whose values are joined with commas, unquoted."""
    found = _COLUMNS.search(text)
    if found is None:
        return "no line of column names"
    try:
        names = literal.loads(found[1])
    except ValueError as error:
        return f"its column names cannot be read: {error}"
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(name, str) for name in names)
    ):
        return "its column names are not texts"
    lines = [line for line in text[found.end() :].splitlines() if line.strip()]
    lines = (
        lines[1:]
        if lines
        and re.fullmatch(r"\W*(?:rows|data|results?)\W*", lines[0], re.IGNORECASE)
        else lines
    )
    separator = ", " if any(", " in line for line in lines) else ","
    rows = [line.split(separator) for line in lines]
    if any(len(row) != len(names) for row in rows):
        return "ambiguous: rows do not have as many values as there are columns; a value may hold a comma or a line break"
    raw = from_rows(names, rows, text="all", nulls=_NULLS)
    if rows and len(names) > 1:
        raw = raw.noted(
            "values are not quoted; a comma inside one would have been taken for a separator"
        )
    return Taken((raw,), rest=text[: found.start()].strip(), confidence="medium")


def annotated(body: str) -> Answer:
    """InfluxDB's CSV: lines of annotations, then rows whose first cell is empty; one
    table of it.
    """
    lines = [line for line in records.END.split(body) if line.strip()]
    kinds = next(
        (line.split(",")[1:] for line in lines if line.startswith("#datatype,")), []
    )
    found = records.read(
        "\n".join(line for line in lines if not line.startswith("#")), ","
    )
    if (
        found is None
        or len({len(row) for row in found}) != 1
        or any(row[0] for row in found)
    ):
        return "ambiguous: several tables of annotated CSV, or rows of different widths"
    names, *rows = [row[1:] for row in found]
    known = tuple(_FLUX.get(kind) for kind in kinds) if len(kinds) == len(names) else ()
    return Taken(
        (
            from_rows(
                [name or "" for name in names],
                rows,
                text="all",
                nulls=_NULLS,
                declared=known,
            ),
        )
    )
