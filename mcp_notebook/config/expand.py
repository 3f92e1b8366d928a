"""${VAR} in a server's description, as Claude Code, VS Code and Cursor write it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mcp_notebook.errors import ConfigError

EDITOR_ONLY = ("input", "config", "command")  # what only an editor can answer
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
    return (
        text[:start]
        + value
        + expand(text[end + 1 :], environ, where=where, folder=folder)
    )


def unexpanded(text: str) -> str:
    """The name in a value that ends with `$NAME` in place of `${NAME}`, else an empty string."""
    found = BARE.search(text)
    return found[1] if found else ""


def _end(text: str, start: int, where: str) -> int:
    depth, at = 1, start + 2
    while at < len(text):
        if text.startswith("${", at):
            depth, at = depth + 1, at + 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise ConfigError(f"{where} has a ${{ without its closing }}; write ${{NAME}}.")


def _value(
    inside: str, environ: Mapping[str, str], where: str, folder: Path | None
) -> str:
    name, colon, rest = inside.partition(":")
    if name in EDITOR_ONLY and colon:
        raise ConfigError(
            f"{where} asks VS Code for the {name} {rest!r}, which a notebook cannot; put the value into an "
            f"environment variable and write ${{{_variable(rest)}}} instead."
        )
    if name == "env" and colon:
        name, colon, rest = rest.partition(":")
    default = rest[1:] if colon and rest.startswith("-") else None
    if name in environ and (environ[name] or default is None):
        return environ[name]
    if default is not None:
        return expand(default, environ, where=where, folder=folder)
    if (known := _known(name, folder)) is not None:
        return known
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ConfigError(
            f"{where} has ${{{inside[:60]}}}, which names no variable; write ${{NAME}}."
        )
    raise ConfigError(
        f"{where} needs the environment variable {name}, which is not set; set it before the kernel starts "
        f"(or with %env {name}=...), or write ${{{name}:-default}}."
    )


def _known(name: str, folder: Path | None) -> str | None:
    if name in ("userHome", "pathSeparator", "/"):
        return str(Path.home()) if name == "userHome" else os.sep
    if folder is not None and name in ("workspaceFolder", "workspaceRoot"):
        return str(folder)
    if folder is not None and name == "workspaceFolderBasename":
        return folder.name
    return None


def _variable(identifier: str | None) -> str:
    return re.sub(r"\W+", "_", identifier or "VALUE").upper()
