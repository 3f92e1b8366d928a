"""What an SQL text says by its words: the one reader of SQL of the whole package.

`split_sql` knows words, texts and comments as most engines write them. It costs a
fraction of a millisecond and tells, for every result, what a statement selects and
names, and how it is coloured and laid out for reading; where a wrong yes would do harm,
`sql_effects` reads far more strictly.

    select a, "b c" as d from t -- why
    word   mark quoted ...      comment

sqlglot would do the same, but takes 0.3 s to load, which no first result should wait
for.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from mcp_notebook.untrusted_text import visible

Kind = Literal["space", "comment", "string", "quoted", "number", "word", "mark"]

SQL_ARGUMENTS = ("sql", "query", "statement", "sql_query", "q", "stmt")
READ_CHARACTERS = 20_000  # of a statement when its select list is read


class Token(NamedTuple):
    """A piece of a statement; all pieces joined are the statement."""

    kind: Kind
    text: str

    @property
    def lower(self) -> str:
        """The text in small letters, as keywords are compared."""
        return self.text.lower()

    @property
    def name(self) -> str:
        """What a word or a quoted name means: `"a ""b"` is `a "b`."""
        if self.kind != "quoted":
            return self.text
        return self.text[1:-1].replace('""', '"')

    @property
    def is_name(self) -> bool:
        """Whether it may name something: a word, or a name in quotes."""
        return self.kind in ("word", "quoted")

    def is_word(self, words: Collection[str]) -> bool:
        """Whether it is one of the words, and neither a text nor a name in quotes."""
        return self.kind == "word" and self.lower in words


_NOTHING = Token("mark", "")

# ---- names

# The reserved words of DuckDB (`duckdb_keywords()`), those of joins and of functions
# included: none of them is a table's or a column's name without quotes.
_RESERVED = frozenset(
    """
    all analyse analyze and anti any array as asc asof asymmetric at authorization
    binary both by case cast check collate collation column columns concurrently
    constraint create cross default deferrable desc describe distinct do else end except
    false fetch for foreign freeze from full generated glob group having ilike in
    initially inner intersect into is isnull join lambda lateral leading left like limit
    map natural not notnull null offset on only or order outer overlaps pivot
    pivot_longer pivot_wider placing positional primary qualify references returning
    right select semi show similar some struct summarize symmetric table tablesample
    then to trailing true try_cast tuple union unique unpack unpivot using variadic
    verbose when where window with
    """.split()
)
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")


def is_reserved(name: str) -> bool:
    """Whether SQL takes the name for a word of its own."""
    return name.lower() in _RESERVED


def written_name(name: str) -> str:
    """The name as it is written in a statement: in quotes where it has to be."""
    if _PLAIN_NAME.fullmatch(name) and not is_reserved(name):
        return name

    doubled = name.replace('"', '""')
    return f'"{doubled}"'


# ---- words, texts and comments as most engines write them

_PIECES = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>'(?:[^']|'')*(?:'|\Z)|(?P<tag>\$\w*\$).*?(?:(?P=tag)|\Z))
    | (?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]\[\n]*\])
    | (?P<number>\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b|\d[\w.]*)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@lru_cache(maxsize=128)
def split_sql(sql: str) -> tuple[Token, ...]:
    """The pieces of a text; nothing is lost, and no text is too strange to be split."""
    return tuple(token_of(match) for match in _PIECES.finditer(sql))


def token_of(match: re.Match[str]) -> Token:
    """The piece that an expression found whose groups are named like the kinds."""
    kind: Any = match.lastgroup
    return Token(kind, match[0])


@lru_cache(maxsize=128)
def solid_tokens(sql: str) -> tuple[Token, ...]:
    """The pieces that mean something, without white space and comments."""
    return tuple(t for t in split_sql(sql) if t.kind not in ("space", "comment"))


def _piece(tokens: Sequence[Token], at: int) -> Token:
    """The piece at a place; an empty mark before the first and behind the last."""
    return tokens[at] if 0 <= at < len(tokens) else _NOTHING


def sql_of(arguments: Mapping[str, Any]) -> str:
    """The SQL text among a call's arguments, or an empty string."""
    for name in SQL_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str) and " " in value.strip():
            return value

    return ""


# ---- what a statement is about

_QUERIES = frozenset(["select", "with", "show", "values", "table", "describe", "from"])
_LOOKING = frozenset(["show", "describe", "desc", "explain", "pragma", "summarize"])
_CATALOGS = re.compile(
    r"\b(?:information_schema|sqlite_master|sqlite_schema|pg_catalog|pg_tables|pg_class"
    r"|sys\.tables|sys\.columns|duckdb_tables|duckdb_columns|svv_\w+|all_tables"
    r"|user_tables)\b",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"\blimit\s+(?:\d+\s*,\s*)?(\d+)", re.IGNORECASE)


MOST_ARGUMENTS = 1_000  # texts of a call that are looked at


def statements_of(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Every text among a call's arguments that reads as SQL, at any depth and under any
    name, also in a text of JSON.
    """
    found = dict.fromkeys(filter(None, [sql_of(arguments)]))
    for name, text in argument_texts(arguments):
        if is_sql(name, text) or (_NAMES_SQL.search(name) and is_query(text)):
            found[text] = None

    return tuple(found)


_NAMES_SQL = re.compile(r"sql|quer|statement|stmt|^q$", re.IGNORECASE)


def argument_texts(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The texts in a call's arguments, each with the names that lead to it, `a.b`."""
    found: list[tuple[str, str]] = []
    waiting: list[tuple[str, Any]] = [("", arguments)]
    while waiting and len(found) < MOST_ARGUMENTS:
        name, value = waiting.pop(0)
        if isinstance(value, Mapping):
            waiting += [(f"{name}.{key}".strip("."), v) for key, v in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(name, inner) for inner in value]
        elif isinstance(value, str):
            found.append((name, value))
            # the body of a request, which is read over there
            inside = _read_json(value)
            if inside is not None:
                waiting.append((name, inside))

    return found


def _read_json(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "[") or len(text) > READ_CHARACTERS:
        return None

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def is_query(sql: str) -> bool:
    """Whether the statement asks for rows: then an empty answer is an empty table and
    not a done write.
    """
    return _first_word(sql) in _QUERIES


def looks_around(sql: str) -> bool:
    """Whether a statement asks what there is rather than for data."""
    if _first_word(sql) in _LOOKING:
        return True

    bare = " ".join(
        " " if token.kind == "string" else token.text for token in solid_tokens(sql)
    )
    return _CATALOGS.search(bare.replace(" . ", ".")) is not None


def row_limit(sql: str) -> int | None:
    """The number after the last LIMIT, if the statement has one."""
    found = _LIMIT.findall(sql)
    return int(found[-1]) if found else None


def names_among(sql: str, names: Iterable[str]) -> set[str]:
    """Those of the names that stand in the statement outside of texts and comments,
    without regard to case.
    """
    words = {token.name.lower() for token in solid_tokens(sql) if token.is_name}
    return {name for name in names if name.lower() in words}


def _first_word(sql: str) -> str:
    return _piece(solid_tokens(sql[:READ_CHARACTERS]), 0).lower


# ---- which tables it names

# inside of these functions FROM is followed by a value
# Functions that make one row of many, whichever the dialect.
_AGGREGATES = frozenset(
    {"avg", "count", "max", "median", "min", "stddev", "sum", "total"}
)
_FROM_INSIDE = frozenset(["extract", "trim", "substring", "overlay"])
_NO_TABLE = frozenset(["select", "with", "lateral", "only", "values"])
_GROUP_BY = ("group", "by")
# What a piece adds to the depth of parentheses.
_DEPTH = {"(": 1, ")": -1}
_DEPTH_OF_ITEMS = {**_DEPTH, "[": 1, "]": -1}


def tables_named(sql: str) -> tuple[str, ...]:
    """The tables after FROM and JOIN in order, without schema; names of WITH are none."""
    tokens = solid_tokens(sql)
    common = _common_names(tokens)
    found: list[str] = []
    callers: list[str] = []  # the function, or "", of each open parenthesis
    for at, token in enumerate(tokens):
        if token.text == "(":
            callers.append(_caller(tokens, at))
        elif token.text == ")" and callers:
            callers.pop()
        elif _names_a_table(tokens, at) and not _FROM_INSIDE & set(callers[-1:]):
            name = _last_part(tokens, at + 1)
            if name and name.lower() not in common:
                found.append(name)

    return tuple(found)


def grouped_by(sql: str) -> str:
    """The first column or function after GROUP BY, without its table. GROUP BY ALL and
    a number stand for what is selected.
    """
    tokens = solid_tokens(sql)
    pairs = enumerate(itertools.pairwise(token.lower for token in tokens))
    names = (_group_at(tokens, at + 2) for at, pair in pairs if pair == _GROUP_BY)
    return next(filter(None, names), "")


def _group_at(tokens: tuple[Token, ...], at: int) -> str:
    group = _piece(tokens, at)
    if group.lower != "all" and not group.text.isdigit():
        return _last_part(tokens, at)

    selects = [n for n, token in enumerate(tokens[:at]) if token.is_word(("select",))]
    if not selects:
        return ""

    items = [item for item in _select_items(tokens[selects[-1] + 1 :]) if item]
    if group.text.isdigit():
        items = items[int(group.text) - 1 :][:1]
    else:
        items = [item for item in items if not _is_aggregate(item)]

    names = (_item_name(item) or _last_part(tuple(item), 0) for item in items)
    return next(filter(None, names), "")


def _is_aggregate(item: list[Token]) -> bool:
    return item[0].lower in _AGGREGATES and _piece(item, 1).text == "("


def aggregate_of(sql: str) -> str:
    """The function when all that a statement gives is one row of aggregates (`count`,
    `sum`); else an empty string.
    """
    if grouped_by(sql):
        return ""

    tokens = solid_tokens(sql)
    if any(token.lower == "over" for token in tokens):  # a window keeps every row
        return ""

    depth, found = 0, ""
    for at, token in enumerate(tokens[:-2]):
        depth += _DEPTH.get(token.text, 0)
        if depth == 0 and token.is_word(("select",)):
            called = tokens[at + 2].text == "("
            found = tokens[at + 1].lower if called else ""

    return found if found in _AGGREGATES else ""


def gives_whole_table(sql: str) -> bool:
    """Whether a statement gives every row and column of one table: `select * from t`,
    in whatever order, `from t`, `table t`.
    """
    tokens = solid_tokens(sql)
    if any(token.is_word(_FEWER_ROWS) for token in tokens):
        return False

    unordered = itertools.takewhile(lambda t: not t.is_word(("order",)), tokens)
    # another table, a subquery, a function
    if any(token.text in (",", "(") for token in unordered):
        return False

    first = _piece(tokens, 0)
    if not first.is_word(("select",)):
        return first.is_word(("from", "table"))

    # `o.*` of one table is all of it, too
    qualified = _piece(tokens, 2).text == "."
    at = 3 if qualified else 1
    return _piece(tokens, at).text == "*" and _piece(tokens, at + 1).is_word(("from",))


# What leaves rows out, or adds another table's.
_FEWER_ROWS = frozenset(
    "where limit fetch top offset having distinct join union intersect except group"
    " qualify sample tablesample lateral pivot unpivot".split()
)


def _names_a_table(tokens: tuple[Token, ...], at: int) -> bool:
    # IS DISTINCT FROM compares values
    is_opener = tokens[at].is_word(("from", "join"))
    return is_opener and _piece(tokens, at - 1).lower != "distinct"


def _caller(tokens: tuple[Token, ...], at: int) -> str:
    before = _piece(tokens, at - 1)
    return before.lower if before.kind == "word" else ""


def _common_names(tokens: tuple[Token, ...]) -> set[str]:
    """The names that a WITH gives: `name AS (` after WITH, RECURSIVE or a comma."""
    runs = zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False)
    return {
        name.name.lower()
        for opener, name, *follows in runs
        if opener.lower in ("with", "recursive", ",")
        and [token.lower for token in follows] == ["as", "("]
    }


def _last_part(tokens: tuple[Token, ...], at: int) -> str:
    """The last part of a name like `a.b."c"` that begins here, or ""."""
    name = ""
    if _piece(tokens, at).lower in _NO_TABLE:
        return name

    while (part := _piece(tokens, at)).is_name:
        name = part.name
        if _piece(tokens, at + 1).text != ".":
            break
        at += 2

    return name


# ---- which columns it selects

_LIST_ENDS = frozenset(
    [
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
    ]
)
# words that end an item and are no alias: `case ... end`, `x is null`
_NO_ALIAS = frozenset(
    [
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
    ]
)


def selected_columns(sql: str) -> tuple[str | None, ...] | None:
    """The columns of a plain SELECT, in order; a name is None when only the database
    knows it.

    None for everything that is not one SELECT with a finite list (`*`, WITH, several
    statements).
    """
    tokens = solid_tokens(sql[:READ_CHARACTERS])
    is_several = any(token.text == ";" for token in tokens[:-1])
    if _piece(tokens, 0).lower != "select" or is_several:
        return None

    items = _select_items(tokens[1:])
    if any(_piece(item, len(item) - 1).text in ("", "*") for item in items):
        return None

    return tuple(map(_item_name, items))


def _select_items(tokens: Iterable[Token]) -> list[list[Token]]:
    """The select list cut at its commas; one of the items may be empty."""
    items: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += _DEPTH_OF_ITEMS.get(token.text, 0)
        sign = "" if depth else token.text
        if sign == ";" or (sign and token.is_word(_LIST_ENDS)):
            break

        if sign == ",":
            items.append([])
        else:
            items[-1].append(token)

    while _piece(items[0], 0).lower in ("distinct", "all"):
        items[0].pop(0)

    return items


def _item_name(item: list[Token]) -> str | None:
    """The alias, or the last part of a plain column name."""
    last, before = item[-1], _piece(item, len(item) - 2)
    is_path = len(item) in (1, 3, 5) and {token.text for token in item[1::2]} <= {"."}
    aliased = before.text not in ("", ".", "::")
    if not last.is_name or not (aliased or is_path):
        return None
    if last.kind == "quoted":
        return last.name

    after_operator = aliased and before.kind == "mark" and before.text not in ")]"
    if last.lower in _NO_ALIAS or after_operator:
        return None

    return last.text


# ---- for reading: in coloured parts, and in lines when it came as one long line
#
# Only white space outside strings and comments is ever changed: what is shown is what is
# sent. A sign that is a comment in some dialects only, like `#`, has no colour: what may
# run must not look like a remark.

# (kind, text); kind is "k"eyword, "f"unction, "s"tring, "n"umber, "c"omment or "" for
# the rest
Part = tuple[str, str]

SQL_WIDTH = 88


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYWORDS = _words(
    """all alter analyze and any as asc asof attach begin between by call case cast check
    column commit copy create cross current database default delete desc describe
    distinct drop else end escape except exclude exists explain false fetch filter
    first following for foreign from full grant group grouping having if ilike in
    index inner insert intersect interval into is join key last lateral left like
    limit merge natural not null nulls offset on only or order outer over partition
    pivot pragma preceding primary qualify range recursive references replace
    returning right rollback rows schema select set show similar some table temp
    then to transaction true truncate unbounded union unique unnest unpivot update
    using vacuum values view when where window with"""
)
_SQL_OPENING = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*"
    r"(?:select\b.*(?:\bfrom\b|[\d*'(])|with\s+\S+.*\bas\b.*\("
    r"|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b|merge\s+into\b"
    r"|(?:create|drop|alter|truncate)\s+\w+|explain\b|describe\b|pragma\b|show\s+\w+"
    r"|copy\b.*\b(?:to|from)\b)",
    re.S | re.I,
)
_BREAKS = _words(
    "select from where group having order limit union except intersect window qualify "
    "returning values set or"
)
_JOINS = _words("join left right full inner cross natural asof")


def is_sql(name: str, value: object) -> bool:
    """Whether an argument of a tool reads as SQL, judged by its name and how it begins."""
    if not isinstance(value, str) or not _SQL_OPENING.match(value[:2000]):
        return False
    return (
        name.lower() in SQL_ARGUMENTS or "sql" in name.lower() or " " in value.strip()
    )


def colour_sql(sql: str) -> list[Part]:
    """The text in coloured parts; joined again they are `visible(sql, lines=True)`."""
    tokens = split_sql(sql)
    merged: list[Part] = []
    for at, token in enumerate(tokens):
        colour = _colour(tokens, at)
        shown = visible(token.text, lines=True)
        if merged and merged[-1][0] == colour:
            merged[-1] = (colour, merged[-1][1] + shown)
        else:
            merged.append((colour, shown))

    return merged


def lay_out_sql(sql: str) -> str:
    """A long single line broken before its clauses; anything that has line ends already
    stays as written.
    """
    text = sql.strip()
    if "\n" in text or len(text) <= 64:
        return text

    lines = _Layout().run(split_sql(text))
    rows = [row for line in lines for row in _wrap_line(line)]
    return "\n".join(rows) or text


_COLOURS = {"string": "s", "comment": "c", "number": "n"}
_ALSO_FUNCTIONS = _words("left right replace filter first last")


def _colour(tokens: Sequence[Token], at: int) -> str:
    token = tokens[at]
    if token.kind != "word":
        return _COLOURS.get(token.kind, "")

    called = _piece(tokens, at + 1).text == "("
    is_function = called and token.lower in _ALSO_FUNCTIONS
    if token.lower in _KEYWORDS and not is_function:
        return "k"
    if called:
        return "f"

    return ""


class _Layout:
    """Breaks one statement into lines; a stack of indents follows its subqueries."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.indents = [0]  # of the clauses of each open SELECT
        self.parens: list[bool] = []  # whether each open parenthesis holds a SELECT
        self.between = self.joined = False

    def run(self, tokens: Sequence[Token]) -> list[str]:
        for at, token in enumerate(tokens):
            if token.kind == "space":
                self.line += " " if self.line.strip() else ""
            elif token.text == "(":
                solid = (after for after in tokens[at + 1 :] if after.kind != "space")
                self._open_paren(next(solid, _NOTHING).lower in {"select", "with"})
            elif token.text == ")":
                self._close_paren()
            else:
                is_keyword = _colour(tokens, at) == "k"
                self._word(token.text, token.lower if is_keyword else "")

        self._break(0)
        return [line for line in self.lines if line.strip()]

    def _word(self, text: str, keyword: str) -> None:
        if self._starts_line(keyword):
            is_condition = keyword in {"and", "or"}
            self._break(self.indents[-1] + (2 if is_condition else 0))
        self.joined = keyword in _JOINS
        self.between = keyword == "between" or (self.between and keyword != "and")
        self.line += text

    def _starts_line(self, word: str) -> bool:
        if not word or (self.parens and not self.parens[-1]):
            return False
        if word in _JOINS:
            return not self.joined

        if word == "and":
            return not self.between  # BETWEEN 1 AND 2 stays on its line
        return word in _BREAKS

    def _open_paren(self, subquery: bool) -> None:
        self.line += "("
        self.parens.append(subquery)
        if subquery:
            self.indents.append(self.indents[-1] + 2)
            self._break(self.indents[-1])

    def _close_paren(self) -> None:
        if self.parens and self.parens.pop() and len(self.indents) > 1:
            self.indents.pop()
            self._break(self.indents[-1])
        self.line += ")"

    def _break(self, indent: int) -> None:
        if self.line.strip():
            self.lines.append(self.line.rstrip())
        self.line = " " * indent


def _wrap_line(line: str) -> list[str]:
    """A line longer than SQL_WIDTH broken after commas that stand outside parentheses."""
    if len(line) <= SQL_WIDTH:
        return [line]

    indent = " " * (len(line) - len(line.lstrip()) + 2)
    rows, row, depth = [], "", 0
    for token in split_sql(line):
        depth += (token.text == "(") - (token.text == ")")
        if row == indent and token.kind == "space":
            continue

        row += token.text
        if token.text == "," and depth == 0:
            rows.append(row)
            row = indent

    return [*rows, row]
