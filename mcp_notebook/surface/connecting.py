"""What `%mcp_connect` was asked for: options, names, and the servers they stand for."""

import dataclasses
import difflib
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_notebook import config
from mcp_notebook.config import HttpServer, ServerSpec, StdioServer
from mcp_notebook.errors import ConfigError
from mcp_notebook.freeze.route import Route
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.surface.help import unknown

_WITH_VALUE = (
    "--allow",
    "--safe",
    "--env",
    "--header",
    "--transport",
    "--cwd",
    "--timeout",
    "--config",
)
_FLAGS = ("--legacy", "--oauth", "--allow-insecure")
_URL_FLAGS = ("--oauth", "--allow-insecure")
OPTIONS = (*_WITH_VALUE, *_FLAGS)
USAGE = "Write %mcp_connect NAME COMMAND ..., %mcp_connect NAME URL, or %mcp_connect --config FILE."


@dataclass(frozen=True)
class Wanted:
    """The parsed line. `words`: the command or URL after the name."""

    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    transport: str = ""
    cwd: str = ""
    timeout: float | None = None
    config: str = ""
    legacy: bool = False
    url_flags: tuple[str, ...] = ()


def parse(line: str) -> Wanted:
    """Parse the magic's line; everything after the name that is no option of ours
    belongs to the command.
    """
    try:
        words = shlex.split(line, posix=os.name != "nt")
    except ValueError as error:
        raise ConfigError(f"The line cannot be split into words: {error}.") from None
    options: dict[str, list[str]] = {}
    names: list[str] = []
    while words and (words[0].startswith("--") or not names or "--config" in options):
        word = words.pop(0)
        if word in _FLAGS:
            options[word] = ["yes"]
        elif word in _WITH_VALUE:
            if not words:
                raise ConfigError(f"{word} needs a value. {USAGE}")
            options.setdefault(word, []).append(words.pop(0))
        elif word.startswith("--"):
            raise ConfigError(f"{unknown(word, OPTIONS)} {USAGE}")
        else:
            names.append(word)
    if not names and "--config" not in options:
        raise ConfigError(f"{USAGE}{_here()} %mcp_connect --help says more.")
    return _wanted(names, words, options)


def _here() -> str:
    """The servers that a project's file here or above names, as a sentence."""
    names = [
        found.name
        for found in config.discover(Path.cwd())
        if found.host == "project" and not found.problem
    ]
    return f" The .mcp.json here names {', '.join(names[:10])}." if names else ""


def _wanted(
    names: list[str], words: list[str], options: Mapping[str, list[str]]
) -> Wanted:
    def last(option: str, default: str = "") -> str:
        return options.get(option, [default])[-1]

    try:
        timeout = float(last("--timeout")) if "--timeout" in options else None
    except ValueError:
        raise ConfigError(
            f"--timeout takes seconds, not {last('--timeout')!r}."
        ) from None
    return Wanted(
        names=tuple(names),
        words=tuple(words),
        allow=tuple(options.get("--allow", ())),
        safe=tuple(options.get("--safe", ())),
        env=tuple(options.get("--env", ())),
        headers=tuple(options.get("--header", ())),
        transport=last("--transport"),
        cwd=last("--cwd"),
        timeout=timeout,
        config=last("--config"),
        legacy="--legacy" in options,
        url_flags=tuple(flag for flag in _URL_FLAGS if flag in options),
    )


def resolve(
    wanted: Wanted, environ: Mapping[str, str] = os.environ
) -> dict[str, ServerSpec | ConfigError]:
    """The servers to connect, by name; raises ConfigError in one sentence that names the server.

    Of several in a file a wrong one is its error, which stops none of the others.
    """
    found: dict[str, ServerSpec | ConfigError]
    if wanted.config:
        path = Path(wanted.config).expanduser()
        found = config.load_each(path, environ, only=wanted.names)
        if not found:
            raise ConfigError(f"{path} names no server that is switched on.")
    elif wanted.words:
        found = {
            wanted.names[0]: config.parse_target(
                [*wanted.words, *_url_options(wanted)], environ
            )
        }
    else:
        found = {wanted.names[0]: _configured(wanted.names[0], environ)}
    if OWN_SERVER in found:
        found[OWN_SERVER] = ConfigError(
            f"The name {OWN_SERVER!r} belongs to the notebook's own server; choose another."
        )
    servers = {
        name: _with_options(spec, wanted, environ) for name, spec in found.items()
    }
    if len(servers) == 1 and isinstance(
        only := next(iter(servers.values())), ConfigError
    ):
        raise only
    return servers


def sources(wanted: Wanted) -> dict[str, Path]:
    """The files that the named servers come from; empty for a command or URL that the
    person wrote in the cell.
    """
    if wanted.config:
        path = Path(wanted.config).expanduser()
        return dict.fromkeys(wanted.names or config.load_each(path), path)
    if wanted.words:
        return {}
    found = {name: config.find_file(name, Path.cwd()) for name in wanted.names}
    return {name: path for name, path in found.items() if path is not None}


def route(name: str, wanted: Wanted) -> Route:
    """How a server is connected, before any `${VAR}` was replaced, so that it can be
    written down again.
    """
    return Route(
        name,
        wanted.words,
        wanted.config,
        wanted.allow,
        wanted.safe,
        wanted.env,
        wanted.headers,
        wanted.transport,
        wanted.cwd,
        wanted.timeout,
        wanted.legacy,
    )


def _url_options(wanted: Wanted) -> list[str]:
    """Options of a URL that were written before it; for a command there is nothing they
    could mean.
    """
    transport = ["--transport", wanted.transport] if wanted.transport else []
    options = [
        *wanted.url_flags,
        *transport,
        *(word for header in wanted.headers for word in ("--header", header)),
    ]
    if options and "://" not in wanted.words[0]:
        raise ConfigError(
            f"{options[0]} belongs to a URL, and {wanted.words[0]!r} is a command."
        )
    return options


def _configured(name: str, environ: Mapping[str, str]) -> ServerSpec:
    spec = config.find_server(name, Path.cwd(), environ)
    if spec is not None:
        return spec
    known = config.discover(Path.cwd(), environ=environ)
    elsewhere = next((f for f in known if f.name == name), None)
    if elsewhere is not None:
        raise ConfigError(
            f"No .mcp.json here or above names a server {name!r}, and the one of {elsewhere.host} does: "
            f"%mcp_connect --config {shlex.quote(str(elsewhere.path))} {name}"
        )
    near = difflib.get_close_matches(
        name, [f.name for f in known if f.host == "project"], 1, 0.7
    )
    guess = f"did you mean {near[0]!r}? Or " if near else ""
    raise ConfigError(
        f"No .mcp.json here or above names a server {name!r}; {guess}give its command or URL: %mcp_connect {name} ..."
    )


def _with_options(
    spec: ServerSpec | ConfigError, wanted: Wanted, environ: Mapping[str, str]
) -> ServerSpec | ConfigError:
    if (
        isinstance(spec, HttpServer)
        and "--oauth" in wanted.url_flags
        and spec.oauth is None
    ):
        return dataclasses.replace(spec, oauth={})
    if not isinstance(spec, StdioServer):
        return spec
    passed = {name: _variable(name, environ) for name in wanted.env}
    return dataclasses.replace(
        spec, env={**spec.env, **passed}, cwd=wanted.cwd or spec.cwd
    )


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if "=" in name:
        bare = name.partition("=")[0]
        raise ConfigError(
            f"--env takes a name only, --env {bare}; a value would stay in the notebook."
        )
    if name not in environ:
        raise ConfigError(
            f"--env {name}: that variable is not set in the kernel's environment."
        )
    return environ[name]


def is_bundled(spec: ServerSpec) -> bool:
    """Whether a server is one of ours that can only read, so that its tools run without asking."""
    return (
        isinstance(spec, StdioServer)
        and spec.command == sys.executable
        and tuple(spec.args[:3]) == ("-m", "mcp_notebook", "serve")
        # Each of these could put another package of our name in its place.
        and spec.cwd is None
        and not any(name.startswith(("PYTHON", "LD_", "DYLD_")) for name in spec.env)
    )
