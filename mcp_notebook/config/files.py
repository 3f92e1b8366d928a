"""Servers out of config files: where each host's file keeps them, and how one of them
is found by its name.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mcp_notebook.config.entries import read_entry
from mcp_notebook.config.hosts import (
    LISTED,
    as_entries,
    installed_extensions,
    is_bundle,
    is_manifest,
    manifest_entries,
    read_bundle,
)
from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.config.specs import ServerSpec, describe, usable_names
from mcp_notebook.errors import ConfigError

# JSON as editors write it: with comments, trailing commas, a byte order mark; every
# complaint says what to do.


# bytes; Claude Code's own file, which holds histories, is the largest that was seen
LARGEST = 8 * 1024 * 1024
# a string, or a comment, or a comma before a closing bracket: strings are kept, the others go
JSONC = re.compile(
    r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/|,(?=\s*(?://[^\n]*\s*|/\*.*?\*/\s*)*[}\]])',
    re.DOTALL,
)
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
OTHER_FORMS = {
    ".ini": "INI",
    ".env": "a list of variables",
}
WORDS = {"True": "true", "False": "false", "None": "null"}  # Python's, and JSON's
SHAPE = '{"mcpServers": {"NAME": {"command": "...", "args": []}}}'


def read_document(path: Path) -> Any:
    """The document in a file of any form that a host writes: JSON with comments, Codex'
    TOML, Goose's YAML, the manifest in a bundle. ConfigError in one sentence.
    """
    form = path.suffix.lower()
    if is_bundle(path):
        return read_bundle(path)
    if form == ".toml":
        return _read_toml(path)
    if form in YAML:
        return _read_yaml(path)

    return read_json(path)


def _read_toml(path: Path) -> Any:
    try:
        return tomllib.loads(_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None


def _read_yaml(path: Path) -> Any:
    text = _text(path)
    try:
        # Not among what this package needs: only Goose writes YAML.
        yaml = import_module("yaml")
    except ImportError:
        raise ConfigError(f"{path} is YAML; pip install pyyaml to read it.") from None

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        place = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid YAML: {place[:200]}.") from None


def read_json(path: Path) -> Any:
    """The document in a file; a key that stands twice in one object is refused.
    ConfigError in one sentence.
    """
    text = _text(path)
    if not text.strip():
        raise ConfigError(f"{path} is empty; it should hold {SHAPE}.")

    try:
        return json.loads(
            JSONC.sub(_blank, text),
            object_pairs_hook=lambda pairs: _unique(pairs, path),
        )
    except json.JSONDecodeError as error:
        place = f"{error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}"
        raise ConfigError(
            f"{path} is not valid JSON: {place}{_hint(path, text, error)}."
        ) from None
    except RecursionError:
        raise ConfigError(
            f"{path} is nested too deeply to be a list of servers."
        ) from None
    except ValueError:  # a number of thousands of digits
        raise ConfigError(
            f"{path} holds a number that is too long to be read."
        ) from None


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; name the file in it.")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is no ordinary file.")
        if path.stat().st_size > LARGEST:
            raise ConfigError(
                f"{path} is larger than {LARGEST >> 20} MB, which no list of servers is."
            )

        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}.") from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}."
        ) from None
    except ValueError:  # a NUL in the name
        raise ConfigError(f"{str(path)!a} is no name of a file.") from None

    encoding = next(
        (name for mark, name in MARKS.items() if raw.startswith(mark)), "utf-8"
    )
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8.") from None


def _hint(path: Path, text: str, error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :]
    if path.suffix.lower() in OTHER_FORMS or (
        path.suffix.lower() != ".json" and text.lstrip()[:1] not in "{["
    ):
        form = OTHER_FORMS.get(path.suffix.lower(), "something else")
        return f"; it looks like {form}, and what is read here is JSON: {SHAPE}"

    if "escape" in error.msg:
        return r"; write every backslash twice (C:\\Users), or use / in paths"
    if rest.startswith("'"):
        return "; JSON takes double quotes only"
    if re.match(r"\s*\[[\w.\"-]+\]\s*$", text, re.MULTILINE):
        return f"; it looks like TOML, and what is read here is JSON: {SHAPE}"
    if word := re.match(r"(True|False|None)\b", rest):
        return f"; JSON writes {WORDS[word[0]]}"
    if text.lstrip()[:1] not in "{[":
        return f"; it should hold {SHAPE}"

    return ""


def _unique(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(
            f"{path} has {twice!r} twice in one object; remove one of them."
        )

    return dict(pairs)


def _blank(match: re.Match[str]) -> str:
    # Line breaks stay, so that an error names the right line.
    if match[1] is not None:
        return match[1]
    return re.sub(r"[^\n]", " ", match[0])


PROJECT_FILE = ".mcp.json"
# Claude, Cursor, Windsurf, Cline, Gemini, LM Studio, notebook-intelligence · jupyter-ai,
# Codex · VS Code · VS Code's settings.json · Zed · Amp
PLACES = (
    ("mcpServers",),
    (LISTED,),
    ("servers",),
    ("mcp", "servers"),
    ("context_servers",),
    ("amp.mcpServers",),
)
# Goose. Elsewhere a key of that name is about other things, so only YAML is asked for it.
YAML_PLACES = (("extensions",), *PLACES)
TOML_PLACES = ((LISTED,),)
YAML = (".yaml", ".yml")
PLACES_OF = {".toml": TOML_PLACES, **dict.fromkeys(YAML, YAML_PLACES)}
SAYS_HOW = ("command", "url", "serverUrl", "httpUrl")


def load_servers(
    path: Path, environ: Mapping[str, str] = os.environ
) -> dict[str, ServerSpec]:
    """Every server of the file; ConfigError in one sentence that names the file, the
    server and the fix.
    """
    found: dict[str, ServerSpec] = {}
    for name, spec in load_each(path, environ).items():
        if isinstance(spec, ConfigError):
            raise spec

        found[name] = spec

    return found


def load_each(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    options: ConnectOptions | None = None,
) -> dict[str, ServerSpec | ConfigError]:
    """The servers of the file, a wrong one as its ConfigError. `options` say how they are
    connected, and by their names which ones.

    Those that the file switches off are there only when they are named.
    """
    if options is not None:
        named = options.names
    else:
        named = ()

    entries = read_entries(path)
    keys = {name: find_key(name, entries) for name in named}
    for name, key in keys.items():
        if key is None:
            raise ConfigError(
                f"{path} names no server {name!r}; it names: {', '.join(entries) or 'none'}."
            )

    found: dict[str, ServerSpec | ConfigError] = {}
    usable = usable_names(entries)
    switched_on = [name for name, entry in entries.items() if not is_off(entry)]
    for key in keys.values() or switched_on:
        assert key is not None
        name = usable[key]
        try:
            found[name] = read_entry(
                key, entries[key], path, environ, options, name=name
            )
        except ConfigError as error:
            found[name] = error

    return found


def find_key(name: str, entries: Mapping[str, Any]) -> str | None:
    """The key of a server that is named by it, or by the name that it connects under."""
    if name in entries:
        return name

    usable = usable_names(entries)
    return next((key for key in entries if usable[key] == name), None)


def usable_name(name: str, path: Path) -> str:
    """The name that a file's server connects under, by that or by its key there."""
    entries = read_entries(path)
    key = find_key(name, entries)
    return name if key is None else usable_names(entries)[key]


def find_server(
    name: str,
    start: Path,
    environ: Mapping[str, str] = os.environ,
    options: ConnectOptions | None = None,
) -> ServerSpec | None:
    """The server of that name in .mcp.json of `start` or the nearest parent that has
    it; other entries may be wrong.
    """
    path = find_file(name, start)
    if path is None:
        return None

    entries = read_entries(path)
    key = find_key(name, entries)
    assert key is not None
    usable = usable_names(entries)[key]
    return read_entry(key, entries[key], path, environ, options, name=usable)


def find_file(name: str, start: Path) -> Path | None:
    """The nearest .mcp.json, in `start` or above, that names the server."""
    for folder in (start.absolute(), *start.absolute().parents):
        path = folder / PROJECT_FILE
        if path.is_file() and find_key(name, read_entries(path)) is not None:
            return path
    return None


def read_entries(path: Path, *, project: Path | None = None) -> dict[str, Any]:
    """The raw descriptions by server name, of any host's file; ConfigError when it is none.

    `project`: the folder whose own servers are looked for in Claude Code's file, which
    holds many projects.
    """
    document = read_document(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path} should hold an object: {SHAPE}.")
    if is_manifest(document):
        return manifest_entries(document, path)

    kinds = PLACES_OF.get(path.suffix.lower(), PLACES)
    places = list(_places_in(document, kinds))
    found = _entries_of(places, path)
    if isinstance(document.get("projects"), dict):
        return {**found, **project_entries(document, project or Path.cwd())}
    if places:
        return found
    if document and all(map(_says_how, document.values())):
        # servers without anything around them, as a plugin of Claude Code has them
        return dict(document)

    raise _no_servers(document, path)


def _entries_of(places: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, entries in places:
        entries = as_entries(place, entries)
        if not isinstance(entries, dict):
            raise ConfigError(
                f'"{place}" in {path} should be an object with one entry a server.'
            )

        twice = next((name for name in entries if name in found), None)
        if twice is not None:
            raise ConfigError(
                f"{path} names the server {twice!a} in two places; remove one of them."
            )

        found |= entries

    return found


def project_entries(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The servers that Claude Code keeps for a project folder or the nearest one above it."""
    projects = document.get("projects")
    if not isinstance(projects, dict):
        return {}

    for one in (folder, *folder.parents):
        project = projects.get(str(one))
        if isinstance(project, dict):
            entries = project.get("mcpServers")
        else:
            entries = None

        if isinstance(entries, dict) and entries:
            return entries

    return {}


def is_off(entry: Any) -> bool:
    """Whether a host's file says that this server is switched off."""
    return isinstance(entry, dict) and (
        entry.get("disabled") is True or entry.get("enabled") is False
    )


def _places_in(
    document: Mapping[str, Any], kinds: tuple[tuple[str, ...], ...] = PLACES
) -> Iterator[tuple[str, Any]]:
    """What stands in each place that servers are kept in, also when it is no object."""
    for outer, *inner in kinds:
        if outer not in document:
            continue
        # As a table it is Codex' in TOML; in JSON it is a slip for "mcpServers".
        if outer == LISTED and kinds is PLACES and isinstance(document[outer], dict):
            continue

        if not inner:
            yield outer, document[outer]
            continue

        # Settings of an editor: "mcp" need not be about servers.
        (key,) = inner
        settings = document[outer]
        if isinstance(settings, dict) and settings.get(key) is not None:
            yield f"{outer}.{key}", settings[key]


def _says_how(entry: Any) -> bool:
    return isinstance(entry, dict) and any(key in entry for key in SAYS_HOW)


def _no_servers(document: Mapping[str, Any], path: Path) -> ConfigError:
    for key in document:
        if re.sub(r"[\W_]", "", key).lower() in ("mcpservers", "mcpserver"):
            return ConfigError(
                f'{path} has {key!a}; the servers stand under "mcpServers", written like that.'
            )

    if _says_how(document):
        return ConfigError(
            f"{path} describes a server without its name; write {SHAPE}."
        )

    return ConfigError(
        f'{path} has neither "mcpServers" nor "servers"; the servers stand under one of them.'
    )


# Which config files of this and other hosts exist here, and what they name. Nothing is
# ever started.


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
    # its key in the file, where that is no name that it can connect under
    alias: str = ""


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
        yield "Codex", folder / ".codex" / "config.toml", False
        yield "jupyter-ai", folder / ".jupyter" / "mcp_settings.json", True


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
    yield "jupyter-ai", home / ".jupyter" / "mcp_settings.json", True
    intelligence = home / ".jupyter" / "nbi"
    yield "notebook-intelligence", intelligence / "mcp.json", True
    yield "notebook-intelligence", intelligence / "config.json", False
    yield "Codex", home / ".codex" / "config.toml", False
    yield "LM Studio", home / ".lmstudio" / "mcp.json", True
    yield "LM Studio", home / ".cache" / "lm-studio" / "mcp.json", True
    yield "Goose", _goose_folder(home) / "config.yaml", False
    for manifest in installed_extensions(applications):
        yield "Claude Desktop extension", manifest, True


def _goose_folder(home: Path) -> Path:
    if sys.platform == "win32":
        return _application_data(home) / "Block" / "goose" / "config"

    return home / ".config" / "goose"


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
    usable = usable_names(entries)
    for key, entry in entries.items():
        name = usable[key]
        alias = "" if name == key else key
        try:
            spec = read_entry(key, entry, path, environ, name=name)
        except ConfigError as error:
            found.append(Found(host, path, name, problem=error.message, alias=alias))
            continue

        if is_off(entry):
            off = ("it is switched off in the file",)
        else:
            off = ()

        notes = (*off, *getattr(spec, "notes", ()))
        found.append(Found(host, path, name, describe(spec), notes=notes, alias=alias))

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
