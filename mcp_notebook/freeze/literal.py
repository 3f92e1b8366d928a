"""A value as Python source that gives exactly this value, pleasant to read; secrets are
read from the environment.
"""

import json
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_notebook.freeze.sealing import Sealer, Secret, is_exact

WIDTH = 100  # characters of a line
_CLAUSES = re.compile(
    r"(?<=\s)(?=(?:from|where|group\s+by|order\s+by|having|limit|union|(?:left|right|inner|full|cross)\s+join)\s)",
    re.IGNORECASE,
)


def name_is_free(name: str) -> bool:
    """Whether a name can be an argument or an attribute in Python."""
    return name.isidentifier() and not keyword.iskeyword(name)


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
