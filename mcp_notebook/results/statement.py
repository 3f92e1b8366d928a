"""What a SQL statement says about its own result: how many columns, and their names
where they are plain.

Not a parser of SQL: it answers only for a plain select list and says nothing (None) otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?\*/)|(?P<string>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*"|`[^`]*`|\[[^\]\n]*\])"""
    r"""|(?P<word>[^\W\d][\w$]*)|(?P<number>\d[\w.]*)|(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
_END = {
    "from",
    "into",
    "where",
    "union",
    "intersect",
    "except",
    "limit",
    "order",
    "group",
    "having",
    "fetch",
    "offset",
}
_RESERVED = {
    "end",
    "null",
    "true",
    "false",
    "asc",
    "desc",
    "distinct",
    "all",
    "then",
    "else",
    "when",
    "interval",
    "is",
    "and",
}

Token = tuple[str, str]


def is_query(sql: str) -> bool:
    """Whether the statement reads: then an empty answer is an empty table and not a done write."""
    tokens = _tokens(sql)
    return bool(tokens) and tokens[0][1].lower() in (
        "select",
        "with",
        "show",
        "values",
        "table",
        "describe",
        "from",
    )


def selected(sql: str) -> tuple[str | None, ...] | None:
    """The columns of a plain SELECT, in order; a name is None when only the database knows it.

    None for everything that is not one SELECT with a finite list (`*`, WITH, several statements).
    """
    tokens = _tokens(sql)
    if (
        not tokens
        or tokens[0][1].lower() != "select"
        or any(text == ";" for _, text in tokens[:-1])
    ):
        return None
    items = _items(tokens[1:])
    if items is None or any(_starred(item) for item in items):
        return None
    return tuple(_name(item) for item in items)


def mentions(sql: str, names: Iterable[str]) -> bool:
    """Whether one of these names is a word of the statement."""
    words = {
        text.strip('"`[]').lower()
        for kind, text in _tokens(sql)
        if kind in ("word", "quoted")
    }
    return not words.isdisjoint(names)


def limit(sql: str) -> int | None:
    """The number after the last LIMIT, if the statement has one."""
    found = re.findall(r"\blimit\s+(?:\d+\s*,\s*)?(\d+)", sql, re.IGNORECASE)
    return int(found[-1]) if found else None


def _tokens(sql: str) -> list[Token]:
    return [
        (match.lastgroup or "", match[0])
        for match in _TOKEN.finditer(sql[:20_000])
        if match.lastgroup != "skip"
    ]


def _items(tokens: list[Token]) -> list[list[Token]] | None:
    items: list[list[Token]] = [[]]
    depth = 0
    for kind, text in tokens:
        if kind == "mark" and text in "([":
            depth += 1
        elif kind == "mark" and text in ")]":
            depth -= 1
        if depth == 0 and kind == "word" and text.lower() in _END:
            break
        if depth == 0 and text == ";":
            break
        if depth == 0 and text == ",":
            items.append([])
        else:
            items[-1].append((kind, text))
    while items[0] and items[0][0][1].lower() in ("distinct", "all"):
        items[0].pop(0)
    return items if all(items) else None


def _starred(item: list[Token]) -> bool:
    return item[-1][1] == "*"


def _name(item: list[Token]) -> str | None:
    """The alias, or the last part of a plain column name."""
    kind, text = item[-1]
    aliased = len(item) > 1 and (
        item[-2][1].lower() == "as" or item[-2][1] not in (".", "::")
    )
    plain = len(item) == 1 or (
        len(item) in (3, 5) and all(part[1] == "." for part in item[1::2])
    )
    if not (aliased or plain) or kind not in ("word", "quoted"):
        return None
    if kind == "word" and (
        text.lower() in _RESERVED
        or (aliased and item[-2][0] == "mark" and item[-2][1] not in ")]")
    ):
        return None
    return text[1:-1].replace('""', '"') if kind == "quoted" else text
