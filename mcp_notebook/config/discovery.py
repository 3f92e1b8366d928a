"""Which config files of this and other hosts exist here, and what they name. Nothing is
ever started.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_notebook.config.entries import read_entry
from mcp_notebook.config.files import (
    PROJECT_FILE,
    is_off,
    project_entries,
    read_entries,
)
from mcp_notebook.config.jsonc import read_json
from mcp_notebook.config.specs import describe
from mcp_notebook.errors import ConfigError


@dataclass(frozen=True)
class Found:
    """One server in one file: who wrote the file, and the command or URL, or the reason
    why it is not usable.
    """

    host: str
    path: Path
    name: str
    what: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()


def discover(
    start: Path, home: Path | None = None, environ: Mapping[str, str] = os.environ
) -> list[Found]:
    """Servers named by .mcp.json and by the files of other hosts, nearest files first."""
    home, start = home or Path.home(), start.absolute()
    found: list[Found] = []
    for host, path, is_for_servers in (
        *_project_files(start, home),
        *_user_files(home),
    ):
        if path.is_file():
            found += _servers_in(host, path, environ, is_for_servers)

    return found + _claude_code(start, home / ".claude.json", environ)


def _project_files(start: Path, home: Path) -> Iterator[tuple[str, Path, bool]]:
    """Host, file, and whether the file is for servers alone; a file of settings need
    not name any.
    """
    for folder in (start, *start.parents):
        yield "project", folder / PROJECT_FILE, True
        yield "VS Code", folder / ".vscode" / "mcp.json", True
        if folder == home:  # there the others' files are the user's, see below
            continue

        yield "VS Code", folder / ".vscode" / "settings.json", False
        yield "Cursor", folder / ".cursor" / "mcp.json", True
        yield "Gemini CLI", folder / ".gemini" / "settings.json", False
        yield "Zed", folder / ".zed" / "settings.json", False


def _user_files(home: Path) -> Iterator[tuple[str, Path, bool]]:
    """The same of the files that are the user's own."""
    yield "Cursor", home / ".cursor" / "mcp.json", True
    yield "Windsurf", home / ".codeium" / "windsurf" / "mcp_config.json", True
    yield "Gemini CLI", home / ".gemini" / "settings.json", False
    yield "Zed", home / ".config" / "zed" / "settings.json", False
    applications = _application_data(home)
    desktop = applications / "Claude" / "claude_desktop_config.json"
    yield "Claude Desktop", desktop, False
    yield "VS Code", applications / "Code" / "User" / "mcp.json", True
    yield "VS Code", applications / "Code" / "User" / "settings.json", False


def _application_data(home: Path) -> Path:
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    if sys.platform == "win32":
        return home / "AppData" / "Roaming"
    return home / ".config"


def _servers_in(
    host: str, path: Path, environ: Mapping[str, str], is_for_servers: bool
) -> list[Found]:
    try:
        entries = read_entries(path)
    except ConfigError as error:
        if is_for_servers:
            return [Found(host, path, "", problem=error.message)]
        return []

    return _list_entries(host, path, entries, environ)


def _list_entries(
    host: str, path: Path, entries: object, environ: Mapping[str, str]
) -> list[Found]:
    if not isinstance(entries, dict):
        return []

    found = []
    for name, entry in entries.items():
        try:
            spec = read_entry(name, entry, path, environ)
        except ConfigError as error:
            found.append(Found(host, path, name, problem=error.message))
            continue

        if is_off(entry):
            off = ("it is switched off in the file",)
        else:
            off = ()

        notes = (*off, *getattr(spec, "notes", ()))
        found.append(Found(host, path, name, describe(spec), notes=notes))

    return found


def _claude_code(start: Path, path: Path, environ: Mapping[str, str]) -> list[Found]:
    """Claude Code's own file: servers of the user, and those that it keeps for this project."""
    try:
        if path.is_file():
            document = read_json(path)
        else:
            document = {}
    except ConfigError:
        return []

    if not isinstance(document, dict):
        return []

    everywhere = document.get("mcpServers")
    here = project_entries(document, start)
    return [
        *_list_entries("Claude Code", path, everywhere, environ),
        *_list_entries("Claude Code (this project)", path, here, environ),
    ]
