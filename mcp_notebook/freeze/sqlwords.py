"""What an SQL text tells by its words alone: whether it only reads, or only looks
around, and what it names.
"""

import re
from collections.abc import Iterable

_NOISE = re.compile(
    r"""
      --[^\n]* | \#[^\n]*$ | /\*.*?\*/                        # comments
    | '(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$        # texts
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_QUOTED = re.compile(r'"(?:[^"]|"")*"|`[^`]*`|\[[^\]\[]*\]')
_WORD = re.compile(r"[^\W\d]\w*")
_READING = {
    "select",
    "with",
    "values",
    "show",
    "describe",
    "desc",
    "explain",
    "table",
    "from",
    "summarize",
    "pragma",
}
_WRITING = {
    "insert", "update", "delete", "merge", "upsert", "drop", "alter", "create", "truncate", "grant", "revoke", "call",
    "execute", "exec", "do", "copy", "attach", "detach", "vacuum", "lock", "set", "use", "into", "load", "install",
    "nextval", "setval", "pg_sleep", "outfile", "dumpfile",
}  # fmt: skip
_LOOKING = {"show", "describe", "desc", "explain", "pragma", "summarize"}
_CATALOGS = re.compile(
    r"\b(information_schema|sqlite_master|sqlite_schema|pg_catalog|pg_tables|pg_class|sys\.tables|sys\.columns"
    r"|duckdb_tables|duckdb_columns|svv_\w+|all_tables|user_tables)\b",
    re.IGNORECASE,
)


def only_reads(sql: str) -> bool:
    """Whether a statement surely reads only: one statement that begins so, without a
    word that could write.

    A column called like such a word makes it doubtful, and what is doubtful does not
    count as reading.
    """
    bare = _QUOTED.sub(" x ", _NOISE.sub(" ", sql)).strip()
    statements = [part for part in bare.split(";") if part.strip()]
    words = [word.lower() for word in _WORD.findall(bare)]
    if len(statements) != 1 or not words or words[0] not in _READING:
        return False
    if words[0] == "pragma" and "=" in bare:
        return False
    return not _WRITING & set(words)


def looks_around(sql: str) -> bool:
    """Whether a statement asks what there is rather than for data."""
    bare = _NOISE.sub(" ", sql)
    first = _WORD.search(bare)
    return bool(first and first[0].lower() in _LOOKING) or bool(_CATALOGS.search(bare))


def named_in(sql: str, names: Iterable[str]) -> set[str]:
    """Those of the names that stand in the statement outside of texts and comments,
    without regard to case.
    """
    bare = _NOISE.sub(" ", sql)
    quoted = {found[0][1:-1].lower() for found in _QUOTED.finditer(bare)}
    words = {word.lower() for word in _WORD.findall(bare)} | quoted
    return {name for name in names if name.lower() in words}
