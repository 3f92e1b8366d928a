"""${VAR} in a server's description, as Claude Code, VS Code and Cursor write it."""

import re
from collections.abc import Mapping
from pathlib import Path

from mcp_notebook.errors import ConfigError

REFERENCE = re.compile(r"\$\{(?P<name>[^}:]+)(?::(?P<rest>[^}]*))?\}")


def expand(text: str, environ: Mapping[str, str], *, where: str, folder: Path | None = None) -> str:
    """Replace `${VAR}`, `${VAR:-default}`, `${env:VAR}`, `${workspaceFolder}` and `${userHome}`.

    An unset variable is a ConfigError that names it; the literal `${VAR}` is never passed on.
    """

    def value(match: re.Match[str]) -> str:
        name, rest = match["name"], match["rest"]
        if name == "input":
            raise ConfigError(
                f"{where} asks VS Code for the input {rest!r}, which a notebook cannot; put the value into an "
                f"environment variable and write ${{{_variable(rest)}}} instead."
            )
        if name in ("env", "env:"):
            name, rest = rest or "", None
        if name in environ and (environ[name] or rest is None):
            return environ[name]
        if rest is not None and rest.startswith("-"):
            return rest[1:]
        if rest is None and (known := _folder(name, folder)) is not None:
            return known
        raise ConfigError(
            f"{where} needs the environment variable {name}, which is not set; set it before the kernel starts "
            f"(or with %env {name}=...), or write ${{{name}:-default}}."
        )

    return REFERENCE.sub(value, text)


def _folder(name: str, folder: Path | None) -> str | None:
    if name == "userHome":
        return str(Path.home())
    if folder is not None and name == "workspaceFolder":
        return str(folder)
    if folder is not None and name == "workspaceFolderBasename":
        return folder.name
    return None


def _variable(identifier: str | None) -> str:
    return re.sub(r"\W+", "_", identifier or "VALUE").upper()
