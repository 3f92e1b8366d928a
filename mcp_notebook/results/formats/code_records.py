"""Lists of records as programs in other languages print them, with quotes or without.

With texts in quotes nothing has to be guessed: JavaScript (`util.inspect`: `[ { id: 1,
name: 'Ada' } ]`), Ruby (`[{"id"=>1, :name=>"Ada"}]`, `[{id: 1}]`), Elixir (`[%{id:
1}]`), Rust (`[Row { id: 1, name: Some("Ada") }]`) and PHP (`var_export`: `array ( 0 =>
array ( … ), )`). The whole list must be of this grammar; one word that is none of a
language's constants and nothing is taken.

Without quotes values are cut at the next name, and the table says so: Java (`[{id=1,
name=Ada}]`), Kotlin (`[Row(id=1, name=Ada)]`), Go (`[map[id:1 name:Ada]]`, `[{ID:1
Name:Ada}]`) and C# (`{ id = 1, name = Ada }` a line). A name is one that every record
has, in one order; where a record has one twice, or a lone record of Go leaves open what
is a name, there is no table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats.unquoted import decode_code_literal
from mcp_notebook.results.reading import Answer, Raw, Taken, from_rows
from mcp_notebook.results.values import json_tables, jsontext

# --- with quotes

# `{` with a JSON key behind it is left to JSON's reader.
_START = re.compile(
    r"^[ \t]{0,40}(?:\[\s*(?:%?\{(?!\s*\"(?:[^\"\\]|\\.)*\"\s*:)|"
    r"\[Object: null prototype\] \{|[A-Z]\w*\s*\{)|array \(\s*0 =>)",
    re.MULTILINE,
)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)|"""
    r"(?P<stamp>\d{4}-\d\d-\d\dT[\d:.]+Z)|"
    r"(?P<number>-?\d+(?:_\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?)n?(?![\w.])|"
    r"(?P<buffer><Buffer(?: [0-9a-f]{2})*>)|(?P<skip>\[Object: null prototype\])|"
    r"(?P<word>:?[^\W\d]\w*[?!]?)|(?P<mark>=>|%\{|[\[\]{}(),:=+]))",
    re.DOTALL,
)
# util.inspect shows a hundred items of a list.
_MORE_ITEMS = re.compile(r"\s*\.\.\. (\d+) more items?")
_CONSTANTS = {
    "null": None,
    "nil": None,
    "NULL": None,
    "None": None,
    "undefined": None,
    "true": True,
    "false": False,
    "NaN": float("nan"),
    "Infinity": float("inf"),
}
_CLOSING = {"{": "}", "%{": "}", "[": "]"}
_MAX_DEPTH = 60
_NO_LIST = "no list of records in a language's form"


class _NotCode(ValueError):
    """The text is not of this grammar."""


def read_code_records(text: str, selected: Sequence[str] = ()) -> Answer:
    """The records of the first list with quotes in a text; what stands around it is the
    rest.
    """
    may_start = "[" in text or "array (" in text
    if may_start:
        start = _START.search(text)
    else:
        start = None

    if start is None:
        return _NO_LIST

    parser = _CodeParser(text, start.start())

    try:
        value = parser.parse_value(0)
    except _NotCode as error:
        return f"{_NO_LIST}: {error}"

    rest = f"{text[: start.start()]}\n{text[parser.at :].lstrip(';')}".strip()
    if not isinstance(value, list) or not all(type(item) is dict for item in value):
        return "its list holds no records"

    raws = json_tables.tables_in(value, selected=selected)
    if isinstance(raws, str):
        return raws

    return Taken(tuple(_note_left_out(raw, parser.left_out) for raw in raws), rest=rest)


def _note_left_out(raw: Raw, count: int) -> Raw:
    """With what the printer says it left out."""
    if not count:
        return raw

    cut = f"the printed list leaves out {count:,} items"
    return replace(raw, truncated=cut, total_rows=raw.rows + count)


class _CodeParser:
    """Goes through a text once; `at` is where the next token starts."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at
        self.left_out = 0  # items that the printer left out

    def parse_value(self, depth: int) -> Any:
        kind, token = self._next_token()
        if depth > _MAX_DEPTH:
            raise _NotCode("nested too deeply")
        if kind == "mark" and token in _CLOSING:
            return self._parse_items(_CLOSING[token], depth)
        if kind == "text":
            return self._parse_joined_text(token)
        if kind == "word":
            return self._parse_word(token, depth)
        if kind == "buffer":
            return bytes.fromhex(token[len("<Buffer ") : -1])
        if kind == "stamp":
            return token  # a Date of JavaScript; dates are found later, in the column
        if kind == "number":
            return _parse_number(token)

        raise _NotCode(f"{token[:20]!r} is no value")

    def _parse_word(self, word: str, depth: int) -> Any:
        # PHP's array ( … )
        if word == "array" and self._take("("):
            return self._parse_items(")", depth)

        # Rust's Some(value)
        if word == "Some" and self._take("("):
            value = self.parse_value(depth + 1)
            self._expect(")")
            return value

        if word in _CONSTANTS:
            return _CONSTANTS[word]
        # a record of Rust or of a class in JavaScript: Row { … }
        if word[0].isupper() and self._take("{"):
            return self._parse_items("}", depth)

        raise _NotCode(f"{word[:20]!r} is no constant")

    def _parse_joined_text(self, token: str) -> str:
        """JavaScript breaks a long text into several with a plus between them."""
        pieces = [decode_code_literal(token)]
        while self._take("+"):
            kind, token = self._next_token()
            if kind != "text":
                raise _NotCode("a plus without a text")

            pieces.append(decode_code_literal(token))

        return "".join(pieces)

    def _parse_items(self, close: str, depth: int) -> Any:
        """What is in brackets: a dict when its items have keys, a list when not or when
        the keys are PHP's numbers.
        """
        keys: list[Any] = []
        values: list[Any] = []

        while not self._take(close):
            more = _MORE_ITEMS.match(self.text, self.at)
            if more:
                self.at, self.left_out = more.end(), int(more[1])
                continue

            key = self._parse_key()
            if key is not None:
                keys.append(key)

            values.append(self.parse_value(depth + 1))
            if not self._take(","):
                self._expect(close)
                break

        if not keys:
            if close == "}":
                return {}
            return values

        if len(keys) != len(values):
            raise _NotCode("some items have keys and some have none")
        if keys == list(range(len(keys))):
            return values
        if len(set(keys)) < len(keys):
            raise _NotCode("a key is there twice")

        return dict(zip(map(str, keys), values, strict=True))

    def _parse_key(self) -> str | int | None:
        """The key before `=>`, `:` or `=`, None when the item has none."""
        before = self.at
        kind, token = self._next_token()
        if kind not in ("text", "word", "number") or not self._take("=>", ":", "="):
            self.at = before
            return None

        if kind == "number":
            if token.isdecimal():
                return int(token)
            return token

        # Ruby's symbols have their colon before or behind them
        if kind == "text":
            return decode_code_literal(token)

        return token.removeprefix(":")

    def _next_token(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise _NotCode(f"{self.text[self.at : self.at + 20]!r} is no token")

        self.at = match.end()
        if match.lastgroup == "skip":
            return self._next_token()

        return match.lastgroup or "", match[match.lastgroup or 0]

    def _take(self, *marks: str) -> bool:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match["mark"] not in marks:
            return False

        self.at = match.end()

        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise _NotCode(f"no {mark} where one belongs")


def _parse_number(token: str) -> Any:
    digits = token.replace("_", "")  # Rust and Ruby may group digits
    if re.fullmatch(r"-?\d+", digits):
        # int() of a text refuses more than 4,300 digits
        return int(Decimal(digits))

    return jsontext.number(digits)


# --- without quotes

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


_JAVA = _Form(re.compile(rf"\[(\{{)({_NAME})=(?!>)"), "}, ", "}]", "=", ", ")
_GO_MAP = _Form(re.compile(rf"\[(map\[)({_NAME}):"), "] ", "]]", ":", " ")
_GO_STRUCT = _Form(re.compile(rf"\[(&?\{{)({_NAME}):(?! )"), "} ", "}]", ":", " ")
_KOTLIN = _Form(re.compile(rf"\[([A-Z]\w*\()({_NAME})="), "), ", ")]", "=", ", ")
# C# prints null as nothing.
_CSHARP = _Form(
    start=re.compile(rf"(\{{ )({_NAME}) = "),
    between=" }\n",
    end=" }",
    equals=" = ",
    separator=", ",
    nulls=(*NULL_WORDS, ""),
)


def read_bare_records(text: str, selected: Sequence[str] = ()) -> Answer:
    """The records without quotes of a whole text."""
    body = text.strip()
    for form in (_JAVA, _GO_MAP, _GO_STRUCT, _KOTLIN, _CSHARP):
        start = form.start.match(body)
        if start is None or not body.endswith(form.end):
            continue

        first = start[2] + form.equals
        inner = body[start.end() : len(body) - len(form.end)]
        pieces = inner.split(form.between + start[1] + first)
        raw = _table_of_bare_records(
            [first + piece for piece in pieces], form, selected
        )
        if isinstance(raw, str):
            return raw

        return Taken((raw,), confidence="medium")

    return "no list of records without quotes"


def _table_of_bare_records(
    records: Sequence[str], form: _Form, selected: Sequence[str]
) -> Raw | str:
    names = _common_names(records, form)
    is_selected = bool(selected) and set(names) == set(selected)
    # Go parts fields with a blank, so that `name:Ada note:x` may be one value
    is_open = form.separator == " " and len(records) == 1
    if is_open and not is_selected and records[0].count(" ") != len(names) - 1:
        return "ambiguous: one record does not tell names from values"
    if len(set(names)) < len(names):
        return "ambiguous: a name is in every record twice"

    rows: list[list[str]] = []

    for record in records:
        row = _cut_record(record, names, form)
        if row is None:
            return (
                "ambiguous: a name is in a record more than once, or in another order"
            )

        rows.append(row)

    raw = from_rows(names, rows, text="all", nulls=form.nulls)
    if is_selected:
        # Go sorts the names of a map
        columns = tuple(raw.columns[names.index(name)] for name in selected)
        raw = replace(raw, names=tuple(selected), columns=columns)

    shape = f"{form.separator}…{form.equals}"
    note = f"values are not quoted; one that holds {shape!r} would be cut"

    return raw.with_note(note, approximate=True)


def _common_names(records: Sequence[str], form: _Form) -> list[str]:
    """The names that all records have, in the order of the record with the fewest."""
    separator, equals = re.escape(form.separator), re.escape(form.equals)
    pattern = re.compile(rf"(?:^|{separator})({_NAME}){equals}")
    found = [pattern.findall(record) for record in records]
    common = set.intersection(*map(set, found))

    return [name for name in min(found, key=len) if name in common]


def _cut_record(record: str, names: Sequence[str], form: _Form) -> list[str] | None:
    """The values of one record in the order of `names`, None when one is there twice."""
    first = names[0] + form.equals
    if not record.startswith(first):
        return None

    values: list[str] = []
    rest = record[len(first) :]

    for name in names[1:]:
        mark = form.separator + name + form.equals
        value, found, rest = rest.partition(mark)
        if not found or mark in rest:
            return None

        values.append(value)

    return [*values, rest]
