"""Whether an SQL statement surely only reads, whatever engine it is sent to.

A wrong yes lets a statement run again in a frozen notebook, so two readers must agree.
The text is split as each family of engines splits it - a `#` hides the rest of a line
from MySQL and is an operator of PostgreSQL - and no family may see a second statement,
a word or a function that acts. Then sqlglot must parse it as one query in the dialect
that the server's names speak of.

sqlglot takes 0.3 s to load, so it is imported where a statement is judged and never
with the extension.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mcp_notebook.sql_functions import is_acting_function
from mcp_notebook.sql_words import Token, solid_tokens, token_of

if TYPE_CHECKING:
    from sqlglot import exp

MAX_JUDGED = 100_000  # characters; a longer statement is never surely reading

_READING = frozenset(
    [
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
    ]
)
_PARSED = frozenset(["select", "with", "values", "table", "from"])
# A word of these, wherever it stands unquoted, makes a statement doubtful: T-SQL needs
# no semicolon between statements, so that `select 1 a delete from t` are two.
_ACTING_WORDS = frozenset(
    [
        "insert",
        "update",
        "delete",
        "merge",
        "upsert",
        "drop",
        "alter",
        "create",
        "truncate",
        "rename",
        "grant",
        "revoke",
        "deny",
        "call",
        "execute",
        "exec",
        "do",
        "copy",
        "attach",
        "detach",
        "vacuum",
        "lock",
        "set",
        "use",
        "into",
        "load",
        "install",
        "nextval",
        "setval",
        "outfile",
        "dumpfile",
        "kill",
        "shutdown",
        "dbcc",
        "backup",
        "restore",
        "reconfigure",
        "bulk",
        "writetext",
        "updatetext",
        "commit",
        "rollback",
        "savepoint",
        "checkpoint",
        "reindex",
    ]
)
_READING_PRAGMAS = frozenset(
    [
        "table_info",
        "table_xinfo",
        "table_list",
        "index_list",
        "index_info",
        "index_xinfo",
        "foreign_key_list",
        "database_list",
        "collation_list",
        "function_list",
        "module_list",
        "pragma_list",
        "compile_options",
        "show_tables",
        "show_tables_expanded",
        "database_size",
        "version",
        "storage_info",
        "functions",
        "metadata_info",
    ]
)
# What some engine or template runs although it looks like a comment or a name: MySQL's
# /*! ... */, Jinja's marks, identifiers with escapes, line ends that only some know.
_TRAPS = re.compile(
    r"/\*M?!|\{[#%{]|\bU&\"|[\x00-\x08\x0b-\x1f\x85\u2028\u2029]", re.IGNORECASE
)
_FOR_SHARE = re.compile(r"\bfor (?:no key |key )?(?:update|share)\b")


@dataclass(frozen=True)
class _Family:
    """How a family of engines splits a text; sqlglot's dialects are close, but not
    exact where it matters here (`#>` hides the rest of a line from MySQL only).
    """

    line_comment: str = r"--[^\n]*"
    nested_comments: bool = False
    backslash: bool = False  # it escapes in 'texts'
    backslash_in_double: bool = False
    backquote: bool = False
    bracket: str = ""  # [a name]
    dollar: str = ""
    before: str = ""  # texts of its own, tried first

    def pattern(self) -> re.Pattern[str]:
        """The pieces as one expression; what is not closed goes to the end."""
        if self.backslash:
            single = r"'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)"
        else:
            single = r"'(?:[^']|'')*(?:'|\Z)"

        if self.backslash_in_double:
            double = r'"(?:[^"\\]|""|\\.)*(?:"|\\?\Z)'
        else:
            double = r'"(?:[^"]|"")*(?:"|\Z)'

        quoted = [double]
        quoted += [r"`[^`]*(?:`|\Z)"] if self.backquote else []
        quoted += [self.bracket] if self.bracket else []
        if self.nested_comments:
            block = r"/\*"
        else:
            block = r"/\*.*?(?:\*/|\Z)"

        strings = [text for text in (self.before, self.dollar, single) if text]
        # A `$` begins a name, or is refused, where it opens no text.
        if self.dollar:
            word = r"[^\W\d][\w$]*"
        else:
            word = r"[^\W\d][\w$]*|\$\$[\w$]*"

        return re.compile(
            rf"(?P<space>\s+)|(?P<comment>{self.line_comment}|{block})"
            rf"|(?P<string>{'|'.join(strings)})|(?P<quoted>{'|'.join(quoted)})"
            rf"|(?P<number>\d[\d_]*(?:\.\d*)?(?:e[+-]?\d+)?)|(?P<word>{word})"
            r"|(?P<mark>.)",
            re.DOTALL | re.IGNORECASE,
        )


_DOLLAR = r"(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=tag)|\Z)"
_ESCAPED = r"e'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)"  # PostgreSQL's E'...'
_TRIPLE = r"'''(?:[^\\]|\\.)*?(?:'''|\Z)|\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)"
# Oracle's q'[...]': any sign may stand for the brackets
_ORACLE_TEXT = (
    r"n?q'(?:\[.*?(?:\]'|\Z)|\{.*?(?:\}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)"
    r"|(?P<sign>[^\s\[{(<]).*?(?:(?P=sign)'|\Z))"
)
_FAMILIES = (
    # PostgreSQL, Redshift, CockroachDB, DuckDB
    _Family(nested_comments=True, dollar=_DOLLAR, before=_ESCAPED),
    # the same with comments that do not nest: Redshift of old, Greenplum's clients
    _Family(dollar=_DOLLAR, before=_ESCAPED),
    # the same before backslashes became plain (standard_conforming_strings = off)
    _Family(nested_comments=True, dollar=_DOLLAR, before=_ESCAPED, backslash=True),
    # MySQL, MariaDB: `--` is a comment before white space only, `#` always
    _Family(
        line_comment=r"--(?=\s|\Z)[^\n]*|\#[^\n]*",
        backslash=True,
        backslash_in_double=True,
        backquote=True,
    ),
    # MySQL with NO_BACKSLASH_ESCAPES
    _Family(line_comment=r"--(?=\s|\Z)[^\n]*|\#[^\n]*", backquote=True),
    # SQLite; an open comment or bracket is closed by the end
    _Family(backquote=True, bracket=r"\[[^\]]*(?:\]|\Z)"),
    # SQL Server
    _Family(nested_comments=True, bracket=r"\[(?:[^\]]|\]\])*(?:\]|\Z)"),
    # Snowflake: `//` is a comment, too
    _Family(line_comment=r"--[^\n]*|//[^\n]*", backslash=True, dollar=_DOLLAR),
    # BigQuery
    _Family(
        line_comment=r"--[^\n]*|\#[^\n]*",
        backslash=True,
        backslash_in_double=True,
        backquote=True,
        before=_TRIPLE,
    ),
    # Oracle
    _Family(before=_ORACLE_TEXT),
    # Spark, Databricks, Hive: a backslash continues a comment; r'...' has no escapes
    _Family(
        line_comment=r"--(?:\\\n|[^\n])*",
        nested_comments=True,
        backslash=True,
        backslash_in_double=True,
        backquote=True,
        before=r"r'[^']*(?:'|\Z)|r\"[^\"]*(?:\"|\Z)",
    ),
    # Trino, Presto, Db2, standard SQL
    _Family(),
    # ClickHouse
    _Family(
        line_comment=r"--[^\n]*|\#(?:[ !][^\n]*|(?=\n|\Z))",
        backslash=True,
        backslash_in_double=True,
        backquote=True,
        dollar=_DOLLAR,
    ),
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def only_reads(sql: str, hint: str = "") -> bool:
    """Whether a statement surely reads only, whatever engine it is sent to.

    It must be one statement that begins as a query, without a word or a function that
    acts, as every family of engines splits the text; and sqlglot must parse it as one
    query in the dialect that `hint` (names of the server and its tool, its address)
    speaks of, or in a common one. A column called like an acting word makes it
    doubtful, and what is doubtful does not count as reading.
    """
    return _only_reads(sql, likely_dialects(hint))


@lru_cache(maxsize=1024)
def _only_reads(sql: str, dialects: tuple[str, ...]) -> bool:
    text = sql.strip().replace("\r\n", "\n")
    if len(text) > MAX_JUDGED or _TRAPS.search(text):
        return False

    solid = (token for token in solid_tokens(text) if token.text != "(")
    first = next((token.lower for token in solid), "")
    if first not in _READING:
        return False

    if any(_acts(tokens) for tokens in _as_engines_split(text)):
        return False

    return first not in _PARSED or _is_parsed_as_query(text, dialects)


def _as_engines_split(text: str) -> Iterator[tuple[Token, ...]]:
    """The text as each family splits it, without comments; equal ones once."""
    seen = set()
    for number in range(len(_FAMILIES)):
        tokens = _family_tokens(text, number)
        if tokens not in seen:
            seen.add(tokens)
            yield tokens


def _family_tokens(text: str, number: int) -> tuple[Token, ...]:
    pattern, nested = _patterns()[number]
    found: list[Token] = []
    at = 0
    while match := pattern.match(text, at):
        at = match.end()
        if match[0] == "/*" and nested:
            at = _comment_end(text, at)
        elif match.lastgroup not in ("space", "comment"):
            found.append(token_of(match))

    return tuple(found)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], bool], ...]:
    return tuple((f.pattern(), f.nested_comments) for f in _FAMILIES)


def _comment_end(text: str, at: int) -> int:
    """Where the comment ends that was opened before `at`, with those inside of it."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()

    return len(text)


def _acts(tokens: tuple[Token, ...]) -> bool:
    """Whether the words may do more than read, or are several statements."""
    while tokens and tokens[-1].text == ";":
        tokens = tokens[:-1]

    # a backslash outside of texts is a command of a client: \gexec, \!
    if any(token.text in (";", "\\") for token in tokens):
        return True

    words = [_fold_word(token.text) for token in tokens if token.kind == "word"]
    if not _ACTING_WORDS.isdisjoint(words) or _FOR_SHARE.search(" ".join(words)):
        return True

    if words and (_begins_otherwise(tokens) or _is_acting_command(words, tokens)):
        return True

    return any(is_acting_function(_fold_word(path)) for path in _called_names(tokens))


def _fold_word(word: str) -> str:
    """In small letters, by way of capitals: Java's engines take a dotless i for an I."""
    return word.upper().lower()


def _begins_otherwise(tokens: tuple[Token, ...]) -> bool:
    """Whether the first word is another verb; a text that begins with a sign is an
    error for the engine.
    """
    first = next((token for token in tokens if token.text != "("), tokens[0])
    return first.kind == "word" and first.lower not in _READING


def _is_acting_command(words: list[str], tokens: tuple[Token, ...]) -> bool:
    """EXPLAIN ANALYZE runs its statement, Oracle's EXPLAIN PLAN fills a table, and most
    pragmas set something.
    """
    if words[0] in ("explain", "describe", "desc"):
        explained = {"analyze", "analyse"} & set(words)
        return bool(explained) or words[1:2] == ["plan"]

    if words[0] != "pragma":
        return False

    sets = any(token.text == "=" for token in tokens)
    return sets or _READING_PRAGMAS.isdisjoint(words)


def _called_names(tokens: tuple[Token, ...]) -> Iterator[str]:
    """Every name before a parenthesis, with its schema; a method of a value, too."""
    for at, token in enumerate(tokens):
        if token.text != "(":
            continue

        path = ""
        place = at - 1
        while place >= 0 and tokens[place].kind in ("word", "quoted"):
            if path:
                path = f"{tokens[place].name}.{path}"
            else:
                path = tokens[place].name

            if place == 0 or tokens[place - 1].text != ".":
                break

            place -= 2

        if path:
            yield path


# ---- the same by sqlglot

COMMON_DIALECTS = (
    "postgres",
    "duckdb",
    "sqlite",
    "mysql",
    "snowflake",
    "bigquery",
    "tsql",
    "spark",
    "oracle",
    "trino",
    "clickhouse",
)
_HINTS = (
    (
        "postgres",
        r"postgres\w*|pg|psql|supabase|neon|timescale\w*|cockroach\w*|alloydb",
    ),
    ("redshift", r"redshift"),
    ("duckdb", r"duckdb|duck|motherduck"),
    ("sqlite", r"sqlite\d?|turso|libsql|d1"),
    ("mysql", r"mysql|mariadb|tidb|planetscale|vitess|singlestore"),
    ("tsql", r"mssql|tsql|sqlserver|azuresql|fabric|synapse"),
    ("snowflake", r"snowflake"),
    ("bigquery", r"bigquery|bq"),
    ("spark", r"spark|databricks|hive|delta"),
    ("oracle", r"oracle\w*"),
    ("trino", r"trino|presto|athena|starburst"),
    ("clickhouse", r"clickhouse|chdb"),
)
_HINT = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in _HINTS))
# what a query must not have inside, by the name of sqlglot's class
_ACTING_PARTS = frozenset(
    [
        "Insert",
        "Update",
        "Delete",
        "Merge",
        "Create",
        "Drop",
        "Alter",
        "Into",
        "Lock",
        "Command",
        "Copy",
        "Set",
        "Use",
        "QueryTransform",
        "NextValueFor",
        "Semicolon",
        "Transaction",
        "Commit",
        "Rollback",
        "Kill",
        "Grant",
        "Attach",
        "Detach",
        "TruncateTable",
        "Analyze",
        "Export",
        "Put",
        "Get",
    ]
)


def likely_dialects(hint: str) -> tuple[str, ...]:
    """sqlglot's names of the dialects that a server may speak, the likeliest first; one
    if its names or its address tell.
    """
    words = re.sub(r"[\W_]+", " ", hint.lower())
    found = [name for name, text in _hint_parts(words) if text]
    return tuple(dict.fromkeys(found)) or COMMON_DIALECTS


def _hint_parts(words: str) -> Iterator[tuple[str, str]]:
    for match in _HINT.finditer(words):
        yield match.lastgroup or "", match[0]


def _is_parsed_as_query(sql: str, dialects: Iterable[str]) -> bool:
    """Whether the first dialect that can read the text finds one query that only reads."""
    trees = parse_first(sql, dialects)
    return trees is not None and len(trees) == 1 and is_query_tree(trees[0])


def parse_first(sql: str, dialects: Iterable[str]) -> list[exp.Expr] | None:
    """The statements of a text in the first of the dialects that can read it, if any."""
    errors = (_load_sqlglot().errors.SqlglotError, ValueError, RecursionError)
    for dialect in dialects:
        with contextlib.suppress(*errors):
            return parse_statements(sql, dialect)

    return None


def parse_statements(sql: str, dialect: str) -> list[exp.Expr]:
    """The statements of a text as sqlglot's trees; raises SqlglotError, ValueError or
    RecursionError for what it cannot read.
    """
    sqlglot = _load_sqlglot()
    with _quiet_parser():
        trees = sqlglot.parse(sql, read=dialect)

    found = [tree for tree in trees if tree is not None]
    return [tree for tree in found if not isinstance(tree, sqlglot.exp.Semicolon)]


def _load_sqlglot() -> Any:
    import sqlglot  # a second under load, and most statements are told by their words

    return sqlglot


@contextlib.contextmanager
def _quiet_parser() -> Iterator[None]:
    """sqlglot says in the log what it does not know; here that is an answer."""
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def is_query_tree(tree: exp.Expr) -> bool:
    """Whether a statement's tree is one query that only reads."""
    exp = _load_sqlglot().exp
    if not isinstance(tree, exp.Query | exp.Values):
        return False

    return not any(type(node).__name__ in _ACTING_PARTS for node in tree.walk())
