"""JSON in a text, exact: whole, in lines, fenced, in a tag, or after prose.

Integers keep every digit, a number with a fraction that no float holds stays a decimal,
a repeated key keeps all values.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from mcp_notebook.results.columns.numeric import Digits

_FENCE = re.compile(r"```[\w+-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
_START = re.compile(r"(?:^|(?<=[>:=]))[ \t]*([\[{])", re.MULTILINE)
_ATTEMPTS = 40


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
    if not text.lstrip("\ufeff \t\r\n").startswith(("[", "{")):
        return "does not start with [ or {"
    body = text.strip("\ufeff \t\r\n")
    try:
        return Parsed(loads(body))
    except ValueError as error:
        reason = str(error)
    return _sequence(body) or f"no JSON: {reason[:80]}"


def parse_inside(text: str) -> Parsed | str:
    """JSON within prose, a fence or a tag: the first value that is a table or an
    object; else the reason.
    """
    for fence in _FENCE.finditer(text):
        found = parse(fence[1])
        if not isinstance(found, str):
            return found._replace(
                rest=(text[: fence.start()] + text[fence.end() :]).strip(), whole=False
            )
    for number, start in enumerate(
        _START.finditer(text) if "[" in text or "{" in text else ()
    ):
        if number >= _ATTEMPTS:
            break
        found = _decode(text, start.start(1))
        if found is None or not _substantial(found[0]):
            continue
        rest = (text[: start.start(1)] + text[found[1] :]).strip()
        return Parsed(found[0], rest, whole=False)
    return "no JSON at the start of a line"


def loads(text: str) -> Any:
    """`json.loads` that keeps what it reads; `ValueError` when the text is no JSON,
    also for absurd nesting.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        if "digits" in str(error) and "limit" in str(error):
            return _decode_huge(text)
        raise


def _decode_huge(text: str) -> Any:
    try:
        return json.loads(
            text, parse_float=number, object_pairs_hook=_object, parse_int=_huge
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decode(text: str, at: int) -> tuple[Any, int] | None:
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None


def _sequence(text: str) -> Parsed | None:
    """Values one after the other: NDJSON, or a value and a trailing note."""
    values, at = [], 0
    while at < len(text) and (found := _decode(text, at)):
        values.append(found[0])
        at = found[1]
        while at < len(text) and text[at] in " \t\r\n,;":
            at += 1
    if not values or (at < len(text) and text[at] in "[{"):
        return None
    rest = text[at:].strip()
    value = values if len(values) > 1 else values[0]
    return Parsed(value, rest, whole=not rest) if _substantial(value) else None


def _substantial(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value)
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, (dict, list)) for item in value)
    )


def number(text: str) -> float | Decimal:
    """A float, unless the digits say more: padded with zeros it is a decimal, too long
    for a float it may be.
    """
    value = float(text)
    if repr(value) == text:
        return value
    if (
        "e" not in text
        and "E" not in text
        and text.endswith("0")
        and not text.endswith(".0")
    ):
        return Decimal(text)
    try:
        return value if Decimal(repr(value)) == Decimal(text) else Digits(text)
    except InvalidOperation:
        raise ValueError(f"a number beyond all bounds: {text[:40]}") from None


def _huge(digits: str) -> int | str:
    return int(digits) if len(digits) < 4000 else digits


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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


_DECODER = json.JSONDecoder(parse_float=number, object_pairs_hook=_object)
