"""Large results the fast way: the records go straight into Arrow, the envelope around
them is read with two records.

The answer is that of the exact path or none: the fast readers refuse what they cannot
prove, and then `texts.read` reads the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from mcp_notebook.results.raw_table import Raw
from mcp_notebook.results.values import fast_json, fast_literal, fast_rows, literal

SMALL = fast_json.SMALL
_RECORDS = re.compile(r"(?:^|(?<=[\s:=>(,]))\[\s*(?=[{(\[])")
_TRIES = 6
_SHARE = 0.8  # of the text: what is smaller is not worth a second way
_DECODER = json.JSONDecoder()

Read = Callable[[str], tuple[Raw, ...]]


def columns(text: str) -> tuple[str, pa.Table] | None:
    """The text with its one long list cut to two records, and the whole list as a
    table; None to read it exactly.
    """
    if len(text) < SMALL:
        return None
    before = int(len(text) * (1 - _SHARE))
    for number, start in enumerate(
        _RECORDS.finditer(text, 0, before) if text.find("[", 0, before) >= 0 else ()
    ):
        if number >= _TRIES:
            return None
        found = _cut(text, start.start(), start.end())
        if found is not None:
            return found
    return None


def _cut(text: str, opening: int, first: int) -> tuple[str, pa.Table] | None:
    sample = _two(text, first)
    if sample is None:
        return None
    for end in _ends(text):
        if end - opening < len(text) * _SHARE:
            return None
        body = text[opening:end]
        table = fast_json.table(body) if text[first] == "{" else fast_rows.table(body)
        table = table if table is not None else fast_literal.table(body)
        if table is not None:
            return f"{text[:opening]}[{sample}]{text[end:]}", table
    return None


def _ends(text: str) -> list[int]:
    """Places after a closing bracket that may end the list, the last first."""
    ends = []
    at = len(text)
    while len(ends) < _TRIES and (at := text.rfind("]", 0, at)) > 0:
        if (
            text[:at].rstrip()[-1:] in ("}", ")", "]")
            if at < 4096
            else text[at - 4096 : at].rstrip()[-1:] in ("}", ")", "]")
        ):
            ends.append(at + 1)
    return ends


def _two(text: str, at: int) -> str | None:
    """The source of the first two records."""
    try:
        end = _end(text, at)
        comma = text.index(",", end)
        second = (
            comma
            + 1
            + len(text[comma + 1 : comma + 256])
            - len(text[comma + 1 : comma + 256].lstrip())
        )
        return f"{text[at:end]}, {text[second : _end(text, second)]}"
    except (ValueError, RecursionError):
        return None


def _end(text: str, at: int) -> int:
    try:
        return _DECODER.raw_decode(text, at)[1]
    except ValueError:
        return literal.end_of_value(text, at)


def filled(raws: tuple[Raw, ...], table: pa.Table) -> Raw | None:
    """The one table of the sample with all its rows; None when the sample was read as
    something else.
    """
    if len(raws) != 1 or raws[0].rows != 2:
        return None
    raw = raws[0]
    if raw.names is None or not any(table.column_names):
        same = len(raw.columns) == table.num_columns
        return (
            replace(raw, columns=tuple(table.columns), rows=table.num_rows)
            if same
            else None
        )
    if set(raw.names) != set(table.column_names) or len(raw.names) != table.num_columns:
        return None
    return replace(
        raw,
        columns=tuple(table.column(name) for name in raw.names),
        rows=table.num_rows,
    )
