"""${VAR} in a server's description, as Claude Code, VS Code and Cursor write it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mcp_notebook.errors import ConfigError
from mcp_notebook.secrets import learn_secret

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
            f"value into an environment variable and write ${{{_variable(rest)}}} instead."
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


def _variable(identifier: str | None) -> str:
    return re.sub(r"\W+", "_", identifier or "VALUE").upper()
