"""How a server was connected, in the person's own words: before any `${VAR}` was
replaced, without secrets.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Route:
    """One `%mcp_connect`. `words`: the command or URL; `config`: the file that
    describes it instead.
    """

    name: str
    words: tuple[str, ...] = ()
    config: str = ""
    allow: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    transport: str = ""
    cwd: str = ""
    timeout: float | None = None
    legacy: bool = False
    # a server object of this process, which no line can connect
    in_process: bool = False

    def magic(self) -> str:
        """The line for a notebook."""
        words = (
            [*self._options(), "--config", self.config, self.name]
            if self.config
            else [self.name, *self._options()]
        )
        return "%mcp_connect " + _joined([*words, *self.words])

    def arguments(self) -> tuple[str, dict[str, object]]:
        """The target and the other arguments of `mcp_notebook.connect`."""
        target = _joined(self.words)
        told = {
            "config": self.config,
            "allow": list(self.allow),
            "safe": list(self.safe),
            "env": list(self.env),
            "headers": dict(_pair(header) for header in self.headers),
            "transport": self.transport,
            "cwd": self.cwd,
            "timeout": self.timeout,
            "legacy": self.legacy,
        }
        return target, {name: value for name, value in told.items() if value}

    def _options(self) -> list[str]:
        repeated = {
            "--allow": self.allow,
            "--safe": self.safe,
            "--env": self.env,
            "--header": self.headers,
        }
        words = [
            word
            for option, values in repeated.items()
            for value in values
            for word in (option, value)
        ]
        single = {"--transport": self.transport, "--cwd": self.cwd}
        words += [
            word
            for option, value in single.items()
            if value
            for word in (option, value)
        ]
        words += ["--timeout", f"{self.timeout:g}"] if self.timeout else []
        return [*words, "--legacy"] if self.legacy else words


def _pair(header: str) -> tuple[str, str]:
    name, _, value = header.partition(":")
    return name.strip(), value.strip()


def _joined(words: Sequence[str]) -> str:
    """Words as a line that is split into the same words again; quotes only where they
    are needed.
    """
    return " ".join(
        word if re.fullmatch(r"[\w@%+=:,./~${}?&*-]+", word) else shlex.quote(word)
        for word in words
    )


def sealed(route: Route, sealer: Sealer) -> Route:
    """The same route with `${VAR}` for every secret in it; `sealer` notes the variables
    that have to be set.
    """
    words = tuple(_words(route, sealer))
    headers = tuple(_header(route.name, header, sealer) for header in route.headers)
    changed = {"words": words, "headers": headers}
    return Route(**{**_fields(route), **changed})  # type: ignore[arg-type]


def _fields(route: Route) -> Mapping[str, object]:
    return {name: getattr(route, name) for name in Route.__dataclass_fields__}


def _words(route: Route, sealer: Sealer) -> Iterator[str]:
    option, before_command = "", True
    for word in route.words:
        assigned = _ASSIGNMENT.fullmatch(word) if before_command else None
        before_command = assigned is not None
        if assigned and is_secret_name(assigned["name"], NameLevel.CONNECTION):
            yield f"{assigned['name']}={_whole(assigned['value'], assigned['name'], sealer)}"
        elif option:
            yield _whole(word, f"{route.name}_{option.lstrip('-')}", sealer)
        else:
            yield _inside(word, route.name, sealer)
        option = word if is_secret_option(word) else ""


def _header(server: str, header: str, sealer: Sealer) -> str:
    name, value = _pair(header)
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
