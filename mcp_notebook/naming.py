"""Readable names for tables that calls return; a name of the person's is never taken."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from mcp_notebook.sql_words import (
    aggregate_of,
    gives_whole_table,
    grouped_by,
    is_reserved,
    sql_of,
    tables_named,
)

# What frozen code imports and calls by name.
USED_BY_CODE = frozenset(
    "mcp_notebook pandas pd pyarrow pa numpy np os sys re json datetime decimal pathlib"
    " Path connect call sql In Out exit quit get_ipython display".split()
)
OWN_SERVER = "notebook"  # the name of the notebook's own server
PART = "_part"  # in the id of a call that another one, whose id begins so, needs first
ASK = "ask_person"  # its tool with which the model asks the person to choose
_NOT_A_NAME = re.compile(r"\W+")
_VERBS = re.compile(
    r"^(?:get|list|read|fetch|query|execute|run|search|find|show|describe)_+",
    re.IGNORECASE,
)


def suggest(server: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """A name for what a call returns: `orders_by_country` from its SQL, else the tool's
    or the server's own words.
    """
    named = _from_sql(sql_of(arguments))
    if not named:
        named = _VERBS.sub("", identifier(tool)) or server
        if named in ("", "database", "sql", "query", "data", "rows"):
            named = f"{server}_{named}"

    return identifier(named)


def _from_sql(sql: str) -> str:
    tables = tables_named(sql)
    if not tables:
        return ""

    group = grouped_by(sql)
    aggregate = aggregate_of(sql)
    if group:
        name = f"{tables[0]}_by_{group}"
    elif aggregate:
        # One number of a table is not the table.
        name = f"{tables[0]}_{aggregate}"
    elif gives_whole_table(sql):
        name = tables[0]
    else:
        # Some rows or columns of a table are not that table either.
        name = f"{tables[0]}_rows"

    return name.lower()


def identifier(text: str) -> str:
    # Python reads a name in this form: `ｐrint` is `print`
    plain = unicodedata.normalize("NFKC", text)
    name = _NOT_A_NAME.sub("_", plain).strip("_").lower() or "table"
    # it is a variable, and a table that SQL is asked for by that name
    if name[0].isdigit() or keyword.iskeyword(name) or is_reserved(name):
        return f"t_{name}"

    return name


def is_free_word(name: str) -> bool:
    """Whether a name can be an argument or an attribute in Python."""
    return name.isidentifier() and not keyword.iskeyword(name)


def is_used_by_code(name: str) -> bool:
    """Whether a table's name would take one that code uses: of Python or of frozen cells."""
    return hasattr(builtins, name) or keyword.iskeyword(name) or name in USED_BY_CODE


def free(name: str, taken: Container[str]) -> str:
    """`name`, or the first of `name_2`, `name_3` ... that is not taken and hides no builtin."""
    name = unicodedata.normalize("NFKC", name)
    candidate, number = name, 2
    while candidate in taken or is_used_by_code(candidate):
        candidate, number = f"{name}_{number}", number + 1

    return candidate


def free_path(name: str) -> Path:
    """A file of that name that is not there yet: `report.pdf`, `report_2.pdf`."""
    path, number = Path(name), 1
    while path.exists():
        number += 1
        path = Path(name).with_stem(f"{Path(name).stem}_{number}")
    return path
