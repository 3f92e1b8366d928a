"""Lists of records as other languages print them, with texts in quotes: nothing has to be guessed.

JavaScript (`util.inspect`: `[ { id: 1, name: 'Ada' } ]`), Ruby (`[{"id"=>1,
:name=>"Ada"}]`, `[{id: 1}]`), Elixir (`[%{id: 1}]`), Rust (`[Row { id: 1, name:
Some("Ada") }]`) and PHP (`var_export`: `array ( 0 => array ( … ), )`). The whole list
must be of this grammar; one word that is none of a language's constants and nothing is
taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from mcp_notebook.results.raw_table import Answer, Raw, Taken
from mcp_notebook.results.values import json_tables, jsontext

_START = re.compile(
    r"^[ \t]{0,40}(?:\[\s*(?:%?\{(?!\s*\"(?:[^\"\\]|\\.)*\"\s*:)|"
    r"\[Object: null prototype\] \{|[A-Z]\w*\s*\{)|array \(\s*0 =>)",
    re.MULTILINE,
)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)|"""
    r"(?P<stamp>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<number>-?\d+(?:_\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?)n?(?![\w.])|"
    r"(?P<buffer><Buffer(?: [0-9a-f]{2})*>)|(?P<skip>\[Object: null prototype\])|"
    r"(?P<word>:?[^\W\d]\w*[?!]?)|(?P<mark>=>|%\{|[\[\]{}(),:=+]))",
    re.DOTALL,
)
_MORE = re.compile(r"\s*\.\.\. (\d+) more items?")
_WORDS = {"null": None, "nil": None, "NULL": None, "None": None, "undefined": None, "true": True, "false": False,
          "NaN": float("nan"), "Infinity": float("inf")}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL
)
_LETTERS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "e": "\x1b",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
}
_CLOSES = {"{": "}", "%{": "}", "[": "]", "(": ")"}
_DEPTH = 60


class _NotCode(ValueError):
    """The text is not of this grammar."""


def read(text: str, selected: Sequence[str] = ()) -> Answer:
    """The records of the first such list of a text; what stands around it is the rest."""
    start = _START.search(text) if "[" in text or "array (" in text else None
    if start is None:
        return "no list of records in a language's form"
    reader = _Reader(text, start.start())
    try:
        value = reader.value(0)
    except _NotCode as error:
        return f"no list of records in a language's form: {error}"
    rest = f"{text[: start.start()]}\n{text[reader.at :].lstrip(';')}".strip()
    if not isinstance(value, list) or not all(type(item) is dict for item in value):
        return "its list holds no records"
    raws = json_tables.tables_in(value, selected=selected)
    if isinstance(raws, str):
        return raws
    return Taken(tuple(_cut(raw, reader.more) for raw in raws), rest=rest)


def _cut(raw: Raw, more: int) -> Raw:
    """With what the printer says it left out."""
    if not more:
        return raw
    return replace(
        raw,
        truncated=f"the printed list leaves out {more:,} items",
        total_rows=raw.rows + more,
    )


class _Reader:
    """Goes through a text once; `at` is where the next token starts."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at
        self.more = 0  # items that the printer left out

    def value(self, depth: int) -> Any:
        kind, token = self._next()
        if depth > _DEPTH:
            raise _NotCode("nested too deeply")
        if kind == "mark" and token in _CLOSES and token != "(":  # noqa: S105  (a bracket)
            return self._items(_CLOSES[token], depth)
        if kind == "text":
            return self._joined(decoded(token))
        if kind == "word":
            return self._word(token, depth)
        if kind in ("number", "buffer", "stamp"):
            return _plain(kind, token)
        raise _NotCode(f"{token[:20]!r} is no value")

    def _word(self, word: str, depth: int) -> Any:
        if word == "array" and self._take("("):
            return self._items(")", depth)
        if word == "Some" and self._take("("):
            value = self.value(depth + 1)
            self._expect(")")
            return value
        if word[0].isupper() and word not in _WORDS and self._take("{"):
            return self._items("}", depth)
        if word not in _WORDS:
            raise _NotCode(f"{word[:20]!r} is no constant")
        return _WORDS[word]

    def _joined(self, text: str) -> str:
        """JavaScript breaks a long text into several with a plus between them."""
        parts = [text]
        while self._take("+"):
            kind, token = self._next()
            if kind != "text":
                raise _NotCode("a plus without a text")
            parts.append(decoded(token))
        return "".join(parts)

    def _items(self, close: str, depth: int) -> Any:
        """What is in brackets: a dict when its items have keys, a list when not or when
        the keys are PHP's numbers.
        """
        keys: list[Any] = []
        values: list[Any] = []
        while not self._take(close):
            if more := _MORE.match(self.text, self.at):
                self.at, self.more = more.end(), int(more[1])
                continue
            key = self._key()
            if key is not None:
                keys.append(key)
            values.append(self.value(depth + 1))
            if not self._take(","):
                self._expect(close)
                break
        if keys and len(keys) != len(values):
            raise _NotCode("some items have keys and some have none")
        if not keys:
            return {} if close == "}" else values
        if keys == list(range(len(keys))):
            return values
        if len(set(keys)) < len(keys):
            raise _NotCode("a key is there twice")
        return {str(key): value for key, value in zip(keys, values, strict=True)}

    def _key(self) -> str | int | None:
        before = self.at
        kind, token = self._next()
        if kind in ("text", "word", "number") and self._take("=>", ":", "="):
            if kind == "number":
                return int(token) if token.isdecimal() else token
            return decoded(token) if kind == "text" else self._symbol(token)
        self.at = before
        return None

    def _symbol(self, word: str) -> str:
        return word.removeprefix(":")

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise _NotCode(f"{self.text[self.at : self.at + 20]!r} is no token")
        self.at = match.end()
        if match.lastgroup == "skip":
            return self._next()
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


def _plain(kind: str, token: str) -> Any:
    if kind == "buffer":
        return bytes.fromhex(token[7:-1])
    if kind == "stamp":
        return token
    digits = token.replace("_", "")
    if re.fullmatch(r"-?\d+", digits):
        return int(Decimal(digits))
    return jsontext.number(digits)


def decoded(token: str) -> str:
    """The text that a literal in quotes stands for."""
    body = token[1:-1]
    text = _ESCAPE.sub(_unescaped, body) if "\\" in body else body
    if "\\u" in body and any("\ud800" <= sign <= "\udfff" for sign in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        return chr(int(code, 16)) if int(code, 16) < 0x110000 else match[0]
    return _LETTERS.get(match[4], match[4])
