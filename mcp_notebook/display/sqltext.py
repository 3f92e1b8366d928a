"""SQL for reading: split into coloured parts, and broken into lines when it came as one long line.

Only white space outside strings and comments is ever changed: what is shown is what is
sent. This is a reading aid for any dialect, not a parser.
"""

import re

from mcp_notebook.untrusted_text import visible

# (kind, text); kind is "k"eyword, "f"unction, "s"tring, "n"umber, "c"omment or "" for
# the rest
Part = tuple[str, str]

WIDTH = 88


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEYWORDS = _words(
    """all alter analyze and any as asc asof attach begin between by call case cast check column commit copy create
    cross current database default delete desc describe distinct drop else end escape except exclude exists explain
    false fetch filter first following for foreign from full grant group grouping having if ilike in index inner insert
    intersect interval into is join key last lateral left like limit merge natural not null nulls offset on only or
    order outer over partition pivot pragma preceding primary qualify range recursive references replace returning
    right rollback rows schema select set show similar some table temp then to transaction true truncate unbounded
    union unique unnest unpivot update using vacuum values view when where window with"""
)
_TOKEN = re.compile(
    r"(?P<s>'(?:[^']|'')*(?:'|\Z)|(?P<tag>\$\w*\$).*?(?:(?P=tag)|\Z))"
    r"|(?P<c>--[^\n]*|/\*.*?(?:\*/|\Z))"
    r'|(?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z))'
    r"|(?P<n>\b\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<space>\s+)"
    r"|(?P<mark>.)",
    re.S | re.I,
)
_STATEMENT = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select\b.*(?:\bfrom\b|[\d*'(])|with\s+\S+.*\bas\b.*\(|insert\s+into\b|update\s+\S+\s+set\b"
    r"|delete\s+from\b|(?:create|drop|alter|truncate)\s+\w+|merge\s+into\b|explain\b|describe\b|pragma\b|show\s+\w+|copy\b.*\b(?:to|from)\b)",
    re.S | re.I,
)
_NAMES = {"sql", "query", "statement", "stmt", "sql_query"}
_BREAKS = _words(
    "from where group having order limit union except intersect window qualify returning values set"
)
_JOINS = _words("join left right full inner cross natural asof")


def is_sql(name: str, value: object) -> bool:
    """Whether an argument of a tool reads as SQL, judged by its name and how it begins."""
    if not isinstance(value, str):
        return False
    begins = _STATEMENT.match(value[:2000]) is not None
    return begins and (
        name.lower() in _NAMES or "sql" in name.lower() or " " in value.strip()
    )


def parts(sql: str) -> list[Part]:
    """The text in coloured parts; joined again they are `visible(sql, lines=True)`."""
    merged: list[Part] = []
    for kind, text in _tokens(sql):
        code = {"name": "", "quoted": "", "space": "", "mark": ""}.get(kind, kind)
        shown = visible(text, lines=True)
        if merged and merged[-1][0] == code:
            merged[-1] = (code, merged[-1][1] + shown)
        else:
            merged.append((code, shown))
    return merged


def pretty(sql: str) -> str:
    """A long single line broken before its clauses; anything that has line ends already
    stays as written.
    """
    text = sql.strip()
    if "\n" in text or len(text) <= 64:
        return text
    return (
        "\n".join(
            line for raw in _Layout().run(_tokens(text)) for line in _wrapped(raw)
        )
        or text
    )


def _tokens(sql: str) -> list[Part]:
    found = list(_TOKEN.finditer(sql))
    return [_classified(sql, token) for token in found]


def _classified(sql: str, token: "re.Match[str]") -> Part:
    kind = "s" if token.lastgroup == "tag" else token.lastgroup or "mark"
    text = token[0]
    if kind != "word":
        return kind, text
    called = sql[token.end() : token.end() + 1] == "("
    if text.lower() in _KEYWORDS and not (
        called
        and text.lower() in {"left", "right", "replace", "filter", "first", "last"}
    ):
        return "k", text
    return ("f" if called else "name"), text


class _Layout:
    """Breaks one statement into lines; a stack of indents follows its subqueries."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.indents = [0]  # of the clauses of each open SELECT
        self.parens: list[bool] = []  # whether each open parenthesis holds a SELECT
        self.between = self.joined = False

    def run(self, tokens: list[Part]) -> list[str]:
        solid = [token for token in tokens if token[0] != "space"]
        for at, (kind, text) in enumerate(tokens):
            follows = next(
                (t[1].lower() for t in tokens[at + 1 :] if t[0] != "space"), ""
            )
            self._take(kind, text, follows)
        self._break(0)
        return [line for line in self.lines if line.strip()] if solid else []

    def _take(self, kind: str, text: str, follows: str) -> None:
        if kind == "space":
            self._space()
        elif text == "(":
            self._open(follows in {"select", "with"})
        elif text == ")":
            self._close()
        else:
            self._word(kind, text)

    def _word(self, kind: str, text: str) -> None:
        word = text.lower() if kind == "k" else ""
        if self._starts_line(word):
            self._break(self.indents[-1] + (2 if word in {"and", "or"} else 0))
        self.joined = word in _JOINS
        self.between = word == "between" or (self.between and word != "and")
        self.line += text

    def _starts_line(self, word: str) -> bool:
        if not word or (self.parens and not self.parens[-1]):
            return False
        if word in _JOINS:
            return not self.joined
        return (
            word in _BREAKS
            or word in {"select", "or"}
            or (word == "and" and not self.between)
        )

    def _space(self) -> None:
        if self.line.strip():
            self.line += " "

    def _open(self, subquery: bool) -> None:
        self.line += "("
        self.parens.append(subquery)
        if subquery:
            self.indents.append(self.indents[-1] + 2)
            self._break(self.indents[-1])

    def _close(self) -> None:
        if self.parens and self.parens.pop() and len(self.indents) > 1:
            self.indents.pop()
            self._break(self.indents[-1])
        self.line += ")"

    def _break(self, indent: int) -> None:
        if self.line.strip():
            self.lines.append(self.line.rstrip())
        self.line = " " * indent


def _wrapped(line: str) -> list[str]:
    """A line longer than WIDTH broken after commas that stand outside parentheses."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    rows, row, depth = [], "", 0
    for kind, text in _tokens(line):
        depth += (text == "(") - (text == ")")
        row += text
        if text == "," and kind == "mark" and depth == 0:
            rows.append(row)
            row = indent
        elif row == indent + text and kind == "space":
            row = indent
    return [*rows, row]
