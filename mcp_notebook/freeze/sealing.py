"""Secrets in what is frozen, calls and connections: each becomes a reference to the
environment variable that holds it, or has to be set.

A secret is known as everywhere here: by its shape, as the value of a secret variable,
or by the name of its argument.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_notebook.config.options import ConnectOptions, split_header
from mcp_notebook.secrets import (
    LEAST,
    MASK,
    USERINFO,
    NameLevel,
    is_secret_name,
    is_secret_option,
    mask,
    replace_items,
    secret_variables,
)

_WORD = re.compile(r"\W+")
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.+)", re.DOTALL)
_SCHEME = re.compile(
    r"(?P<scheme>(?:Bearer|Basic|Token|ApiKey)\s+)?(?P<value>.+)",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(r"\$\{[^}]+\}")
# A literal that SQL compares with, or assigns to, a name: password = 'x', identified by 'x'.
_LITERAL = re.compile(
    r"""(?:\b(?P<column>\w+)["`\]]?\s*(?:=|<>|!=|:|\blike\b|\bis\b|\s)\s*
        |\b(?P<login>identified)\s+by\s+)'(?P<value>(?:[^']|'')+)'""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Secret:
    """Where a secret stood: the environment variable to read in its place. `known`:
    that one holds it now.
    """

    variable: str
    known: bool


@dataclass
class Sealer:
    """Finds secrets and names their variables; `missing` collects the variables that
    hold none of them yet.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    missing: dict[str, None] = field(default_factory=dict)

    def reference(self, value: str, name: str) -> str:
        """`${VAR}` for a secret."""
        return f"${{{self.secret(value, name).variable}}}"

    def secret(self, value: str, name: str) -> Secret:
        """The variable that holds a secret, or one named after where it stood."""
        holder = self._holder(value)
        if holder:
            return Secret(holder, True)

        variable = _WORD.sub("_", name).strip("_").upper() or "SECRET"
        self.missing[variable] = None
        return Secret(variable, False)

    def text(self, text: str, name: str) -> str:
        """A text of a command line or URL with `${VAR}` for each secret in it."""
        return "".join(
            f"${{{p.variable}}}" if isinstance(p, Secret) else p
            for p in self.pieces(text, name, references=True)
        )

    def pieces(
        self, text: str, name: str, *, sql: bool = False, references: bool = False
    ) -> list[str | Secret]:
        """The text in pieces, with a Secret in the place of each one; with
        `references`, `${VAR}` is none.
        """
        pieces: list[str | Secret] = [text]
        for variable, value in self._values():
            pieces = [
                p
                for piece in pieces
                for p in _split(piece, value, Secret(variable, True))
            ]

        if sql:
            pieces = [p for piece in pieces for p in self._literals(piece, name)]

        return [p for piece in pieces for p in self._shapes(piece, name, references)]

    def is_named_secret(self, name: str, value: Any) -> bool:
        """Whether an argument of this name holds a secret, whatever it looks like."""
        is_empty = value is None or value == ""
        return not is_empty and is_secret_name(name, NameLevel.ARGUMENT)

    def _holder(self, value: str) -> str:
        holders = [name for name, held in self.environ.items() if held == value]
        telling = [n for n in holders if is_secret_name(n, NameLevel.CONNECTION)]
        if telling:
            return min(telling)
        # a short value may stand in any variable by chance
        if len(value) >= LEAST:
            return min(holders, default="")

        return ""

    def _values(self) -> Iterator[tuple[str, str]]:
        """Secret variables and their values, the longest first: one may hold another."""
        held = secret_variables(self.environ) | {
            name: value
            for name, value in self.environ.items()
            if len(value) >= LEAST and mask(value, {}) == MASK
        }
        return iter(sorted(held.items(), key=lambda pair: (-len(pair[1]), pair[0])))

    def _shapes(
        self, piece: str | Secret, name: str, references: bool
    ) -> Iterator[str | Secret]:
        """Secrets of known shapes; what they are is found by comparing with the masked text."""
        if isinstance(piece, Secret) or mask(piece, {}) == piece:
            yield piece
            return

        rest, clear = piece, mask(piece, {}).split(MASK)
        for at, part in enumerate(clear[:-1]):
            yield part
            rest = rest[len(part) :]
            if clear[at + 1]:
                end = rest.find(clear[at + 1])
            else:
                end = len(rest)

            found = rest[:end]
            yield (
                found
                if references and "${" in found
                else self.secret(found, f"{name}_secret")
            )
            rest = rest[end:]

        yield rest

    def _literals(self, piece: str | Secret, name: str) -> Iterator[str | Secret]:
        if isinstance(piece, Secret):
            yield piece
            return

        at = 0
        for found in _LITERAL.finditer(piece):
            column = found["login"] or found["column"]
            if not found["login"] and not is_secret_name(column, NameLevel.ARGUMENT):
                continue

            yield piece[at : found.start("value")]
            yield self.secret(found["value"], f"{name}_{column}")
            at = found.end("value")

        yield piece[at:]


def _split(piece: str | Secret, value: str, secret: Secret) -> Iterator[str | Secret]:
    if isinstance(piece, Secret) or value not in piece:
        yield piece
        return

    first, *others = piece.split(value)
    yield first
    for other in others:
        yield secret
        yield other


def is_exact(source: str, value: Any) -> bool:
    """Whether Python reads this source as exactly this value."""
    try:
        return repr(ast.literal_eval(source)) == repr(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def seal_options(options: ConnectOptions, sealer: Sealer) -> ConnectOptions:
    """The same connection with `${VAR}` for every secret in it; `sealer` notes the
    variables that have to be set.
    """
    sealed: dict[str, Any] = {"words": tuple(_seal_words(options, sealer))}
    for name, option, value in options.items():
        if option.sealing == "header":
            sealed[name] = tuple(
                _seal_header(options.name, one, sealer) for one in value
            )
        elif option.sealing == "text":
            sealed[name] = sealer.text(value, f"{options.name}_{name}")

    return replace(options, **sealed)


def _seal_words(options: ConnectOptions, sealer: Sealer) -> Iterator[str]:
    option, before_command = "", True
    for word in options.words:
        if before_command:
            assigned = _ASSIGNMENT.fullmatch(word)
        else:
            assigned = None

        before_command = assigned is not None
        if assigned and is_secret_name(assigned["name"], NameLevel.CONNECTION):
            yield f"{assigned['name']}={_seal_value(assigned['value'], assigned['name'], sealer)}"
        elif option:
            yield _seal_value(word, f"{options.name}_{option.lstrip('-')}", sealer)
        else:
            yield _seal_inside(word, options.name, sealer)

        if is_secret_option(word):
            option = word
        else:
            option = ""


def _seal_header(server: str, header: str, sealer: Sealer) -> str:
    name, value = split_header(header)
    if not is_secret_name(name, NameLevel.CONNECTION):
        return f"{name}: {_seal_inside(value, server, sealer)}"

    found = _SCHEME.fullmatch(value)
    if found is None:
        return header

    scheme = found["scheme"] or ""
    return f"{name}: {scheme}{_seal_value(found['value'], f'{server}_{name}', sealer)}"


def _seal_value(value: str, name: str, sealer: Sealer) -> str:
    """A secret that fills a word; what refers to a variable already is none."""
    if _REFERENCE.search(value):
        return value
    return sealer.reference(value, name)


def _seal_inside(word: str, server: str, sealer: Sealer) -> str:
    """A word in which secrets may stand: a password in a URL, an item of a query, a key
    of a known shape.
    """
    word = USERINFO.sub(
        lambda m: f"{m['scheme']}{_seal_login(m, server, sealer)}@", word
    )
    word = replace_items(
        word, lambda name, value: _seal_value(value, f"{server}_{name}", sealer)
    )
    return sealer.text(word, server)


def _seal_login(found: re.Match[str], server: str, sealer: Sealer) -> str:
    """`user:password` of a URL; a user alone is no secret."""
    login = found[0][len(found["scheme"]) : -1]
    user, _, password = login.partition(":")
    if not password:
        return login
    return f"{user}:{_seal_value(password, f'{server}_password', sealer)}"


# A value as Python source that gives exactly this value, pleasant to read; secrets are
# read from the environment.


WIDTH = 100  # characters of a line
_CLAUSES = re.compile(
    r"(?<=\s)(?=(?:from|where|group\s+by|order\s+by|having|limit|union|(?:left|right|inner"
    r"|full|cross)\s+join)\s)",
    re.IGNORECASE,
)


def literal(
    value: Any,
    sealer: Sealer | None,
    name: str = "",
    *,
    key: str = "",
    secret: bool = False,
    indent: int = 0,
) -> str:
    """The source of JSON's values, lists and dicts, `indent` spaces from the margin.

    `name`: what a secret is named after; `key`: what the value itself is called;
    `secret`: it is a part of one; no `sealer`: the value is known to hold none.
    """
    code = getattr(value, "code", "")
    if code:  # a table of the notebook that was an argument: its variable
        return code

    if sealer is not None and (secret or sealer.is_named_secret(key, value)):
        secret = True

    if isinstance(value, Mapping):
        pairs = [
            f"{literal(k, sealer, name)}: "
            + literal(v, sealer, f"{name}_{k}", key=k, secret=secret, indent=indent + 4)
            for k, v in value.items()
        ]
        return _bracket_items("{", pairs, "}", indent)

    if isinstance(value, list | tuple):
        items = [
            literal(item, sealer, name, secret=secret, indent=indent + 4)
            for item in value
        ]
        return _bracket_items("[", items, "]", indent)

    if secret and sealer is not None:
        return _secret(value, sealer, name)

    if isinstance(value, str):
        if sealer is None:
            return quote_text(value)
        return text(value, sealer, name)

    return _number(value)


def _secret(value: Any, sealer: Sealer, name: str) -> str:
    """The source that reads a secret from the environment as what it was sent as."""
    if value in (None, "") or isinstance(value, bool):
        return repr(value)

    source = _environment(sealer.secret(str(value), name))
    if isinstance(value, str):
        return source

    return f"{type(value).__name__}({source})"


def text(
    value: str, sealer: Sealer, name: str, *, sql: bool = False, indent: int = 0
) -> str:
    """The source of a text; a long line of SQL in several literals."""
    pieces = sealer.pieces(value, name, sql=sql)
    if not any(isinstance(piece, Secret) for piece in pieces):
        if sql:
            return fold_literal(value, indent)
        return quote_text(value)

    parts = [
        _environment(p) if isinstance(p, Secret) else quote_text(p)
        for p in pieces
        if p != ""
    ]
    return " + ".join(parts)


def quote_text(value: str) -> str:
    """A string literal: in triple quotes when it has several lines, always exactly the value."""
    if (
        "\n" in value
        and value.replace("\n", "").replace("\t", "").isprintable()
        and "\\" not in value
    ):
        for quote in ('"""', "'''"):
            source = f"{quote}{value}{quote}"
            if not value.endswith(quote[0]) and is_exact(source, value):
                return source

    plain = json.dumps(value, ensure_ascii=False)
    if value.isprintable() and is_exact(plain, value):
        return plain

    return ascii(value)


def fold_literal(value: str, indent: int = 0) -> str:
    """A long line as literals one below the other, which Python reads as one; broken
    before SQL's clauses.
    """
    whole = quote_text(value)
    if len(whole) <= WIDTH - indent or "\n" in value:
        return whole

    lines = [line for clause in _CLAUSES.split(value) for line in _wrap_clause(clause)]
    margin = " " * (indent + 4)
    source = (
        "(\n"
        + "".join(f"{margin}{quote_text(line)}\n" for line in lines)
        + f"{' ' * indent})"
    )
    if is_exact(source, value):
        return source

    return whole


def _wrap_clause(clause: str) -> list[str]:
    """Pieces of at most a line, each with the white space that ends it."""
    lines = [""]
    for word in re.findall(r"\s*\S+\s*", clause) or [clause]:
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH - 12:
            lines.append("")

        lines[-1] += word

    return lines


def call(target: str, arguments: Iterable[str], *, prefix: str = "") -> str:
    """`prefix target(arguments)`, on one line when it fits, else an argument a line."""
    given = list(arguments)
    line = f"{prefix}{target}({', '.join(given)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    if len(given) == 1 and given[0].count('"""') == 2:
        return line  # one long text: its own lines are what a reader looks at

    inner = "".join(f"    {argument},\n" for argument in given)
    return f"{prefix}{target}(\n{inner})"


def comment_out(source: str) -> str:
    """The source as comments."""
    return "\n".join(f"# {line}".rstrip() for line in source.split("\n"))


def _environment(secret: Secret) -> str:
    return f"os.environ[{json.dumps(secret.variable)}]"


def _number(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return 'float("nan")'
    if value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(value)


def _bracket_items(opening: str, items: list[str], closing: str, indent: int) -> str:
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line

    margin = " " * (indent + 4)
    return (
        f"{opening}\n"
        + "".join(f"{margin}{item},\n" for item in items)
        + f"{' ' * indent}{closing}"
    )
