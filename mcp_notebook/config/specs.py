"""A server, described: how to start it or where it is. Values of env and headers never
show in a repr.

`options` of each are those that it is connected with, of the person and of its file;
those that make another server of it are applied in the other fields already.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.config.userfiles import user_key
from mcp_notebook.errors import ConfigError
from mcp_notebook.secrets import (
    is_secret_option,
    learn_header,
    learn_secret,
    learn_url,
    mask_line,
)

HIDDEN = "•••"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_NAME = 50  # letters of one that is made, which leaves room for a number
LARGEST_SCRIPT = 4_000_000  # bytes
SCRIPTS = tuple(
    ".py .pyz .pyw .js .mjs .cjs .ts .mts .sh .bash .rb .pl .php .lua .r .R .jar".split()
)
LONGEST_PATH = 4096
# Ours to set anew at each start, so no part of who the server is (sessions/handover.py).
OF_EACH_START = ("MCP_NOTEBOOK_HANDOVER", "MCP_NOTEBOOK_MASK")


@dataclass(frozen=True)
class StdioServer:
    """A command that speaks MCP on stdin and stdout. `env` is added to a small default
    environment.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    # words in which a variable was replaced, as they were written
    written: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    options: ConnectOptions = field(default=ConnectOptions(), compare=False)
    # what the person should know before it starts
    notes: tuple[str, ...] = field(default=(), compare=False)
    # what its file calls it, where that is no name that it can connect under
    alias: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"StdioServer({describe(self)})"


@dataclass(frozen=True)
class HttpServer:
    """A server at a URL; `auto` tries Streamable HTTP, then the older SSE transport."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: Literal["auto", "http", "sse"] = "auto"
    allow_insecure: bool = False  # plain http to another machine
    # path of a PEM file with the client's certificate (and key), for mTLS
    certificate: str | None = None
    key: str | None = None  # path of its key, when that is in a file of its own
    # path of a PEM file with the authority that the server's certificate is from
    ca: str | None = None
    # client_id, client_secret, scope, ...; None: no OAuth
    oauth: Mapping[str, str] | None = None
    written: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    # variables of the environment that a file puts into the URL or a header
    sends: tuple[str, ...] = field(default=(), compare=False)
    options: ConnectOptions = field(default=ConnectOptions(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    alias: str = field(default="", compare=False)
    # an httpx2.Auth of the person's own, instead of `oauth`
    auth: object | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"HttpServer({describe(self)})"


@dataclass(frozen=True)
class InProcessServer:
    """A server object of the MCP SDK in this process; `build` makes it, `folder` is
    where it may lay large answers.
    """

    build: Callable[[], object]
    options: ConnectOptions = field(default=ConnectOptions(), compare=False)
    folder: Path | None = field(default=None, compare=False)


ServerSpec = StdioServer | HttpServer | InProcessServer


def check_name(name: str) -> str:
    """The name itself, or ConfigError: names become parts of tool names and of
    %mcp_call server.tool.
    """
    if NAME.fullmatch(name):
        return name

    raise ConfigError(
        f"server name {name!a} is not usable: 1 to 64 letters, digits, - or _ are."
    )


def usable_names(names: Iterable[str]) -> dict[str, str]:
    """The name that each server of a file connects under, by the one it has there: its
    own where that is possible, else one that Python can write.
    """
    named = list(names)
    found = {name: name for name in named if NAME.fullmatch(name)}
    for name in named:
        if name not in found:
            found[name] = _free_name(_python_name(name), found.values())

    return found


def _python_name(name: str) -> str:
    """`github.com/upstash/context7-mcp` as `github_com_upstash_context7_mcp`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:LONGEST_NAME].rstrip("_")
    if not words:
        return "server"
    if words[0].isdigit():
        return f"server_{words}"

    return words


def _free_name(name: str, others: Iterable[str]) -> str:
    """The name, with a number where another server has it already."""
    numbered = (f"{name}_{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in set(others))


def describe(spec: ServerSpec) -> str:
    """The whole command or URL on one line, with variables as they were written and
    secrets hidden: what a person is asked to approve.
    """
    if isinstance(spec, StdioServer):
        env = [f"{name}={HIDDEN}" for name in spec.env]
        words = [spec.command, *_hide(spec.args)]
        return " ".join([*env, *(_describe_word(word, spec) for word in words)])

    if isinstance(spec, HttpServer):
        headers = "".join(f" {name}: {HIDDEN}" for name in spec.headers)
        url = spec.written.get(spec.url, spec.url)
        return mask(url, secrets_of(spec)) + headers

    return "in this notebook"


def _describe_word(word: str, spec: StdioServer) -> str:
    written = spec.written.get(word)
    # `${NAME}` stands bare, for that is what the file says
    if written is not None and re.fullmatch(r"[\w${}:/.=@,+-]+", written):
        return mask(written, secrets_of(spec))

    return shlex.quote(mask(written or word, secrets_of(spec)))


def origin_of(url: str) -> str:
    """Scheme, host and port of an address: who gets what is sent there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def secrets_of(spec: ServerSpec) -> tuple[str, ...]:
    """Values of the description that must never be shown (short ones would hide ordinary words)."""
    if isinstance(spec, StdioServer):
        values: Iterable[str] = spec.env.values()
    elif isinstance(spec, HttpServer):
        values = [
            *spec.headers.values(),
            *(v.split(" ", 1)[1] for v in spec.headers.values() if " " in v),
        ]
        values = [*values, *(spec.oauth or {}).values()]
    else:
        values = ()

    return tuple(sorted({v for v in values if len(v) >= 6}, key=len, reverse=True))


def learn_secrets(spec: ServerSpec) -> None:
    """Know what this server is given, so that it stands in nothing that leaves."""
    if isinstance(spec, StdioServer):
        for name, value in spec.env.items():
            if name not in OF_EACH_START:
                learn_secret(name, value)
                learn_url(value)

        for word, shown in zip(spec.args, _hide(spec.args), strict=True):
            learn_url(word)
            if shown == HIDDEN:
                learn_secret("secret", word)

    elif isinstance(spec, HttpServer):
        learn_url(spec.url)
        for name, value in spec.headers.items():
            learn_header(name, value)

        for name, value in (spec.oauth or {}).items():
            learn_secret(name, str(value))


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, without user:password@ and without values
    named like secrets.
    """
    return mask_line(text, secrets, mark=HIDDEN)


def spec_fingerprint(spec: ServerSpec) -> str:
    """Who a server is: sha256 of everything that decides what runs or who is asked.

    Approvals and starts are bound to it, so that the same words in another folder, an
    edited script or another value of `env` ask again.
    """
    digests = json.dumps(identity_parts(spec), sort_keys=True)
    return hashlib.sha256(digests.encode()).hexdigest()


def identity_parts(spec: ServerSpec) -> dict[str, str]:
    """The parts of a server's identity by the words in which a person is told of them,
    each as a digest.

    Values of env, headers and a URL's query are hashed with a key of this user's own:
    the digest of a short password could be searched for.
    """
    if isinstance(spec, StdioServer):
        return {name: _digest(value) for name, value in _process_parts(spec)}

    if isinstance(spec, HttpServer):
        return {name: _digest(value) for name, value in _address_parts(spec)}

    return {"object": _digest(str(id(spec.build)))}


def _process_parts(spec: StdioServer) -> Iterator[tuple[str, str]]:
    folder = os.path.realpath(os.path.expanduser(spec.cwd or os.getcwd()))
    yield "command", os.path.realpath(_find_program(spec.command, folder))
    yield "arguments", json.dumps(spec.args)
    yield "folder", folder
    for name, value in spec.env.items():
        if name not in OF_EACH_START:
            yield f"the value of {name}", value

    for path in dict.fromkeys(_scripts(spec, folder)):
        yield f"the file {path}", _file_digest(path)


def _address_parts(spec: HttpServer) -> Iterator[tuple[str, str]]:
    yield "address", spec.url
    yield "transport", spec.transport
    for name, value in spec.headers.items():
        yield f"the header {name}", value

    for name, value in (spec.oauth or {}).items():
        yield f"the sign-in's {name}", str(value)

    for name, path in (("certificate", spec.certificate), ("key", spec.key)):
        if path is not None:
            yield name, path


def _find_program(command: str, folder: str) -> str:
    found = shutil.which(os.path.expanduser(command))
    return found or os.path.join(folder, os.path.expanduser(command))


def _scripts(spec: StdioServer, folder: str) -> Iterator[str]:
    """The files whose text is what runs: the program, the first file among the words,
    further ones with a script's ending, and the module of `-m`.

    Other files are data (a database, a table), which may change from start to start.
    """
    program = _find_program(spec.command, folder)
    yield program
    is_first = True
    for before, word in zip((spec.command, *spec.args), spec.args, strict=False):
        for path in _files_of(word, folder, is_module=before == "-m"):
            if is_first or path.endswith(SCRIPTS):
                yield path

            is_first = False


def _files_of(word: str, folder: str, *, is_module: bool) -> Iterator[str]:
    names = [word]
    if is_module:
        module = word.replace(".", os.sep)
        names = [f"{module}.py", os.path.join(module, "__main__.py")]

    for name in names:
        path = os.path.join(folder, os.path.expanduser(name))
        if len(path) < LONGEST_PATH and "\0" not in path and os.path.isfile(path):
            yield path


def _file_digest(path: str) -> str:
    """Of a script its text; of what is too large for one size and time."""
    try:
        about = os.stat(path)
        if about.st_size <= LARGEST_SCRIPT:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "unreadable"

    return f"{about.st_size} {about.st_mtime_ns}"


def _digest(text: str) -> str:
    key = user_key()
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, key=key, digest_size=16).hexdigest()


def _hide(args: Iterable[str]) -> Iterable[str]:
    # `--token VALUE` as two words
    hide_next = False
    for arg in args:
        yield HIDDEN if hide_next else arg
        hide_next = is_secret_option(arg)
