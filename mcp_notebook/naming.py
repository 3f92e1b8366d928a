"""Readable names for tables that calls return; a name of the person's is never taken."""

import builtins
import keyword
import re
from collections.abc import Container, Mapping
from typing import Any

OWN_SERVER = "notebook"  # the name of the notebook's own server
SQL_ARGUMENTS = ("sql", "query", "statement", "sql_query", "q")
_PART = r"""(?:`[^`]+`|"[^"]+"|\[[^\]]+\]|[^\W\d]\w*)"""
_TABLE = re.compile(rf"\b(?:from|join)\s+((?:{_PART}\s*\.\s*)*{_PART})", re.IGNORECASE)
_LAST_PART = re.compile(_PART)
# their FROM names no table
_EXTRACT = re.compile(
    r"\b(?:extract|trim|substring|overlay)\s*\([^()]*\)", re.IGNORECASE
)
_WITH = re.compile(
    r"\bwith\s+(?:recursive\s+)?(\w+)\s+as\s*\(|,\s*(\w+)\s+as\s*\(", re.IGNORECASE
)
_GROUP = re.compile(r"\bgroup\s+by\s+(?:\w+\.)?([^\W\d]\w*)", re.IGNORECASE)
_NOT_A_NAME = re.compile(r"\W+")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r"'(?:[^']|'')*'")
_VERBS = re.compile(
    r"^(?:get|list|read|fetch|query|execute|run|search|find|show|describe)_+",
    re.IGNORECASE,
)


def sql_of(arguments: Mapping[str, Any]) -> str:
    """The SQL text among a call's arguments, or an empty string."""
    for name in SQL_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str) and " " in value.strip():
            return value
    return ""


def suggest(server: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """A name for what a call returns: `orders_by_country` from its SQL, else the tool's
    or the server's own words.
    """
    named = _from_sql(sql_of(arguments))
    if not named:
        named = _VERBS.sub("", _identifier(tool)) or server
        named = (
            f"{server}_{named}"
            if named in ("", "database", "sql", "query", "data", "rows")
            else named
        )
    return _identifier(named)


def _from_sql(sql: str) -> str:
    sql = _EXTRACT.sub(" ", _STRING.sub("''", _COMMENT.sub(" ", sql)))
    ctes = {name.lower() for pair in _WITH.findall(sql) for name in pair if name}
    tables = [
        _LAST_PART.findall(path)[-1].strip('`"[]') for path in _TABLE.findall(sql)
    ]
    tables = [t for t in tables if t.lower() not in ctes]
    if not tables:
        return ""
    group = _GROUP.search(sql)
    name = f"{tables[0]}_by_{group.group(1)}" if group else tables[0]
    return name.lower()


def _identifier(text: str) -> str:
    name = _NOT_A_NAME.sub("_", text).strip("_").lower() or "table"
    return f"t_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def free(name: str, taken: Container[str]) -> str:
    """`name`, or the first of `name_2`, `name_3` ... that is not taken and hides no builtin."""
    candidate, number = name, 2
    while candidate in taken or hasattr(builtins, candidate):
        candidate, number = f"{name}_{number}", number + 1
    return candidate
