"""Large results the fast way: the records go straight into Arrow, the envelope around
them is read with two records.

The answer is that of the exact path or none: the fast readers refuse what they cannot
prove, and then `texts.read_text` reads the whole.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from mcp_notebook.results.raw_table import Raw
from mcp_notebook.results.values import fast_json, fast_literal, fast_rows, literal

SMALL = fast_json.SMALL
_RECORDS = re.compile(r"(?:^|(?<=[\s:=>(,]))\[\s*(?=[{(\[])")
_BLANKS = re.compile(r"\s{0,255}")
_BLANKS_BEFORE_END = 4096
_TRIES = 6
_SHARE = 0.8  # of the text: what is smaller is not worth a second way
_DECODER = json.JSONDecoder()


class Cut(NamedTuple):
    """A text whose one long list is cut to its first two records, and the whole list."""

    text: str
    table: pa.Table


class _Sample(NamedTuple):
    """The source of the first two records, and of the first its value and length."""

    source: str
    first: Any
    length: int
    is_json: bool


class _Limits(NamedTuple):
    """From how many records on, and up to how many fields of records with names, the
    fast reader is the faster one.

    It prepares each column, and each name costs it a way through the text: tables of
    few rows and many columns would take the square of their width.
    """

    records: int
    fields: int


# Measured: the exact way is ten times as fast for JSON as for Python's literals.
_JSON, _PYTHON = _Limits(500, 128), _Limits(100, 400)


def cut_to_sample(text: str) -> Cut | None:
    """The text with its one long list cut to two records, and the whole list as a
    table; None to read it exactly.
    """
    if len(text) < SMALL:
        return None

    before = int(len(text) * (1 - _SHARE))
    if text.find("[", 0, before) < 0:  # as the expression would find, only slower
        return None

    for start in itertools.islice(_RECORDS.finditer(text, 0, before), _TRIES):
        cut = _cut_list(text, start.start(), start.end())
        if cut is not None:
            return cut

    return None


def _cut_list(text: str, opening: int, first: int) -> Cut | None:
    """The cut of the list whose bracket is at `opening` and whose first record is at
    `first`.
    """
    sample = _read_sample(text, first)
    if sample is None or not _is_worth_it(sample, len(text) - opening):
        return None

    if text[first] == "{":
        read_json = fast_json.read_table
    else:
        read_json = fast_rows.read_table

    # From the last on: behind the list there may be other lists, or a sentence.
    for end in _possible_ends(text):
        if end - opening < len(text) * _SHARE:
            return None

        body = text[opening:end]
        table = read_json(body)
        if table is None:
            table = fast_literal.read_table(body)

        if table is not None:
            return Cut(f"{text[:opening]}[{sample.source}]{text[end:]}", table)

    return None


def _is_worth_it(sample: _Sample, length: int) -> bool:
    if sample.is_json:
        limits = _JSON
    else:
        limits = _PYTHON

    if length < sample.length * limits.records:
        return False

    return not isinstance(sample.first, dict) or len(sample.first) <= limits.fields


def _possible_ends(text: str) -> list[int]:
    """Places after a closing bracket that may end the list, the last first."""
    ends: list[int] = []
    at = len(text)
    while len(ends) < _TRIES and (at := text.rfind("]", 0, at)) > 0:
        before = text[max(0, at - _BLANKS_BEFORE_END) : at].rstrip()
        if before.endswith(("}", ")", "]")):
            ends.append(at + 1)

    return ends


def _read_sample(text: str, at: int) -> _Sample | None:
    """The first two records of the list; None when there are no two."""
    try:
        value, end, is_json = _read_value(text, at)
        start = text.index(",", end) + 1
        blanks = _BLANKS.match(text, start)
        if blanks:
            second = blanks.end()
        else:
            second = start

        second_end = _read_value(text, second)[1]
    except (ValueError, RecursionError):
        return None

    source = f"{text[at:end]}, {text[second:second_end]}"
    return _Sample(source, value, end - at, is_json)


def _read_value(text: str, at: int) -> tuple[Any, int, bool]:
    """A value of JSON or of Python, the place behind it, and whether it is JSON."""
    try:
        return *_DECODER.raw_decode(text, at), True
    except ValueError:
        return *literal.load_at(text, at), False


def fill_sample(raws: tuple[Raw, ...], table: pa.Table) -> Raw | None:
    """The one table of the sample with all its rows; None when the sample was read as
    something else.
    """
    # Not two rows: the first was taken as a header, or the list is no rows at all.
    if len(raws) != 1 or raws[0].rows != 2:
        return None

    raw = raws[0]
    if len(raw.columns) != table.num_columns:
        return None

    # Rows are named by the envelope or not at all; records name themselves, and the
    # envelope may put their columns into another order.
    if raw.names is None or not any(table.column_names):
        columns = table.columns
    elif set(raw.names) == set(table.column_names):
        columns = [table.column(name) for name in raw.names]
    else:
        return None

    return replace(raw, columns=tuple(columns), rows=table.num_rows)
