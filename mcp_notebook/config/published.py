"""Servers that are published in a registry of the protocol: found by words or by name,
and turned into the command or the address that they are started or asked by.

What a registry says is written by anybody who has an account there. Its names of
packages are checked, its options for the program that starts them are left out, and
nothing here starts anything.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import platformdirs

from mcp_notebook.config.specs import HttpServer, ServerSpec, StdioServer
from mcp_notebook.config.target import (
    LOADER_VARIABLES,
    check_headers,
    check_url,
    find_remedy,
)
from mcp_notebook.config.userfiles import write_whole
from mcp_notebook.errors import ConfigError
from mcp_notebook.untrusted_text import is_loopback, visible

REGISTRY = "https://registry.modelcontextprotocol.io"
NAME = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# What may stand for a package: no option, no address, no path.
IDENTIFIERS = {
    "pypi": re.compile(
        r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,99})(?:\[[a-z0-9,_-]{1,60}\])?"
    ),
    "npm": re.compile(r"(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]{0,213}"),
    "oci": re.compile(
        r"(?:[a-z0-9.-]+(?::\d{1,5})?/)?[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*){0,6}"
        r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
    ),
}
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
# Where each kind comes from; another place has to be typed by the person.
BASES = {
    "pypi": ("pypi.org",),
    "npm": ("registry.npmjs.org", "npmjs.org"),
    "oci": ("docker.io", "ghcr.io", "registry-1.docker.io", "index.docker.io"),
}
RUNNERS = {"pypi": "uvx", "npm": "npx", "oci": "docker"}
REMOTES = {"streamable-http": "http", "sse": "sse"}
STATE = "io.modelcontextprotocol.registry/official"
LARGEST = 4 << 20  # bytes of one answer
MOST = 30  # servers of one answer
PATIENCE = 10.0  # seconds for an answer
FRESH = 3600.0  # seconds for which an answer is not asked for again
KEEP = 30 * 86400.0  # seconds after which a kept one is of no use without network


@dataclass(frozen=True)
class Published:
    """One server of a registry: its whole name there, and its description as it came."""

    name: str
    description: str
    version: str
    server: Mapping[str, Any]
    status: str = ""
    # seconds since the answer came, where it could not be asked for now
    age: float = 0.0

    @property
    def repository(self) -> str:
        """Where its source is, as its author says."""
        return str(_object(self.server.get("repository")).get("url") or "")

    @property
    def kinds(self) -> str:
        """`pypi, http`: how it may be had."""
        kinds = [
            str(one.get("registryType")) for one in _objects(self.server, "packages")
        ]
        kinds += [str(one.get("type")) for one in _objects(self.server, "remotes")]
        return ", ".join(dict.fromkeys(kinds))


def is_published_name(word: str) -> bool:
    """Whether a word is the name of a server in a registry: `io.github.owner/name`."""
    return NAME.fullmatch(word) is not None and not Path(word).exists()


def search(words: str, registry: str = REGISTRY) -> list[Published]:
    """The servers whose names hold the words, at most 30. Raises ConfigError in one
    sentence when the registry cannot be asked and nothing is kept of it.
    """
    check_url(registry, where="MCPNotebook.registry")
    url = (
        f"{registry.rstrip('/')}/v0/servers?search={quote(words)}"
        f"&version=latest&limit={MOST}"
    )
    answer, age = _ask(url)
    found = {}
    for item in _objects(answer, "servers")[:MOST]:
        # Older answers hold the server itself, newer ones what the registry says beside.
        server = _object(item.get("server")) or item
        state = _object(_object(item.get("_meta")).get(STATE))
        name = server.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            continue
        if state.get("isLatest") is False:
            continue

        found[name] = Published(
            name,
            visible(str(server.get("description") or ""))[:200],
            visible(str(server.get("version") or ""))[:40],
            server,
            visible(str(state.get("status") or server.get("status") or ""))[:20],
            age,
        )

    return list(found.values())


def find(name: str, registry: str = REGISTRY) -> Published:
    """The server of exactly that name; ConfigError names near ones when there is none."""
    found: list[Published] = []
    # Some registries look for words in the last part of a name only.
    for words in (name, name.rpartition("/")[2]):
        found = search(words, registry)
        for one in found:
            if one.name == name:
                return one

    near = ", ".join(one.name for one in found[:5])
    guess = f"; there are {near}" if near else ""
    raise ConfigError(f"{registry} has no server {name}{guess}.")


def spec_of(one: Published, environ: Mapping[str, str]) -> ServerSpec:
    """What starts or reaches it: a package whose starter is here, else an address, else
    the first package. ConfigError says what it lacks, by name.
    """
    if one.status == "deleted":
        raise ConfigError(f"{one.name} was taken out of the registry by its author.")

    packages = [p for p in _objects(one.server, "packages") if _is_stdio(p)]
    known = [p for p in packages if p.get("registryType") in RUNNERS]
    ready = [p for p in known if shutil.which(RUNNERS[p["registryType"]])]
    remotes = [r for r in _objects(one.server, "remotes") if r.get("type") in REMOTES]
    if ready:
        return _package_spec(one, ready[0], environ)
    if remotes:
        return _remote_spec(one, remotes[0], environ)
    if known:
        runner = RUNNERS[known[0]["registryType"]]
        raise ConfigError(
            f"{one.name} starts with {runner}, which is not here. {find_remedy(runner)}"
        )

    raise ConfigError(
        f"{one.name} is published as {one.kinds or 'nothing'}; packages of PyPI, npm and "
        "OCI and addresses can be connected."
    )


def _package_spec(
    one: Published, package: Mapping[str, Any], environ: Mapping[str, str]
) -> StdioServer:
    kind = str(package["registryType"])
    identifier = _checked_identifier(one, kind, package)
    version = package.get("version")
    env = dict(_variables(one, _objects(package, "environmentVariables"), environ))
    arguments = list(_arguments(one, package, environ))
    if kind == "oci":
        passed = [word for name in env for word in ("-e", name)]
        words = ["run", "-i", "--rm", *passed, _image(identifier, version)]
    elif kind == "npm":
        words = ["-y", f"{identifier}@{version}" if version else identifier]
    else:
        words = [f"{identifier}@{version}" if version else identifier]

    notes = [f"{one.name} {one.version} of the registry"]
    if package.get("runtimeArguments"):
        notes.append(
            f"what its entry says to {RUNNERS[kind]} itself is left out; if it is needed, "
            "write the whole command"
        )

    return StdioServer(
        RUNNERS[kind], (*words, *arguments), env, notes=(*notes, *_notes_on(one))
    )


def _remote_spec(
    one: Published, remote: Mapping[str, Any], environ: Mapping[str, str]
) -> HttpServer:
    where = f"{one.name} of the registry"
    url = _filled(one, str(remote.get("url") or ""), environ)
    headers = dict(_variables(one, _objects(remote, "headers"), environ))
    return HttpServer(
        check_url(url, where=where),
        check_headers(headers, where=where),
        REMOTES[str(remote["type"])],  # type: ignore[arg-type]
        notes=(f"{one.name} {one.version} of the registry", *_notes_on(one)),
    )


def _checked_identifier(one: Published, kind: str, package: Mapping[str, Any]) -> str:
    identifier, version = package.get("identifier"), package.get("version")
    if not isinstance(identifier, str) or not IDENTIFIERS[kind].fullmatch(identifier):
        raise ConfigError(
            f"{one.name} names the package {str(identifier)[:80]!a}, which is no name on "
            f"{kind}; it is not started."
        )

    if version is not None and not VERSION.fullmatch(str(version)):
        raise ConfigError(
            f"{one.name} names the version {str(version)[:80]!a}, which is none; it is "
            "not started."
        )

    base = package.get("registryBaseUrl")
    host = urlsplit(str(base)).hostname if base else None
    if base and host not in BASES[kind]:
        raise ConfigError(
            f"{one.name} would load its package from {visible(str(base))[:80]}; write the "
            "whole command if you mean that."
        )

    return identifier


def _image(identifier: str, version: Any) -> str:
    has_tag = ":" in identifier.rpartition("/")[2]
    return identifier if has_tag or not version else f"{identifier}:{version}"


def _variables(
    one: Published, declared: list[Mapping[str, Any]], environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Name and value of the variables or headers that an entry declares and that have a
    value here; ConfigError names all that are required and have none.
    """
    missing = []
    for item in declared:
        name = str(item.get("name") or "")
        variable = re.sub(r"\W", "_", name).upper() if "-" in name else name
        if not VARIABLE.fullmatch(variable) or variable.upper() in LOADER_VARIABLES:
            raise ConfigError(
                f"{one.name} wants to set {name[:80]!a}; it is not started."
            )

        fixed = item.get("value") or item.get("default")
        if environ.get(variable):
            yield name, environ[variable]
        elif fixed:
            yield name, _filled(one, str(fixed), environ)
        elif item.get("isRequired"):
            about = visible(str(item.get("description") or ""))[:100]
            missing.append(f"{variable} ({about})" if about else variable)

    if missing:
        raise ConfigError(
            f"{one.name} needs {', '.join(missing)}; set each in the environment (%env "
            "NAME=...) and connect again."
        )


def _arguments(
    one: Published, package: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[str]:
    for item in _objects(package, "packageArguments"):
        value = item.get("value") or item.get("default")
        name = str(item.get("name") or "")
        hint = str(item.get("valueHint") or name or "a value")
        if value is None and item.get("isRequired"):
            raise ConfigError(
                f"{one.name} needs the argument {visible(hint)[:60]}; write its whole "
                f"command with it: %mcp_connect NAME {RUNNERS[package['registryType']]} ..."
            )

        if value is None:
            continue
        if item.get("type") == "named" and name:
            yield name

        yield _filled(one, str(value), environ)


def _filled(one: Published, text: str, environ: Mapping[str, str]) -> str:
    """`{name}` in a value replaced by the variable of that name."""
    for name in PLACEHOLDER.findall(text):
        value = environ.get(name) or environ.get(name.upper())
        if not value:
            raise ConfigError(
                f"{one.name} needs {name.upper()}; set it in the environment (%env "
                f"{name.upper()}=...) and connect again."
            )

        text = text.replace(f"{{{name}}}", value)

    return text


def _notes_on(one: Published) -> Iterator[str]:
    if one.repository:
        yield f"its source, as its author says: {visible(one.repository)[:120]}"
    if one.status == "deprecated":
        yield "its author says that it is deprecated"
    if one.age:
        yield f"the registry cannot be reached; its entry is {one.age / 3600:.0f} h old"


def _is_stdio(package: Mapping[str, Any]) -> bool:
    return _object(package.get("transport")).get("type", "stdio") == "stdio"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(holder: Any, key: str) -> list[Mapping[str, Any]]:
    items = _object(holder).get(key)
    return (
        [one for one in items if isinstance(one, dict)]
        if isinstance(items, list)
        else []
    )


# Asking a registry, with what it said before for when there is no network.


def _ask(url: str) -> tuple[Any, float]:
    """The answer, and its age in seconds where it could not be asked for now."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:32]
    kept = platformdirs.user_cache_path("mcp-notebook") / "registry" / f"{digest}.json"
    age = _age_of(kept)
    if age < FRESH:
        with suppress(OSError, ValueError):
            return json.loads(kept.read_bytes()), 0.0

    try:
        body = _fetch(url)
        answer = json.loads(body)
    except (URLError, OSError, HTTPException, ValueError, RecursionError) as error:
        if age < KEEP:
            with suppress(OSError, ValueError):
                return json.loads(kept.read_bytes()), age

        raise ConfigError(_why_not(url, error)) from None

    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(kept, body)

    return answer, 0.0


def _age_of(path: Path) -> float:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return float("inf")


def _fetch(url: str) -> bytes:
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310
    with urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 - checked above
        body = response.read(LARGEST + 1)

    if len(body) > LARGEST:
        raise ValueError(f"its answer is larger than {LARGEST >> 20} MB")

    return body


def _why_not(url: str, error: Exception) -> str:
    parts = urlsplit(url)
    if isinstance(error, HTTPError):
        reason = f"it answered with HTTP {error.code}"
    elif isinstance(error, json.JSONDecodeError):
        reason = "its answer is no JSON"
    else:
        reason = visible(str(getattr(error, "reason", error)))[:120]

    near = "" if is_loopback(str(parts.hostname)) else " or a proxy is needed"
    return (
        f"The registry at {parts.netloc} cannot be asked ({reason}){near}; give the "
        "server's command or URL instead, or set MCPNotebook.registry."
    )
