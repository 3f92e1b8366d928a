"""How a server was connected, without the secrets in it: each becomes the `${VAR}` that
holds it, or has to be set.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mcp_notebook.config.options import ConnectOptions, split_header
from mcp_notebook.freeze.sealing import Sealer
from mcp_notebook.secrets import (
    USERINFO,
    NameLevel,
    is_secret_name,
    is_secret_option,
    replace_items,
)

_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.+)", re.DOTALL)
_SCHEME = re.compile(
    r"(?P<scheme>(?:Bearer|Basic|Token|ApiKey)\s+)?(?P<value>.+)",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(r"\$\{[^}]+\}")


def seal_options(options: ConnectOptions, sealer: Sealer) -> ConnectOptions:
    """The same connection with `${VAR}` for every secret in it; `sealer` notes the
    variables that have to be set.
    """
    sealed: dict[str, Any] = {"words": tuple(_words(options, sealer))}
    for name, option, value in options.given():
        if option.sealing == "header":
            sealed[name] = tuple(_header(options.name, one, sealer) for one in value)
        elif option.sealing == "text":
            sealed[name] = sealer.text(value, f"{options.name}_{name}")
    return replace(options, **sealed)


def _words(options: ConnectOptions, sealer: Sealer) -> Iterator[str]:
    option, before_command = "", True
    for word in options.words:
        assigned = _ASSIGNMENT.fullmatch(word) if before_command else None
        before_command = assigned is not None
        if assigned and is_secret_name(assigned["name"], NameLevel.CONNECTION):
            yield f"{assigned['name']}={_whole(assigned['value'], assigned['name'], sealer)}"
        elif option:
            yield _whole(word, f"{options.name}_{option.lstrip('-')}", sealer)
        else:
            yield _inside(word, options.name, sealer)
        option = word if is_secret_option(word) else ""


def _header(server: str, header: str, sealer: Sealer) -> str:
    name, value = split_header(header)
    if not is_secret_name(name, NameLevel.CONNECTION):
        return f"{name}: {_inside(value, server, sealer)}"
    found = _SCHEME.fullmatch(value)
    if found is None:
        return header
    scheme = found["scheme"] or ""
    return f"{name}: {scheme}{_whole(found['value'], f'{server}_{name}', sealer)}"


def _whole(value: str, name: str, sealer: Sealer) -> str:
    """A secret that fills a word; what refers to a variable already is none."""
    return value if _REFERENCE.search(value) else sealer.reference(value, name)


def _inside(word: str, server: str, sealer: Sealer) -> str:
    """A word in which secrets may stand: a password in a URL, an item of a query, a key
    of a known shape.
    """
    word = USERINFO.sub(lambda m: f"{m['scheme']}{_user(m, server, sealer)}@", word)
    word = replace_items(
        word, lambda name, value: _whole(value, f"{server}_{name}", sealer)
    )
    return sealer.text(word, server)


def _user(found: "re.Match[str]", server: str, sealer: Sealer) -> str:
    """`user:password` of a URL; a user alone is no secret."""
    login = found[0][len(found["scheme"]) : -1]
    user, colon, password = login.partition(":")
    return (
        f"{user}:{_whole(password, f'{server}_password', sealer)}"
        if colon and password
        else login
    )
