"""JSON as editors write it: with comments, trailing commas, a byte order mark; every
complaint says what to do.
"""

import codecs
import json
import re
from pathlib import Path
from typing import Any

from mcp_notebook.errors import ConfigError

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
    ".yaml": "YAML",
    ".yml": "YAML",
    ".toml": "TOML",
    ".ini": "INI",
    ".env": "a list of variables",
}
WORDS = {"True": "true", "False": "false", "None": "null"}  # Python's, and JSON's
SHAPE = '{"mcpServers": {"NAME": {"command": "...", "args": []}}}'


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
