"""`docs/reference.md`, made of what the code itself says: `python -m tests.reference`.

Nothing is described here but the environment variables, whose names a test finds in
the code (tests/test_reference.py).
"""

import argparse
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from traitlets import Enum, List

import mcp_notebook
from mcp_notebook import cli
from mcp_notebook.config.options import OPTIONS
from mcp_notebook.magics.extension import CELL_MAGICS, LINE_MAGICS, text_of
from mcp_notebook.magics.families import FAMILIES
from mcp_notebook.notebook import options
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.replay import sidecar

SCHEMA = Path(__file__).parent.parent / "docs" / "recordings.schema.json"
FILE = Path(__file__).parent.parent / "docs" / "reference.md"
FRONT = """\
# Reference

Made of the code by `python -m tests.reference`; what is said here is said there. In a notebook the same stands behind
`%%claude?`, `%mcp_connect --help`, `%config MCPNotebook` and `help(mcp_notebook.ask)`.

[Magics](#magics) · [A question's options](#a-questions-options) · [A connection's options](#a-connections-options) ·
[Settings](#settings) · [Python](#python) · [Command line](#command-line) ·
[Environment variables](#environment-variables)
"""
ENVIRONMENT = {
    "ANTHROPIC_BASE_URL": "where the model is, for a gateway or a local server",
    "ANTHROPIC_MODEL": "the model, where neither a cell nor a setting names one",
    "DATABASE_URL": "the database of `mcp-notebook serve database` without `--url`",
    "JPY_SESSION_NAME": "the notebook's path, as Jupyter tells it",
    "MCP_NOTEBOOK_CONFIG_DIR": "where approvals and the like are kept for you",
    "MCP_NOTEBOOK_HANDOVER": "set by us: the folder in which our servers hand large tables over",
    "MCP_NOTEBOOK_MASK": "set by us: the columns whose values our servers keep to themselves",
    "MCP_NOTEBOOK_READERS_OFF": "readers of results that are switched off, with commas between them",
    "PATH": "where commands are found",
    "XDG_DATA_HOME": "where sign-ins are kept without a keyring",
    "XDG_RUNTIME_DIR": "where the token of `%mcp_serve` is kept",
}


def options_table() -> str:
    """The options as a markdown table, for the README."""
    heads = {"any": "any", "URL": "a URL", "command": "a command"}
    rows = ["| `%mcp_connect` | `connect()` | for | |", "|---|---|---|---|"]
    for name, option in OPTIONS.items():
        usage = option.usage.replace("|", "\\|")
        if option.kind.repeated:
            again = " (repeatable)"
        else:
            again = ""

        rows.append(
            f"| `{usage}` | `{name}` | {heads[option.belongs]} | {option.about}{again} |"
        )

    return "\n".join(rows)


def document() -> str:
    """The whole page, markdown."""
    sections = {
        "Magics": _magics(),
        "A question's options": _question_options(),
        "A connection's options": options_table(),
        "Settings": _settings(),
        "Python": _python(),
        "Command line": _commands(),
        "Environment variables": _environment(),
    }
    pages = [f"## {title}\n\n{text.strip()}\n" for title, text in sections.items()]
    return "\n".join([FRONT, *pages])


def _magics() -> str:
    written = []
    for kind, sign, names in (("cell", "%%", CELL_MAGICS), ("line", "%", LINE_MAGICS)):
        known: dict[str, Callable[..., Any]] = {}
        for family in FAMILIES:
            for name, method in family.magics[kind].items():
                known[name] = (
                    getattr(family, method) if isinstance(method, str) else method
                )
        written += [_magic(known[name], sign + name) for name in names]
    return "\n\n".join(written)


def _magic(magic: Callable[..., Any], name: str) -> str:
    parser = getattr(magic, "parser", None)
    if name == "%%claude":
        said = parser.description
        return f"### `{name}`\n\n{_joined(said)} Its options: [below](#a-questions-options)."
    if parser is not None:
        return f"### `{name}`\n\n{_joined(parser.description)}\n\n{_arguments(parser)}"
    first, _, more = text_of(magic, name).partition("\n\n")
    block = f"\n\n```text\n{more}\n```" if more else ""
    return f"### `{name}`\n\n{_joined(first)}{block}"


def _question_options() -> str:
    rows = []
    for option in options.OPTIONS.values():
        setting = _code(f"MCPNotebook.{option.name}") if option.has_setting else ""
        default = _default(option.setting) if option.has_setting else ""
        about = option.help
        if option.choices:
            about += f": {', '.join(option.choices)}"
        flags = ", ".join(_code(flag) for flag in option.flags)
        rows.append((flags, _code(option.name), setting, default, about))
    heads = ("`%%claude`", "`ask()`", "for the whole notebook", "default", "")
    return _table(heads, rows)


def _settings() -> str:
    rows = []
    for name, trait in sorted(MCPNotebook.class_traits(config=True).items()):
        kind = type(trait).__name__.removeprefix("C").lower()
        if isinstance(trait, Enum):
            kind = ", ".join(repr(value) for value in trait.values or ())
        elif isinstance(trait, List):
            kind = "list of texts"
        kind = {"unicode": "text", "any": "text or client"}.get(kind, kind)
        rows.append((_code(name), kind, _default(trait.default()), trait.help))
    return "Set one with `%config MCPNotebook.NAME = VALUE`.\n\n" + _table(
        ("`MCPNotebook`", "type", "default", ""), rows
    )


def _python() -> str:
    written = ["Each is `mcp_notebook.NAME`."]
    for name in mcp_notebook.__all__:
        thing = getattr(mcp_notebook, name)
        if name == "settings":
            written.append("### `settings`\n\nThe [settings](#settings) as an object.")
        elif callable(thing):
            doc = inspect.cleandoc(thing.__doc__ or "")
            block = "\n\n".join(part for part in (_signature(name, thing), doc) if part)
            written.append(f"### `{name}`\n\n```text\n{block}\n```")
    return "\n\n".join(written)


def _signature(name: str, thing: Any) -> str:
    """Names and defaults; types stand in the docstring where they do not go without
    saying, and in `help()`.
    """
    if inspect.isclass(thing):
        return ""
    words, is_named = [], False
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not is_named:
            words.append("*")
            is_named = True
        bare = parameter.replace(annotation=parameter.empty)
        words.append(str(bare))
    indent = " " * (len(name) + 1)
    line = f"{name}({', '.join(words)})"
    return textwrap.fill(line, 100, subsequent_indent=indent)


def _commands() -> str:
    return "\n\n".join(_command(cli.parser(cli.COMMANDS)))


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A command and then its own commands."""
    groups = parser._subparsers._group_actions if parser._subparsers else []
    arguments = _arguments(parser)
    if arguments:
        said = _joined(parser.description or "")
        yield f"### `{parser.prog}`\n\n{said}\n\n{arguments}".replace(
            "\n\n\n\n", "\n\n"
        )
    for group in groups:
        for child in dict.fromkeys((group.choices or {}).values()):
            yield from _command(child)


def _arguments(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions:
        is_help = isinstance(action, argparse._HelpAction | argparse._VersionAction)
        if is_help or action.help == argparse.SUPPRESS or action.nargs == "A...":
            continue
        value = "" if action.nargs == 0 else _value(action)
        names = [f"{flag} {value}".strip() for flag in action.option_strings] or [value]
        text = _joined((action.help or "").replace("%%", "%"))
        rows.append((", ".join(_code(name) for name in names), text))
    return _table(("", ""), rows) if rows else ""


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "|".join(str(choice) for choice in action.choices if choice != "")
    return str(action.metavar or action.dest.upper())


def _environment() -> str:
    rows = [(_code(name), about) for name, about in sorted(ENVIRONMENT.items())]
    return (
        "The Anthropic SDK reads its own (`ANTHROPIC_API_KEY` ...). `${NAME}` in a command, URL, header or file is "
        "any of yours.\n\n" + _table(("", ""), rows)
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(heads), ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(word) for word in row)} |" for row in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`"


def _default(value: Any) -> str:
    return (
        "" if value in ("", None) or value == () or value == [] else _code(repr(value))
    )


def _joined(text: str) -> str:
    return " ".join(text.split())


def recordings_schema() -> str:
    """The JSON Schema of a file of recorded turns, of the shape that is checked."""
    shape = {"format": str, "version": int, "about": object, **sidecar.FILE_SHAPE}
    schema = _schema_of(shape)
    schema["properties"]["format"] = {"const": sidecar.FORMAT}
    schema["properties"]["version"] = {"enum": [1, sidecar.VERSION]}
    schema["required"].remove("about")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": sidecar.FORMAT,
        "description": sidecar.ABOUT,
    }
    return json.dumps({**head, **schema}, indent=2, ensure_ascii=False) + "\n"


_SCALARS = {str: "string", int: "integer", bool: "boolean"}


def _schema_of(shape: Any) -> dict[str, Any]:
    if isinstance(shape, sidecar.Maybe):
        return {"anyOf": [_schema_of(shape.kind), {"type": "null"}]}
    if isinstance(shape, list):
        return {"type": "array", "items": _schema_of(shape[0])}
    if isinstance(shape, dict):
        return _object_schema(shape)

    return {"type": _SCALARS[shape]} if shape in _SCALARS else {}


def _object_schema(shape: dict[str, Any]) -> dict[str, Any]:
    if "" in shape:
        return {"type": "object", "additionalProperties": _schema_of(shape[""])}

    schema: dict[str, Any] = {
        "type": "object",
        "required": [n for n, k in shape.items() if not isinstance(k, sidecar.Maybe)],
        "properties": {name: _schema_of(kind) for name, kind in shape.items()},
    }
    if shape is sidecar.BLOCK_SHAPE:
        schema["allOf"] = [
            {
                "if": {"properties": {"type": {"const": kind}}},
                "then": {
                    "required": list(names),
                    "properties": {n: _schema_of(shape[n].kind) for n in names},
                },
            }
            for kind, names in sidecar.FIELDS_OF_BLOCKS.items()
        ]

    return schema


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(document(), encoding="utf-8")
    SCHEMA.write_text(recordings_schema(), encoding="utf-8")
