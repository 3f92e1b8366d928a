"""SQL for reading: in coloured parts, and in lines when it came as one long line.

Only white space outside strings and comments is ever changed: what is shown is what is
sent. A sign that is a comment in some dialects only, like `#`, has no colour: what may
run must not look like a remark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_notebook.sql_words import SQL_ARGUMENTS, Token, split_sql
from mcp_notebook.untrusted_text import visible

# (kind, text); kind is "k"eyword, "f"unction, "s"tring, "n"umber, "c"omment or "" for
# the rest
Part = tuple[str, str]

WIDTH = 88


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
_STATEMENT = re.compile(
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
    if not isinstance(value, str) or not _STATEMENT.match(value[:2000]):
        return False
    return (
        name.lower() in SQL_ARGUMENTS or "sql" in name.lower() or " " in value.strip()
    )


def parts(sql: str) -> list[Part]:
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


def pretty(sql: str) -> str:
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

    called = at + 1 < len(tokens) and tokens[at + 1].text == "("
    is_function = called and token.lower in _ALSO_FUNCTIONS
    if token.lower in _KEYWORDS and not is_function:
        return "k"
    if called:
        return "f"

    return ""


def _follows(tokens: Sequence[Token], at: int) -> str:
    """The next piece that is no white space, in small letters."""
    after = (token for token in tokens[at + 1 :] if token.kind != "space")
    return next((token.lower for token in after), "")


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
                self._space()
            elif token.text == "(":
                self._open_paren(_follows(tokens, at) in {"select", "with"})
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

    def _space(self) -> None:
        if self.line.strip():
            self.line += " "

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
    """A line longer than WIDTH broken after commas that stand outside parentheses."""
    if len(line) <= WIDTH:
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
