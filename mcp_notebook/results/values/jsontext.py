"""JSON in a text, exact: whole, in lines, fenced, in a tag, or after prose.

Integers keep every digit, a number with a fraction that no float holds stays a decimal,
a repeated key keeps all values.
"""

from __future__ import annotations

import itertools
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from mcp_notebook.results.columns.strings import Digits

_FENCE = re.compile(r"```[\w+-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
_BETWEEN_VALUES = tuple(" \t\r\n,;")
_START = re.compile(r"(?:^|(?<=[>:=]))[ \t]*([\[{])", re.MULTILINE)
# A few lines of words, then an object on a line of its own.
_NEXT_OBJECT = re.compile(r"((?:[^\[{\n][^\n]{0,500}\n|[ \t\r]*\n){1,20})[ \t]*(\{)")
_BLANKS = "\ufeff \t\r\n"
_NAME_ABOVE = re.compile(
    r"^[#*\s]*([^\W\d][\w .-]{0,60}?)[*\s]*:?[*]*[ \t]*\s*\Z", re.MULTILINE
)
_ATTEMPTS = 40
_LONGEST_INTEGER = 4000  # digits; Python itself refuses more than 4300


class Parsed(NamedTuple):
    """A value found in a text, the text around it, and whether the value was all there was."""

    value: Any
    rest: str = ""
    whole: bool = True


def parse(text: str) -> Parsed | str:
    """The JSON of a text that starts with it, whole or line by line; the reason if
    there is none.
    """
    # unlike strip, lstrip seldom copies
    if not text.lstrip(_BLANKS).startswith(("[", "{")):
        return "does not start with [ or {"

    body = text.strip(_BLANKS)
    try:
        return Parsed(loads(body))
    except ValueError as error:
        reason = str(error)

    return _parse_sequence(body) or f"no JSON: {reason[:80]}"


def parse_inside(text: str) -> Parsed | str:
    """JSON within prose, a fence or a tag: the first value that is a table or an
    object; else the reason.
    """
    for fence in _FENCE.finditer(text):
        found = parse(fence[1])
        if not isinstance(found, str):
            rest = text[: fence.start()] + text[fence.end() :]
            return found._replace(rest=rest.strip(), whole=False)

    return _parse_at_line_start(text) or "no JSON at the start of a line"


def _parse_at_line_start(text: str) -> Parsed | None:
    if "[" not in text and "{" not in text:  # sooner seen than by the expression
        return None

    for start in itertools.islice(_START.finditer(text), _ATTEMPTS):
        found = _decode_at(text, start.start(1))
        if found is None or not _is_substantial(found[0]):
            continue

        value, end = found
        named = _parse_named_lists(text, start.start(1))
        if named is not None:
            return named

        rest = text[: start.start(1)] + text[end:]
        return Parsed(value, rest.strip(), whole=False)

    return None


def _parse_named_lists(text: str, at: int) -> Parsed | None:
    """Several lists of rows, each below a line with its name: `orders:`, `## users`."""
    lists: dict[str, Any] = {}
    rests: list[str] = []
    last = 0
    for start in itertools.islice(_START.finditer(text), _ATTEMPTS):
        if start.start(1) < max(at, last):
            continue

        found = _decode_at(text, start.start(1))
        if (
            found is None
            or not isinstance(found[0], list)
            or not _is_substantial(found[0])
        ):
            continue

        name = _NAME_ABOVE.search(text, last, start.start(1))
        if name is None or name[1] in lists:
            return None

        rests.append(text[last : name.start()])
        lists[name[1]], last = found

    if len(lists) < 2:
        return None

    rest = "\n".join(filter(None, map(str.strip, [*rests, text[last:]])))
    return Parsed(lists, rest, whole=False)


def loads(text: str) -> Any:
    """`json.loads` that keeps what it reads; `ValueError` when the text is no JSON,
    also for absurd nesting.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        # Python's limit for the digits of an integer, which JSON has not
        if "digits" in str(error) and "limit" in str(error):
            return _decode_huge(text)

        raise


def _decode_huge(text: str) -> Any:
    try:
        return json.loads(
            text,
            parse_float=number,
            object_pairs_hook=_build_object,
            parse_int=_read_integer,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decode_at(text: str, at: int) -> tuple[Any, int] | None:
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None


def _parse_sequence(text: str) -> Parsed | None:
    """Values one after the other: NDJSON, also with lines of a log between, or a value
    and a trailing note.
    """
    values, between, at = [], [], 0
    while at < len(text) and (found := _decode_at(text, at)):
        value, at = found
        values.append(value)
        at = _skip_between(text, at)
        words, next_at = _skip_words(text, at)
        # a log's words stand between rows, a note behind the last
        if words and next_at and _continues(text, next_at, values[0]):
            between.append(words)
            at = next_at

    # A value that begins and is none: the text is cut or no JSON.
    if not values or text[at : at + 1] in ("[", "{"):
        return None

    rest = "\n".join(filter(None, [*between, text[at:].strip()]))
    if len(values) > 1:
        value = values
    else:
        value = values[0]

    if _is_substantial(value):
        return Parsed(value, rest, whole=not rest)

    return None


def _skip_between(text: str, at: int) -> int:
    while text[at : at + 1] in _BETWEEN_VALUES:
        at += 1
    return at


def _skip_words(text: str, at: int) -> tuple[str, int]:
    """The few lines up to the next one that starts an object, and where it starts; 0
    when none does.
    """
    if at >= len(text) or text[at] in "[{":
        return "", 0

    found = _NEXT_OBJECT.match(text, at)
    if found is None:
        return "", 0

    return found[1].strip(), found.start(2)


def _continues(text: str, at: int, first: Any) -> bool:
    """Whether an object of the first one's keys starts there."""
    match first, _decode_at(text, at):
        case dict(), (dict() as other, _):
            return 2 * len(first.keys() & other.keys()) >= len(first)

    return False


def _is_substantial(value: Any) -> bool:
    """Whether there may be a table in it: `[1]` and `[]` in prose are footnotes."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, (dict, list)) for item in value)
    return isinstance(value, dict) and bool(value)


def number(text: str) -> float | Decimal:
    """A float, unless the digits say more: padded with zeros it is a decimal, too long
    for a float it may be.
    """
    value = float(text)
    if repr(value) == text:
        return value

    has_exponent = "e" in text or "E" in text
    if not has_exponent and text.endswith("0") and not text.endswith(".0"):
        return Decimal(text)

    try:
        if Decimal(repr(value)) == Decimal(text):
            return value
        return Digits(text)
    except InvalidOperation:
        raise ValueError(f"a number beyond all bounds: {text[:40]}") from None


def _read_integer(digits: str) -> int | str:
    if len(digits) < _LONGEST_INTEGER:
        return int(digits)
    return digits


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict; a repeated key gets a number, so that no value is lost."""
    result = dict(pairs)
    if len(result) == len(pairs):
        return result

    result = {}
    for key, value in pairs:
        name, count = key, 2
        while name in result:
            name, count = f"{key}_{count}", count + 1

        result[name] = value

    return result


_DECODER = json.JSONDecoder(parse_float=number, object_pairs_hook=_build_object)
