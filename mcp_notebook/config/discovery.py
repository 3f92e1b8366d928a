"""Which config files of this and other hosts exist here, and what they name. Nothing is ever started."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_notebook.config.files import PROJECT_FILE, read_entries, read_entry, read_json
from mcp_notebook.config.specs import describe
from mcp_notebook.errors import ConfigError


@dataclass(frozen=True)
class Found:
    """One server in one file: who wrote the file, and the command or URL, or the reason why it is not usable."""

    host: str
    path: Path
    name: str
    what: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()


def discover(start: Path, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Found]:
    """Servers named by .mcp.json, Claude Desktop, Claude Code, VS Code and Cursor, nearest files first."""
    home = home or Path.home()
    found: list[Found] = []
    for host, path in _places(start.absolute(), home):
        if path.is_file():
            found += _read(host, path, environ)
    found += _claude_code_project(start.absolute(), home, environ)
    return found


def _places(start: Path, home: Path) -> Iterator[tuple[str, Path]]:
    for folder in (start, *start.parents):
        yield "project", folder / PROJECT_FILE
        yield "VS Code", folder / ".vscode" / "mcp.json"
        if folder != home:
            yield "Cursor", folder / ".cursor" / "mcp.json"
    yield "Cursor", home / ".cursor" / "mcp.json"
    yield "Claude Code", home / ".claude.json"
    application_data = _application_data(home)
    yield "Claude Desktop", application_data / "Claude" / "claude_desktop_config.json"
    yield "VS Code", application_data / "Code" / "User" / "mcp.json"


def _application_data(home: Path) -> Path:
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    if sys.platform == "win32":
        return home / "AppData" / "Roaming"
    return home / ".config"


def _read(host: str, path: Path, environ: Mapping[str, str]) -> list[Found]:
    try:
        entries = read_entries(path)
    except ConfigError as error:
        return [] if host == "Claude Code" else [Found(host, path, "", problem=error.message)]
    return _list(host, path, entries, environ)


def _list(host: str, path: Path, entries: Mapping[str, object], environ: Mapping[str, str]) -> list[Found]:
    found = []
    for name, entry in entries.items():
        try:
            spec = read_entry(name, entry, path, environ)
        except ConfigError as error:
            found.append(Found(host, path, name, problem=error.message))
        else:
            found.append(Found(host, path, name, describe(spec), notes=getattr(spec, "notes", ())))
    return found


def _claude_code_project(start: Path, home: Path, environ: Mapping[str, str]) -> list[Found]:
    """Servers that Claude Code keeps for one project folder inside its own file."""
    path = home / ".claude.json"
    if not path.is_file():
        return []
    try:
        projects = read_json(path).get("projects", {})
    except (ConfigError, AttributeError):
        return []
    found = []
    for folder in (start, *start.parents):
        entries = (projects.get(str(folder)) or {}).get("mcpServers") if isinstance(projects, dict) else None
        if isinstance(entries, dict):
            found += _list("Claude Code (this project)", path, entries, environ)
    return found
