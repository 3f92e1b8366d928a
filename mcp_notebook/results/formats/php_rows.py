"""PHP's `var_dump` (texts with their length in bytes: exact) and `print_r` (nothing
quoted: said) of lists of rows.
"""

from __future__ import annotations

import re
from typing import Any

from mcp_notebook.results.raw_table import Answer, Taken, from_records

_DUMP = re.compile(rb"^array\(\d+\) \{", re.MULTILINE)
_DUMPED = re.compile(
    rb"\s*(?:(?P<array>array\(\d+\) \{)|(?P<end>\})|\[(?:\"(?P<key>[^\"]*)\"|(?P<index>\d+))\]=>|(?P<null>NULL)|"
    rb"bool\((?P<flag>true|false)\)|int\((?P<int>-?\d+)\)|float\((?P<float>[^)]+)\)|string\((?P<size>\d+)\) \")"
)
_PRINTED = re.compile(r"^Array\n\(\n(?=    \[0\] => Array\n {8}\(\n)", re.MULTILINE)
_RECORD = re.compile(r"\s*\[\d+\] => Array\n {8}\(\n")
_END = "\n        )\n"
_FIELD = re.compile(r"^            \[([^\]\n]+)\] => ", re.MULTILINE)


def read(text: str) -> Answer:
    """The rows of a text that is such a list."""
    if "=>" not in text:
        return "no array of PHP"
    return (
        _printed(text)
        if (start := _DUMP.search(text.encode("utf-8", "replace"))) is None
        else _dumped(text, start)
    )


def _dumped(text: str, start: re.Match[bytes]) -> Answer:
    data = text.encode("utf-8", "replace")
    try:
        value, end = _value(data, start.start(), 0)
    except (ValueError, TypeError) as error:
        return f"no var_dump: {error}"
    rest = (data[: start.start()] + data[end:]).decode("utf-8", "replace").strip()
    rows = list(value.values()) if isinstance(value, dict) else []
    if not rows or not all(type(row) is dict and row for row in rows):
        return "its array holds no rows"
    return Taken((from_records(rows),), rest=rest)


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    match = _DUMPED.match(data, at)
    if match is None or match.lastgroup in ("end", "key", "index") or depth > 60:
        raise ValueError(f"{data[at : at + 20]!r} is no value")
    at, kind = match.end(), match.lastgroup or ""
    if kind == "array":
        return _entries(data, at, depth)
    if kind == "size":
        end = at + int(match["size"])
        if data[end : end + 1] != b'"':
            raise ValueError("a text is not as long as it says")
        return data[at:end].decode("utf-8", "replace"), end + 1
    if kind == "float":
        return float(match["float"]), at
    return {
        "null": None,
        "flag": match["flag"] == b"true",
        "int": int(match["int"] or 0),
    }[kind], at


def _entries(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while (match := _DUMPED.match(data, at)) and match.lastgroup in ("key", "index"):
        name = match[match.lastgroup].decode("utf-8", "replace")
        found[name], at = _value(data, match.end(), depth + 1)
    if match is None or match.lastgroup != "end":
        raise ValueError("an array does not end")
    return found, match.end()


def _printed(text: str) -> Answer:
    start = _PRINTED.search(text)
    if start is None:
        return "no array of PHP"
    rows, at = [], start.end()
    while (record := _RECORD.match(text, at)) and (
        end := text.find(_END, record.end())
    ) >= 0:
        rows.append(_fields(text[record.end() : end + 1]))
        at = end + len(_END)
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        return "ambiguous: its rows do not have the same keys"
    raw = from_records(rows, text="all", nulls=("",))
    note = "PHP's print_r quotes nothing: null, false and the empty text look the same, true is 1"
    return Taken((raw.noted(note, approximate=True),), confidence="medium")


def _fields(record: str) -> dict[str, str]:
    names = list(_FIELD.finditer(record))
    ends = [*(name.start() for name in names[1:]), len(record)]
    return {
        name[1]: record[name.end() : end].removesuffix("\n")
        for name, end in zip(names, ends, strict=True)
    }
