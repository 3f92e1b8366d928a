"""One value as short, safe text for a model or a person to read."""

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

HIDDEN = "***"
_FLOAT_DIGITS = 8

# Controls, bidi marks, zero-width and tag characters, fillers, line separators and half
# surrogates: what can hide or
# reorder text. https://trojansource.codes and Unicode TR36.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

Masked = Callable[[str], bool]


def escaped(text: str) -> str:
    """The text with every character that can hide or reorder text written out, as `\\u202e`."""
    return _UNSAFE.sub(_written_out, text)


def clipped(text: str, width: int) -> str:
    """At most `width` characters, the last of them `…` when something was cut."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def shown(value: object, masked: Masked, *, limit: int = 200) -> str | None:
    """A value as one line of at most about `limit` characters; None for NULL. Masked
    keys inside it are hidden.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return escaped(value[: limit + 1])
    if isinstance(value, bool | int | float | Decimal):
        return number(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return f"0x{value[: limit // 4].hex()}" + (
            f"… ({len(value):,} bytes)" if len(value) > limit // 4 else ""
        )
    if isinstance(value, list | tuple | Mapping):
        return escaped(_compact(_redacted(value, masked))[: limit + 1])
    return escaped(_safe_str(value)[: limit + 1])


def json_shown(source: str | None, masked: Masked, *, limit: int = 200) -> str | None:
    """JSON text as `shown` shows its value; text that is no JSON as text."""
    if source is None:
        return None
    try:
        return shown(json.loads(source), masked, limit=limit)
    except (ValueError, RecursionError):
        return shown(source, masked, limit=limit)


def number(value: bool | int | float | Decimal) -> str:
    """A number as text; floats to eight digits, integers of more than forty digits by
    their size.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        exact = repr(value)
        return (
            exact
            if len(exact) <= _FLOAT_DIGITS + 3 or not math.isfinite(value)
            else f"{value:.{_FLOAT_DIGITS}g}"
        )
    if isinstance(value, int) and value.bit_length() > 133:
        return f"an integer of {value.bit_length():,} bits"
    return clipped(str(value), 60)


def _written_out(character: re.Match[str]) -> str:
    code = character[0]
    if code in _SHORT:
        return _SHORT[code]
    return f"\\u{ord(code):04x}" if ord(code) < 0x10000 else f"\\U{ord(code):08x}"


def _redacted(value: object, masked: Masked, depth: int = 0) -> object:
    if depth > 20:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN
            if masked(str(key))
            else _redacted(inner, masked, depth + 1)
            for key, inner in list(value.items())[:50]
        }
    if isinstance(value, list | tuple):
        return [_redacted(inner, masked, depth + 1) for inner in value[:50]]
    return value


def _compact(value: object) -> str:
    try:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_safe_str
        )
    except (ValueError, TypeError):
        return _safe_str(value)


def _safe_str(value: object) -> str:
    try:
        return str(value)
    except Exception:  # boundary: the repr of somebody's object may do anything
        return f"<{type(value).__name__}>"
