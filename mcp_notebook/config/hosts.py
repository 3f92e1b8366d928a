"""How other hosts write their servers down, as entries of the one form that is read
here: Goose's extensions, Codex' and jupyter-ai's lists, bundles of Claude Desktop.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mcp_notebook.config.userfiles import user_folder
from mcp_notebook.errors import ConfigError

Entry = dict[str, Any]

# Goose's own kinds, which are parts of its program, have no command to start.
GOOSE_KINDS = ("stdio", "sse", "streamable_http")
# Codex' table and jupyter-ai's list stand under the same key.
LISTED = "mcp_servers"
BUNDLES = (".mcpb", ".dxt")
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1 << 20  # bytes
LARGEST_BUNDLE = 1 << 30  # bytes of all files, unpacked
MOST_FILES = 50_000
PIECE = 1 << 20
# Claude Desktop encrypts what is sensitive with a key that only it has.
SEALED = "__encrypted__:"
FOLDERS = {"HOME": "", "DESKTOP": "Desktop", "DOCUMENTS": "Documents"}


def as_entries(place: str, written: Any) -> Any:
    """What stands in a place of a host's file as entries by name, where it is known how;
    anything else as it is, for the reader to say what is wrong with it.
    """
    if place == LISTED and isinstance(written, list):
        return _list_as_entries(written)

    convert = CONVERTERS.get(place)
    if convert is None or not isinstance(written, dict):
        return written

    converted = {name: convert(entry) for name, entry in written.items()}
    return {name: entry for name, entry in converted.items() if entry is not None}


def _list_as_entries(written: list[Any]) -> Any:
    """jupyter-ai's list, whose entries hold their name."""
    if not all(isinstance(one, dict) and "name" in one for one in written):
        return written

    entries = {}
    for one in written:
        entry = {key: value for key, value in one.items() if key != "name"}
        for key in ("env", "headers"):
            if isinstance(entry.get(key), list):
                entry[key] = _pairs(entry[key])

        entries[str(one["name"])] = entry

    return entries


def _pairs(written: list[Any]) -> Any:
    """`[{"name": ..., "value": ...}]` as an object; as it is when it is none."""
    if not all(isinstance(one, dict) and "name" in one for one in written):
        return written

    return {one["name"]: one.get("value", "") for one in written}


def _of_goose(entry: Any) -> Entry | None:
    """An extension of Goose; None for one that is a part of Goose."""
    if not isinstance(entry, dict):
        return None

    inner = {**entry, **_object(entry.get("config"))}
    if inner.get("type") not in GOOSE_KINDS:
        return None

    made = _choose_fields(inner, {"cmd": "command", "uri": "url"})
    made |= _choose_fields(
        inner, dict.fromkeys(("args", "headers", "timeout", "enabled"))
    )
    env = {**_object(inner.get("envs")), **_references(inner.get("env_keys"))}
    if env:
        made["env"] = env

    return made


def _of_codex(entry: Any) -> Any:
    """A server of Codex; variables that it names are asked for by their names."""
    if not isinstance(entry, dict):
        return entry

    same = ("command", "args", "cwd", "url", "enabled", "env")
    made = _choose_fields(entry, dict.fromkeys(same))
    made |= _choose_fields(entry, {"tool_timeout_sec": "timeout"})
    env = {**_object(entry.get("env")), **_references(entry.get("env_vars"))}
    if env:
        made["env"] = env

    headers = dict(_object(entry.get("http_headers")))
    for name, variable in _object(entry.get("env_http_headers")).items():
        headers[name] = f"${{{variable}}}"

    if entry.get("bearer_token_env_var"):
        headers["Authorization"] = f"Bearer ${{{entry['bearer_token_env_var']}}}"

    if headers:
        made["headers"] = headers

    return made


# The key in the document that the servers stand under, and what its entries are like
CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "extensions": _of_goose,
    LISTED: _of_codex,
}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _references(names: Any) -> dict[str, str]:
    """Variables that are to be passed on, as they are written here."""
    if not isinstance(names, list):
        return {}

    return {str(name): f"${{{name}}}" for name in names}


def _choose_fields(entry: Mapping[str, Any], names: Mapping[str, str | None]) -> Entry:
    """Some fields of an entry, under their names here."""
    return {
        ours or theirs: entry[theirs]
        for theirs, ours in names.items()
        if entry.get(theirs) is not None
    }


# Bundles: a zip file with a server in it, and a manifest that says how it starts.


def is_bundle(path: Path) -> bool:
    """Whether a file is a bundle, by its name."""
    return path.suffix.lower() in BUNDLES


def is_manifest(document: Any) -> bool:
    """Whether a document is the manifest of a bundle."""
    if not isinstance(document, dict):
        return False

    return isinstance(document.get("server"), dict) and "version" in document


def read_bundle(path: Path) -> Any:
    """The manifest in a bundle; nothing is unpacked. ConfigError in one sentence."""
    try:
        with zipfile.ZipFile(path) as bundle:
            about = bundle.getinfo(MANIFEST)
            if about.file_size > LARGEST_MANIFEST:
                raise ConfigError(f"The {MANIFEST} in {path} is too large to be one.")

            return json.loads(bundle.read(MANIFEST))
    except KeyError:
        raise ConfigError(
            f"{path} holds no {MANIFEST}, which a bundle has at its top."
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise ConfigError(f"{path} cannot be read as a bundle: {error}.") from None


def bundle_folder(path: Path) -> Path:
    """Where the files of a bundle are, or would be; another version has another place."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    return user_folder() / "bundles" / f"{path.stem}-{digest[:16]}"


def unpack_bundle(path: Path) -> Path:
    """The folder with a bundle's files, written when it is not there. ConfigError when
    an entry leads out of it, or all of them are too large.
    """
    folder = bundle_folder(path)
    if folder.is_dir():
        return folder

    # Under its own name only when it is whole.
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True, mode=0o700)
    with zipfile.ZipFile(path) as bundle:
        entries = bundle.infolist()
        _check_entries(entries, path)
        for entry in entries:
            _unpack_entry(bundle, entry, unfinished)

    unfinished.rename(folder)
    return folder


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    size = sum(entry.file_size for entry in entries)
    if size > LARGEST_BUNDLE or len(entries) > MOST_FILES:
        raise ConfigError(
            f"{path} would unpack to {size >> 20:,} MB in {len(entries):,} files, which "
            f"is more than {LARGEST_BUNDLE >> 20:,} MB or {MOST_FILES:,}; it is left packed."
        )

    for entry in entries:
        inside = PurePosixPath(entry.filename.replace("\\", "/"))
        leads_out = inside.is_absolute() or ".." in inside.parts
        if leads_out or ":" in entry.filename:
            raise ConfigError(
                f"{path} holds {entry.filename!a}, which leads out of its folder; it is "
                "left packed."
            )

        # A link may lead anywhere, and no bundle needs one.
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ConfigError(
                f"{path} holds the link {entry.filename!a}; it is left packed."
            )


def _unpack_entry(
    bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path
) -> None:
    target = folder / entry.filename
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return

    target.parent.mkdir(parents=True, exist_ok=True)
    with bundle.open(entry) as source, target.open("wb") as file:
        _copy(source, file, entry)

    if (entry.external_attr >> 16) & stat.S_IXUSR:
        target.chmod(0o700)


def _copy(source: IO[bytes], file: IO[bytes], entry: zipfile.ZipInfo) -> None:
    """No more than the entry says: what it declares was counted, and may be a lie."""
    left = entry.file_size
    while piece := source.read(min(PIECE, left + 1)):
        left -= len(piece)
        if left < 0:
            raise ConfigError(f"{entry.filename!a} is larger than its bundle says.")

        file.write(piece)


def manifest_entries(manifest: Mapping[str, Any], path: Path) -> dict[str, Entry]:
    """The one server of a bundle, by its name, with what the manifest leaves open
    filled in: its folder, the person's folders, what was set in Claude Desktop.

    What nobody set becomes `${NAME}`, so that it is asked for by name.
    """
    server = _object(manifest.get("server"))
    written = {**_object(server.get("mcp_config"))}
    overrides = _object(written.pop("platform_overrides", None))
    written |= _object(overrides.get(sys.platform))
    if "command" not in written:
        raise ConfigError(
            f'{path} does not say how its server starts: "server" needs "mcp_config".'
        )

    folder = bundle_folder(path) if is_bundle(path) else path.parent
    settings, enabled = _desktop_settings(folder)
    values = {**_known_places(folder), **_find_configured(manifest, settings)}
    entry: Entry = {
        "command": _fill_in(str(written["command"]), values),
        "args": list(_fill_in_words(written.get("args"), values)),
        "env": {
            name: _fill_in(str(value), values)
            for name, value in _object(written.get("env")).items()
        },
    }
    if not enabled:
        entry["enabled"] = False

    return {str(manifest.get("name") or path.stem): entry}


def _desktop_settings(folder: Path) -> tuple[Mapping[str, Any], bool]:
    """What was set for an installed extension, and whether it is switched on."""
    settings = folder.parent.with_name("Claude Extensions Settings")
    try:
        found = json.loads((settings / f"{folder.name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}, True

    held = _object(found)
    return _object(held.get("userConfig")), held.get("isEnabled") is not False


def _known_places(folder: Path) -> dict[str, str]:
    home = Path.home()
    places = {name: str(home / below) for name, below in FOLDERS.items()}
    separators = {"pathSeparator": os.sep, "/": os.sep}
    downloads = {"DOWNLOADS": str(home / "Downloads")}
    return {"__dirname": str(folder), **places, **downloads, **separators}


def _find_configured(
    manifest: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """`user_config.NAME` to its value: what was set, what is usual, else a variable."""
    return {
        f"user_config.{name}": _configured_value(name, _object(about), settings)
        for name, about in _object(manifest.get("user_config")).items()
    }


def _configured_value(
    name: str, about: Mapping[str, Any], settings: Mapping[str, Any]
) -> Any:
    variable = f"${{{re.sub(r'[^A-Za-z0-9_]', '_', name).upper()}}}"
    value = settings.get(name, about.get("default"))
    if isinstance(value, str) and value.startswith(SEALED):
        return variable
    if value is not None:
        return value

    return variable if about.get("required") else ""


def _fill_in(text: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        if isinstance(value, bool):
            value = str(value).lower()

        text = text.replace(f"${{{name}}}", str(value))

    return text


def _fill_in_words(words: Any, values: Mapping[str, Any]) -> Iterator[str]:
    """A word that is a list's name alone becomes as many words as the list has."""
    for word in words if isinstance(words, list) else ():
        value = values.get(str(word)[2:-1])
        if isinstance(value, list):
            yield from (_fill_in(str(one), values) for one in value)
        else:
            yield _fill_in(str(word), values)


def installed_extensions(applications: Path) -> Iterable[Path]:
    """The manifests of the extensions that Claude Desktop has installed."""
    return sorted((applications / "Claude" / "Claude Extensions").glob(f"*/{MANIFEST}"))
