"""What `%mcp_connect` and `mcp_notebook.connect` were asked for: the servers that it
stands for.
"""

import difflib
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from mcp_notebook import config
from mcp_notebook.config import ConnectOptions, ServerSpec, StdioServer
from mcp_notebook.config.expand import expand
from mcp_notebook.config.options import USAGE
from mcp_notebook.config.target import OWN_START
from mcp_notebook.errors import ConfigError
from mcp_notebook.naming import OWN_SERVER

START = (*OWN_START, "serve")


def read_line(line: str) -> ConnectOptions:
    """What the magic's line asks for; everything after the name that is no option of
    ours belongs to the command.
    """
    options = ConnectOptions.from_line(line)
    if not options.names and not options.config:
        raise ConfigError(f"{USAGE}{_servers_here()} %mcp_connect --help says more.")

    return options


def _servers_here() -> str:
    """The servers that a project's file here or above names, as a sentence."""
    names = [
        found.name
        for found in config.discover(Path.cwd())
        if found.host == "project" and not found.problem
    ]
    if names:
        return f" The .mcp.json here names {', '.join(names[:10])}."

    return ""


def resolve(
    options: ConnectOptions, environ: Mapping[str, str] = os.environ
) -> dict[str, ServerSpec | ConfigError]:
    """The servers to connect, by name; raises ConfigError in one sentence that names the server.

    Of several in a file a wrong one is its error, which stops none of the others.
    """
    found: dict[str, ServerSpec | ConfigError]
    if options.config:
        path = config_file(options, environ)
        found = config.load_each(path, environ, options)
        if not found:
            raise ConfigError(f"{path} names no server that is switched on.")
    elif options.words:
        found = {options.name: config.build_server(options, environ)}
    else:
        found = {options.name: _find_by_name(options, environ)}

    if OWN_SERVER in found:
        found[OWN_SERVER] = ConfigError(
            f"The name {OWN_SERVER!r} belongs to the notebook's own server; choose another."
        )

    first = next(iter(found.values()))
    if len(found) == 1 and isinstance(first, ConfigError):
        raise first

    return found


def sources(options: ConnectOptions) -> dict[str, Path]:
    """The files that the named servers come from; empty for a command or URL that the
    person wrote in the cell.
    """
    if options.config:
        path = config_file(options)
        return dict.fromkeys(options.names or config.load_each(path), path)

    if options.words:
        return {}

    found = {name: config.find_file(name, Path.cwd()) for name in options.names}
    return {name: path for name, path in found.items() if path is not None}


def config_file(
    options: ConnectOptions, environ: Mapping[str, str] = os.environ
) -> Path:
    """The path of --config."""
    return Path(expand(options.config, environ, where="--config")).expanduser()


def _find_by_name(options: ConnectOptions, environ: Mapping[str, str]) -> ServerSpec:
    name = options.name
    spec = config.find_server(name, Path.cwd(), environ, options)
    if spec is not None:
        return spec

    known = config.discover(Path.cwd(), environ=environ)
    elsewhere = next((found for found in known if found.name == name), None)
    if elsewhere is not None:
        raise ConfigError(
            f"No .mcp.json here or above names a server {name!r}, and the one of "
            f"{elsewhere.host} does: "
            f"%mcp_connect --config {shlex.quote(str(elsewhere.path))} {name}"
        )

    of_project = [found.name for found in known if found.host == "project"]
    near = difflib.get_close_matches(name, of_project, 1, 0.7)
    if near:
        guess = f"did you mean {near[0]!r}? Or "
    else:
        guess = ""

    raise ConfigError(
        f"No .mcp.json here or above names a server {name!r}; {guess}give its command or "
        f"URL: %mcp_connect {name} ..."
    )


def is_trusted(spec: ServerSpec) -> bool:
    """Whether a server is one of ours that can only read and reaches nobody, so that its
    tools run without asking.

    `serve fetch` is not: rows could leave in the address of a page.
    """
    kind = spec.args[len(START) :][:1] if isinstance(spec, StdioServer) else ()
    return is_bundled(spec) and kind in (("database",), ("notebook",))


def is_bundled(spec: ServerSpec) -> bool:
    """Whether a server is our own program, started as we start it."""
    return (
        isinstance(spec, StdioServer)
        and spec.command == sys.executable
        and tuple(spec.args[: len(START)]) == START
        # Each of these could put another package of our name in its place.
        and spec.cwd is None
        and not any(name.startswith(("PYTHON", "LD_", "DYLD_")) for name in spec.env)
    )
