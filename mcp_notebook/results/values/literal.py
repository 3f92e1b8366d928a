"""Python literal text, the `str(rows)` that many servers send, read exactly and without
ever evaluating it.

The grammar is that of `ast.literal_eval` without complex numbers and implicit top-level
tuples, plus the reprs that database drivers put among literals: `Decimal('1.20')`,
`datetime.datetime(...)`, `UUID(...)`, `<memory at 0x..>`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Hashable, Iterable
from typing import Any

from mcp_notebook.results.values.literal_calls import (
    UnknownCall,
    build_call,
    read_angle,
    read_word,
)

MAX_CHARS = 64 * 1024 * 1024
MAX_DEPTH = 100
_MANY = 256  # keys of one hash, above which they may have been chosen to be slow

# Unrolled loops: a run of plain characters is one step, however long it is.
_STRING = (
    r"'''(?:[^\\]|\\.)*?'''|"
    r'"""(?:[^\\]|\\.)*?"""|'
    r"'[^'\\\n]*(?:\\.[^'\\\n]*)*'|"
    r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
)
_NUMBER = (
    r"0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|"
    r"(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?"
)
_ANGLE = (
    r"""<[^<>'"\n]*(?:'[^'\n]*'[^<>'"\n]*|"[^"\n]*"[^<>'"\n]*)*>|"""
    r"<[^<>\n]*>"
)
_TOKEN = re.compile(
    rf"""[ \t\r\n\f]*(?:
      (?P<string>(?:[bB][rR]?|[rR][bB]?|[uU])?(?:{_STRING}))
    | (?P<number>{_NUMBER})
    | (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    | (?P<angle>{_ANGLE})
    | (?P<mark>[()\[\]{{}},:=+-])
    )""",
    re.VERBOSE | re.DOTALL,
)
_NAMED = re.compile(r"[ \t\r\n\f]*([^\W\d]\w*)[ \t]*=(?!=)")
_BARE = re.compile(r"[ \t]*([\w.<>']+)")
_TO_CLOSE = re.compile(rf"(?:{_STRING}|[^()\[\]{{}}'\"])*", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(\r\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.)",
    re.DOTALL,
)
_ESCAPES = {
    "\n": "",
    "\r\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_RECORD = re.compile(r"<Record((?: [^\W\d]\w*=).*)>\Z", re.DOTALL)
_WORD_NUMBERS = {
    name: float(name.rpartition(".")[2]) for name in ("inf", "nan", "np.inf", "np.nan")
}


def loads(
    text: str, *, max_chars: int = MAX_CHARS, max_depth: int = MAX_DEPTH
) -> object:
    """The value of one Python literal; a call that is not known becomes its source text.

    Takes time linear in the text. Raises `ValueError` with the position for anything
    that is not one complete literal, for complex numbers, and above `max_chars`
    characters or `max_depth` levels of nesting.
    """
    if len(text) > max_chars:
        raise ValueError(
            f"A Python literal of {len(text):,} characters is above the limit of {max_chars:,}."
        )

    parser = _Parser(text, max_depth)
    value = parser.read_value(0)
    parser.expect_end()
    return value


def load_at(text: str, at: int) -> tuple[object, int]:
    """The literal that starts at `at`, and the position behind it; `ValueError` when
    none does.
    """
    parser = _Parser(text, MAX_DEPTH)
    parser.at = at
    return parser.read_value(0), parser.at


class _Parser:
    """A cursor over one text; `read_value` reads one literal from it and moves on."""

    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self.at = 0
        self.max_depth = max_depth

    def read_value(self, depth: int) -> object:
        token = self.next_token()
        kind, source = token.lastgroup, token[token.lastgroup or 0]
        if kind == "string":
            return self.read_string(source)
        if kind == "number":
            return self.read_number(source)
        if kind == "name":
            return self.read_name(source, depth)
        if kind == "angle":
            return self.read_angle(source, depth)

        return self.read_mark(source, depth)

    def next_token(self) -> re.Match[str]:
        token = _TOKEN.match(self.text, self.at)
        if token is None:
            raise self.error("unexpected text")
        self.at = token.end()
        return token

    def error(self, problem: str) -> ValueError:
        return ValueError(f"Not a Python literal: {problem} at character {self.at:,}.")

    def expect_end(self) -> None:
        if self.text[self.at :].strip(" \t\r\n\f"):
            raise self.error("more text")

    def take(self, mark: str) -> bool:
        """True, and past it, when the next token is that mark."""
        token = _TOKEN.match(self.text, self.at)
        if token is None or token["mark"] != mark:
            return False
        self.at = token.end()
        return True

    # --- scalars

    def read_string(self, source: str) -> str | bytes:
        value = self.decode(source)
        while True:
            # Python joins strings that stand beside each other.
            following = _TOKEN.match(self.text, self.at)
            if following is None or following.lastgroup != "string":
                return value

            self.at = following.end()
            more = self.decode(following["string"])
            if type(more) is not type(value):
                raise self.error("text beside bytes")

            value += more  # type: ignore[operator]

    def decode(self, source: str) -> str | bytes:
        try:
            return _decode_string(source)
        except ValueError as error:
            raise self.error(str(error)) from error

    def read_number(self, source: str) -> int | float:
        if self.text[self.at : self.at + 1] in ("j", "J"):
            raise self.error("a complex number")
        if source[:2].lower() in ("0x", "0o", "0b"):
            return int(source, 0)

        if source.strip("0123456789_"):
            value = float(source)
            if math.isinf(value):
                raise self.error("a number too large for a float")

            return value

        return int(source, 0)  # base 0 refuses leading zeros, as Python does

    def read_angle(self, source: str, depth: int) -> object:
        record = _RECORD.match(source)
        if not record:
            return read_angle(source)

        try:
            return _Parser(record[1], self.max_depth).read_record(depth + 1)
        except ValueError:
            return source

    def read_record(self, depth: int) -> dict[str, object]:
        """asyncpg's `<Record id=1 name='x'>`, from after its name."""
        fields: dict[str, object] = {}
        while named := _NAMED.match(self.text, self.at):
            self.at = named.end()
            fields[named[1]] = self.read_value(depth)

        self.expect_end()
        return fields

    def read_mark(self, mark: str, depth: int) -> object:
        if mark in "+-":
            return self.read_signed(mark)
        if depth >= self.max_depth:
            raise self.error(f"more than {self.max_depth} levels of nesting")
        if mark == "[":
            return self.read_items("]", depth + 1)[0]

        if mark == "(":
            items, comma = self.read_items(")", depth + 1)
            if len(items) == 1 and not comma:
                return items[0]

            return tuple(items)

        if mark == "{":
            return self.read_braces(depth + 1)

        raise self.error(f"unexpected {mark!r}")

    def read_signed(self, sign: str) -> int | float:
        token = self.next_token()
        number = _WORD_NUMBERS.get(token["name"] or "")
        if token["number"]:
            number = self.read_number(token["number"])

        if number is None:
            raise self.error("a sign before something that is no number")
        if sign == "-":
            return -number

        return number

    # --- containers

    def read_items(self, close: str, depth: int) -> tuple[list[object], bool]:
        """The values up to `close`, and whether a comma stood before it."""
        items: list[object] = []
        comma = False
        while not self.take(close):
            if items and not comma:
                raise self.error("a missing comma")

            items.append(self.read_value(depth))
            comma = self.take(",")

        return items, comma

    def read_braces(self, depth: int) -> dict[Any, Any] | set[Any]:
        if self.take("}"):
            return {}

        first = self.read_value(depth)
        if not self.take(":"):
            return self.read_set(first, depth)

        keys, values = [first], [self.read_value(depth)]
        while not self.take("}"):
            self.expect(",", "comma")
            if self.take("}"):
                break

            keys.append(self.read_value(depth))
            self.expect(":", "colon")
            values.append(self.read_value(depth))

        return dict(zip(self.check_keys(keys), values, strict=True))

    def read_set(self, first: object, depth: int) -> set[Any]:
        """The rest of a set, behind its first value."""
        rest: list[object] = []
        if self.take(","):
            rest, _ = self.read_items("}", depth)
        else:
            self.expect("}", "'}'")

        return set(self.check_keys([first, *rest]))

    def expect(self, mark: str, name: str) -> None:
        if not self.take(mark):
            raise self.error(f"a missing {name}")

    def check_keys(self, keys: list[object]) -> list[Hashable]:
        """The same keys, unless one is not hashable or so many collide that building
        would not be linear.
        """
        try:
            hashes = list(map(hash, keys))
        except TypeError as error:
            raise self.error("a key that is no plain value") from error

        if len(keys) <= _MANY:
            return keys  # type: ignore[return-value]

        # Equal keys have one hash too, and cost nothing; only different ones do.
        collide = _most_equal(sorted(hashes)) > _MANY
        if collide and len(set(map(repr, keys))) > _MANY:
            raise self.error("too many colliding keys")

        return keys  # type: ignore[return-value]

    # --- calls

    def read_name(self, name: str, depth: int) -> object:
        """A word or a call; one that says nothing to us stays the text that it is."""
        start = self.at - len(name)
        if self.text[self.at : self.at + 1] != "(":
            try:
                return read_word(name)
            except UnknownCall:
                raise self.error(f"the unknown word {name[:40]!r}") from None

        if depth >= self.max_depth:
            raise self.error(f"more than {self.max_depth} levels of nesting")

        opened = self.at
        self.at += 1
        try:
            args, options = self.read_arguments(depth + 1)
            return build_call(name, args, options)
        except UnknownCall:
            return self.text[start : self.at]
        except ValueError:
            self.at = opened
            self.skip_call()
            return self.text[start : self.at]

    def read_arguments(self, depth: int) -> tuple[list[object], dict[str, object]]:
        args: list[object] = []
        options: dict[str, object] = {}
        while not self.take(")"):
            named = _NAMED.match(self.text, self.at)
            if named is None:
                args.append(self.read_value(depth))
            else:
                self.at = named.end()
                options[named[1]] = self.read_option(named[1], depth)

            if not self.take(",") and self.text[self.at : self.at + 1] != ")":
                raise self.error("a missing comma")

        return args, options

    def read_option(self, name: str, depth: int) -> object:
        # numpy prints `dtype=float32`, whose value is no word of Python
        if name == "dtype":
            bare = _BARE.match(self.text, self.at)
        else:
            bare = None

        if bare is None:
            return self.read_value(depth)

        self.at = bare.end()
        return bare[1]

    def skip_call(self) -> None:
        """Past the bracket that closes the one at the cursor, whatever stands between."""
        open_brackets = 0
        while True:
            bracket = self.text[self.at : self.at + 1]
            open_brackets += (bracket in "([{") - (bracket in ")]}") if bracket else 0
            # a quote here is one that `_TO_CLOSE` found no end of
            if not bracket or bracket in "'\"":
                raise self.error("a call that does not end")

            self.at += 1
            if not open_brackets:
                return

            between = _TO_CLOSE.match(self.text, self.at)
            self.at = between.end() if between else self.at


def _most_equal(ordered: Iterable[int]) -> int:
    """The length of the longest run of equal numbers."""
    most = run = 0
    before: int | None = None
    for number in ordered:
        if number == before:
            run = run + 1
        else:
            run = 1

        before, most = number, max(most, run)

    return most


def _decode_string(source: str) -> str | bytes:
    """The value of one string token with its prefix and quotes; `ValueError` with the
    reason when it has none.
    """
    quote_at = 0
    while source[quote_at] not in "'\"":
        quote_at += 1

    prefix, body = source[:quote_at].lower(), source[quote_at:]
    if len(body) >= 6 and body[:3] in ("'''", '"""'):
        width = 3
    else:
        width = 1

    body = body[width:-width]
    is_bytes = "b" in prefix
    if is_bytes and not body.isascii():
        raise ValueError("bytes that are not ASCII")

    if "\\" in body and "r" not in prefix:
        if is_bytes:
            unescape = _unescape_byte
        else:
            unescape = _unescape

        try:
            body = _ESCAPE.sub(unescape, body)
        except (KeyError, ValueError, OverflowError) as error:
            raise ValueError("a wrong escape") from error

    if is_bytes:
        return body.encode("latin-1")

    return body


def _unescape(escape: re.Match[str]) -> str:
    code = escape[1]
    if code in _ESCAPES:
        return _ESCAPES[code]

    kind, rest = code[0], code[1:]
    if kind in "01234567":
        return chr(int(code, 8))
    if kind not in "xuUN":
        return "\\" + code  # Python keeps an escape that it does not know
    if not rest:
        raise ValueError(code)
    if kind == "N":
        return unicodedata.lookup(rest[1:-1])

    return chr(int(rest, 16))


def _unescape_byte(escape: re.Match[str]) -> str:
    kind = escape[1][0]
    if kind in "uUN":
        return "\\" + escape[1]  # letters of bytes have no such names

    text = _unescape(escape)
    if kind in "01234567":
        return chr(ord(text[0]) & 0xFF)

    return text
