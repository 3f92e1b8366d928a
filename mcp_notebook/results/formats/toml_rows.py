"""TOML's arrays of tables: `[[rows]]` and below it one `name = value` a line. TOML has
no null: it leaves a key out.

Short rows may stand as inline tables in a list: `rows = [{ id = 1 }]`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence

from mcp_notebook.results.raw_table import Answer, Taken
from mcp_notebook.results.values import json_tables

_TABLES = re.compile(r"^(?:\[\[[\w.\"' -]+\]\][ \t]*$|[\w-]+ = \[\s*\{)", re.MULTILINE)


def read(text: str, selected: Sequence[str] = ()) -> Answer:
    """The tables of a whole text that is TOML."""
    if not ("[[" in text or "= [" in text) or not _TABLES.search(text):
        return "no [[table]] in it"
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return f"no TOML: {str(error)[:80]}"
    raws = json_tables.tables_in(value, selected=selected)
    return raws if isinstance(raws, str) else Taken(raws)
