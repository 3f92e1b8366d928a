"""Records as languages print them without quotes: values are cut at the next name, and
the table says so.

Java (`[{id=1, name=Ada}]`), Kotlin (`[Row(id=1, name=Ada)]`), Go (`[map[id:1
name:Ada]]`, `[{ID:1 Name:Ada}]`) and C# (`{ id = 1, name = Ada }` a line). A name is
one that every record has, in one order; where a record has one twice, or a lone record
of Go leaves open what is a name, there is no table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows

_NAME = r"[^\W\d][\w.$]*"


class _Form(NamedTuple):
    """How a language begins, parts and ends a list of records, and writes names."""

    # its first group is what goes before each record, its second the first name
    start: re.Pattern[str]
    between: str
    end: str
    equals: str
    separator: str
    nulls: tuple[str, ...] = (*NULL_WORDS, "<nil>")


_FORMS = (
    _Form(re.compile(rf"\[(\{{)({_NAME})=(?!>)"), "}, ", "}]", "=", ", "),
    _Form(re.compile(rf"\[(map\[)({_NAME}):"), "] ", "]]", ":", " "),
    _Form(re.compile(rf"\[(&?\{{)({_NAME}):(?! )"), "} ", "}]", ":", " "),
    _Form(re.compile(rf"\[([A-Z]\w*\()({_NAME})="), "), ", ")]", "=", ", "),
    _Form(
        re.compile(rf"(\{{ )({_NAME}) = "), " }\n", " }", " = ", ", ", (*NULL_WORDS, "")
    ),
)


def read(text: str, selected: Sequence[str] = ()) -> Answer:
    """The records of a whole text."""
    body = text.strip()
    for form in _FORMS:
        start = form.start.match(body)
        if start is None or not body.endswith(form.end):
            continue
        opening = start[1] + start[2] + form.equals
        inner = body[start.end() : len(body) - len(form.end)]
        records = [
            start[2] + form.equals + record
            for record in inner.split(form.between + opening)
        ]
        answer = _table(records, form, selected)
        if not isinstance(answer, str):
            return Taken((answer,), confidence="medium")
        return answer
    return "no list of records without quotes"


def _table(records: Sequence[str], form: _Form, selected: Sequence[str]) -> Raw | str:
    names = _names(records, form)
    known = bool(selected) and set(names) == set(selected)
    if (
        not known
        and form.separator == " "
        and len(records) == 1
        and _leaves_open(records[0], names, form)
    ):
        return "ambiguous: one record does not tell names from values"
    if len(set(names)) < len(names):
        return "ambiguous: a name is in every record twice"
    rows = [_row(record, names, form) for record in records]
    if None in rows:
        return "ambiguous: a name is in a record more than once, or in another order"
    raw = from_rows(names, [row for row in rows if row], text="all", nulls=form.nulls)
    if known:
        raw = from_rows(selected, list(zip(*(raw.columns[names.index(name)] for name in selected), strict=True)),
                        text="all", nulls=raw.nulls)  # fmt: skip
    note = f"values are not quoted; one that holds {form.separator + '…' + form.equals!r} would be cut"
    return raw.noted(note, approximate=True)


def _names(records: Sequence[str], form: _Form) -> list[str]:
    """The names that all records have, in the order of the record with the fewest."""
    pattern = re.compile(
        rf"(?:^|{re.escape(form.separator)})({_NAME}){re.escape(form.equals)}"
    )
    found = [pattern.findall(record) for record in records]
    common = set.intersection(*map(set, found))
    return [name for name in min(found, key=len) if name in common]


def _leaves_open(record: str, names: Sequence[str], form: _Form) -> bool:
    """Whether a value has a space, so that what follows it may be a part of it."""
    return record.count(form.separator) != len(names) - 1


def _row(record: str, names: Sequence[str], form: _Form) -> list[str] | None:
    if not record.startswith(names[0] + form.equals):
        return None
    values, rest = [], record[len(names[0]) + len(form.equals) :]
    for name in names[1:]:
        mark = form.separator + name + form.equals
        value, found, rest = rest.partition(mark)
        if not found or mark in rest:
            return None
        values.append(value)
    return [*values, rest]
