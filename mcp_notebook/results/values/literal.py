"""Python literal text, the `str(rows)` that many servers send, read exactly and without
ever evaluating it.

The grammar is that of `ast.literal_eval` without complex numbers and implicit top-level
tuples, plus the reprs that database drivers put among literals: `Decimal('1.20')`,
`datetime.datetime(...)`, `UUID(...)`, `<memory at 0x..>`.
"""

import math
import re
from collections.abc import Hashable, Iterable

from mcp_notebook.results.values.literal_calls import UnknownCall, bracketed, call, word

MAX_CHARS = 64 * 1024 * 1024
MAX_DEPTH = 100
_MANY = 256

_STRING = r"""'''(?:[^\\]|\\.)*?'''|\"""(?:[^\\]|\\.)*?\"""|'[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*\""""
_TOKEN = re.compile(
    rf"""[ \t\r\n\f]*(?:
      (?P<string>(?:[bB][rR]?|[rR][bB]?|[uU])?(?:{_STRING}))
    | (?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)
    | (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    | (?P<angle><[^<>'"\n]*(?:'[^'\n]*'[^<>'"\n]*|"[^"\n]*"[^<>'"\n]*)*>|<[^<>\n]*>)
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
    value = parser.value(0)
    parser.end()
    return value


def end_of_value(text: str, at: int) -> int:
    """The position behind the literal that starts at `at`; `ValueError` when none does."""
    parser = _Parser(text, MAX_DEPTH)
    parser.at = at
    parser.value(0)
    return parser.at


class _Parser:
    """A cursor over one text; `value` reads one literal from it and moves on."""

    def __init__(self, text: str, max_depth: int) -> None:
        self.text = text
        self.at = 0
        self.max_depth = max_depth

    def value(self, depth: int) -> object:
        token = self.token()
        kind, source = token.lastgroup, token[token.lastgroup or 0]
        if kind == "string":
            return self.string(source)
        if kind == "number":
            return self.number(source)
        if kind == "name":
            return self.named(source, depth)
        if kind == "angle":
            return self.angle(source, depth)
        return self.marked(source, depth)

    def token(self) -> re.Match[str]:
        token = _TOKEN.match(self.text, self.at)
        if token is None:
            raise self.error("unexpected text")
        self.at = token.end()
        return token

    def error(self, problem: str) -> ValueError:
        return ValueError(f"Not a Python literal: {problem} at character {self.at:,}.")

    def end(self) -> None:
        if self.text[self.at :].strip(" \t\r\n\f"):
            raise self.error("more text")

    def next_is(self, mark: str) -> bool:
        """True, and past it, when the next token is that mark."""
        token = _TOKEN.match(self.text, self.at)
        if token is None or token["mark"] != mark:
            return False
        self.at = token.end()
        return True

    # --- scalars

    def string(self, source: str) -> str | bytes:
        value = self.decoded(source)
        while (
            following := _TOKEN.match(self.text, self.at)
        ) and following.lastgroup == "string":
            self.at = following.end()
            more = self.decoded(following["string"])
            if type(more) is not type(value):
                raise self.error("text beside bytes")
            value += more  # type: ignore[operator]
        return value

    def decoded(self, source: str) -> str | bytes:
        try:
            return _decode_string(source)
        except ValueError as error:
            raise self.error(str(error)) from error

    def number(self, source: str) -> int | float:
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

    def angle(self, source: str, depth: int) -> object:
        record = _RECORD.match(source)
        if not record:
            return bracketed(source)
        try:
            return _Parser(record[1], self.max_depth).record(depth + 1)
        except ValueError:
            return source

    def record(self, depth: int) -> dict[str, object]:
        """asyncpg's `<Record id=1 name='x'>`, from after its name."""
        fields: dict[str, object] = {}
        while named := _NAMED.match(self.text, self.at):
            self.at = named.end()
            fields[named[1]] = self.value(depth)
        self.end()
        return fields

    def marked(self, mark: str, depth: int) -> object:
        if mark in "+-":
            return self.signed(mark)
        if depth >= self.max_depth:
            raise self.error(f"more than {self.max_depth} levels of nesting")
        if mark == "[":
            return self.items("]", depth + 1)[0]
        if mark == "(":
            items, comma = self.items(")", depth + 1)
            return items[0] if len(items) == 1 and not comma else tuple(items)
        if mark == "{":
            return self.braces(depth + 1)
        raise self.error(f"unexpected {mark!r}")

    def signed(self, sign: str) -> int | float:
        token = self.token()
        number = (
            self.number(token["number"])
            if token["number"]
            else _WORD_NUMBERS.get(token["name"] or "")
        )
        if number is None:
            raise self.error("a sign before something that is no number")
        return -number if sign == "-" else number

    # --- containers

    def items(self, close: str, depth: int) -> tuple[list[object], bool]:
        """The values up to `close`, and whether a comma stood before it."""
        items: list[object] = []
        comma = False
        while not self.next_is(close):
            if items and not comma:
                raise self.error("a missing comma")
            items.append(self.value(depth))
            comma = self.next_is(",")
        return items, comma

    def braces(self, depth: int) -> dict | set:
        if self.next_is("}"):
            return {}
        first = self.value(depth)
        if not self.next_is(":"):
            rest = self.items("}", depth)[0] if self.next_is(",") else self.closed("}")
            return set(self.hashable([first, *rest]))
        keys, values = [first], [self.value(depth)]
        while not self.next_is("}"):
            if not self.next_is(","):
                raise self.error("a missing comma")
            if self.next_is("}"):
                break
            keys.append(self.value(depth))
            if not self.next_is(":"):
                raise self.error("a missing colon")
            values.append(self.value(depth))
        return dict(zip(self.hashable(keys), values, strict=True))

    def closed(self, close: str) -> list[object]:
        if not self.next_is(close):
            raise self.error(f"a missing {close!r}")
        return []

    def hashable(self, keys: list[object]) -> list[Hashable]:
        """The same keys, unless one is not hashable or so many collide that building
        would not be linear.
        """
        try:
            hashes = (
                sorted(map(hash, keys)) if len(keys) > _MANY else list(map(hash, keys))
            )
        except TypeError as error:
            raise self.error("a key that is no plain value") from error
        if (
            len(keys) > _MANY
            and _most_equal(hashes) > _MANY
            and len(set(map(repr, keys))) > _MANY
        ):
            raise self.error("too many colliding keys")
        return keys  # type: ignore[return-value]

    # --- calls

    def named(self, name: str, depth: int) -> object:
        start = self.at - len(name)
        if self.text[self.at : self.at + 1] != "(":
            try:
                return word(name)
            except UnknownCall:
                raise self.error(f"the unknown word {name[:40]!r}") from None
        if depth >= self.max_depth:
            raise self.error(f"more than {self.max_depth} levels of nesting")
        opened = self.at
        self.at += 1
        try:
            args, options = self.arguments(depth + 1)
            return call(name, args, options)
        except UnknownCall:
            return self.text[start : self.at]
        except ValueError:
            self.at = opened
            self.skip_call()
            return self.text[start : self.at]

    def arguments(self, depth: int) -> tuple[list[object], dict[str, object]]:
        args: list[object] = []
        options: dict[str, object] = {}
        while not self.next_is(")"):
            named = _NAMED.match(self.text, self.at)
            if named is None:
                args.append(self.value(depth))
            else:
                self.at = named.end()
                options[named[1]] = self.option(named[1], depth)
            if not self.next_is(",") and self.text[self.at : self.at + 1] != ")":
                raise self.error("a missing comma")
        return args, options

    def option(self, name: str, depth: int) -> object:
        bare = _BARE.match(self.text, self.at) if name == "dtype" else None
        if bare is None:
            return self.value(depth)
        self.at = bare.end()
        return bare[1]

    def skip_call(self) -> None:
        """Past the bracket that closes the one at the cursor, whatever stands between."""
        open_brackets = 0
        while True:
            bracket = self.text[self.at : self.at + 1]
            open_brackets += (bracket in "([{") - (bracket in ")]}") if bracket else 0
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
        run = run + 1 if number == before else 1
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
    width = 3 if len(body) >= 6 and body[:3] in ("'''", '"""') else 1
    body = body[width:-width]
    if "b" in prefix and not body.isascii():
        raise ValueError("bytes that are not ASCII")
    if "\\" in body and "r" not in prefix:
        try:
            body = _ESCAPE.sub(_unescaped_byte if "b" in prefix else _unescaped, body)
        except (KeyError, ValueError, OverflowError) as error:
            raise ValueError("a wrong escape") from error
    return body.encode("latin-1") if "b" in prefix else body


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] == "N" and len(code) > 1:
        return _unicode_name(code[2:-1])
    if code in "xuUN":
        raise ValueError(code)
    return "\\" + code


def _unescaped_byte(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "uUN":
        return "\\" + code
    return (
        chr(ord(_unescaped(escape)[0]) & 0xFF)
        if code[0] in "01234567"
        else _unescaped(escape)
    )


def _unicode_name(name: str) -> str:
    import unicodedata  # a megabyte of data for an escape that hardly occurs

    return unicodedata.lookup(name)
