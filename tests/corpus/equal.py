"""Whether a cell says what the truth says, and whether it says it in the right type."""

from __future__ import annotations

import ast
import base64
import datetime as dt
import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.corpus.truth import Tagged

UTC = dt.UTC


def same(true: Any, got: Any) -> bool:
    """Equal as a value; a text that writes the very value counts, a rounded or cut
    value does not.
    """
    if true is None or got is None:
        return true is None and got is None
    if isinstance(true, Tagged):
        return _squeezed(true.text) == _squeezed(str(got)) or _range(true.text, got)
    for rule in (_numbers, _times, _bytes, _nested):
        answer = rule(true, got)
        if answer is not None:
            return answer
    return true == got or (isinstance(got, (dt.date, dt.time)) and _as_text(true, got))


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def _range(text: str, got: Any) -> bool:
    """A driver's struct for a range holds the same two bounds."""
    bounds = re.findall(r"-?\d+", text)
    if isinstance(got, str) and got.startswith(("Range(", "<Range ")):
        return re.findall(r"-?\d+", got) == bounds
    return (
        isinstance(got, dict)
        and [str(v) for k, v in got.items() if k in ("Lower", "Upper")] == bounds
    )


def _numbers(true: Any, got: Any) -> bool | None:
    if not isinstance(true, (int, float, Decimal)):
        return None
    if isinstance(got, str):
        if (got.lower() in ("true", "t") and true is True) or (
            got.lower() in ("false", "f") and true is False
        ):
            return True
        try:
            got = Decimal(got)
        except InvalidOperation:
            return False
    if not isinstance(got, (int, float, Decimal)):
        return False
    if any(isinstance(item, float) and not math.isfinite(item) for item in (true, got)):
        return str(float(true)) == str(float(got))
    if isinstance(true, float):
        return float(got) == true
    return _exact(true) == _exact(got)


def _exact(value: Any) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _times(true: Any, got: Any) -> bool | None:
    if isinstance(true, dt.timedelta):
        return _duration(true, got)
    if isinstance(true, dt.datetime):
        return _instant(true) == _instant(got)
    if isinstance(true, dt.date):
        found = _instant(got)
        return found is not None and found == dt.datetime.combine(true, dt.time())
    if isinstance(true, dt.time):
        return _clock(got) == true
    return None


def _instant(value: Any) -> dt.datetime | None:
    """Any way to write a date or time, as naive UTC."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.replace(" UTC", "+00:00"))
        except ValueError:
            return None
    if isinstance(value, dt.datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return dt.datetime.combine(value, dt.time()) if isinstance(value, dt.date) else None


def _clock(value: Any) -> dt.time | None:
    if isinstance(value, dt.timedelta):
        return (dt.datetime.min + value).time()
    if isinstance(value, dict) and "Microseconds" in value:
        return (
            dt.datetime.min + dt.timedelta(microseconds=value["Microseconds"])
        ).time()
    try:
        return (
            value if isinstance(value, dt.time) else dt.time.fromisoformat(str(value))
        )
    except ValueError:
        return None


def _duration(true: dt.timedelta, got: Any) -> bool:
    if isinstance(got, dt.timedelta):
        return got == true
    if isinstance(got, dict):
        parts = {
            str(key).lower(): value
            for key, value in got.items()
            if isinstance(value, (int, float))
        }
        known = {
            key: value
            for key, value in parts.items()
            if key
            in ("days", "hours", "minutes", "seconds", "milliseconds", "microseconds")
        }
        return dt.timedelta(**known) == true
    text = str(got)
    if (
        clock := re.fullmatch(r"(?:(\d+) days?,? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    ) is not None:
        days, hours, minutes, seconds = clock.groups()
        found = dt.timedelta(
            days=int(days or 0),
            hours=int(hours),
            minutes=int(minutes),
            seconds=float(seconds),
        )
        return found == true
    if (
        iso := re.fullmatch(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", text)
    ) is not None:
        days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
        return (
            dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
            == true
        )
    return text in (str(true.total_seconds()), str(int(true.total_seconds())))


def _bytes(true: Any, got: Any) -> bool | None:
    if not isinstance(true, bytes):
        return None
    if isinstance(got, bytes):
        return got == true
    if not isinstance(got, str):
        return False
    forms = {
        true.hex(),
        f"\\x{true.hex()}",
        f"0x{true.hex()}",
        base64.b64encode(true).decode(),
        f"x'{true.hex()}'",
    }
    if got in forms or got.lower() in forms:
        return True
    if re.fullmatch(r"b(['\"]).*\1", got, re.DOTALL):
        return ast.literal_eval(got) == true
    return got == true.decode("utf-8", "surrogateescape")


def _nested(true: Any, got: Any) -> bool | None:
    if isinstance(got, (dict, list)) and isinstance(true, str):
        return _loads(true) == got
    if isinstance(true, (dict, list)):
        got = _loads(got) if isinstance(got, str) else got
        if isinstance(true, list) and isinstance(got, dict):
            return dict(map(tuple, true)) == got
        if isinstance(true, list) and isinstance(got, tuple):
            return true == list(got)
        return true == got or _pairs(true, got)
    return None


def _pairs(true: Any, got: Any) -> bool:
    """A map as a list of pairs, a tuple as a list."""
    if isinstance(true, dict) and isinstance(got, list):
        return got == [list(pair) for pair in true.items()] or got == list(
            true.values()
        )
    return False


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return _array(text)


def _array(text: str) -> Any:
    """`{1,NULL,"a,b"}` as PostgreSQL writes an array; any other text as it is."""
    if not re.fullmatch(
        r'\{(?:(?:"[^"\\]*"|[^",{}]+),)*(?:"[^"\\]*"|[^",{}]+)\}', text
    ):
        return text
    return [_element(item) for item in re.findall(r'"[^"]*"|[^",{}]+', text)]


def _element(text: str) -> Any:
    """An element of an array as PostgreSQL writes it: quoted, NULL, a whole number or a
    bare word.
    """
    if text == "NULL":
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else text.strip('"')


def _as_text(true: Any, got: Any) -> bool:
    """SQLite keeps dates as text; a date of the same spelling is the same value."""
    if not isinstance(true, str):
        return False
    if isinstance(got, dt.datetime):
        return _instant(true) is not None and _instant(true) == _instant(got)
    return true == got.isoformat() or (isinstance(got, dt.time) and _clock(true) == got)
